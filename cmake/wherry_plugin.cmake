set(WHERRY_PLUGIN_EXPORTS ${CMAKE_CURRENT_LIST_DIR}/wherry_plugin.map)

# wherry_add_plugin(KIND-NAME SOURCE...): a plugin, KIND-NAME.so, which exports its descriptor and nothing else.
function(wherry_add_plugin name)
    add_library(${name} MODULE ${ARGN})
    set_target_properties(${name} PROPERTIES
        PREFIX ""
        LIBRARY_OUTPUT_DIRECTORY ${WHERRY_PLUGIN_OUTPUT_DIRECTORY})
    target_link_libraries(${name} PRIVATE wherry::sdk)
    # Symbols of static libraries and of templates stay inside, too.
    target_link_options(${name} PRIVATE -Wl,--version-script=${WHERRY_PLUGIN_EXPORTS})
    set_target_properties(${name} PROPERTIES LINK_DEPENDS ${WHERRY_PLUGIN_EXPORTS})
    install(TARGETS ${name} LIBRARY DESTINATION ${WHERRY_PLUGIN_INSTALL_DIRECTORY})
    set_property(GLOBAL APPEND PROPERTY WHERRY_PLUGINS ${name})
endfunction()

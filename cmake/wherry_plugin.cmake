# SPDX-License-Identifier: BSD-2-Clause
# For the plugins of this tree, and, installed, for everybody else's: find_package(wherry) brings these functions.
set(WHERRY_PLUGIN_EXPORTS ${CMAKE_CURRENT_LIST_DIR}/wherry_plugin.map)

# wherry_add_plugin(KIND-NAME SOURCE...): a plugin, KIND-NAME.so, of C++20 or C sources, which exports its descriptor and
# nothing else. KIND is transport, cipher or sink; NAME is what --transport, --cipher or --sink calls it. A target that
# is called NAME-KIND makes KIND-NAME.so, too: wherry_add_plugin(my-sink my_sink.cpp) makes the sink "my".
# It is installed to lib/wherry of the prefix, where the program of the same prefix finds it; WHERRY_PLUGIN_INSTALL_DIRECTORY
# names another folder.
function(wherry_add_plugin target)
    if(target MATCHES "^(transport|cipher|sink)-([a-z0-9][a-z0-9-]*)$")
        set(kind ${CMAKE_MATCH_1})
        set(name ${CMAKE_MATCH_2})
    elseif(target MATCHES "^([a-z0-9][a-z0-9-]*)-(transport|cipher|sink)$")
        set(kind ${CMAKE_MATCH_2})
        set(name ${CMAKE_MATCH_1})
    else()
        message(FATAL_ERROR "wherry_add_plugin: '${target}' does not tell what it is; call it KIND-NAME, where KIND is "
            "transport, cipher or sink, and NAME is lower-case letters, digits and '-', such as sink-tally")
    endif()
    string(LENGTH ${name} length)
    if(length GREATER 32)
        message(FATAL_ERROR "wherry_add_plugin: the name '${name}' is too long; a plugin's name has 32 characters at most")
    endif()

    add_library(${target} MODULE ${ARGN})
    set_target_properties(${target} PROPERTIES
        PREFIX ""
        SUFFIX .so
        OUTPUT_NAME ${kind}-${name}
        DEBUG_POSTFIX ""
        POSITION_INDEPENDENT_CODE ON
        C_VISIBILITY_PRESET hidden
        CXX_VISIBILITY_PRESET hidden
        VISIBILITY_INLINES_HIDDEN ON
        WHERRY_PLUGIN_NAME ${name}
        WHERRY_COMPONENT "${CMAKE_INSTALL_DEFAULT_COMPONENT_NAME}")
    if(WHERRY_PLUGIN_OUTPUT_DIRECTORY)
        set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${WHERRY_PLUGIN_OUTPUT_DIRECTORY})
    endif()
    get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
    if(CXX IN_LIST languages)
        target_compile_features(${target} PRIVATE cxx_std_20)
    endif()
    target_link_libraries(${target} PRIVATE wherry::sdk)
    # Symbols of static libraries and of templates stay inside, too.
    target_link_options(${target} PRIVATE -Wl,--version-script=${WHERRY_PLUGIN_EXPORTS})
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${WHERRY_PLUGIN_EXPORTS})
    install(TARGETS ${target} LIBRARY DESTINATION ${WHERRY_PLUGIN_INSTALL_DIRECTORY})
    set_property(GLOBAL APPEND PROPERTY WHERRY_PLUGINS ${target})
endfunction()

# wherry_add_plugin_test(TARGET [ALLOW_UNCHECKED] [OPTION=VALUE...] [--WORD...]): a test, TARGET.conformance, that has
# `wherry check-plugin` try the plugin out, with these of its options. What begins with the first word that has dashes goes
# to the command as it is (--content FILE, --promise WORD), and files in it are sought from the folder of the
# CMakeLists.txt that calls this.
# With ALLOW_UNCHECKED it passes, too, if nothing fails but not all can be checked, as of a sink that keeps nothing.
# CTest runs it where enable_testing() or include(CTest) was called.
function(wherry_add_plugin_test target)
    get_target_property(name ${target} WHERRY_PLUGIN_NAME)
    if(NOT name)
        message(FATAL_ERROR "wherry_add_plugin_test: '${target}' was not made by wherry_add_plugin")
    endif()
    if(NOT WHERRY_PROGRAM)
        message(FATAL_ERROR "wherry_add_plugin_test: the program wherry, which checks plugins, was not found; install it, "
            "or give -DWHERRY_PROGRAM=/path/to/wherry")
    endif()
    set(options "")
    set(are_of_the_command OFF)
    foreach(option IN LISTS ARGN)
        if(option STREQUAL "ALLOW_UNCHECKED" AND NOT are_of_the_command)
            list(APPEND options --allow-unchecked)
        elseif(option MATCHES "^--" OR are_of_the_command)
            set(are_of_the_command ON)
            list(APPEND options ${option})
        elseif(option MATCHES "^[a-z0-9][a-z0-9-]*=")
            list(APPEND options --${name}.${option})
        else()
            message(FATAL_ERROR "wherry_add_plugin_test: '${option}' is neither OPTION=VALUE nor an option of wherry "
                "check-plugin")
        endif()
    endforeach()
    add_test(NAME ${target}.conformance COMMAND ${WHERRY_PROGRAM} check-plugin $<TARGET_FILE:${target}> ${options}
        WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(${target}.conformance PROPERTIES TIMEOUT 300)
endfunction()

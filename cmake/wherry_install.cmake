# SPDX-License-Identifier: BSD-2-Clause
# What `cmake --install` gives beside the program and its plugins: headers, libraries, the CMake package, pkg-config
# files. In components, each of which a Debian package has: runtime (what is not said to be anything else), bluetooth and
# development.
include(CMakePackageConfigHelpers)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME runtime)
set(WHERRY_PACKAGE_OF_runtime wherry)
set(WHERRY_PACKAGE_OF_bluetooth wherry-bluetooth)
set(WHERRY_PACKAGE_OF_development wherry-dev)
# Plugins that a group can write are refused, so that no umask may let it.
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(WHERRY_PACKAGE_DIRECTORY ${CMAKE_INSTALL_LIBDIR}/cmake/wherry)

# wherry_install_headers(TARGET): the target's folder include/, as it is; it is what the target's users include from.
function(wherry_install_headers target)
    get_target_property(type ${target} TYPE)
    set(scope PUBLIC)
    if(type STREQUAL INTERFACE_LIBRARY)
        set(scope INTERFACE)
    endif()
    target_include_directories(${target} ${scope}
        $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
endfunction()

# wherry_install_library(TARGET NAME): a library for other people's programs, which is wherry::NAME to them, and
# part of wherry.pc. What it links to must be installed before it, or found by cmake/wherry-config.cmake.in.
function(wherry_install_library target name)
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
    target_compile_features(${target} PUBLIC cxx_std_20)
    install(TARGETS ${target} EXPORT wherry-library
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
    get_target_property(file ${target} OUTPUT_NAME)
    if(NOT file)
        set(file ${target})
    endif()
    # A linker wants a library before those that it uses.
    set_property(GLOBAL APPEND_STRING PROPERTY WHERRY_LIBRARIES "${file};")
endfunction()

# Sets WHERRY_COMPONENTS to the components that there are, and lets the host say which package has a plugin that the
# package `wherry` has not; when all plugins are known.
function(wherry_divide_plugins)
    set(components runtime development)
    set(rows "")
    get_property(plugins GLOBAL PROPERTY WHERRY_PLUGINS)
    foreach(plugin IN LISTS plugins)
        get_target_property(component ${plugin} WHERRY_COMPONENT)
        if(NOT component STREQUAL runtime)
            list(APPEND components ${component})
            string(APPEND rows "{\"${plugin}\", \"${WHERRY_PACKAGE_OF_${component}}\", \"${component}\"},")
        endif()
    endforeach()
    set_property(SOURCE host/src/suggestions.cpp DIRECTORY host APPEND PROPERTY
        COMPILE_DEFINITIONS "WHERRY_PLUGINS_OF_OTHER_PACKAGES=${rows}")
    list(REMOVE_DUPLICATES components)
    set(WHERRY_COMPONENTS ${components} PARENT_SCOPE)
endfunction()

# The package itself, when everything that belongs to it is known.
function(wherry_install_package)
    install(EXPORT wherry-sdk NAMESPACE wherry:: FILE wherry-sdk-targets.cmake
        DESTINATION ${WHERRY_PACKAGE_DIRECTORY} COMPONENT development)
    install(EXPORT wherry-library NAMESPACE wherry:: FILE wherry-library-targets.cmake
        DESTINATION ${WHERRY_PACKAGE_DIRECTORY} COMPONENT development)

    set(made ${CMAKE_BINARY_DIR}/package)
    configure_package_config_file(cmake/wherry-config.cmake.in ${made}/wherry-config.cmake
        INSTALL_DESTINATION ${WHERRY_PACKAGE_DIRECTORY} PATH_VARS CMAKE_INSTALL_BINDIR)
    # Before 1.0 a minor version may change anything.
    write_basic_package_version_file(${made}/wherry-config-version.cmake COMPATIBILITY SameMinorVersion)
    install(FILES ${made}/wherry-config.cmake ${made}/wherry-config-version.cmake
        cmake/wherry_plugin.cmake cmake/wherry_plugin.map
        DESTINATION ${WHERRY_PACKAGE_DIRECTORY} COMPONENT development)

    cmake_path(RELATIVE_PATH WHERRY_PLUGIN_INSTALL_DIRECTORY BASE_DIRECTORY ${CMAKE_INSTALL_INCLUDEDIR}/wherry
        OUTPUT_VARIABLE WHERRY_PLUGINS_FROM_HEADER)
    configure_file(cmake/installed_plugins.hpp.in ${made}/installed_plugins.hpp @ONLY)
    install(FILES ${made}/installed_plugins.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wherry COMPONENT development)

    # Told from where they are, so that the installed tree can be moved, and a package's prefix be another one.
    cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE libdir)
    cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${libdir}/pkgconfig OUTPUT_VARIABLE up)
    set(WHERRY_PC_PREFIX "\${pcfiledir}/${up}")
    get_property(libraries GLOBAL PROPERTY WHERRY_LIBRARIES)
    list(REMOVE_ITEM libraries "")
    list(REVERSE libraries)
    list(TRANSFORM libraries PREPEND -l)
    list(JOIN libraries " " WHERRY_PC_LIBRARIES)
    list(JOIN WHERRY_BOTAN_CFLAGS " " WHERRY_PC_BOTAN_CFLAGS)
    # Without folders that the linker knows: a file of this package has no place for an architecture's name.
    set(botan ${WHERRY_BOTAN_LDFLAGS})
    foreach(folder IN LISTS CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
        list(REMOVE_ITEM botan -L${folder})
    endforeach()
    list(JOIN botan " " WHERRY_PC_BOTAN_LIBRARIES)
    foreach(file IN ITEMS wherry.pc wherry-plugin.pc)
        configure_file(cmake/${file}.in ${made}/${file} @ONLY)
        install(FILES ${made}/${file} DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
    endforeach()
endfunction()

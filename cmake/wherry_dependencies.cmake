# SPDX-License-Identifier: BSD-2-Clause
# Libraries from the distribution; cmake says which package is missing (scripts/packages lists them all). Targets of
# pkg-config have names of our own, for they go with the installed libraries into other people's projects.
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(WHERRY_LIBELF REQUIRED IMPORTED_TARGET libelf)
pkg_check_modules(WHERRY_ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.4.0)
pkg_check_modules(WHERRY_XXHASH REQUIRED libxxhash>=0.8)  # its header; nothing is linked with it
# The one that spdlog is built with; the program has it through both.
pkg_check_modules(WHERRY_FMT REQUIRED IMPORTED_TARGET fmt)
add_library(wherry::libelf ALIAS PkgConfig::WHERRY_LIBELF)
add_library(wherry::zstd ALIAS PkgConfig::WHERRY_ZSTD)
add_library(wherry::fmt ALIAS PkgConfig::WHERRY_FMT)

# Botan 3 where it is installed, else 2.19: the sources compile with both.
set(WHERRY_BOTAN_MODULE botan-3)
pkg_check_modules(WHERRY_BOTAN QUIET IMPORTED_TARGET botan-3)
if(NOT WHERRY_BOTAN_FOUND)
    set(WHERRY_BOTAN_MODULE botan-2)
    pkg_check_modules(WHERRY_BOTAN REQUIRED IMPORTED_TARGET botan-2>=2.19)
endif()
# A system header, so that its own style raises no warnings here.
get_target_property(botan_includes PkgConfig::WHERRY_BOTAN INTERFACE_INCLUDE_DIRECTORIES)
set_target_properties(PkgConfig::WHERRY_BOTAN PROPERTIES INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${botan_includes}")
add_library(wherry::botan ALIAS PkgConfig::WHERRY_BOTAN)

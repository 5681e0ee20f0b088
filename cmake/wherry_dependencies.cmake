# SPDX-License-Identifier: BSD-2-Clause
# Libraries from the distribution (scripts/packages lists them all). Targets of pkg-config have names of our own, for they
# go with the installed libraries into other people's projects.
find_package(PkgConfig QUIET)
wherry_need(PkgConfig_FOUND pkg-config pkgconf)
wherry_stop_if_missing(build)
find_package(Boost 1.74 QUIET COMPONENTS program_options)
wherry_need(Boost_FOUND "Boost.Program_options 1.74 or newer" "libboost-program-options-dev, with libboost-dev")
find_package(spdlog QUIET)
wherry_need(spdlog_FOUND spdlog libspdlog-dev)
find_package(nlohmann_json QUIET)
wherry_need(nlohmann_json_FOUND nlohmann-json nlohmann-json3-dev)
pkg_check_modules(WHERRY_LIBELF QUIET IMPORTED_TARGET libelf)
wherry_need(WHERRY_LIBELF_FOUND libelf libelf-dev)
pkg_check_modules(WHERRY_ZSTD QUIET IMPORTED_TARGET libzstd>=1.4.0)
wherry_need(WHERRY_ZSTD_FOUND "libzstd 1.4 or newer" libzstd-dev)
pkg_check_modules(WHERRY_XXHASH QUIET libxxhash>=0.8)  # its header; nothing is linked with it
wherry_need(WHERRY_XXHASH_FOUND "xxHash 0.8 or newer" libxxhash-dev)
# The one that spdlog is built with; the program has it through both.
pkg_check_modules(WHERRY_FMT QUIET IMPORTED_TARGET fmt)
wherry_need(WHERRY_FMT_FOUND fmt libfmt-dev)
# The prompt of wherry chat.
pkg_check_modules(WHERRY_LIBEDIT QUIET IMPORTED_TARGET libedit)
wherry_need(WHERRY_LIBEDIT_FOUND libedit libedit-dev)
# How many columns a character takes on a terminal. wcwidth() tells that of the locale, which is "C" in a service.
pkg_check_modules(WHERRY_UTF8PROC QUIET IMPORTED_TARGET libutf8proc)
wherry_need(WHERRY_UTF8PROC_FOUND utf8proc libutf8proc-dev)

# Botan 3 where it is installed, else 2.19: the sources compile with both.
set(WHERRY_BOTAN_MODULE botan-3)
pkg_check_modules(WHERRY_BOTAN QUIET IMPORTED_TARGET botan-3)
if(NOT WHERRY_BOTAN_FOUND)
    set(WHERRY_BOTAN_MODULE botan-2)
    pkg_check_modules(WHERRY_BOTAN QUIET IMPORTED_TARGET botan-2>=2.19)
endif()
wherry_need(WHERRY_BOTAN_FOUND "Botan 3, or 2.19" "libbotan-3-dev or libbotan-2-dev")
wherry_stop_if_missing(build)

add_library(wherry::libelf ALIAS PkgConfig::WHERRY_LIBELF)
add_library(wherry::zstd ALIAS PkgConfig::WHERRY_ZSTD)
add_library(wherry::fmt ALIAS PkgConfig::WHERRY_FMT)
# A system header, so that its own style raises no warnings here.
get_target_property(botan_includes PkgConfig::WHERRY_BOTAN INTERFACE_INCLUDE_DIRECTORIES)
set_target_properties(PkgConfig::WHERRY_BOTAN PROPERTIES INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${botan_includes}")
add_library(wherry::botan ALIAS PkgConfig::WHERRY_BOTAN)

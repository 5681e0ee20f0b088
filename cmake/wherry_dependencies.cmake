# Libraries from the distribution; cmake says which package is missing (scripts/packages lists them all).
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBELF REQUIRED IMPORTED_TARGET libelf)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.4.0)

# Botan 3 where it is installed, else 2.19: the sources compile with both.
pkg_check_modules(BOTAN QUIET IMPORTED_TARGET botan-3)
if(NOT BOTAN_FOUND)
    pkg_check_modules(BOTAN REQUIRED IMPORTED_TARGET botan-2>=2.19)
endif()
# A system header, so that its own style raises no warnings here.
get_target_property(botan_includes PkgConfig::BOTAN INTERFACE_INCLUDE_DIRECTORIES)
set_target_properties(PkgConfig::BOTAN PROPERTIES INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${botan_includes}")
add_library(wherry::botan ALIAS PkgConfig::BOTAN)

# SPDX-License-Identifier: BSD-2-Clause
# How everything here is compiled.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# The tree as it will be installed, so that the program finds its plugins the same way in both.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(WHERRY_PLUGIN_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/wherry)
foreach(variable IN ITEMS CMAKE_INSTALL_BINDIR CMAKE_INSTALL_LIBEXECDIR CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_DATADIR)
    if(IS_ABSOLUTE "${${variable}}")
        message(FATAL_ERROR "${variable} is ${${variable}}; give it below CMAKE_INSTALL_PREFIX, such as lib64, since the "
            "installed tree finds its parts from one another")
    endif()
endforeach()
# From the program's folder to that of wherry-dev, here and installed.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_LIBEXECDIR BASE_DIRECTORY ${CMAKE_INSTALL_BINDIR}
    OUTPUT_VARIABLE WHERRY_LIBEXEC_BESIDE_PROGRAM)
set(WHERRY_PLUGIN_INSTALL_DIRECTORY ${CMAKE_INSTALL_LIBDIR}/wherry)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(ccache ccache)
if(ccache AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER ${ccache})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${ccache})
endif()

add_compile_options(-Wall -Wextra)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees overlaps in "literal" + std::to_string(n) that are not there (GCC bug 105651).
    add_compile_options(-Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_UNITY_BUILD)
    # Takes a file of several for a header, whose types may not rest on what is in an anonymous namespace.
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    # Checks what mutex.hpp says of members and functions.
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wthread-safety>)
endif()
if(WHERRY_WERROR)
    add_compile_options(-Werror)
endif()
if(WHERRY_SANITIZE)
    # The vptr check looks at memory through a pipe, and takes having no descriptor left for a bad object.
    add_compile_options(-fsanitize=${WHERRY_SANITIZE} -fno-sanitize=vptr -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${WHERRY_SANITIZE})
    add_compile_definitions(WHERRY_SANITIZED)
else()
    include(wherry_hardening)
    # The same bytes, wherever it is built: no file tells the folder of the sources. ccache hits none the less, since it
    # takes one folder here for another.
    add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
    cmake_path(IS_PREFIX CMAKE_SOURCE_DIR ${CMAKE_BINARY_DIR} is_inside)
    if(NOT is_inside)
        add_compile_options(-ffile-prefix-map=${CMAKE_BINARY_DIR}=build)
    endif()
endif()
# Files beyond 2 GiB and times beyond 2038 on 32 bits, too.
add_compile_definitions(BOOST_DLL_USE_STD_FS _FILE_OFFSET_BITS=64 _TIME_BITS=64)
find_package(Threads REQUIRED)
link_libraries(Threads::Threads)

# Some processors have no 64-bit atomics of their own; a library of GCC's has them there.
include(CheckCXXSourceCompiles)
set(atomics "#include <atomic>
#include <chrono>
#include <cstdint>
std::atomic<std::uint64_t> count{0};
std::atomic<std::chrono::steady_clock::time_point> last{};
int main() { last = std::chrono::steady_clock::now(); return static_cast<int>(count++ + count.load()); }")
set(WHERRY_ATOMIC_LIBRARY "")
check_cxx_source_compiles("${atomics}" WHERRY_HAS_ATOMICS)
if(NOT WHERRY_HAS_ATOMICS)
    set(CMAKE_REQUIRED_LIBRARIES atomic)
    check_cxx_source_compiles("${atomics}" WHERRY_HAS_ATOMICS_OF_LIBRARY)
    unset(CMAKE_REQUIRED_LIBRARIES)
    if(NOT WHERRY_HAS_ATOMICS_OF_LIBRARY)
        message(FATAL_ERROR "This compiler has no 64-bit atomics, and libatomic (GCC's, package libatomic1) has none either; "
            "install that")
    endif()
    set(WHERRY_ATOMIC_LIBRARY -latomic)
    link_libraries(atomic)
endif()

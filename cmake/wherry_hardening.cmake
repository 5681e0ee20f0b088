# SPDX-License-Identifier: BSD-2-Clause
# Makes faults harder to exploit. Not with sanitizers, which find them.
include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)

add_compile_options(-fstack-protector-strong)
add_link_options(-Wl,-z,relro,-z,now)

# Which of these there are depends on the processor: control-flow protection is x86's.
foreach(flag IN ITEMS stack-clash-protection cf-protection)
    string(MAKE_C_IDENTIFIER WHERRY_HAS_${flag} known)
    check_cxx_compiler_flag("-Werror -f${flag}" ${known})
    if(${known})
        add_compile_options(-f${flag})
    endif()
endforeach()

# A distribution's own definition stays: its compiler may have one, and CMAKE_CXX_FLAGS where packages are built. Level 3
# wants a compiler and a C library that have it; without optimisation there is none.
set(CMAKE_REQUIRED_FLAGS -O2)
check_cxx_source_compiles("
#ifdef _FORTIFY_SOURCE
#error it is defined
#endif
int main() {}" WHERRY_FORTIFY_IS_UNDEFINED)
if(WHERRY_FORTIFY_IS_UNDEFINED)
    set(CMAKE_REQUIRED_DEFINITIONS -D_FORTIFY_SOURCE=3)
    check_cxx_source_compiles("
#include <cstdlib>
#if __USE_FORTIFY_LEVEL < 3
#error it is less
#endif
int main() {}" WHERRY_FORTIFY_HAS_LEVEL_3)
    unset(CMAKE_REQUIRED_DEFINITIONS)
    set(level 2)
    if(WHERRY_FORTIFY_HAS_LEVEL_3)
        set(level 3)
    endif()
    add_compile_options($<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-D_FORTIFY_SOURCE=${level}>)
endif()
unset(CMAKE_REQUIRED_FLAGS)

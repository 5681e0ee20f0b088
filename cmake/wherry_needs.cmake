# SPDX-License-Identifier: BSD-2-Clause
# What is said where something that wherry needs is not there: one sentence, with the names of the packages.

# wherry_need(FOUND NAME PACKAGE): notes that NAME, of Debian's PACKAGE, is missing, unless the variable FOUND is true.
function(wherry_need found name package)
    if(NOT ${found})
        set_property(GLOBAL APPEND PROPERTY WHERRY_MISSING "${name} (package ${package})")
    endif()
endfunction()

# wherry_stop_if_missing(GROUP): ends if anything was noted; `scripts/packages GROUP` installs it.
function(wherry_stop_if_missing group)
    get_property(missing GLOBAL PROPERTY WHERRY_MISSING)
    if(missing)
        list(JOIN missing ", " missing)
        message(FATAL_ERROR "wherry needs what is not there: ${missing}; on Debian, scripts/packages ${group} installs it")
    endif()
endfunction()

# wherry_choice(SETTING WHAT): a setting that is ON, OFF or, without being given, AUTO: ON where what it needs is there.
function(wherry_choice setting what)
    set(${setting} AUTO CACHE STRING "${what}: ON, OFF, or AUTO, which is ON where what it needs is there")
    set_property(CACHE ${setting} PROPERTY STRINGS AUTO ON OFF)
    if(NOT ${setting} MATCHES "^(AUTO|ON|OFF)$")
        message(FATAL_ERROR "${setting} is '${${setting}}'; give ON, OFF or AUTO")
    endif()
endfunction()

# wherry_choose(RESULT SETTING OTHERWISE [MISSING...]): whether to build what a setting of wherry_choice() is about, of
# which MISSING is not there. If not, OTHERWISE tells what comes of it; where the setting is ON, that is an error.
function(wherry_choose result setting otherwise)
    set(${result} OFF PARENT_SCOPE)
    list(JOIN ARGN " and " missing)
    if(NOT ${setting})
        message(STATUS "${otherwise}: ${setting} is OFF")
    elseif(missing STREQUAL "")
        set(${result} ON PARENT_SCOPE)
    elseif(${setting} STREQUAL "AUTO")
        message(STATUS "${otherwise}, for lack of ${missing}")
    else()
        message(FATAL_ERROR "${setting} is ON, and needs ${missing}; install that, or configure with -D${setting}=OFF")
    endif()
endfunction()

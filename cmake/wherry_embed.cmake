# SPDX-License-Identifier: BSD-2-Clause
# wherry_embed(TARGET NAME FILE...): makes the content of the files part of the target, as wherry::app::NAME(), a list of
# {file, text} in the order given, declared in embedded.hpp. Text only: without NUL, nor `)embedded"`.
function(wherry_embed target name)
    set(rows "")
    foreach(file IN LISTS ARGN)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
        file(READ ${CMAKE_CURRENT_SOURCE_DIR}/${file} text)
        cmake_path(GET file FILENAME short)
        string(APPEND rows "        {\"${short}\", R\"embedded(${text})embedded\"},\n")
    endforeach()
    set(content "// Made by wherry_embed().
#include \"embedded.hpp\"

namespace wherry::app {

std::span<const embedded_file> ${name}() noexcept {
    static constexpr embedded_file files[] = {
${rows}    };
    return files;
}

}  // namespace wherry::app
")
    # Neither configure_file() nor file(GENERATE): the text has names between '@', and generator expressions.
    set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
    set(before "")
    if(EXISTS ${output})
        file(READ ${output} before)
    endif()
    if(NOT before STREQUAL content)
        file(WRITE ${output} "${content}")
    endif()
    target_sources(${target} PRIVATE ${output})
endfunction()

// SPDX-License-Identifier: BSD-2-Clause
#include "completion_scripts.hpp"

namespace wherry::app {

const std::string_view bash_completion =
    R"SCRIPT(# Completes wherry's command line in bash: the program itself says what fits.
_wherry() {
    local program=${COMP_WORDS[0]} rest=${COMP_LINE:0:COMP_POINT} word i what line
    local -a typed=() lines=()
    COMPREPLY=()
    program=${program/#\~\//$HOME/}
    # Bash parts words at '=' and ':' too, wherry does not: what no blank parts belongs together.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 0)) && [[ $rest != [[:space:]]* ]]; then
            if ((i == COMP_CWORD)); then word=$rest; fi
            typed[${#typed[@]} - 1]+=$word
        else
            rest=${rest#"${rest%%[![:space:]]*}"}
            if ((i == COMP_CWORD)); then word=$rest; fi
            typed+=("$word")
        fi
        rest=${rest#"$word"}
    done
    mapfile -t lines < <("$program" internal-complete "${typed[@]:1}" 2>/dev/null)
    what=${lines[0]-}
    word=${typed[${#typed[@]} - 1]}
    # What stands before the last of those signs is not bash's to replace.
    local before=
    if [[ $word == *[=:]* ]]; then before=${word%"${word##*[=:]}"}; fi
    case $what in
        files) compopt -o default 2>/dev/null ;;
        folders)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "${word#"$before"}")
            ;;
        words)
            for line in "${lines[@]:1}"; do
                line=${line%%$'\t'*}
                line=${line#"$before"}
                COMPREPLY+=("$(printf '%q' "$line")")
            done
            if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace 2>/dev/null; fi
            ;;
    esac
}
complete -F _wherry wherry
)SCRIPT";

const std::string_view zsh_completion = R"SCRIPT(#compdef wherry
# Completes wherry's command line in zsh: the program itself says what fits.
_wherry() {
    local program=${(Q)words[1]} line what word
    local -a lines typed open closed
    program=${program/#\~\//$HOME/}
    typed=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
    lines=("${(@f)$("$program" internal-complete "${typed[@]}" 2>/dev/null)}")
    what=${lines[1]}
    case $what in
        files | folders)
            if [[ $PREFIX == --*=* ]]; then compset -P '*='; fi
            if [[ $what == folders ]]; then _files -/; else _files; fi
            ;;
        words)
            for line in "${(@)lines[2,-1]}"; do
                word=${line%%$'\t'*}
                line="${word//:/\\:}:${line#*$'\t'}"
                if [[ $word == */ ]]; then open+=("$line"); else closed+=("$line"); fi
            done
            _describe -t words word closed -- open -S ''
            ;;
    esac
}
if [[ ${funcstack[1]} == _wherry ]]; then _wherry "$@"; else compdef _wherry wherry; fi
)SCRIPT";

const std::string_view fish_completion =
    R"SCRIPT(# Completes wherry's command line in fish: the program itself says what fits.
function __wherry_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -e words[1]
    set -l lines ($program internal-complete $words "$typed" 2>/dev/null)
    set -l before (string match -r -- '^--[^=]*=' "$typed")
    set -l path (string replace -r -- '^--[^=]*=' '' "$typed")
    switch "$lines[1]"
        case files
            for found in (__fish_complete_path "$path")
                echo -- "$before$found"
            end
        case folders
            for found in (__fish_complete_directories "$path")
                echo -- "$before$found"
            end
        case words
            if test (count $lines) -gt 1
                printf '%s\n' $lines[2..-1]
            end
    end
end
complete -c wherry -f -a '(__wherry_complete)'
)SCRIPT";

}  // namespace wherry::app

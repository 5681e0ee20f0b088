// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command_option.hpp"

namespace wherry::app {

// What a shell may put in the place of the word that is being typed.
struct completion {
    enum class word_kind { words, files, folders };
    struct candidate {
        std::string word;  // whole: "--compress=zstd" for "--compress=z"
        std::string help;  // one line, or ""
    };
    word_kind what = word_kind::words;
    std::vector<candidate> candidates;  // of words; none: nothing fits
};

// What only the machine can tell, asked for when it is needed.
struct completion_facts {
    std::function<std::vector<plugin_listing>(std::span<const std::string> plugin_dirs)> plugins;
    // The addresses that were sent to, from the folder of --home where it is given.
    std::function<std::vector<std::string>(const std::optional<std::string>& home)> receivers;
};

// Completes the last of `words`, which are those behind the program's name: all that a shell has up to the cursor.
// Never throws because of what they are; where it makes no sense of them, it knows no candidates.
completion complete(std::span<const command_syntax* const> commands, std::span<const std::string> words,
                    const completion_facts& facts);

// As the shells' functions read it: a line that says what it is of, then a line "WORD<tab>HELP" for each candidate.
std::string to_lines(const completion& completed);

}  // namespace wherry::app

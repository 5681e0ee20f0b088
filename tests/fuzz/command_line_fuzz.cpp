// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <string>
#include <vector>

#include "fuzz.hpp"
#include "line_parser.hpp"
#include "wherry/error.hpp"

using namespace wherry;

namespace {

app::line_parser parser() {
    app::line_parser made;
    const auto add = [&](const char* name, option_type type, char letter) {
        plugin_option row;
        row.name = name;
        row.type = type;
        made.add(name, row, letter);
    };
    add("to", option_type::string, 't');
    add("message", option_type::string, 0);
    add("quiet", option_type::boolean, 'q');
    add("tcp.port", option_type::integer, 0);
    return made;
}

}  // namespace

// A line end separates the words of a command line. Whatever they are, they are taken apart or refused, and no argument
// behind "--" is lost.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto line = parser();
    const auto text = as_text(fuzz::bytes_of(data, size));
    std::vector<std::string> words{""};
    for (const char c : text) {
        // No word of a command line has a NUL.
        if (c == '\n')
            words.emplace_back();
        else if (c != '\0')
            words.back() += c;
    }
    try {
        const auto tokens = line.parse(words);
        const auto end = std::find(words.begin(), words.end(), "--");
        // It may be the value of the option before it.
        if (end == words.begin() || (end != words.end() && !(end - 1)->starts_with('-')))
            for (auto at = end + 1; at < words.end(); ++at)
                fuzz::require(std::any_of(tokens.begin(), tokens.end(),
                                          [&](const auto& one) { return one.name.empty() && one.value == *at; }));
    } catch (const error& e) {
        fuzz::require(e.code() == errc::bad_input);
    }
    return 0;
}

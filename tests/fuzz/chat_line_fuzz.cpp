// SPDX-License-Identifier: BSD-2-Clause
#include "chat_line.hpp"

#include "fuzz.hpp"
#include "wherry/error.hpp"

using namespace wherry;

// A line is a message, word for word, unless it begins with a slash; then it is a command that is known, or refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto line = as_text(fuzz::bytes_of(data, size));
    try {
        const auto read = app::read_chat_line(line);
        using kind = app::chat_line::kind;
        if (!line.starts_with('/'))
            fuzz::require(read.asks_for == kind::message && read.text == line);
        else if (line.starts_with("//"))
            fuzz::require(read.asks_for == kind::message && read.text == line.substr(1));
        else
            fuzz::require(read.asks_for != kind::message);
        fuzz::require((read.asks_for == kind::files) == !read.paths.empty());
    } catch (const error& e) {
        fuzz::require(e.code() == errc::bad_input && line.starts_with('/'));
    }
    return 0;
}

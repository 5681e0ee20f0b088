// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/quoted_text.hpp"

namespace wherry {

quoted_text read_quoted(std::string_view text) {
    const char quote = text.front();
    quoted_text read;
    for (read.length = 1; read.length < text.size(); ++read.length) {
        char c = text[read.length];
        if (c == quote) {
            read.is_closed = true;
            ++read.length;
            return read;
        }
        if (quote == '"' && c == '\\') {
            read.ends_in_escape = read.length + 1 == text.size();
            const char next = read.ends_in_escape ? '\0' : text[read.length + 1];
            if (next == '"' || next == '\\') {
                c = next;
                ++read.length;
            }
        }
        read.inner += c;
    }
    return read;
}

}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace wherry {

// Text that stood between quotes.
struct quoted_text {
    std::string inner;
    std::size_t length = 0;       // of what was read, the quotes included
    bool is_closed = false;       // false: it went on to the end of the text
    bool ends_in_escape = false;  // not closed, and the last backslash has nothing behind it
};

// Reads the quoted text that the text begins with, as a shell does: between single quotes nothing is special, and
// between double ones a backslash makes the next double quote or backslash an ordinary character, and nothing else.
// REQUIRES: the text begins with ' or ".
quoted_text read_quoted(std::string_view text);

}  // namespace wherry

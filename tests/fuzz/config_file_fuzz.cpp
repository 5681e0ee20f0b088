// SPDX-License-Identifier: BSD-2-Clause
#include "config_file.hpp"

#include "fuzz.hpp"
#include "wherry/error.hpp"

using namespace wherry;

// Each line that is read has a name and its number, in order, and what is wrong is refused as bad input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        std::size_t last = 0;
        for (const auto& line : app::parse_config(as_text(fuzz::bytes_of(data, size)))) {
            fuzz::require(!line.name.empty() && line.number > last);
            last = line.number;
        }
    } catch (const error& e) {
        fuzz::require(e.code() == errc::bad_input);
    }
    return 0;
}

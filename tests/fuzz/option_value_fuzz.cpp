// SPDX-License-Identifier: BSD-2-Clause
#include "fuzz.hpp"
#include "wherry/error.hpp"
#include "wherry/plugin_option.hpp"

using namespace wherry;

namespace {

// The first byte chooses the type and whether there are limits.
plugin_option option_of(std::uint8_t choice) {
    constexpr option_type types[] = {option_type::string,  option_type::path,     option_type::integer,
                                     option_type::boolean, option_type::duration, option_type::size,
                                     option_type::choice};
    plugin_option option;
    option.name = "it";
    option.type = types[choice % std::size(types)];
    if (option.type == option_type::choice) option.choices = {"red", "green"};
    if (choice >= 128) option.minimum = -5, option.maximum = 1'000'000;
    return option;
}

}  // namespace

// What is taken is taken again as it was passed to the plugin, and stays the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto option = option_of(data[0]);
    try {
        const auto value = canonical_value(option, as_text(fuzz::bytes_of(data + 1, size - 1)));
        const bool has_unit = option.type == option_type::duration;
        fuzz::require(canonical_value(option, has_unit ? value + "ms" : value) == value);
    } catch (const error& e) {
        fuzz::require(e.code() == errc::bad_input);
    }
    return 0;
}

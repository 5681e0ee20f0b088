// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "events.hpp"

namespace wherry::app::bench {

// "NAME" or "NAME=VALUE,VALUE,...": what a local bench is run with, one after the other.
struct comparison {
    std::string name;                 // "cipher", or "hybrid.aead"; "" for none
    std::vector<std::string> values;  // empty: not said
};

// Throws error(errc::bad_input) for one without a name, or with an empty value.
comparison read_comparison(std::string_view text);

// The results of several rounds with each value, in the order in which they came.
class compared_results {
public:
    // `fields` as of the event "bench".
    void add(const std::string& value, const json& fields);

    // One row for each value: "value", "rounds", "bytes_per_second" and, with small items, "items_per_second" and
    // "p50_us" (medians), "ratio" to the first value's, and "limited_by" as most rounds have it.
    json rows() const;
    // As people read it.
    std::string table(const std::string& name) const;

private:
    struct value_results {
        std::string value;
        std::vector<json> rounds;
    };
    std::vector<value_results> values_;
};

// The middle one, or the mean of the two in the middle. REQUIRES: not empty.
double median(std::vector<double> numbers);

}  // namespace wherry::app::bench

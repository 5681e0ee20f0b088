// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "wherry/limits.hpp"
#include "wherry/sink.hpp"
#include "wherry/text.hpp"

namespace wherry {

// What a sink answers, up to the limits.
class collected_response final : public response {
public:
    using response::append;
    void append(const_bytes more) override {
        if (more.size() > limits::max_response_bytes - bytes.size())
            throw error(errc::exhausted, "a response is at most 1 MiB");
        bytes.insert(bytes.end(), more.begin(), more.end());
    }
    void set_outcome(std::string_view word) override {
        if (word.size() > limits::max_outcome_bytes || printable(word) != word)
            throw error(errc::bad_input, "an outcome is at most 64 bytes of UTF-8 without control characters");
        outcome = word;
    }

    std::vector<std::byte> bytes;
    std::string outcome;
};

}  // namespace wherry

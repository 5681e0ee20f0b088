#pragma once

#include <utility>
#include <vector>

#include "wherry/limits.hpp"
#include "wherry/sink.hpp"

namespace wherry {

// What a sink answers, up to the limit.
class collected_response final : public response {
public:
    using response::append;
    void append(const_bytes bytes) override {
        if (bytes.size() > limits::max_response_bytes - bytes_.size())
            throw error(errc::exhausted, "a response is at most 1 MiB");
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }
    std::vector<std::byte> take() noexcept { return std::move(bytes_); }

private:
    std::vector<std::byte> bytes_;
};

}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#include <string>

#include "wherry/sdk.hpp"

namespace {

class counted_delivery final : public wherry::delivery {
public:
    void write(wherry::const_bytes bytes) override { count_ += bytes.size(); }
    void finish(wherry::response& answer) override { answer.append("counted " + std::to_string(count_) + " bytes"); }
    bool finishes_at_once() const noexcept override { return true; }
    void abort(partial) noexcept override {}

private:
    std::uint64_t count_ = 0;
};

// Takes everything and keeps nothing, to measure what comes before it.
class null_sink final : public wherry::sink {
public:
    null_sink(const wherry::settings&, const wherry::host_services&) {}

    std::unique_ptr<wherry::delivery> begin(const wherry::offer&, const wherry::offering_peer&) override {
        return std::make_unique<counted_delivery>();
    }
};

}  // namespace

WHERRY_PLUGIN(null_sink, "null", "0.1.0", "counts what comes and drops it", wherry::no_options)

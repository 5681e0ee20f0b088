// SPDX-License-Identifier: BSD-2-Clause
// A sink as somebody else writes it, in a tree of his own.
#include <string>
#include <wherry/sdk.hpp>

namespace {

class tally final : public wherry::delivery {
public:
    explicit tally(std::string unit) : unit_(std::move(unit)) {}
    void write(wherry::const_bytes bytes) override { count_ += bytes.size(); }
    void finish(wherry::response& answer) override { answer.append("tallied " + std::to_string(count_) + " " + unit_); }
    void abort(partial) noexcept override {}

private:
    const std::string unit_;
    std::uint64_t count_ = 0;
};

class tally_sink final : public wherry::sink {
public:
    tally_sink(const wherry::settings& given, const wherry::host_services&) : unit_(given.text("unit")) {}
    std::unique_ptr<wherry::delivery> begin(const wherry::offer&, const wherry::offering_peer&) override {
        return std::make_unique<tally>(unit_);
    }

private:
    const std::string unit_;
};

constexpr wherry_option options[] = {
    {"unit", WHERRY_OPTION_STRING, 0, "bytes", "what to call a byte", nullptr, 0, 0},
};

}  // namespace

WHERRY_PLUGIN(tally_sink, "tally", "1.0.0", "counts what comes", options)

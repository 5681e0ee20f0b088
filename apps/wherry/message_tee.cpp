// SPDX-License-Identifier: BSD-2-Clause
#include "message_tee.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace wherry::app {

namespace {

constexpr std::size_t most_shown_bytes = std::size_t{64} << 10;

// Passes an answer on, and keeps it.
class tee_response final : public response {
public:
    explicit tee_response(response& inner) noexcept : inner_(inner) {}
    using response::append;
    void append(const_bytes bytes) override {
        inner_.append(bytes);
        all.insert(all.end(), bytes.begin(), bytes.end());
    }
    void set_outcome(std::string_view word) override {
        inner_.set_outcome(word);
        outcome = word;
    }
    std::vector<std::byte> all;
    std::string outcome;

private:
    response& inner_;
};

}  // namespace

class message_tee::message_delivery final : public delivery {
public:
    message_delivery(std::unique_ptr<delivery> inner, const offer& what, const offering_peer& peer, message_tee& tee)
        : inner_(std::move(inner)), what_(what), address_(peer.address), who_(peer.who), tee_(tee) {}

    std::uint64_t offset() const noexcept override { return inner_->offset(); }
    bool already(response& answer) override { return inner_->already(answer); }
    std::size_t read_back(std::uint64_t position, mutable_bytes buffer) override {
        return inner_->read_back(position, buffer);
    }
    void write(const_bytes bytes) override {
        inner_->write(bytes);
        const auto kept = std::min(bytes.size(), most_shown_bytes - text_.size());
        text_ += as_text(bytes.first(kept));
        is_whole_ = is_whole_ && kept == bytes.size();
    }
    void finish(response& answer) override {
        inner_->finish(begin_finish(answer));
        end_finish();
    }
    bool finishes_at_once() const noexcept override { return inner_->finishes_at_once(); }
    group_commit* commits_with() noexcept override { return tee_.groups_.around(inner_->commits_with()); }
    void abort(partial what_came) noexcept override { inner_->abort(what_came); }

    // For wrapped_groups.
    delivery& inner() noexcept { return *inner_; }
    response& begin_finish(response& answer) { return answer_.emplace(answer); }
    void end_finish() { tee_.tell_({{address_, who_}, what_, text_, is_whole_, answer_->outcome, answer_->all}); }

private:
    const std::unique_ptr<delivery> inner_;
    const offer what_;
    const std::string address_;
    const identity who_;
    message_tee& tee_;
    std::string text_;
    bool is_whole_ = true;
    std::optional<tee_response> answer_;
};

message_tee::message_tee(sink& inner, std::function<void(const delivered_message&)> tell)
    : inner_(inner), tell_(std::move(tell)) {}

message_tee::~message_tee() = default;

std::unique_ptr<delivery> message_tee::begin(const offer& what, const offering_peer& peer) {
    auto begun = inner_.begin(what, peer);
    if (what.kind != item_kind::message) return begun;
    return std::make_unique<message_delivery>(std::move(begun), what, peer, *this);
}

}  // namespace wherry::app

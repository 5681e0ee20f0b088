// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "wherry/sink.hpp"

namespace wherry::test {

// Keeps what it gets, by name, and writes down the calls in their order. Fails where it is told to.
class recording_sink final : public sink {
public:
    struct stored {
        offer what;
        std::string content;
    };

    // Called with "begin", "write", "finish", "answered" (finish has answered) and the name; may throw.
    std::function<void(const std::string& call, const std::string& name)> on_call;
    std::string response_text = "thanks";
    std::string outcome;

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer&) override {
        note("begin", what.name);
        return std::make_unique<recording_delivery>(*this, what);
    }

    std::map<std::string, stored> finished() const {
        const std::lock_guard lock(mutex_);
        return finished_;
    }
    std::map<std::string, std::string> partials() const {
        const std::lock_guard lock(mutex_);
        return partials_;
    }
    void set_partial(const std::string& name, const std::string& content) {
        const std::lock_guard lock(mutex_);
        partials_[name] = content;
    }
    std::vector<std::string> calls() const {
        const std::lock_guard lock(mutex_);
        return calls_;
    }
    bool has_call(const std::string& call) const {
        const std::lock_guard lock(mutex_);
        return std::find(calls_.begin(), calls_.end(), call) != calls_.end();
    }

private:
    class recording_delivery final : public delivery {
    public:
        recording_delivery(recording_sink& into, const offer& what) : into_(into), what_(what) {
            const std::lock_guard lock(into_.mutex_);
            if (what.wants_resume) content_ = into_.partials_[what.name];
            offset_ = content_.size();
        }
        std::uint64_t offset() const noexcept override { return offset_; }
        std::size_t read_back(std::uint64_t position, mutable_bytes into) override {
            const auto left = as_bytes(content_).subspan(position);
            const auto count = std::min<std::size_t>({into.size(), left.size(), 7});
            std::copy_n(left.begin(), count, into.begin());
            return count;
        }
        void write(const_bytes bytes) override {
            into_.note("write", what_.name);
            content_ += as_text(bytes);
        }
        void finish(response& answer) override {
            into_.note("finish", what_.name);
            answer.append(into_.response_text);
            if (!into_.outcome.empty()) answer.set_outcome(into_.outcome);
            if (into_.on_call) into_.on_call("answered", what_.name);
            const std::lock_guard lock(into_.mutex_);
            into_.partials_.erase(what_.name);
            into_.finished_[what_.name] = {what_, content_};
        }
        void abort(partial what_came) noexcept override {
            into_.note(what_came == partial::keep ? "keep" : "drop", what_.name);
            const std::lock_guard lock(into_.mutex_);
            if (what_came == partial::keep)
                into_.partials_[what_.name] = content_;
            else
                into_.partials_.erase(what_.name);
        }

    private:
        recording_sink& into_;
        const offer what_;
        std::string content_;
        std::uint64_t offset_ = 0;
    };

    void note(const std::string& call, const std::string& name) {
        {
            const std::lock_guard lock(mutex_);
            calls_.push_back(call + " " + name);
        }
        if (on_call) on_call(call, name);
    }

    mutable std::mutex mutex_;
    std::map<std::string, stored> finished_;
    std::map<std::string, std::string> partials_;
    std::vector<std::string> calls_;
};

}  // namespace wherry::test

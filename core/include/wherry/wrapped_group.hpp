// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "wherry/as_error.hpp"
#include "wherry/limits.hpp"
#include "wherry/mutex.hpp"
#include "wherry/sink.hpp"

namespace wherry {

// Finishes deliveries that wrap others: those within together by `group`. `Wrapper` is their class, with
//   delivery& inner() noexcept;
//   response& begin_finish(response& answer);  // before inner() is finished, which answers to what this returns
//   void end_finish();                         // once inner() was finished without failure
// as in its finish(). What begin_finish() throws aborts inner(); what either of them throws is the delivery's failure.
// Needs no memory of its own. REQUIRES: at most limits::max_group_commit.
template <class Wrapper>
void finish_wrapped(group_commit& group, std::span<ending> all) noexcept {
    std::array<ending, limits::max_group_commit> inner;
    std::array<ending*, limits::max_group_commit> outer;
    std::size_t count = 0;
    for (auto& one : all) {
        auto& wrapper = static_cast<Wrapper&>(*one.of);
        try {
            auto& answer = wrapper.begin_finish(*one.answer);
            inner.at(count) = {&wrapper.inner(), &answer, std::nullopt};
            outer[count++] = &one;
        } catch (const std::exception& e) {
            one.failure = as_error(e);
            wrapper.inner().abort(delivery::partial::drop);
        }
    }
    if (count == 0) return;
    group.finish_group(std::span(inner).first(count));
    for (std::size_t i = 0; i < count; ++i) {
        auto& failure = outer[i]->failure;
        failure = std::move(inner[i].failure);
        if (failure) continue;
        try {
            static_cast<Wrapper&>(*outer[i]->of).end_finish();
        } catch (const std::exception& e) {
            failure = as_error(e);
        }
    }
}

// The groups of a sink that wraps the deliveries of another, which may itself have several sinks behind it.
// Thread-safety: all functions from any thread. Lives as long as the wrapping sink.
template <class Wrapper>
class wrapped_groups {
public:
    // What Wrapper::commits_with() returns where that of its inner() is `group`: the same for the same one. Null where
    // `group` is, or where there is no memory.
    group_commit* around(group_commit* group) noexcept {
        if (group == nullptr) return nullptr;
        const mutex_lock lock(mutex_);
        for (const auto& known : groups_)
            if (&known->inner == group) return known.get();
        try {
            return groups_.emplace_back(std::make_unique<wrapped_group>(*group)).get();
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
    }

private:
    struct wrapped_group final : group_commit {
        explicit wrapped_group(group_commit& wrapped) noexcept : inner(wrapped) {}
        void finish_group(std::span<ending> all) noexcept override { finish_wrapped<Wrapper>(inner, all); }
        group_commit& inner;
    };

    mutex mutex_;
    std::vector<std::unique_ptr<wrapped_group>> groups_ WHERRY_GUARDED_BY(mutex_);
};

}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "wherry/mutex.hpp"
#include "wherry/sdk.hpp"
#include "wherry/wrapped_group.hpp"
#include "wherry/wrapped_plugin.hpp"

namespace {

// Selects the calls of one function by their number, counted over all deliveries of one instance.
// Thread-safety: all functions from any thread.
class chosen_calls {
public:
    chosen_calls(std::string function, const wherry::settings& given)
        : which_(std::move(function)), first_(given.bytes("at")), every_(given.bytes("every")) {}

    // Whether one of the calls may be of `function`.
    bool may_be_of(std::string_view function) const { return function == which_; }

    // Counts a call of `function`. Returns true if it is selected.
    bool has(std::string_view function) {
        if (function != which_) return false;
        const auto number = ++count_;
        return number == first_ || (every_ > 0 && number > first_ && (number - first_) % every_ == 0);
    }

private:
    const std::string which_;
    const std::uint64_t first_, every_;
    std::atomic<std::uint64_t> count_{0};
};

// Selects the calls that fail, and how, and the calls that hang.
// Thread-safety: all functions from any thread.
class failing_calls {
public:
    explicit failing_calls(const wherry::settings& given)
        : failing_(given.text("fail"), given),
          hanging_(given.text("hang"), given),
          code_(code_of(given.text("status"))),
          text_(given.text("text")) {}

    // Counts a call of `function`. Throws if it is to fail; does not return if it is to hang.
    void count(std::string_view function) {
        hang_in(function);
        if (failing_.has(function)) throw wherry::error(code_, text_);
    }

    // The same for a function that cannot fail.
    void hang_in(std::string_view function) noexcept {
        if (!hanging_.has(function)) return;
        for (;;) ::pause();
    }

    bool may_hang_in(std::string_view function) const { return hanging_.may_be_of(function); }

private:
    static wherry::errc code_of(const std::string& word) {
        for (std::int32_t status = WHERRY_BAD_INPUT; status <= WHERRY_CANCELLED; ++status)
            if (to_string(wherry::to_errc(status)) == word) return wherry::to_errc(status);
        throw wherry::error(wherry::errc::internal, fmt::format("the status '{}' is missing", word));
    }

    chosen_calls failing_, hanging_;
    const wherry::errc code_;
    const std::string text_;
};

// Time that passes unless the program ends.
class interruptible_delay {
public:
    explicit interruptible_delay(std::chrono::milliseconds time) : time_(time) {}

    bool is_none() const noexcept { return time_.count() == 0; }

    void wait() {
        if (is_none()) return;
        wherry::mutex_lock lock(mutex_);
        if (changed_.wait_for(lock, time_, [&]() WHERRY_REQUIRES(mutex_) { return is_interrupted_; }))
            throw wherry::error(wherry::errc::cancelled, "the receiver ended during the delay of finish-delay");
    }

    void interrupt() noexcept {
        const wherry::mutex_lock lock(mutex_);
        is_interrupted_ = true;
        changed_.notify_all();
    }

private:
    const std::chrono::milliseconds time_;
    wherry::mutex mutex_;
    wherry::condition changed_;
    bool is_interrupted_ WHERRY_GUARDED_BY(mutex_) = false;
};

// What the deliveries of one sink share, which outlives them.
struct shared_faults {
    failing_calls failing;
    interruptible_delay delay;
    wherry::group_commit& group;
};

class faulty_delivery final : public wherry::delivery {
public:
    faulty_delivery(std::unique_ptr<wherry::delivery> inner, shared_faults& faults)
        : inner_(std::move(inner)), faults_(faults) {}

    std::uint64_t offset() const noexcept override { return inner_->offset(); }
    bool already(wherry::response& answer) override { return inner_->already(answer); }
    std::size_t read_back(std::uint64_t position, wherry::mutable_bytes buffer) override {
        return inner_->read_back(position, buffer);
    }

    void write(wherry::const_bytes bytes) override {
        faults_.failing.count("write");
        inner_->write(bytes);
    }

    void finish(wherry::response& answer) override {
        try {
            faults_.delay.wait();
            begin_finish(answer);
        } catch (...) {
            // Nobody calls abort() after this one.
            inner_->abort(partial::drop);
            throw;
        }
        inner_->finish(answer);
    }

    bool finishes_at_once() const noexcept override {
        return faults_.delay.is_none() && !faults_.failing.may_hang_in("finish") && inner_->finishes_at_once();
    }

    wherry::group_commit* commits_with() noexcept override { return &faults_.group; }

    void abort(partial what_came) noexcept override {
        faults_.failing.hang_in("abort");
        inner_->abort(what_came);
    }

    // For finish_wrapped().
    wherry::delivery& inner() noexcept { return *inner_; }
    wherry::response& begin_finish(wherry::response& answer) {
        faults_.failing.count("finish");
        return answer;
    }
    void end_finish() noexcept {}

private:
    const std::unique_ptr<wherry::delivery> inner_;
    shared_faults& faults_;
};

// For deliveries that cannot be finished together.
struct one_by_one final : wherry::group_commit {
    void finish_group(std::span<wherry::ending> all) noexcept override {
        for (auto& one : all) try {
                one.of->finish(*one.answer);
            } catch (const std::exception& e) {
                one.failure = wherry::as_error(e);
            }
    }
};

// Hands everything to another sink, but for the calls that are to fail. A table of functions is constant: it promises
// groups whether the other sink has them or not.
class faulty_sink final : public wherry::sink, public wherry::group_commit {
public:
    faulty_sink(const wherry::settings& given, const wherry::host_services& host)
        : faults_{failing_calls(given), interruptible_delay(given.duration("finish-delay")), *this},
          inner_(wherry::wrapping::make_sink("faulty", given, host)) {}
    // An instance that only had its options checked is destroyed like any other.
    ~faulty_sink() override {
        if (was_used_) faults_.failing.hang_in("destroy");
    }
    faulty_sink(const faulty_sink&) = delete;
    faulty_sink& operator=(const faulty_sink&) = delete;

    std::unique_ptr<wherry::delivery> begin(const wherry::offer& what, const wherry::offering_peer& peer) override {
        was_used_ = true;
        faults_.failing.count("begin");
        return std::make_unique<faulty_delivery>(inner_->begin(what, peer), faults_);
    }

    void finish_group(std::span<wherry::ending> all) noexcept override {
        try {
            faults_.delay.wait();  // at the same time for each
        } catch (const wherry::error& e) {
            for (auto& one : all) {
                one.failure = e;
                static_cast<faulty_delivery&>(*one.of).inner().abort(wherry::delivery::partial::drop);
            }
            return;
        }
        one_by_one separately;
        auto* const group = static_cast<faulty_delivery&>(*all.front().of).inner().commits_with();
        wherry::finish_wrapped<faulty_delivery>(group != nullptr ? *group : separately, all);
    }

    void interrupt() noexcept override {
        faults_.failing.hang_in("interrupt");
        faults_.delay.interrupt();
        inner_->interrupt();
    }

private:
    shared_faults faults_;
    std::atomic<bool> was_used_{false};
    const std::unique_ptr<wherry::sink> inner_;
};

constexpr std::int64_t many = std::int64_t{1} << 53;

constexpr wherry_option options[] = {
    wherry::string_option("sink", "null", "the sink that gets the deliveries"),
    wherry::wrapping::values_option("sink-options"),
    wherry::wrapping::folder_option("plugin-dir"),
    wherry::choice_option("fail", "none|begin|write|finish", "none", "which of the sink's functions fails"),
    wherry::integer_option("at", "1", "the first call of it that fails or hangs, counted over all deliveries", 1, many),
    wherry::integer_option("every", "0", "after it, every so many calls another one; 0: no other", 0, many),
    wherry::choice_option("status",
                          "bad_input|auth_failed|disconnected|timed_out|exhausted|unsupported|io|internal|integrity|"
                          "protocol|refused|cancelled",
                          "io", "how it fails"),
    wherry::string_option("text", "the sink failed on purpose (sink faulty)", "what it says then"),
    wherry::choice_option("hang", "none|begin|write|finish|abort|interrupt|destroy", "none",
                          "which of the sink's functions never returns"),
    wherry::duration_option("finish-delay", "0", "how long finish waits before anything else", 0, 86'400'000),
};

}  // namespace

WHERRY_PLUGIN(faulty_sink, "faulty", "0.1.0", "another sink, which fails when told to; for tests", options)

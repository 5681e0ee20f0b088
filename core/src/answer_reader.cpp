#include "answer_reader.hpp"

#include <algorithm>
#include <exception>

#include "as_error.hpp"

namespace wherry {

answer_reader::answer_reader(steps& what, std::chrono::milliseconds short_time) noexcept
    : steps_(what), short_time_(short_time) {}

answer_reader::~answer_reader() {
    if (alarm_) alarm_clock::shared().cancel(*alarm_);
}

void answer_reader::begin() {
    {
        const std::lock_guard lock(mutex_);
        if (who_ != reads::nothing_yet) return;
        who_ = reads::nobody;
    }
    alarm_ = alarm_clock::shared().set(short_time_, [this] { lasts(); });
}

void answer_reader::lasts() noexcept {
    {
        const std::lock_guard lock(mutex_);
        lasts_ = true;
        const bool is_free = who_ == reads::nothing_yet || who_ == reads::nobody;
        if (!is_free || start_thread()) return;
    }
    tell_that_there_is_no_thread();
}

bool answer_reader::listen(clock::time_point until) {
    {
        const std::lock_guard lock(mutex_);
        if (who_ != reads::nobody) return false;
        who_ = reads::a_listener;
    }
    const bool goes_on = step(until);
    {
        const std::lock_guard lock(mutex_);
        who_ = goes_on ? reads::nobody : reads::no_more;
        if (!goes_on || !lasts_ || start_thread()) return true;
    }
    tell_that_there_is_no_thread();
    return true;
}

bool answer_reader::wait_for_end(std::chrono::milliseconds time) {
    const auto until = clock::now() + time;
    while (clock::now() < until && listen(until)) continue;
    {
        const std::lock_guard lock(mutex_);
        if (who_ != reads::the_thread) return who_ == reads::no_more;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
    return thread_.wait_for(std::max(left, std::chrono::milliseconds(0)));
}

void answer_reader::join() {
    while (listen()) continue;
    // By now nobody else starts one.
    if (thread_.joinable()) thread_.join();
}

bool answer_reader::step(const std::optional<clock::time_point>& until) noexcept {
    try {
        if (steps_.read_next(until)) return true;
        steps_.reading_has_ended(nullptr);
    } catch (const std::exception& e) {
        const auto why = as_error(e);
        steps_.reading_has_ended(&why);
    }
    return false;
}

void answer_reader::run() noexcept {
    while (step(std::nullopt)) continue;
    const std::lock_guard lock(mutex_);
    who_ = reads::no_more;
}

bool answer_reader::start_thread() noexcept {
    try {
        thread_ = crew::shared().run([this] { run(); });
        who_ = reads::the_thread;
        return true;
    } catch (const std::exception&) {
        who_ = reads::no_more;
        return false;
    }
}

void answer_reader::tell_that_there_is_no_thread() noexcept {
    const error why(errc::exhausted, "no thread could be started to hear the answers; run fewer at once");
    steps_.reading_has_ended(&why);
}

}  // namespace wherry

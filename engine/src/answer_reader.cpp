#include "answer_reader.hpp"

#include <exception>
#include <utility>

#include "as_error.hpp"

namespace wherry {

answer_reader::answer_reader(steps& what, std::chrono::milliseconds short_time) noexcept
    : steps_(what), short_time_(short_time) {}

void answer_reader::begin() {
    {
        const std::lock_guard lock(mutex_);
        if (who_ != reads::nothing_yet) return;
    }
    alarm_ = alarm_clock::shared().set(short_time_, [this] { lasts(); });
    const std::lock_guard lock(mutex_);
    if (who_ == reads::nothing_yet) who_ = reads::nobody;
}

void answer_reader::lasts() noexcept {
    const std::lock_guard lock(mutex_);
    lasts_ = true;
    if (who_ == reads::nothing_yet) who_ = reads::nobody;
    if (who_ == reads::nobody) start_thread();
}

bool answer_reader::listen(interrupted then) {
    {
        const std::lock_guard lock(mutex_);
        if (who_ != reads::nobody) return false;
        if (is_interrupted_ && then == interrupted::returns) return true;
        who_ = reads::a_listener;
        may_be_stood_in_for_ = then == interrupted::returns;
    }
    const bool goes_on = step();
    {
        const std::lock_guard lock(mutex_);
        may_be_stood_in_for_ = false;
    }
    let_go_of_stand_in();
    const std::lock_guard lock(mutex_);
    who_ = goes_on ? reads::nobody : reads::no_more;
    if (goes_on && lasts_) start_thread();
    return true;
}

// Nobody else begins one by then.
void answer_reader::let_go_of_stand_in() noexcept {
    if (stand_in_.joinable()) stand_in_.join();
    limit_of_stand_in_.reset();
}

void answer_reader::interrupt(std::function<void()> instead, std::chrono::milliseconds time) noexcept {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_interrupted_, true) || !may_be_stood_in_for_) return;
    limit_of_stand_in_.emplace(*this, time);
    try {
        stand_in_ = crew::shared().run(std::move(instead));
    } catch (const std::exception&) {
        // Who listens would not hear of it.
        steps_.cut();
    }
}

answer_reader::time_limit::time_limit(answer_reader& of, std::chrono::milliseconds time) noexcept {
    try {
        alarm_ = alarm_clock::shared().set(time, [&steps = of.steps_] { steps.cut(); });
    } catch (const std::exception&) {
        of.steps_.cut();
    }
}

answer_reader::time_limit::~time_limit() {
    if (alarm_) alarm_clock::shared().cancel(*alarm_);
}

void answer_reader::end_within(std::chrono::milliseconds time) {
    {
        const time_limit limit(*this, time);
        while (listen(interrupted::goes_on)) continue;
        if (thread_.joinable() && !thread_.wait_for(time)) steps_.cut();
    }
    join();
}

void answer_reader::join() {
    if (const auto alarm = std::exchange(alarm_, std::nullopt)) alarm_clock::shared().cancel(*alarm);
    while (listen(interrupted::goes_on)) continue;
    if (thread_.joinable()) thread_.join();
}

bool answer_reader::step() noexcept {
    try {
        if (steps_.read_next()) return true;
        steps_.reading_has_ended(nullptr);
    } catch (const std::exception& e) {
        const auto why =
            lacks_thread() ? error(errc::exhausted, "no thread could be started to hear the answers; run fewer at once")
                           : as_error(e);
        steps_.reading_has_ended(&why);
    }
    return false;
}

bool answer_reader::lacks_thread() {
    const std::lock_guard lock(mutex_);
    return lacks_thread_;
}

void answer_reader::run() noexcept {
    while (step()) continue;
    const std::lock_guard lock(mutex_);
    who_ = reads::no_more;
}

void answer_reader::start_thread() noexcept {
    try {
        thread_ = crew::shared().run([this] { run(); });
        who_ = reads::the_thread;
    } catch (const std::exception&) {
        lacks_thread_ = true;
        steps_.cut();
    }
}

}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/sending.hpp"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <random>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

#include "item_sender.hpp"
#include "result_book.hpp"
#include "wherry/clocks.hpp"
#include "wherry/failure_of.hpp"
#include "wherry/mutex.hpp"

namespace wherry {

namespace {

// The time from a stop until the link is cut.
using clocks::cancel_grace;

double random_share() {
    thread_local std::mt19937 numbers{std::random_device{}()};
    return std::uniform_real_distribution<double>(0, 1)(numbers);
}

error stopped() { return error(errc::cancelled, "sending was stopped"); }

template <typename Observer>
Observer& or_nobody(Observer* given) {
    static Observer nobody;
    return given != nullptr ? *given : nobody;
}

}  // namespace

sender_options sender_options_of(const send_options& options) {
    sender_options chosen;
    chosen.content_digest = options.digest;
    chosen.content_compression = options.compression;
    chosen.streams = options.streams;
    return chosen;
}

struct sending::implementation {
    implementation(sending& owner, const endpoint& here, std::string_view destination, const sending_plan& all,
                   const send_options& given, link_use how, std::vector<item_result>* failures)
        : facade(owner),
          plan(all),
          options(given),
          use(how),
          receiver_dialer(here, destination, options.timing, options.new_peer, or_nobody(options.meeting)),
          observer(or_nobody(options.observer)),
          book(plan, observer, options.progress,
               options.retry > 0 ? result_book::attempts::several : result_book::attempts::one, failures),
          items(plan, book, options.resume, options.update,
                options.retry > 0 || use == link_use::kept ? repeats::possible : repeats::no) {
        if (options.streams < 1 || options.streams > limits::max_streams)
            throw error(errc::bad_input, fmt::format("a sending uses 1 to {} connections, not {}", limits::max_streams,
                                                     options.streams));
    }

    // ---- Ending what is under way ----

    // Marks what stop() can end while it lives: connecting, or the use of the link.
    class in_use {
    public:
        in_use(implementation& owner, phase what) : owner_(owner) {
            {
                const mutex_lock lock(owner_.use_mutex);
                owner_.now = what;
                owner_.is_in_use = true;
                owner_.stops = 0;
            }
            if (!owner_.options.stop.stop_possible()) return;
            try {
                owner_.watch_for_stop(*this);
            } catch (const error&) {
                end();
                throw;
            }
        }
        ~in_use() {
            end();
            if (watcher.joinable()) watcher.join();
            owner_.patience = {};  // ends at once now; stop() makes no other before the next use
        }
        in_use(const in_use&) = delete;
        in_use& operator=(const in_use&) = delete;

        std::jthread watcher;

    private:
        void end() {
            {
                const mutex_lock lock(owner_.use_mutex);
                owner_.now = phase::idle;
                owner_.is_in_use = false;
            }
            owner_.changed.notify_all();
        }

        implementation& owner_;
    };

    // Stops from a thread of its own, because an observer that the sender calls may request the stop.
    void watch_for_stop(in_use& scope) {
        try {
            scope.watcher = std::jthread([this] {
                {
                    mutex_lock lock(use_mutex);
                    if (changed.wait(lock, options.stop, [this]() WHERRY_REQUIRES(use_mutex) { return !is_in_use; }))
                        return;
                }
                facade.stop([](phase) { return false; });
            });
        } catch (const std::system_error&) {
            throw error(errc::exhausted, "no thread could be started to watch for a stop");
        }
    }

    void stop(const std::function<bool(phase)>& otherwise) {
        mutex_lock lock(use_mutex);
        const bool is_connecting = now == phase::connecting;
        // A person who is asked about the receiver's key ends that by other means.
        if (!is_in_use || (is_connecting && receiver_dialer.is_asking()) || ++stops > (is_connecting ? 1u : 2u))
            return leave_to(otherwise);
        is_stopped = true;
        if (stops > 1) return cut();
        if (!is_connecting) {
            link->cancel();
            book.stop_reading();
        }
        // A stalled link cannot carry the CANCEL, and a transport may be unable to abort.
        try {
            patience = std::jthread([this, is_connecting, otherwise](std::stop_token ended) {
                mutex_lock waiting(use_mutex);
                changed.wait_for(waiting, ended, cancel_grace,
                                 [this]() WHERRY_REQUIRES(use_mutex) { return !is_in_use; });
                if (is_in_use) is_connecting ? leave_to(otherwise) : cut();
            });
        } catch (const std::system_error&) {
            if (!is_connecting) cut();  // no thread can be had to wait
        }
        // Also extra connections that are being opened. Without the lock, for a plugin may hang in that.
        lock.unlock();
        receiver_dialer.abort();
    }

    void leave_to(const std::function<bool(phase)>& otherwise) WHERRY_REQUIRES(use_mutex) {
        if (!otherwise(now)) return;
        is_wait_over = true;
        changed.notify_all();
    }

    void cut() WHERRY_REQUIRES(use_mutex) {
        if (options.before_cut) options.before_cut();
        link->abort();
    }

    void wait(std::chrono::milliseconds time) {
        now = phase::waiting;
        mutex_lock lock(use_mutex);
        const bool is_ended =
            changed.wait_for(lock, options.stop, time, [this]() WHERRY_REQUIRES(use_mutex) { return is_wait_over; });
        now = phase::idle;
        if (is_ended || options.stop.stop_requested()) throw stopped();
    }

    void require_not_stopped() const {
        if (is_stopped || options.stop.stop_requested()) throw stopped();
    }

    // ---- The link ----

    void connect() {
        require_not_stopped();
        receiver_dialer.renew();
        std::unique_ptr<secure_channel> opened;
        {
            const in_use scope(*this, phase::connecting);
            try {
                opened = receiver_dialer.connect();
            } catch (const error&) {
                require_not_stopped();
                throw;
            }
        }
        // Behind the scope, in which a stop may have come too late to end anything.
        require_not_stopped();
        now = phase::transferring;
        auto how = sender_options_of(options);
        how.opener = &receiver_dialer;
        link = std::make_unique<engine::sender>(std::move(opened), how, book);
        is_loss_told = false;
    }

    void await_entry() {
        {
            const in_use scope(*this, phase::transferring);
            link->await_entry();
        }
        to_meet().let_in();
    }

    dial_observer& to_meet() { return or_nobody(options.meeting); }

    // Gives every unanswered item its result. The failure is ignored: the caller has it, or every answer is already in.
    void take_leave() noexcept {
        try {
            link->finish();
        } catch (const std::exception&) {
        }
    }

    void close() {
        if (!link) return;
        {
            const in_use scope(*this, phase::transferring);
            take_leave();
        }
        link.reset();
    }

    std::optional<error> notice_loss() {
        if (is_loss_told || !link) return std::nullopt;
        auto why = link->why_over();
        is_loss_told = why.has_value();
        return why;
    }

    // ---- Attempts ----

    struct attempt_failure {
        error why;
        bool has_no_room = false;  // the receiver's answer; the connection can be used all the same
    };

    std::optional<attempt_failure> attempt(std::size_t first) {
        std::optional<attempt_failure> failure;
        try {
            if (!link) {
                connect();
                if (use == link_use::kept) await_entry();
            }
        } catch (const error& e) {
            failure = {e};
        }
        if (failure) {
            close();
            return failure;
        }
        {
            const in_use scope(*this, phase::transferring);
            try {
                items.send(*link, first);
                if (use == link_use::kept)
                    link->settle();
                else
                    link->finish();
                if (const auto held = book.first_cut()) failure = {*held, held->code() == errc::exhausted};
                if (use == link_use::kept && failure && !failure->has_no_room) take_leave();
            } catch (const error& e) {
                failure = {e};
                take_leave();
            }
        }
        if (use == link_use::once || (failure && !failure->has_no_room)) link.reset();
        return failure;
    }

    void deliver(std::size_t first) {
        retry_schedule schedule(options.retry, random_share);
        // A kept connection that turns out to be gone is opened again at once, since it may have been gone for long.
        bool may_connect_at_once = false;
        if (link) {
            may_connect_at_once = true;
            if (const auto why = link->why_over()) {
                const bool was_told = is_loss_told;
                close();
                if (!was_told) connect_again(*why);
                may_connect_at_once = false;
            }
        }
        {
            const mutex_lock lock(use_mutex);
            is_wait_over = is_stopped = false;
        }
        for (;;) {
            const auto failure = attempt(first);
            if (!failure) return;
            const auto& [why, has_no_room] = *failure;
            if (!has_no_room && !is_link_failure(why)) throw why;
            if (is_stopped) throw why;
            if (!items.has_anything_left(first)) {
                if (use == link_use::kept) return;
                throw why;
            }
            auto made = book.made_progress() ? retry_schedule::progress::some : retry_schedule::progress::none;
            if (use == link_use::kept) {
                may_connect_at_once = may_connect_at_once || made == retry_schedule::progress::some;
                made = retry_schedule::progress::none;
                if (may_connect_at_once && !has_no_room) {
                    may_connect_at_once = false;
                    connect_again(why);
                    continue;
                }
            }
            const auto next = schedule.after_failure(made);
            // The items get the receiver's last answers as their results.
            if (!next && has_no_room) return book.abandon_rest(why);
            if (!next) throw why;
            items.give_up_what_cannot_be_read_again();
            if (!items.has_anything_left(first)) throw why;
            retry(why, *next);
            wait(next->wait);
        }
    }

    void connect_again(const error& why) { retry(why, {1, 1, std::chrono::milliseconds(0)}); }

    void retry(const error& why, const next_attempt& next) {
        book.begin_again();
        items.begin_again();
        observer.retrying(why, next);
    }

    sending& facade;
    const sending_plan& plan;
    const send_options options;
    const link_use use;
    dialer receiver_dialer;
    send_observer& observer;
    result_book book;
    item_sender items;
    std::unique_ptr<engine::sender> link;
    bool is_loss_told = false;

    std::atomic<phase> now{phase::idle};
    std::atomic<bool> is_stopped{false};
    mutex use_mutex;
    std::condition_variable_any changed;
    bool is_in_use WHERRY_GUARDED_BY(use_mutex) = false;  // what `now` says can be ended
    unsigned stops WHERRY_GUARDED_BY(use_mutex) = 0;      // of this use
    bool is_wait_over WHERRY_GUARDED_BY(use_mutex) = false;
    std::jthread patience;
};

sending::sending(const endpoint& here, std::string_view destination, const sending_plan& plan,
                 const send_options& options, link_use use, std::vector<item_result>* failures)
    : implementation_(std::make_unique<implementation>(*this, here, destination, plan, options, use, failures)) {
    plan_has_grown();
}

sending::~sending() = default;

const std::string& sending::destination() const noexcept { return implementation_->receiver_dialer.destination(); }
void sending::plan_has_grown() { implementation_->book.plan_has_grown(); }
bool sending::has_anything_left(std::size_t first) const { return implementation_->items.has_anything_left(first); }
void sending::deliver(std::size_t first) { implementation_->deliver(first); }

std::optional<error> sending::deliver_all() {
    std::optional<error> failure;
    try {
        if (has_anything_left()) deliver();
    } catch (const std::exception& e) {
        failure = failure_of(e);
    }
    if (failure) {
        implementation_->link.reset();  // no answer comes after this
        abandon_rest(*failure);
    }
    return failure;
}

void sending::abandon_rest(const error& why) { implementation_->book.abandon_rest(why); }
send_counts sending::counts() const { return implementation_->book.counts(); }
bool sending::has_any_answer() const { return implementation_->book.has_any_answer(); }

void sending::connect() {
    implementation_->connect();
    implementation_->await_entry();
}

std::optional<error> sending::notice_loss() { return implementation_->notice_loss(); }
void sending::close() { implementation_->close(); }
void sending::stop(const std::function<bool(phase)>& otherwise) { implementation_->stop(otherwise); }

}  // namespace wherry

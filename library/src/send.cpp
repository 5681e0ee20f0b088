#include "wherry/send.hpp"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include "wherry/clocks.hpp"
#include "wherry/item_sender.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/retry.hpp"
#include "wherry/session.hpp"
#include "wherry/text.hpp"

namespace wherry {

namespace {

// How long a sender that is to stop takes leave of the receiver before it cuts the link.
using clocks::cancel_grace;

double random_share() {
    thread_local std::mt19937 numbers{std::random_device{}()};
    return std::uniform_real_distribution<double>(0, 1)(numbers);
}

// Records the state of each item. It holds back the result of an item that was cut off with the link, because another
// attempt may settle it; also of one that the receiver had no room for, if further attempts are planned.
class result_book final : public exchange_observer, public item_results {
public:
    enum class attempts { one, several };
    result_book(const sending_plan& plan, const std::function<void(const send_progress&)>& progress, attempts planned)
        : progress_(progress), holds_back_(planned == attempts::several), entries_(plan.items.size()) {
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            entries_[i].result.kind = plan.items[i].kind;
            entries_[i].result.name = plan.items[i].name;
        }
    }

    // ---- As item_sender tells it ----

    void bind(transfer_id id, std::size_t item, std::shared_ptr<pipe_source> pipe) override {
        const std::lock_guard lock(mutex_);
        if (const auto early = early_.extract(id)) {
            if (pipe) pipe->stop(errc::io);
            settle(item, early.mapped());
            return;
        }
        if (pipe && is_to_stop_) pipe->stop(errc::cancelled);
        active_[id] = {item, std::move(pipe)};
    }

    void failed(std::size_t item, const error& why) override {
        const std::lock_guard lock(mutex_);
        fail(item, why);
    }

    bool has_result(std::size_t item) const override {
        const std::lock_guard lock(mutex_);
        return entries_[item].at == state::settled;
    }

    bool may_have_arrived(std::size_t item) const override {
        const std::lock_guard lock(mutex_);
        return entries_[item].at == state::cut && entries_[item].result.is_uncertain;
    }

    void give_up(std::size_t item, const std::string& why) override {
        const std::lock_guard lock(mutex_);
        auto& entry = entries_[item];
        if (entry.at != state::cut) return;
        entry.result.text += "; " + why;
        entry.at = state::settled;
    }

    // ---- As the exchange tells it ----

    void sending(transfer_id id, const offer& what, std::uint64_t resumed_from) override {
        const std::lock_guard lock(mutex_);
        const auto found = active_.find(id);
        if (found == active_.end()) return;
        auto& moving = found->second;
        auto& furthest = entries_[moving.item].furthest;
        has_progressed_ = has_progressed_ || resumed_from > furthest;
        furthest = std::max(furthest, resumed_from);
        moving.what = what;
        if (progress_) progress_({moving.item, moving.what, resumed_from});
    }

    void sent_so_far(transfer_id id, std::uint64_t bytes) override {
        if (!progress_) return;
        const std::lock_guard lock(mutex_);
        const auto found = active_.find(id);
        if (found != active_.end()) progress_({found->second.item, found->second.what, bytes});
    }

    void answered(transfer_id id, const offer&, const delivery_result& result) override {
        const std::lock_guard lock(mutex_);
        const auto found = active_.find(id);
        if (found == active_.end()) {
            early_[id] = result;
            return;
        }
        const auto ended = std::move(found->second);
        active_.erase(found);
        if (ended.pipe) ended.pipe->stop(errc::io);
        settle(ended.item, result);
    }

    // ---- For who sends ----

    // A read that waits for a pipe ends.
    void stop_reading() {
        const std::lock_guard lock(mutex_);
        is_to_stop_ = true;
        for (const auto& [id, moving] : active_)
            if (moving.pipe) moving.pipe->stop(errc::cancelled);
    }

    bool made_progress() {
        const std::lock_guard lock(mutex_);
        return std::exchange(has_progressed_, false);
    }

    // The connection is gone: its transfers are nobody's any more.
    void begin_again() {
        const std::lock_guard lock(mutex_);
        active_.clear();
        early_.clear();
    }

    // The first failure of the link; if there is none, the first answer that is held back.
    std::optional<error> first_cut() const {
        const std::lock_guard lock(mutex_);
        const auto is_cut = [](const entry& one) { return one.at == state::cut; };
        auto found = std::find_if(entries_.begin(), entries_.end(), [&](const entry& one) {
            return is_cut(one) && is_cut_off(*one.result.failure, one.result.is_remote);
        });
        if (found == entries_.end()) found = std::find_if(entries_.begin(), entries_.end(), is_cut);
        if (found == entries_.end()) return std::nullopt;
        return error(*found->result.failure,
                     (found->result.is_remote ? "the receiver says: " : "") + found->result.text);
    }

    // There is no further attempt.
    void abandon_rest(const error& why) {
        const std::lock_guard lock(mutex_);
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            if (entries_[i].at == state::open) fail(i, why);
            entries_[i].at = state::settled;
        }
    }

    // Of at least one item the receiver has said something, or may have it.
    bool has_any_answer() const {
        const std::lock_guard lock(mutex_);
        return std::any_of(entries_.begin(), entries_.end(), [](const entry& one) {
            return one.at == state::settled && (one.result.ok() || one.result.is_remote || one.result.is_uncertain);
        });
    }

    std::vector<item_result> take() {
        const std::lock_guard lock(mutex_);
        std::vector<item_result> results;
        for (auto& one : entries_) results.push_back(std::move(one.result));
        return results;
    }

private:
    enum class state { open, cut, settled };  // cut: its result is held back
    struct entry {
        item_result result;
        state at = state::open;
        std::uint64_t furthest = 0;  // the most that the receiver was found to have
    };
    struct transfer {
        std::size_t item = 0;
        std::shared_ptr<pipe_source> pipe;
        offer what = {};
    };

    // All under `mutex_`.
    void settle(std::size_t item, const delivery_result& result) {
        auto& entry = entries_[item];
        const bool is_cut = !result.ok() && is_cut_off(*result.failure, result.is_remote);
        const bool is_full = !result.ok() && holds_back_ && is_out_of_room(*result.failure, result.is_remote);
        // An earlier attempt may have delivered it, although this one found no room.
        const bool was_uncertain = entry.at == state::cut && entry.result.is_uncertain;
        static_cast<delivery_result&>(entry.result) = result;
        if (is_full && was_uncertain) entry.result.is_uncertain = true;
        const bool is_held_back = is_cut || is_full;
        entry.at = is_held_back ? state::cut : state::settled;
        has_progressed_ = has_progressed_ || !is_held_back;
    }

    void fail(std::size_t item, const error& why) {
        auto& entry = entries_[item];
        delivery_result result;
        result.failure = why.code();
        result.text = why.what();
        // That it cannot be sent again takes nothing back of an earlier attempt.
        result.is_uncertain = entry.at == state::cut && entry.result.is_uncertain;
        static_cast<delivery_result&>(entry.result) = result;
        entry.at = state::settled;
        has_progressed_ = true;
    }

    const std::function<void(const send_progress&)>& progress_;
    const bool holds_back_;
    mutable std::mutex mutex_;
    std::vector<entry> entries_;  // by item
    std::map<transfer_id, transfer> active_;
    std::map<transfer_id, delivery_result> early_;  // answers that came before bind()
    bool has_progressed_ = false;
    bool is_to_stop_ = false;
};

// While it lives, the exchange ends when it is asked to: in order, and if that takes too long by cutting the link. On a
// thread of its own, since who asks may well be called by the exchange.
class stopped_exchange {
public:
    stopped_exchange(exchange& running, result_book& book, const std::stop_token& stop) {
        if (!stop.stop_possible()) return;
        try {
            watcher_ = std::thread([this, &running, &book, stop] { watch(running, book, stop); });
        } catch (const std::system_error&) {
            throw error(errc::exhausted, "no thread could be started to watch for a stop");
        }
    }
    ~stopped_exchange() {
        if (!watcher_.joinable()) return;
        {
            const std::lock_guard lock(mutex_);
            is_over_ = true;
        }
        changed_.notify_all();
        watcher_.join();
    }
    stopped_exchange(const stopped_exchange&) = delete;
    stopped_exchange& operator=(const stopped_exchange&) = delete;

private:
    void watch(exchange& running, result_book& book, const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        const auto is_over = [this] { return is_over_; };
        if (changed_.wait(lock, stop, is_over)) return;
        lock.unlock();
        running.cancel();
        book.stop_reading();
        lock.lock();
        if (!changed_.wait_for(lock, cancel_grace, is_over)) running.abort();
    }

    std::mutex mutex_;
    std::condition_variable_any changed_;
    bool is_over_ = false;
    std::thread watcher_;
};

class sending final : private stream_opener {
public:
    sending(const endpoint& here, std::string_view destination, const sending_plan& plan, const send_options& options)
        : here_(here),
          options_(options),
          plan_(plan),
          to_(here.find_route(destination)),
          cipher_(here.protection()),
          book_(plan, options.progress,
                options.retry > 0 ? result_book::attempts::several : result_book::attempts::one),
          retries_(options.retry, random_share),
          items_(plan, book_, options.resume, retries_.is_on() ? repeats::possible : repeats::no) {
        if (options.streams < 1 || options.streams > limits::max_streams)
            throw error(errc::bad_input, "a sending uses 1 to " + std::to_string(limits::max_streams) +
                                             " connections, not " + std::to_string(options.streams));
        if (to_.address.empty())
            throw error(errc::bad_input,
                        "'" + printable(destination) + "' names no address; write, say, tcp://host:9417");
    }

    std::vector<item_result> run() {
        std::optional<error> failure;
        try {
            send_all();
        } catch (const error& e) {
            failure = e;
        }
        if (failure) {
            book_.abandon_rest(*failure);
            if (!book_.has_any_answer()) throw *failure;
        }
        return book_.take();
    }

private:
    void send_all() {
        for (std::size_t i = 0; i < plan_.items.size(); ++i)
            if (plan_.items[i].problem) book_.failed(i, *plan_.items[i].problem);
        if (!items_.has_anything_left()) return;
        for (;;) {
            std::optional<error> failure;
            try {
                attempt();
                failure = book_.first_cut();
                if (!failure) return;
            } catch (const error& e) {
                if (!is_link_failure(e.code()) || options_.stop.stop_requested()) throw;
                failure = e;
            }
            if (!items_.has_anything_left()) throw *failure;
            const auto made = book_.made_progress() ? retry_schedule::progress::some : retry_schedule::progress::none;
            const auto next = retries_.after_failure(made);
            if (!next) throw *failure;
            items_.give_up_what_cannot_be_read_again();
            if (!items_.has_anything_left()) throw *failure;
            book_.begin_again();
            wait(next->wait);
        }
    }

    void wait(std::chrono::milliseconds time) const {
        std::mutex mutex;
        std::condition_variable_any changed;
        std::unique_lock lock(mutex);
        changed.wait_for(lock, options_.stop, time, [] { return false; });
    }

    void require_not_stopped() const {
        if (options_.stop.stop_requested()) throw error(errc::cancelled, "sending was stopped");
    }

    void attempt() {
        require_not_stopped();
        auto opened = connect();
        require_not_stopped();
        exchange_options how;
        how.timing = options_.timing;
        how.content_digest = options_.digest;
        how.content_compression = options_.compression;
        how.streams = options_.streams;
        how.opener = this;
        exchange over(std::move(opened), nullptr, how, book_);
        const stopped_exchange stop(over, book_, options_.stop);
        try {
            items_.send(over);
        } catch (const error&) {
            // What is still unanswered gets its result here; why is known already.
            try {
                over.finish();
            } catch (const error&) {
            }
            throw;
        }
        over.finish();
    }

    std::unique_ptr<session> connect() {
        receiver_check check(keys::known_hosts(keys::known_hosts_path(here_.home())), to_.canonical,
                             cipher_->is_insecure() ? keyless_peers::accept : keyless_peers::refuse, options_.new_peer,
                             here_.skipped());
        try {
            return session::open(role::initiator, to_.link->connect(to_.address), *cipher_, here_.options().cipher,
                                 check.verifier(), options_.timing);
        } catch (const error&) {
            const auto name = printable(to_.canonical);
            if (check.found() == receiver_check::finding::changed)
                throw error(errc::auth_failed,
                            "the key of " + name + " has changed to " + check.peer().fingerprint +
                                "; nothing was sent. If the receiver does have a new key: wherry keys --remove " +
                                shell_quoted(to_.canonical));
            if (check.found() == receiver_check::finding::unknown)
                throw error(errc::auth_failed,
                            "this is the first contact with " + name + ", and its key " + check.peer().fingerprint +
                                " is not known yet; compare it with the receiver's own, and then have it trusted, "
                                "or let the first contact be remembered");
            throw;
        }
    }

    // ---- Further connections, on threads of the exchange ----

    std::shared_ptr<connection> dial() override { return to_.link->connect(to_.address); }

    std::unique_ptr<session> open(std::shared_ptr<connection> link) override {
        receiver_check check(keys::known_hosts(keys::known_hosts_path(here_.home())), to_.canonical,
                             cipher_->is_insecure() ? keyless_peers::accept : keyless_peers::refuse,
                             first_contact::report, here_.skipped());
        return session::open(role::initiator, std::move(link), *cipher_, here_.options().cipher, check.verifier(),
                             options_.timing);
    }

    const endpoint here_;
    const send_options& options_;
    const sending_plan& plan_;
    const endpoint::route to_;
    const std::shared_ptr<cipher> cipher_;
    result_book book_;
    retry_schedule retries_;
    item_sender items_;
};

}  // namespace

item message(std::string text) {
    return item([text = std::move(text)](sending_plan& plan) { plan.add_message(text); });
}

item file(std::filesystem::path path, std::string name) {
    return item([path = std::move(path), name = std::move(name)](sending_plan& plan) {
        std::error_code none;
        if (std::filesystem::is_directory(path, none)) {
            plan.items.push_back({item_kind::file,
                                  path.native(),
                                  path,
                                  {},
                                  0,
                                  error(errc::bad_input, "'" + printable(path.native()) +
                                                             "' is a folder, and was to be sent as a file")});
            return;
        }
        plan.add_path(path, symlinks::skip);
        if (!name.empty()) plan.items.back().name = name;
    });
}

item folder(std::filesystem::path path, symlinks links) {
    return item([path = std::move(path), links](sending_plan& plan) { plan.add_path(path, links); });
}

item data(std::string name, std::string_view content) {
    offer what;
    what.kind = item_kind::data;
    what.name = name;
    what.size = content.size();
    return from(std::move(name), [what = std::move(what), content = std::string(content)] {
        return std::make_unique<text_source>(what, content);
    });
}

item data(std::string name, const_bytes content) { return data(std::move(name), as_text(content)); }

item from(std::string name, std::function<std::unique_ptr<source>()> open) {
    return item([name = std::move(name), open = std::move(open)](sending_plan& plan) {
        planned_item one;
        one.kind = item_kind::data;
        one.name = name;
        one.open = [open]() -> std::unique_ptr<source> {
            try {
                if (auto opened = open()) return opened;
            } catch (const error&) {
                throw;
            } catch (const std::exception& e) {
                throw error(errc::io, e.what());
            }
            throw error(errc::bad_input, "there is no source to send");
        };
        plan.items.push_back(std::move(one));
    });
}

bool send_result::ok() const noexcept {
    return std::all_of(items.begin(), items.end(), [](const item_result& one) { return one.ok(); });
}

send_result send(const endpoint& here, std::string_view destination, const std::vector<item>& items,
                 const send_options& options) {
    sending_plan plan;
    for (const auto& one : items) one.plan(plan);
    plan.require_distinct_names();
    if (plan.items.empty() && plan.skipped.empty()) throw error(errc::bad_input, "there is nothing to send");
    sending all(here, destination, plan, options);
    return {all.run(), plan.skipped};
}

}  // namespace wherry

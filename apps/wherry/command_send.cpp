#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "application.hpp"
#include "retry.hpp"
#include "send_report.hpp"
#include "sources.hpp"
#include "trust.hpp"
#include "wherry/exchange.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/limits.hpp"
#include "wherry/session.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

// Below this, to begin anew costs less than to ask how much the receiver has.
constexpr std::uint64_t least_bytes_to_resume = std::uint64_t{1} << 20;
// Items announced before their turn, so that none waits for the receiver's answer to its own offer.
constexpr std::size_t announced_ahead = 16;
// How far behind the current item those may be.
constexpr std::size_t looked_ahead = 1024;

// How long a sender that was interrupted takes leave of the receiver before it just ends.
constexpr std::chrono::seconds cancel_grace{3};

constexpr plugin_kind used_kinds[] = {plugin_kind::transport, plugin_kind::cipher};

struct destination {
    std::string scheme;
    std::string address;    // for the transport
    std::string canonical;  // "tcp://host:9417"
};

// What a signal must stop, whatever the sender is at.
class interruption {
public:
    interruption(signal_watcher& signals, send_report& report)
        : report_(report), scope_(signals, [this](unsigned count) { interrupt(count); }) {}

    bool has_come() const noexcept { return has_come_; }

    // While an exchange runs, it is cancelled in order; else the program just ends: nothing was sent.
    class scope {
    public:
        scope(interruption& by, exchange& running) : by_(by) {
            const std::lock_guard lock(by_.mutex_);
            by_.exchange_ = &running;
        }
        ~scope() {
            {
                const std::lock_guard lock(by_.mutex_);
                by_.exchange_ = nullptr;
            }
            by_.changed_.notify_all();
        }
        scope(const scope&) = delete;
        scope& operator=(const scope&) = delete;

    private:
        interruption& by_;
    };

private:
    void interrupt(unsigned count) {
        has_come_ = true;
        const std::lock_guard lock(mutex_);
        if (exchange_ == nullptr || count > 2) {
            restore_terminal();
            report_.abandon_rest(error(errc::cancelled, "interrupted"));
            report_.finish(exit_code::interrupted);
            ::_exit(to_status(exit_code::interrupted));
        }
        if (count > 1) return exchange_->abort();
        exchange_->cancel();
        report_.stop_reading();
        // Over a link that stands still nothing can be cancelled in order.
        patience_ = std::jthread([this](std::stop_token stopped) {
            std::unique_lock waiting(mutex_);
            changed_.wait_for(waiting, stopped, cancel_grace, [this] { return exchange_ == nullptr; });
            if (exchange_ != nullptr) exchange_->abort();
        });
    }

    send_report& report_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    exchange* exchange_ = nullptr;
    std::atomic<bool> has_come_{false};
    std::jthread patience_;
    signal_watcher::scope scope_;  // last: it may call at once
};

// A receiver may be told to overwrite: of two items with one name, one would then be lost, and both told as sent.
void require_distinct_names(const sending_plan& plan) {
    std::map<std::string_view, const planned_item*> seen;
    for (const auto& item : plan.items) {
        if (item.problem || (item.kind != item_kind::file && item.kind != item_kind::data)) continue;
        const auto [other, is_first] = seen.emplace(item.name, &item);
        if (is_first) continue;
        const auto from = [](const planned_item& one) {
            return one.kind == item_kind::data ? std::string("standard input")
                                               : "'" + printable(one.path.native()) + "'";
        };
        throw error(errc::bad_input, from(*other->second) + " and " + from(item) + " would both arrive as '" +
                                         printable(item.name) + "'; send one of them by itself, or the folder above");
    }
}

sending_plan make_plan(const effective_options& options) {
    const auto links = options.boolean("follow") ? symlinks::follow : symlinks::skip;
    sending_plan plan;
    bool has_stdin = false;
    for (const auto& [option, value] : options.arguments()) {
        if (option == "message") {
            plan.add_message(value);
        } else if (option.empty() && value == "-") {
            if (has_stdin) throw error(errc::bad_input, "'-' is given twice, but there is one standard input");
            has_stdin = true;
            plan.add_stdin(options.text("name"));
        } else if (option.empty()) {
            if (value.empty()) throw error(errc::bad_input, "the name of a file to send is empty");
            plan.add_path(value, links);
        }
    }
    require_distinct_names(plan);
    if (plan.items.empty() && plan.skipped.empty())
        throw error(errc::bad_input,
                    "there is nothing to send; name files or folders, give --message TEXT, or '-' for standard input");
    return plan;
}

destination read_destination(const effective_options& options) {
    const auto parts = split_destination(options.text("to"));
    destination to;
    to.scheme = options.chosen(plugin_kind::transport).name();
    to.address = parts.address;
    if (to.address.empty())
        throw error(errc::bad_input, options.given("to").written + " names no address; write, say, tcp://host:9417");
    to.canonical = canonical_destination(to.scheme, to.address, options.plugin_value(plugin_kind::transport, "port"));
    return to;
}

exchange_options::compression compression_of(std::string_view word) {
    using compression = exchange_options::compression;
    if (word == "zstd") return compression::zstd;
    return word == "auto" ? compression::automatic : compression::none;
}

double random_share() {
    static std::mt19937 numbers{std::random_device{}()};
    return std::uniform_real_distribution<double>(0, 1)(numbers);
}

class sender {
public:
    sender(application& with, const effective_options& options)
        : with_(with),
          options_(options),
          to_(read_destination(options)),
          transport_(options.make_transport()),
          cipher_(options.make_cipher()),
          plan_(make_plan(options)),
          deliveries_(plan_.items.size()),
          retries_(static_cast<unsigned>(options.integer("retry")), random_share),
          report_(with, plan_, compression_of(options.text("compress"))) {
        require_secure(with, options, *cipher_);
    }

    exit_code run() {
        tell_skipped();
        exit_code code = exit_code::internal;
        {
            interruption stop(with_.signals, report_);
            std::optional<error> failure;
            try {
                send_all(stop);
            } catch (const error& e) {
                failure = e;
            } catch (const std::exception& e) {
                failure = error(errc::internal, std::string("this should not happen: ") + e.what());
            }
            if (!failure) failure = report_.first_cut();
            if (failure) report_.abandon_rest(*failure);
            code = report_.outcome();
            // Where every item has the receiver's promise, nothing that comes after takes it back.
            if (code == exit_code::delivered) failure.reset();
            if (stop.has_come() && code != exit_code::delivered) {
                code = exit_code::interrupted;
                failure = error(errc::cancelled, "interrupted");
            }
            report_.end_progress();
            if (failure) tell(*failure);
        }
        report_.finish(code);
        return code;
    }

private:
    void tell_skipped() {
        for (const auto& [path, why] : plan_.skipped) {
            if (with_.style == output::json) {
                json fields;
                put_name(fields, "path", path.native());
                fields["why"] = why;
                with_.events.write("skipped", fields);
            }
            with_.note("skipped: " + printable(path.native()) + ": " + why);
        }
    }

    bool has_anything_to_send() const {
        return std::any_of(plan_.items.begin(), plan_.items.end(), [](const auto& item) { return !item.problem; });
    }

    void send_all(interruption& stop) {
        for (std::size_t i = 0; i < plan_.items.size(); ++i)
            if (plan_.items[i].problem) report_.failed(i, *plan_.items[i].problem);
        if (!has_anything_to_send()) return;
        for (;;) {
            std::optional<error> failure;
            try {
                attempt(stop);
                failure = report_.first_cut();
                if (!failure) return;
            } catch (const error& e) {
                if (!is_link_failure(e.code())) throw;
                failure = e;
            }
            if (stop.has_come() || !retries_.is_on() || !has_anything_left()) throw *failure;
            const auto made = report_.made_progress() ? retry_schedule::progress::some : retry_schedule::progress::none;
            const auto next = retries_.after_failure(made);
            if (!next) throw *failure;
            give_up_what_cannot_be_read_again();
            if (!has_anything_left()) throw *failure;
            report_.retrying(*failure, *next);
            // An interruption ends the program meanwhile.
            std::this_thread::sleep_for(next->wait);
        }
    }

    bool has_anything_left() const {
        for (std::size_t i = 0; i < plan_.items.size(); ++i)
            if (!report_.has_result(i)) return true;
        return false;
    }

    void give_up_what_cannot_be_read_again() {
        if (!pipe_ || !pipe_->has_begun()) return;
        report_.give_up(pipe_item_, "what was read from standard input cannot be read again, so it is not sent again");
    }

    void attempt(interruption& stop) {
        exchange_options timing;
        timing.timing = timing_of();
        if (options_.text("digest") == "sha256") timing.content_digest = exchange_options::digest::sha256;
        timing.content_compression = compression_of(options_.text("compress"));
        exchange over(connect(), nullptr, timing, report_);
        const interruption::scope running(stop, over);
        try {
            send_items(over);
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

    session_options timing_of() const {
        return {options_.duration("handshake-timeout"), options_.duration("io-timeout")};
    }

    // ---- Meeting the receiver ----

    std::unique_ptr<session> connect() {
        const auto keyless = cipher_->is_insecure() ? keyless_peers::accept : keyless_peers::refuse;
        const auto policy = options_.boolean("accept-new-peer") ? first_contact::remember : first_contact::report;
        const keys::known_hosts known(keys::known_hosts_path(with_.home()));
        receiver_check check(known, to_.canonical, keyless, policy);
        try {
            return meet(check);
        } catch (const error&) {
            if (check.found() == receiver_check::finding::changed) fail_changed(check);
            if (check.found() != receiver_check::finding::unknown) throw;
        }
        // The connection is gone by now: the receiver need not wait for a person to make up their mind.
        ask_about(check);
        check.remember();
        receiver_check again(known, to_.canonical, keyless, first_contact::report);
        try {
            return meet(again);
        } catch (const error&) {
            if (again.found() == receiver_check::finding::changed) fail_changed(again);
            throw;
        }
    }

    std::unique_ptr<session> meet(receiver_check& check) {
        with_.log->info("connecting to {}", printable(to_.canonical));
        auto opened = session::open(role::initiator, transport_->connect(to_.address), *cipher_,
                                    options_.chosen(plugin_kind::cipher).name(), check.verifier(), timing_of());
        if (check.found() == receiver_check::finding::remembered)
            with_.note("first contact with " + printable(to_.canonical) + ": its key " + check.peer().fingerprint +
                       " is remembered");
        is_met_ = true;
        with_.log->info("connected to {} with {}", printable(to_.canonical), opened->describe());
        if (with_.style == output::json) {
            json fields;
            fields["address"] = as_utf8(opened->peer_address());
            fields["destination"] = as_utf8(to_.canonical);
            put_identity(fields, opened->peer());
            fields["cipher"] = opened->describe();
            with_.events.write("connected", fields);
        }
        return opened;
    }

    void ask_about(const receiver_check& check) {
        const auto& peer = check.peer();
        if (!can_ask())
            throw error(errc::auth_failed, "this is the first contact with " + printable(to_.canonical) +
                                               ", and there is no terminal to ask on "
                                               "whether its key " +
                                               peer.fingerprint +
                                               " is right; compare it with what `wherry keys` says there, "
                                               "then send once from a terminal, or give --accept-new-peer");
        const auto answer = ask_line(
            "This is the first contact with " + printable(to_.canonical) + ".\nIts key is " + peer.fingerprint + " (" +
            peer.algorithm + ").\nCompare it with what `wherry keys` says there. Trust it from now on? [yes/no] ");
        if (answer != "yes" && answer != "y")
            throw error(errc::auth_failed,
                        "the key of " + printable(to_.canonical) + " was not accepted; nothing was sent");
    }

    [[noreturn]] void fail_changed(const receiver_check& check) {
        with_.terminal.note(check.changed_warning());
        throw error(errc::auth_failed,
                    "the key of " + printable(to_.canonical) + " has changed to " + check.peer().fingerprint +
                        "; nothing was sent. If the receiver does have a new key: wherry keys --remove " +
                        shell_quoted(to_.canonical));
    }

    // ---- Sending ----

    struct waiting {
        std::size_t item;
        transfer_id id;
        std::shared_ptr<source> from;
    };

    bool resumes() const { return options_.boolean("resume") && !options_.boolean("no-resume"); }

    bool wants_resume(const planned_item& item) const {
        return resumes() && item.kind == item_kind::file && item.size >= least_bytes_to_resume;
    }

    // Opens and announces; nothing if it failed, which was told then.
    std::optional<waiting> announce(exchange& over, std::size_t index) {
        const auto& item = plan_.items[index];
        std::shared_ptr<source> from;
        try {
            from = open_item(item, wants_resume(item) ? resuming::wanted : resuming::no);
        } catch (const error& e) {
            report_.failed(index, e);
            return std::nullopt;
        }
        auto pipe = std::dynamic_pointer_cast<pipe_source>(from);
        if (pipe) {
            pipe_ = pipe;
            pipe_item_ = index;
        }
        const auto id = over.announce(*from, attempt_at(index, *from));
        report_.bind(id, index, std::move(pipe));
        return waiting{index, id, std::move(from)};
    }

    // Without further attempts a receiver need not remember anything.
    delivery_attempt attempt_at(std::size_t index, const source& from) {
        if (!retries_.is_on()) return {};
        auto& delivery = deliveries_[index];
        timespec changed{};
        if (const auto* const file = dynamic_cast<const file_source*>(&from)) changed = file->changed();
        const bool is_same = delivery.id && delivery.what == from.what() && delivery.changed.tv_sec == changed.tv_sec &&
                             delivery.changed.tv_nsec == changed.tv_nsec;
        // What has changed since is another delivery, even if the one before has arrived.
        if (!is_same) delivery = {make_delivery_id(), from.what(), changed};
        return {delivery.id, is_same && report_.may_have_arrived(index)};
    }

    void send_items(exchange& over) {
        const auto& items = plan_.items;
        std::deque<waiting> ahead;
        std::size_t next_to_announce = 0;
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (items[i].problem || report_.has_result(i)) continue;
            next_to_announce = std::max(next_to_announce, i);
            for (; next_to_announce < items.size() && next_to_announce < i + looked_ahead &&
                   ahead.size() < announced_ahead;
                 ++next_to_announce) {
                if (items[next_to_announce].problem || report_.has_result(next_to_announce) ||
                    !wants_resume(items[next_to_announce]))
                    continue;
                if (auto announced = announce(over, next_to_announce)) ahead.push_back(std::move(*announced));
            }
            std::optional<waiting> current;
            if (!ahead.empty() && ahead.front().item == i) {
                current = std::move(ahead.front());
                ahead.pop_front();
            } else if (!wants_resume(items[i])) {
                if (items[i].kind == item_kind::data && ::isatty(STDIN_FILENO) != 0)
                    with_.note("reading from the terminal; Ctrl-D at the beginning of a line ends it");
                current = announce(over, i);
            }
            if (current) over.send(current->id, *current->from);
        }
    }

    // ---- What went wrong ----

    void tell(const error& failure) {
        json fields;
        fields["status"] = to_string(failure.code());
        fields["error"] = as_utf8(failure.what());
        std::string advice;
        switch (failure.code()) {
            case errc::disconnected:
            case errc::timed_out:
                if (is_met_)
                    advice = resumes() ? "; send again, and large files go on where they stopped"
                                       : "; without --no-resume large files would go on where they stopped";
                break;
            default: break;
        }
        with_.log->error("{}{}", printable(failure.what()), advice);
        if (failure.code() == errc::auth_failed && is_met_) {
            // The receiver has been recognised, so it is this side that was not.
            if (const auto own = own_public_key(with_, options_)) {
                const auto line = own->key.line(own->comment);
                fields["public_key"] = line;
                fields["fingerprint"] = own->key.fingerprint();
                with_.terminal.note("To be let in, give the receiver's owner this command with your public key:\n  " +
                                    authorize_command(own->key.line(), own->comment));
            }
        }
        if (with_.style == output::json) with_.events.write("error", fields);
    }

    application& with_;
    const effective_options& options_;
    const destination to_;
    const std::unique_ptr<transport> transport_;
    const std::unique_ptr<cipher> cipher_;
    const sending_plan plan_;

    // What an item is offered as, again and again.
    struct offered_delivery {
        std::optional<delivery_id> id;
        offer what;
        timespec changed{};
    };
    std::vector<offered_delivery> deliveries_;  // by item
    std::shared_ptr<pipe_source> pipe_;         // standard input, once it is announced
    std::size_t pipe_item_ = 0;
    retry_schedule retries_;
    send_report report_;
    bool is_met_ = false;
};

exit_code run(application& with) {
    // The scheme of the address chooses the transport.
    const auto to = with.options.early("to");
    if (!to || to->empty())
        throw error(errc::bad_input, "where to is not said; give --to ADDRESS, as in --to tcp://host:9417");
    if (const auto scheme = split_destination(*to).scheme; !scheme.empty()) {
        const auto named = with.options.early("transport");
        if (with.options.early_origin("transport") == origin::command_line && named != scheme)
            throw error(errc::bad_input, "--to " + printable(*to) + " is for the transport " + scheme +
                                             ", but --transport says " + named.value_or("") +
                                             "; leave --transport out");
        with.options.choose(plugin_kind::transport, scheme);
    }
    const auto options = with.read_options(used_kinds);
    sender one(with, options);
    return one.run();
}

}  // namespace

const command& send_command() {
    static const command described = {
        {"send",
         "[FILE | FOLDER | -]... [--message TEXT]... --to ADDRESS",
         "Sends files, folders, messages and standard input ('-'), in the order given.",
         "ADDRESS is tcp://HOST[:PORT], rfcomm://DEVICE[/CHANNEL], or what the transport named by --transport takes.",
         {
             text_option("to", "ADDRESS", "the receiver"),
             letter('m',
                    repeatable(command_line_only(text_option("message", "TEXT", "send this text; may be repeated")))),
             command_line_only(text_option("name", "NAME", "what standard input is called", "stdin")),
             flag("follow", "send what symbolic links inside folders point to; else they are skipped"),
             on_by_default(flag("resume", "go on with files, from 1 MiB on, of which the receiver has a part")),
             command_line_only(flag("no-resume", "begin every file anew, and leave no part of one that is cut")),
             integer_option("retry", "N", "try again, up to N times in a row, when the link is lost or not there", "0",
                            0, 1'000'000),
             choice_option("digest", {"none", "sha256"}, "none",
                           "have the receiver compare a digest of each item's whole content"),
             choice_option("compress", {"auto", "zstd", "none"}, "auto",
                           "compress what shrinks where the link is slow, everything, or nothing"),
             flag("accept-new-peer", "trust a receiver's key at first contact without asking"),
             transport_option(),
             cipher_option(),
             insecure_option(),
             handshake_timeout_option(),
             io_timeout_option(),
         },
         {plugin_kind::transport, plugin_kind::cipher}},
        run,
        false};
    return described;
}

}  // namespace wherry::app

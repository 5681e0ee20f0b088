// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/dialer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "wherry/keys/known_hosts.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/text.hpp"

namespace wherry {

bool dial_observer::accepts(const receiver_check& check) {
    throw error(
        errc::auth_failed,
        fmt::format(
            "this is the first contact with {}, and its key {} is not known yet; compare it with the receiver's own, "
            "and then have it trusted, or let the first contact be remembered",
            printable(check.destination()), check.peer().fingerprint));
}

dialer::dialer(const endpoint& here, std::string_view destination, const channel_options& timing, first_contact policy,
               dial_observer& observer)
    : here_(here),
      route_(here.find_route(destination)),
      cipher_(here.protection()),
      timing_(timing),
      policy_(policy),
      observer_(observer),
      link_(route_.link) {
    if (route_.address.empty())
        throw error(errc::bad_input,
                    fmt::format("'{}' names no address; write, say, tcp://host:9417", printable(destination)));
}

receiver_check dialer::make_check(first_contact policy) const {
    const mutex_lock lock(mutex_);
    return receiver_check(keys::known_hosts(keys::known_hosts_path(here_.home())), route_.canonical,
                          cipher_->is_insecure() ? keyless_peers::accept : keyless_peers::refuse, policy,
                          here_.skipped(), accepted_, met_);
}

// Extra connections and further attempts must meet the same key.
void dialer::keep_accepted(const receiver_check& check) {
    {
        const mutex_lock lock(mutex_);
        accepted_ = check.peer_key();
    }
    observer_.not_remembered(check);
}

void dialer::tell_exchange(const secure_channel& opened, const receiver_check& check) {
    if (observer_.exchange_is_classical(opened, check) || !here_.options().log) return;
    if (check.exchange_finding() == receiver_check::exchange_news::fallen)
        here_.options().log(host_environment::level::warning,
                            check.fallen_warning(opened.describe(), here_.cipher_name()));
}

// Returns true if it is to be told.
bool dialer::note_exchange(const secure_channel& opened, receiver_check& check) {
    check.note_exchange(opened.exchanged());
    if (const auto& why = check.why_exchange_not_remembered(); !why.empty() && here_.options().log)
        here_.options().log(
            host_environment::level::warning,
            fmt::format("the key exchange with {} is not remembered, so a worse one later is not told: {}",
                        printable(route_.canonical), printable(why)));
    const mutex_lock lock(mutex_);
    met_ = std::max({met_, check.exchange_before(), opened.exchanged()});
    switch (check.exchange_finding()) {
        case receiver_check::exchange_news::nothing: return false;
        case receiver_check::exchange_news::classical: return true;
        case receiver_check::exchange_news::fallen: return !std::exchange(is_fall_told_, true);
    }
    return false;
}

// Tells abort() what connect() is at. Throws errc::cancelled if abort() was called before.
class dialer::step_scope {
public:
    step_scope(dialer& owner, step now) : owner_(owner) {
        const mutex_lock lock(owner_.mutex_);
        if (owner_.is_aborted_)
            throw error(errc::cancelled,
                        fmt::format("connecting to {} was stopped", printable(owner_.route_.canonical)));
        owner_.step_ = std::move(now);
    }
    ~step_scope() {
        const mutex_lock lock(owner_.mutex_);
        owner_.step_ = {};
    }
    step_scope(const step_scope&) = delete;
    step_scope& operator=(const step_scope&) = delete;

private:
    dialer& owner_;
};

std::unique_ptr<secure_channel> dialer::connect() {
    auto check = make_check(policy_);
    try {
        return meet(check);
    } catch (const error&) {
        if (check.found() == receiver_check::finding::changed) fail_changed(check);
        if (check.found() != receiver_check::finding::unknown) throw;
    }
    // The connection is gone by now: the receiver need not wait for a person to make up their mind.
    const bool is_accepted = [&] {
        const step_scope question(*this, {nullptr, true});
        return observer_.accepts(check);
    }();
    if (!is_accepted)
        throw error(errc::auth_failed,
                    fmt::format("the key of {} was not accepted; nothing was sent", printable(route_.canonical)));
    if (!check.remember()) keep_accepted(check);
    auto again = make_check(first_contact::report);
    try {
        return meet(again);
    } catch (const error&) {
        if (again.found() == receiver_check::finding::changed) fail_changed(again);
        throw;
    }
}

std::unique_ptr<secure_channel> dialer::meet(receiver_check& check) {
    observer_.connecting(route_.canonical);
    const auto made = dial();
    auto opened = [&] {
        const step_scope handshake(*this, {made});
        return open(made, check);
    }();
    if (check.found() == receiver_check::finding::accepted) keep_accepted(check);
    const bool is_news = note_exchange(*opened, check);
    observer_.connected(*opened, check);
    if (is_news) tell_exchange(*opened, check);
    return opened;
}

std::shared_ptr<transport> dialer::link() const {
    const mutex_lock lock(mutex_);
    return link_;
}

bool dialer::is_asking() const {
    const mutex_lock lock(mutex_);
    return step_.is_asking;
}

void dialer::abort() noexcept {
    std::shared_ptr<transport> link;
    std::shared_ptr<connection> opening;
    {
        const mutex_lock lock(mutex_);
        is_aborted_ = true;
        link = link_;
        opening = step_.opening;
    }
    // Without the lock, for a plugin may hang in these.
    link->connect_abort();
    if (opening) opening->abort();
}

void dialer::renew() {
    {
        const mutex_lock lock(mutex_);
        if (!is_aborted_) return;
    }
    auto another = here_.find_route(route_.canonical).link;
    const mutex_lock lock(mutex_);
    link_ = std::move(another);
    is_aborted_ = false;
}

std::unique_ptr<secure_channel> dialer::open(std::shared_ptr<connection> link) {
    auto check = make_check(first_contact::report);
    auto opened = open(std::move(link), check);
    if (note_exchange(*opened, check)) tell_exchange(*opened, check);
    return opened;
}

std::unique_ptr<secure_channel> dialer::open(std::shared_ptr<connection> link, receiver_check& check) const {
    return secure_channel::open(role::initiator, std::move(link), *cipher_, here_.cipher_name(), check.verifier(),
                                timing_);
}

void dialer::fail_changed(const receiver_check& check) {
    observer_.key_changed(check);
    throw error(errc::auth_failed,
                fmt::format("the key of {} has changed to {}; nothing was sent. If the receiver does have a new key: "
                            "wherry keys --remove {}",
                            printable(route_.canonical), check.peer().fingerprint, shell_quoted(route_.canonical)));
}

}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/dialer.hpp"

#include <fmt/format.h>

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
      observer_(observer) {
    if (route_.address.empty())
        throw error(errc::bad_input,
                    fmt::format("'{}' names no address; write, say, tcp://host:9417", printable(destination)));
}

receiver_check dialer::make_check(first_contact policy) const {
    return receiver_check(keys::known_hosts(keys::known_hosts_path(here_.home())), route_.canonical,
                          cipher_->is_insecure() ? keyless_peers::accept : keyless_peers::refuse, policy,
                          here_.skipped());
}

std::unique_ptr<secure_channel> dialer::connect() {
    auto check = make_check(policy_);
    try {
        return meet(check);
    } catch (const error&) {
        if (check.found() == receiver_check::finding::changed) fail_changed(check);
        if (check.found() != receiver_check::finding::unknown) throw;
    }
    // The connection is gone by now: the receiver need not wait for a person to make up their mind.
    if (!observer_.accepts(check))
        throw error(errc::auth_failed,
                    fmt::format("the key of {} was not accepted; nothing was sent", printable(route_.canonical)));
    check.remember();
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
    auto opened = open(dial(), check);
    observer_.connected(*opened, check);
    return opened;
}

std::unique_ptr<secure_channel> dialer::open(std::shared_ptr<connection> link) {
    auto check = make_check(first_contact::report);
    return open(std::move(link), check);
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

// SPDX-License-Identifier: BSD-2-Clause
#include "join_registry.hpp"

#include <botan/mem_ops.h>
#include <botan/system_rng.h>

#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

const std::uint8_t* octets(const join_token& token) { return reinterpret_cast<const std::uint8_t*>(token.data()); }

}  // namespace

join_token join_registry::grant(std::shared_ptr<reorder_buffer> buffer, const identity& peer, std::size_t count,
                                std::uint64_t number) {
    join_token token;
    Botan::system_rng().randomize(reinterpret_cast<std::uint8_t*>(token.data()), token.size());
    const mutex_lock lock(mutex_);
    permissions_.push_back({token, {std::move(buffer), number}, peer, count, clock::now() + clocks::join_lifetime});
    return token;
}

void join_registry::withdraw(const reorder_buffer& buffer) noexcept {
    const mutex_lock lock(mutex_);
    permissions_.remove_if([&](const permission& one) { return one.destination.buffer.get() == &buffer; });
}

join_registry::place join_registry::redeem(const join_token& token, const identity& peer) {
    const mutex_lock lock(mutex_);
    permissions_.remove_if([now = clock::now()](const permission& one) { return one.until < now; });
    permission* found = nullptr;
    // All of them, whichever fits.
    for (auto& one : permissions_)
        if (Botan::constant_time_compare(octets(one.token), octets(token), token.size())) found = &one;
    const bool is_same_peer =
        found && found->peer.public_key == peer.public_key && found->peer.fingerprint == peer.fingerprint;
    if (!is_same_peer || found->left == 0)
        throw error(errc::auth_failed, "there is nothing that this connection may join");
    --found->left;
    return found->destination;
}

}  // namespace wherry

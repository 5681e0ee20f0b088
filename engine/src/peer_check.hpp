// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <exception>
#include <optional>
#include <utility>

#include "wherry/as_error.hpp"
#include "wherry/cipher.hpp"
#include "wherry/mutex.hpp"

namespace wherry {

// Asks whether a peer is still welcome after its handshake: its key may have been removed since.
// Thread-safety: all functions from any thread; the verifier is called by one at a time.
class peer_check {
public:
    // `peer` outlives it. `verify` may be empty: then the peer is welcome.
    peer_check(const identity& peer, peer_verifier verify) : peer_(peer), verify_(std::move(verify)) {}

    // Returns why deliveries from the peer are refused; nothing if they are welcome.
    std::optional<error> find_objection() {
        if (!verify_) return std::nullopt;
        const mutex_lock lock(mutex_);
        if (final_) return final_;
        try {
            verify_(peer_);
            return std::nullopt;
        } catch (const std::exception& e) {
            const auto why = as_error(e);
            // Otherwise a folder of a thousand files would be refused, and logged, a thousand times.
            if (why.code() == errc::auth_failed) final_ = why;
            return why;
        } catch (...) {
            return error(errc::internal, "the check of the peer failed with an exception of unknown type");
        }
    }

private:
    const identity& peer_;
    const peer_verifier verify_;
    mutex mutex_;  // held while verify_ runs
    std::optional<error> final_ WHERRY_GUARDED_BY(mutex_);
};

}  // namespace wherry

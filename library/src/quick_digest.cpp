// SPDX-License-Identifier: BSD-2-Clause
#include "quick_digest.hpp"

// Compiled in here, so that programs which link this library need no other for it.
#define XXH_INLINE_ALL
#include <sys/random.h>
#include <xxhash.h>

#include <cerrno>
#include <cstddef>

#include "wherry/error.hpp"

namespace wherry {

namespace {

using secret = std::array<std::byte, XXH3_SECRET_DEFAULT_SIZE>;

const secret& secret_of_this_process() {
    static const secret made = [] {
        secret bytes;
        if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
            throw error(errc::internal, "the system gives no random bytes", errno);
        return bytes;
    }();
    return made;
}

}  // namespace

struct quick_digest::state {
    XXH3_state_t xxh;
};

quick_digest::quick_digest() : state_(std::make_unique<state>()) {
    secret_of_this_process();  // which may throw, as what follows may not
    restart();
}

quick_digest::~quick_digest() = default;

void quick_digest::restart() noexcept {
    const auto& bytes = secret_of_this_process();
    XXH3_128bits_reset_withSecret(&state_->xxh, bytes.data(), bytes.size());
}

void quick_digest::update(const_bytes bytes) noexcept { XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size()); }

std::array<std::uint64_t, 2> quick_digest::value() const noexcept {
    const auto digest = XXH3_128bits_digest(&state_->xxh);
    return {digest.low64, digest.high64};
}

}  // namespace wherry

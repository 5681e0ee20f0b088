// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "wherry/plugin.h"

namespace wherry {

// What went wrong, chosen by what the caller can do about it; see wherry_status in plugin.h for each.
enum class errc : std::int32_t {
    bad_input = WHERRY_BAD_INPUT,
    auth_failed = WHERRY_AUTH_FAILED,
    disconnected = WHERRY_DISCONNECTED,
    timed_out = WHERRY_TIMED_OUT,
    exhausted = WHERRY_EXHAUSTED,
    unsupported = WHERRY_UNSUPPORTED,
    io = WHERRY_IO,
    internal = WHERRY_INTERNAL,
    integrity = WHERRY_INTEGRITY,
    protocol = WHERRY_PROTOCOL,
    refused = WHERRY_REFUSED,
    cancelled = WHERRY_CANCELLED,
};

// "bad_input", "auth_failed", ...: the word used in logs and in JSON.
constexpr std::string_view to_string(errc code) noexcept {
    switch (code) {
        case errc::bad_input: return "bad_input";
        case errc::auth_failed: return "auth_failed";
        case errc::disconnected: return "disconnected";
        case errc::timed_out: return "timed_out";
        case errc::exhausted: return "exhausted";
        case errc::unsupported: return "unsupported";
        case errc::io: return "io";
        case errc::internal: return "internal";
        case errc::integrity: return "integrity";
        case errc::protocol: return "protocol";
        case errc::refused: return "refused";
        case errc::cancelled: return "cancelled";
    }
    return "internal";
}

// A status from the other side of a shared-object line or of a wire; one that is not known is an internal error.
constexpr errc to_errc(std::int32_t status) noexcept {
    return status >= WHERRY_BAD_INPUT && status <= WHERRY_CANCELLED ? static_cast<errc>(status) : errc::internal;
}

// The one exception of this project. what() is one sentence without a full stop: what failed, why, what to do next.
class error : public std::runtime_error {
public:
    error(errc code, const std::string& text, int system_error = 0)
        : std::runtime_error(text), code_(code), system_error_(system_error) {}

    errc code() const noexcept { return code_; }
    // The errno behind it, or 0.
    int system_error() const noexcept { return system_error_; }

    // The same failure, told from further up: "context: what()".
    error within(std::string_view context) const {
        return error(code_, std::string(context) + ": " + what(), system_error_);
    }

private:
    errc code_;
    int system_error_;
};

}  // namespace wherry

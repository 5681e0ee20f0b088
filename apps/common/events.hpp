// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "console.hpp"
#include "exit_code.hpp"
#include "wherry/sink.hpp"
#include "wherry/transfer.hpp"

namespace wherry::app {

using json = nlohmann::ordered_json;

// Writes --json: one event, one line, at once; docs/command-line.md lists them with their fields. Characters that would
// deceive a person who reads it, as printable() has them, are escaped.
// Thread-safety: all functions from any thread.
class event_writer {
public:
    explicit event_writer(console& out) noexcept : out_(out) {}

    // `fields` behind "event" and "time". False if nobody reads it any more.
    bool write(std::string_view event, const json& fields);

private:
    console& out_;
};

// Untrusted bytes under `key`: text as it is; bytes that are not UTF-8 with replacement characters, and besides in
// full as `key`_hex.
void put_name(json& fields, const std::string& key, std::string_view bytes);

// The same for longer content: `key` holds text, or `key`_base64 the bytes.
void put_content(json& fields, const std::string& key, std::string_view bytes);

// "kind", "name", "size", "mode", "mtime" as far as they are known.
void put_offer(json& fields, const offer& what);

// "ok", "status", "bytes", "resumed_from", "outcome" if the sink gave one, then "response", or "error" and "remote".
void put_result(json& fields, const delivery_result& result);

// "fingerprint", "public_key", "label".
void put_identity(json& fields, const identity& who);

// The bytes with U+FFFD in place of each one that is no part of UTF-8.
std::string as_utf8(std::string_view bytes);

// "2026-03-01T02:04:05.678Z".
std::string format_time(std::int64_t seconds, std::uint32_t nanoseconds);

}  // namespace wherry::app

// SPDX-License-Identifier: BSD-2-Clause
#include "events.hpp"

#include <fmt/format.h>

#include <botan/base64.h>
#include <botan/hex.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "wherry/text.hpp"

namespace wherry::app {

namespace {

const std::uint8_t* octets(std::string_view bytes) noexcept {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

// JSON text in which what deceives a person, see printable(), is escaped as JSON does it. It can stand in strings only,
// and beyond ASCII, for the rest is escaped already.
std::string without_deception(std::string_view text) {
    std::string safe;
    safe.reserve(text.size());
    while (!text.empty()) {
        const auto [value, length] = first_character(text);
        const auto bytes = text.substr(0, std::max<std::size_t>(length, 1));
        text.remove_prefix(bytes.size());
        if ((value < 0x80 && value != 0x7F) || printable(bytes) == bytes) {
            safe += bytes;
        } else if (value < 0x10000) {
            safe += fmt::format("\\u{:04x}", static_cast<unsigned>(value));
        } else {
            const auto rest = static_cast<unsigned>(value) - 0x10000;
            safe += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
        }
    }
    return safe;
}

}  // namespace

std::string as_utf8(std::string_view bytes) {
    if (is_utf8(bytes)) return std::string(bytes);
    std::string text;
    while (!bytes.empty()) {
        const auto length = first_character(bytes).length;
        if (length == 0)
            text += "\xEF\xBF\xBD";
        else
            text += bytes.substr(0, length);
        bytes.remove_prefix(length == 0 ? 1 : length);
    }
    return text;
}

std::string format_time(std::int64_t seconds, std::uint32_t nanoseconds) {
    const auto when = static_cast<std::time_t>(seconds);
    std::tm parts{};
    if (::gmtime_r(&when, &parts) == nullptr) return std::to_string(seconds);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                       parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, nanoseconds / 1'000'000);
}

void put_name(json& fields, const std::string& key, std::string_view bytes) {
    fields[key] = as_utf8(bytes);
    constexpr bool lower_case = false;
    if (!is_utf8(bytes)) fields[key + "_hex"] = Botan::hex_encode(octets(bytes), bytes.size(), lower_case);
}

void put_content(json& fields, const std::string& key, std::string_view bytes) {
    if (is_utf8(bytes))
        fields[key] = bytes;
    else
        fields[key + "_base64"] = Botan::base64_encode(octets(bytes), bytes.size());
}

void put_offer(json& fields, const offer& what) {
    fields["kind"] = to_string(what.kind);
    put_name(fields, "name", what.name);
    if (what.size) fields["size"] = *what.size;
    if (what.mode) fields["mode"] = fmt::format("{:04o}", *what.mode & 07777u);
    if (what.mtime) fields["mtime"] = format_time(what.mtime->seconds, what.mtime->nanoseconds);
}

void put_result(json& fields, const delivery_result& result) {
    fields["ok"] = result.ok();
    fields["status"] = result.failure ? to_string(*result.failure) : "ok";
    fields["bytes"] = result.bytes;
    fields["bytes_on_link"] = result.bytes_on_link;
    fields["resumed_from"] = result.resumed_from;
    if (!result.outcome.empty()) fields["outcome"] = as_utf8(result.outcome);
    if (result.ended_by) fields["ended_by"] = to_string(*result.ended_by);
    if (result.ok()) {
        put_content(fields, "response", as_text(result.response));
    } else {
        fields["error"] = as_utf8(result.text);
        fields["remote"] = result.is_remote;
        fields["uncertain"] = result.is_uncertain;
        if (!result.response.empty()) put_content(fields, "response", as_text(result.response));
    }
}

void put_identity(json& fields, const identity& who) {
    fields["fingerprint"] = who.fingerprint;
    fields["public_key"] = who.public_key;
    fields["label"] = as_utf8(who.label);
}

bool event_writer::write(std::string_view event, const json& fields) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now);
    const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(now - seconds);
    json all;
    all["event"] = event;
    all["time"] = format_time(seconds.count(), static_cast<std::uint32_t>(rest.count()));
    all.update(fields);
    return out_.result(without_deception(all.dump(-1, ' ', false, json::error_handler_t::replace)));
}

}  // namespace wherry::app

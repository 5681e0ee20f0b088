// SPDX-License-Identifier: BSD-2-Clause
#include "fuzz.hpp"
#include "wherry/keys/authorized_keys.hpp"
#include "wherry/keys/known_hosts.hpp"

using namespace wherry;

namespace {

// Requires that the text contains the line, apart from the gaps between words.
void require_in(std::string_view text, const std::string& line) {
    fuzz::require(fuzz::with_single_blanks(text).find(fuzz::with_single_blanks(line)) != std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = as_text(fuzz::bytes_of(data, size));
    try {
        for (const auto& entry : keys::authorized_keys::parse(text).entries)
            require_in(text, entry.key.line(entry.comment));
    } catch (const error& e) {
        fuzz::require(e.code() == errc::bad_input || e.code() == errc::unsupported);
    }
    try {
        const auto all = keys::known_hosts::parse(text);
        for (const auto& entry : all.entries) require_in(text, entry.address + ' ' + entry.key.line(entry.comment));
        fuzz::require(all.unread.size() == all.skipped.size());
    } catch (const error& e) {
        fuzz::require(e.code() == errc::auth_failed || e.code() == errc::unsupported);
    }
    try {
        const auto [key, comment] = keys::parse_public_key_text(text);
        require_in(text, key.line(comment));
    } catch (const error& e) {
        fuzz::require(e.code() == errc::bad_input);
    }
    return 0;
}

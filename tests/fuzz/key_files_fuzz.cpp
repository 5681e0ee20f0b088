#include "fuzz.hpp"
#include "wherry/keys/authorized_keys.hpp"
#include "wherry/keys/known_hosts.hpp"

using namespace wherry;

// Every key that was read stands in the text just so.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = as_text(fuzz::bytes_of(data, size));
    for (const auto& entry : keys::authorized_keys::parse(text).entries)
        fuzz::require(text.find(entry.key.line(entry.comment)) != text.npos);
    for (const auto& entry : keys::known_hosts::parse(text).entries)
        fuzz::require(text.find(entry.address + ' ' + entry.key.line(entry.comment)) != text.npos);
    try {
        const auto [key, comment] = keys::parse_public_key_text(text);
        fuzz::require(text.find(key.line(comment)) != text.npos);
    } catch (const error& e) {
        fuzz::require(e.code() == errc::bad_input);
    }
    return 0;
}

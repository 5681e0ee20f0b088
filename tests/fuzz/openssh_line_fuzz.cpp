// SPDX-License-Identifier: BSD-2-Clause
#include "fuzz.hpp"
#include "wherry/keys/public_key.hpp"

using namespace wherry;

// A parsed line, encoded again, differs only in the gaps between its words, and parses to the same key.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto line = as_text(fuzz::bytes_of(data, size));
    try {
        const auto [key, comment] = keys::parse_public_key_line(line);
        const auto encoded = key.line(comment);
        fuzz::require(fuzz::with_single_blanks(line).starts_with(fuzz::with_single_blanks(encoded)));
        const auto again = keys::parse_public_key_line(encoded);
        fuzz::require(again.key == key && again.comment == comment);
        fuzz::require(keys::public_key::from_blob(key.blob()) == key);
        fuzz::require(!key.verify(fuzz::bytes_of(data, size), std::vector<std::byte>(key.signature_bytes())));
    } catch (const error& e) {
        fuzz::require(e.code() == errc::bad_input);
    }
    return 0;
}

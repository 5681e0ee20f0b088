// SPDX-License-Identifier: BSD-2-Clause
#include "fuzz.hpp"
#include "wherry/keys/private_key.hpp"

using namespace wherry;

// Encrypted keys are not opened: one damaged number in them can ask for hours of key derivation.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto refuse = [](const std::filesystem::path&) -> keys::secret_text {
        throw error(errc::unsupported, "nobody is there");
    };
    try {
        const auto key = keys::private_key::from_pem(as_text(fuzz::bytes_of(data, size)), "fuzzed", refuse);
        fuzz::require(!key.public_part().line().empty());
    } catch (const error& e) {
        fuzz::require(e.code() == errc::bad_input || e.code() == errc::unsupported);
    }
    return 0;
}

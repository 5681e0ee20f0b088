// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "algorithms.hpp"
#include "key_schedule.hpp"
#include "wherry/bytes.hpp"

namespace wherry::hybrid {

// Whose code runs the AEAD of records; the bytes are the same. Everything else of the handshake is Botan's.
enum class provider : std::uint8_t { botan, openssl };

std::string name_of(provider which);

// Those that this build has; Botan is always there.
std::vector<provider> providers();

// From the option: "auto", or a name. Throws error: bad_input for no such name, unsupported for one that this build
// has not.
enum class provider_choice : std::uint8_t { automatic, botan, openssl };
provider_choice parse_provider(std::string_view choice);

// The one to use; `automatic` is the one that is faster on this machine, which is measured the first time.
// Thread-safety: from any thread.
provider choose_provider(provider_choice choice, aead algorithm);

inline constexpr std::size_t nonce_bytes = 12;
enum class direction { sealing, opening };

// An AEAD in one direction, in place.
// Thread-safety: lock outside. Failures of the library throw error(errc::internal).
class record_aead {
public:
    virtual ~record_aead() = default;

    virtual void set_key(const secret_bytes& key) = 0;

    // `record` is the text and, behind it, room for the tag. REQUIRES: sealing, and a key; nonce.size() == nonce_bytes.
    virtual void seal(const_bytes nonce, mutable_bytes record) = 0;

    // `record` is what was sealed and its tag; the text is where it began. False if it does not verify: then what
    // `record` holds is not to be used, and the caller wipes it. REQUIRES: opening, and a key; record.size() >= tag.
    [[nodiscard]] virtual bool open(const_bytes nonce, mutable_bytes record) = 0;
};

std::unique_ptr<record_aead> make_record_aead(provider source, aead algorithm, direction which);

// One for each provider.
std::unique_ptr<record_aead> make_botan_aead(aead algorithm, direction which);
std::unique_ptr<record_aead> make_openssl_aead(aead algorithm, direction which);

}  // namespace wherry::hybrid

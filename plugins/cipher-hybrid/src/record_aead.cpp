// SPDX-License-Identifier: BSD-2-Clause
#include "record_aead.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "messages.hpp"
#include "wherry/error.hpp"
#include "wherry/mutex.hpp"

namespace wherry::hybrid {

namespace {

using clock = std::chrono::steady_clock;

// As much as a record has over TCP, sealed a few times: less than a millisecond for each provider.
constexpr std::size_t measured_bytes = std::size_t{64} << 10;
constexpr int measured_rounds = 5;

clock::duration time_of(provider source, aead algorithm) {
    const auto mode = make_record_aead(source, algorithm, direction::sealing);
    mode->set_key(secret_bytes(32));
    std::vector<std::byte> record(measured_bytes + tag_bytes);
    auto best = clock::duration::max();
    for (int round = 0; round < measured_rounds; ++round) {
        std::array<std::byte, nonce_bytes> nonce{};
        nonce.back() = static_cast<std::byte>(round);
        const auto begin = clock::now();
        mode->seal(nonce, record);
        // The best of them: an interruption makes it slower, nothing makes it faster.
        best = std::min(best, clock::now() - begin);
    }
    return best;
}

provider fastest(aead algorithm) {
    const auto all = providers();
    if (all.size() == 1) return all.front();
    auto best = all.front();
    auto best_time = clock::duration::max();
    for (const auto source : all) {
        try {
            const auto time = time_of(source, algorithm);
            if (time < best_time) best = source, best_time = time;
        } catch (const error&) {
            // OpenSSL's configuration may leave an algorithm out. Of Botan it is told when it is used.
        }
    }
    return best;
}

}  // namespace

std::string name_of(provider which) { return which == provider::botan ? "botan" : "openssl"; }

std::vector<provider> providers() {
#if WHERRY_HYBRID_HAS_OPENSSL
    return {provider::botan, provider::openssl};
#else
    return {provider::botan};
#endif
}

provider_choice parse_provider(std::string_view choice) {
    if (choice == "auto") return provider_choice::automatic;
    if (choice == "botan") return provider_choice::botan;
    if (choice != "openssl")
        throw error(errc::bad_input, fmt::format("'{}' is no provider; there are auto, botan and openssl", choice));
    if (providers().size() == 1)
        throw error(errc::unsupported, "this build has no OpenSSL in it; the providers are auto and botan");
    return provider_choice::openssl;
}

provider choose_provider(provider_choice choice, aead algorithm) {
    if (choice != provider_choice::automatic)
        return choice == provider_choice::botan ? provider::botan : provider::openssl;
    static mutex choosing;
    static std::array<std::optional<provider>, 2> chosen WHERRY_GUARDED_BY(choosing);
    const mutex_lock lock(choosing);
    auto& known = chosen.at(algorithm == aead::aes_256_gcm ? 0 : 1);
    if (!known) known = fastest(algorithm);
    return *known;
}

std::unique_ptr<record_aead> make_record_aead(provider source, aead algorithm, direction which) {
#if WHERRY_HYBRID_HAS_OPENSSL
    if (source == provider::openssl) return make_openssl_aead(algorithm, which);
#endif
    if (source != provider::botan) throw error(errc::internal, "a provider was chosen that this build has not");
    return make_botan_aead(algorithm, which);
}

}  // namespace wherry::hybrid

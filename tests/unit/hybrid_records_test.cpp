// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <vector>

#include "error_of.hpp"
#include "hybrid_pair.hpp"
#include "records.hpp"

namespace wherry::hybrid {
namespace {

using test::error_of;
using direction = record_chain::direction;
using bytes = std::vector<std::byte>;

const secret_bytes chain(32, 0x42);

bytes pattern(std::size_t size) {
    bytes text(size);
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<std::byte>(0x80 | (i * 7 + i / 251));
    return text;
}

bytes sealed(record_chain& sealer, const bytes& text) {
    auto record = text;
    record.resize(text.size() + tag_bytes);
    sealer.seal(record, text.size());
    return record;
}

bytes opened(record_chain& opener, bytes record) {
    const auto text = opener.open(record);
    EXPECT_EQ(text.data(), record.data());
    return {text.begin(), text.end()};
}

provider_choice choice_of(provider which) { return parse_provider(name_of(which)); }

// Every test for both ciphers, and for what each provider that there is seals and each that there is opens.
class records : public ::testing::TestWithParam<std::tuple<aead, provider, provider>> {
protected:
    static aead algorithm() { return std::get<0>(GetParam()); }
    record_chain sealer(rekey_limits limits = {}) const {
        return {algorithm(), direction::sealing, chain, limits, choice_of(std::get<1>(GetParam()))};
    }
    record_chain opener(rekey_limits limits = {}) const {
        return {algorithm(), direction::opening, chain, limits, choice_of(std::get<2>(GetParam()))};
    }

    // Opening fails, with the error it should, and leaves nothing of the text, nor of anything else, in the buffer.
    void expect_refused(bytes record) const {
        auto opening = opener();
        EXPECT_EQ(error_of([&] { opening.open(record); }).code(), errc::integrity);
        EXPECT_TRUE(std::all_of(record.begin(), record.end(), [](auto b) { return b == std::byte{0}; }));
    }
};

std::string name_of_case(const ::testing::TestParamInfo<std::tuple<aead, provider, provider>>& instance) {
    const auto& [algorithm, seals, opens] = instance.param;
    return std::string(algorithm == aead::aes_256_gcm ? "aes" : "chacha") + "_" + name_of(seals) + "_" + name_of(opens);
}

INSTANTIATE_TEST_SUITE_P(ciphers, records,
                         ::testing::Combine(::testing::Values(aead::aes_256_gcm, aead::chacha20_poly1305),
                                            ::testing::ValuesIn(providers()), ::testing::ValuesIn(providers())),
                         name_of_case);

TEST_P(records, of_all_sizes_come_back) {
    auto sealing = sealer(), opening = opener();
    for (const std::size_t size : {0,   1,   15,  16,  17,  31,   32,   33,   47,    48,    63,     64,     65,    127,
                                   128, 129, 255, 256, 257, 4095, 4096, 4097, 65535, 65536, 262143, 262144, 262145}) {
        const auto text = pattern(size);
        const auto record = sealed(sealing, text);
        ASSERT_EQ(record.size(), size + 16);
        EXPECT_EQ(opened(opening, record), text) << size;
    }
}

TEST_P(records, are_the_bytes_that_the_cipher_makes_in_one_piece) {
    // What a textbook use of the library gives under the first key and nonce: the in-place path changes nothing.
    const auto key = hkdf_expand(chain, "wherry hybrid v1 record key");
    for (const std::size_t size : {0, 1, 63, 64, 65, 1000, 4096}) {
        auto sealing = sealer();
        EXPECT_EQ(sealed(sealing, pattern(size)), seal_once(algorithm(), key, pattern(size))) << size;
    }
}

TEST_P(records, that_are_alike_look_different) {
    auto sealing = sealer();
    const auto text = pattern(100);
    EXPECT_NE(sealed(sealing, text), sealed(sealing, text));
}

TEST_P(records, with_any_flipped_bit_are_refused) {
    for (const std::size_t size : {0, 1, 15, 16, 17, 63, 64, 65, 200}) {
        auto sealing = sealer();
        const auto record = sealed(sealing, pattern(size));
        for (std::size_t at = 0; at < record.size(); ++at)
            for (const int mask : {0x01, 0x80}) {
                auto damaged = record;
                damaged[at] ^= static_cast<std::byte>(mask);
                expect_refused(damaged);
            }
    }
}

TEST_P(records, of_usual_size_with_a_flipped_bit_anywhere_are_refused) {
    auto sealing = sealer();
    const auto record = sealed(sealing, pattern(262144));
    for (const std::size_t at : {0u, 1u, 63u, 64u, 4096u, 131072u, 262143u, 262144u, 262159u}) {
        auto damaged = record;
        damaged[at] ^= std::byte{0x10};
        expect_refused(damaged);
    }
}

TEST_P(records, that_were_cut_or_lengthened_are_refused) {
    auto sealing = sealer();
    const auto record = sealed(sealing, pattern(130));
    for (std::size_t size = 0; size < record.size(); ++size)
        expect_refused(bytes(record.begin(), record.begin() + size));
    auto longer = record;
    longer.push_back(std::byte{0});
    expect_refused(longer);
    expect_refused(bytes(record.begin() + 1, record.end()));
}

TEST_P(records, that_come_twice_are_refused) {
    auto sealing = sealer(), opening = opener();
    const auto record = sealed(sealing, pattern(50));
    EXPECT_EQ(opened(opening, record), pattern(50));
    auto again = record;
    EXPECT_EQ(error_of([&] { opening.open(again); }).code(), errc::integrity);
}

TEST_P(records, in_another_order_or_with_one_missing_are_refused) {
    auto sealing = sealer();
    sealed(sealing, pattern(50));
    expect_refused(sealed(sealing, pattern(50)));
}

TEST_P(records, too_large_are_refused) {
    auto sealing = sealer();
    bytes record(max_record_plain_bytes + 1 + tag_bytes);
    EXPECT_EQ(error_of([&] { sealing.seal(record, max_record_plain_bytes + 1); }).code(), errc::bad_input);
    expect_refused(record);
}

// ---- The next key ----

TEST_P(records, go_on_over_a_change_of_keys_after_many_records) {
    auto sealing = sealer(), opening = opener();
    const auto text = pattern(3);
    for (unsigned i = 0; i < 2 * 65536 + 10; ++i) ASSERT_EQ(opened(opening, sealed(sealing, text)), text) << i;
}

TEST_P(records, change_keys_exactly_after_the_last_record_of_one) {
    // 65536 records under the first key; a reader that goes on too late or too early cannot open the next.
    for (const std::uint64_t reads_under_first : {65535, 65537}) {
        auto sealing = sealer(), opening = opener({reads_under_first, std::uint64_t{1} << 34});
        for (unsigned i = 0; i < 65535; ++i) opened(opening, sealed(sealing, {}));
        auto last = sealed(sealing, {}), next = sealed(sealing, {});
        EXPECT_EQ(error_of([&] {
                      opening.open(last);
                      opening.open(next);
                  }).code(),
                  errc::integrity);
    }
}

TEST_P(records, change_keys_after_many_bytes) {
    const rekey_limits limits{std::uint64_t{1} << 16, 1000};
    auto sealing = sealer(limits), opening = opener(limits);
    for (int i = 0; i < 100; ++i) ASSERT_EQ(opened(opening, sealed(sealing, pattern(300))), pattern(300));

    // After 300, 600, 900 and 1200 bytes: the fifth record is under the second key, with the first nonce again.
    auto fresh = sealer(limits);
    for (int i = 0; i < 4; ++i) sealed(fresh, pattern(300));
    const auto second_chain = hkdf_expand(chain, "wherry hybrid v1 next chain");
    const auto second_key = hkdf_expand(second_chain, "wherry hybrid v1 record key");
    EXPECT_EQ(sealed(fresh, pattern(300)), seal_once(algorithm(), second_key, pattern(300)));
}

TEST_P(records, are_refused_when_altered_after_a_change_of_keys) {
    const rekey_limits limits{4, std::uint64_t{1} << 34};
    auto sealing = sealer(limits), opening = opener(limits);
    for (int i = 0; i < 9; ++i) opened(opening, sealed(sealing, pattern(20)));
    auto damaged = sealed(sealing, pattern(20));
    damaged[3] ^= std::byte{1};
    EXPECT_EQ(error_of([&] { opening.open(damaged); }).code(), errc::integrity);
}

TEST_P(records, of_an_earlier_key_are_refused_under_the_next) {
    const rekey_limits limits{2, std::uint64_t{1} << 34};
    auto sealing = sealer(limits), opening = opener(limits);
    auto first = sealed(sealing, pattern(20));
    opened(opening, first);
    opened(opening, sealed(sealing, pattern(20)));
    EXPECT_EQ(error_of([&] { opening.open(first); }).code(), errc::integrity);  // the nonce would fit again
}

// ---- Providers ----

TEST(providers, are_chosen_by_name) {
    EXPECT_EQ(parse_provider("auto"), provider_choice::automatic);
    EXPECT_EQ(choose_provider(parse_provider("botan"), aead::aes_256_gcm), provider::botan);
    EXPECT_EQ(error_of([] { parse_provider("gnutls"); }).code(), errc::bad_input);
    const auto all = providers();
    const bool has_openssl = std::find(all.begin(), all.end(), provider::openssl) != all.end();
    if (has_openssl)
        EXPECT_EQ(choose_provider(parse_provider("openssl"), aead::chacha20_poly1305), provider::openssl);
    else
        EXPECT_EQ(error_of([] { parse_provider("openssl"); }).code(), errc::unsupported);
}

TEST(providers, are_chosen_once_where_nobody_says) {
    for (const auto algorithm : {aead::aes_256_gcm, aead::chacha20_poly1305}) {
        const auto chosen = choose_provider(provider_choice::automatic, algorithm);
        EXPECT_THAT(providers(), ::testing::Contains(chosen));
        for (int i = 0; i < 20; ++i) EXPECT_EQ(choose_provider(provider_choice::automatic, algorithm), chosen);
    }
}

// ---- In a session ----

class sessions : public ::testing::Test {
protected:
    test::pair_result pair_ = test::run_pair();
    cipher_session& a_ = *pair_.initiator.session;
    cipher_session& b_ = *pair_.responder.session;
};

TEST_F(sessions, open_no_more_after_a_bad_record_but_still_seal) {
    bytes bad(40), good(40);
    a_.seal(good, 24);
    EXPECT_EQ(error_of([&] { b_.open(bad); }).code(), errc::integrity);
    EXPECT_EQ(error_of([&] { b_.open(good); }).code(), errc::integrity);
    for (int i = 0; i < 3; ++i) {
        bytes answer(40);
        b_.seal(answer, 24);
        EXPECT_EQ(a_.open(answer).size(), 24u);
    }
}

TEST_F(sessions, seal_no_more_after_a_record_that_could_not_be_sealed_but_still_open) {
    bytes large(max_record_plain_bytes + 17);
    EXPECT_EQ(error_of([&] { a_.seal(large, large.size() - 16); }).code(), errc::bad_input);
    bytes record(16);
    EXPECT_EQ(error_of([&] { a_.seal(record, 0); }).code(), errc::integrity);
    bytes answer(40);
    b_.seal(answer, 24);
    EXPECT_EQ(a_.open(answer).size(), 24u);
}

TEST_F(sessions, seal_and_open_at_the_same_time) {
    constexpr int count = 2000;
    const auto text = pattern(700);
    std::vector<bytes> from_a, from_b;
    for (int i = 0; i < count; ++i) {
        bytes record(text);
        record.resize(text.size() + b_.overhead());
        b_.seal(record, text.size());
        from_b.push_back(std::move(record));
    }
    std::thread sealing([&] {
        for (int i = 0; i < count; ++i) {
            bytes record(text);
            record.resize(text.size() + a_.overhead());
            a_.seal(record, text.size());
            from_a.push_back(std::move(record));
        }
    });
    for (auto& record : from_b) {
        const auto plain = a_.open(record);
        EXPECT_TRUE(std::equal(plain.begin(), plain.end(), text.begin(), text.end()));
    }
    sealing.join();
    for (auto& record : from_a) EXPECT_EQ(b_.open(record).size(), text.size());
}

}  // namespace
}  // namespace wherry::hybrid

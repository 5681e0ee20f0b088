// SPDX-License-Identifier: BSD-2-Clause
#include <bluetooth/bluetooth.h>
#include <bluetooth/sdp.h>
#include <bluetooth/sdp_lib.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <vector>

#include "bluetooth_address.hpp"
#include "service_lookup.hpp"

namespace wherry::rfcomm {
namespace {

using bytes = std::vector<std::uint8_t>;
using ::testing::Optional;

bytes operator+(bytes one, const bytes& other) {
    one.insert(one.end(), other.begin(), other.end());
    return one;
}

// In the shortest form.
bytes sequence(const bytes& content) {
    const auto size = content.size();
    const auto low = static_cast<std::uint8_t>(size);
    if (size < 0x100) return bytes{0x35, low} + content;
    const auto high = static_cast<std::uint8_t>(size >> 8);
    if (size < 0x10000) return bytes{0x36, high, low} + content;
    return bytes{0x37, static_cast<std::uint8_t>(size >> 24), static_cast<std::uint8_t>(size >> 16), high, low} +
           content;
}

const bytes protocol_list = {0x09, 0x00, 0x04}, l2cap = sequence({0x19, 0x01, 0x00});

bytes rfcomm_at(std::uint8_t channel) { return sequence({0x19, 0x00, 0x03, 0x08, channel}); }

bytes record_with(const bytes& protocols) { return sequence(protocol_list + sequence(protocols)); }

// With something of each kind before the channel and a name behind it.
bytes whole_answer() {
    const bytes before = bytes{0x09, 0x00, 0x00, 0x0A, 0x00, 0x01, 0x00, 0x02} +   // handle: 32 bits
                         bytes{0x09, 0x00, 0x01} + sequence({0x19, 0x11, 0x01}) +  // classes
                         bytes{0x09, 0x00, 0x02, 0x00} +                           // nothing
                         bytes{0x09, 0x00, 0x03, 0x28, 0x01};                      // yes
    const bytes behind = {0x09, 0x01, 0x00, 0x25, 0x06, 'w', 'h', 'e', 'r', 'r', 'y'};
    return sequence(sequence(before + protocol_list + sequence(l2cap + rfcomm_at(7)) + behind));
}

std::optional<std::uint8_t> channel_in(const bytes& answer) {
    return rfcomm::channel_in(answer, *bluetooth_address::parse("AA:BB:CC:DD:EE:FF"));
}

// Of exactly that size, so that AddressSanitizer sees a read beyond it.
std::optional<std::uint8_t> channel_in_exactly(const bytes& answer) {
    const bytes exact(answer.begin(), answer.end());
    return channel_in(exact);
}

TEST(sdp_answer, has_the_channel_among_its_attributes) { EXPECT_THAT(channel_in(whole_answer()), Optional(7)); }

// What bluetoothd serves, too, comes from these functions.
TEST(sdp_answer, is_read_as_the_library_writes_it) {
    auto* const record = ::sdp_record_alloc();
    uuid_t l2cap_uuid, rfcomm_uuid, service;
    ::sdp_uuid16_create(&service, 0x1101);
    auto* const classes = ::sdp_list_append(nullptr, &service);
    ::sdp_set_service_classes(record, classes);
    auto* const low = ::sdp_list_append(nullptr, ::sdp_uuid16_create(&l2cap_uuid, L2CAP_UUID));
    std::uint8_t number = 22;
    auto* const port = ::sdp_data_alloc(SDP_UINT8, &number);
    auto* const high =
        ::sdp_list_append(::sdp_list_append(nullptr, ::sdp_uuid16_create(&rfcomm_uuid, RFCOMM_UUID)), port);
    auto* const protocols = ::sdp_list_append(::sdp_list_append(nullptr, low), high);
    auto* const access = ::sdp_list_append(nullptr, protocols);
    ::sdp_set_access_protos(record, access);
    ::sdp_set_info_attr(record, "wherry", "somebody", "receives");
    sdp_buf_t written{};
    ASSERT_EQ(::sdp_gen_record_pdu(record, &written), 0);
    const bytes content(written.data, written.data + written.data_size);
    std::free(written.data);
    ::sdp_data_free(port);
    for (auto* const list : {classes, low, high, protocols, access}) ::sdp_list_free(list, nullptr);
    ::sdp_record_free(record);

    EXPECT_THAT(channel_in(sequence(content)), Optional(22));
}

TEST(sdp_answer, takes_the_first_record_that_has_a_channel) {
    const auto named_only = sequence({0x09, 0x01, 0x00, 0x25, 0x01, 'x'});
    EXPECT_THAT(
        channel_in(sequence(named_only + record_with(l2cap) + record_with(rfcomm_at(3)) + record_with(rfcomm_at(4)))),
        Optional(3));
}

TEST(sdp_answer, may_write_the_protocol_in_each_form_of_a_uuid) {
    const bytes four = {0x1A, 0, 0, 0, 3, 0x08, 9};
    const bytes sixteen = {0x1C, 0, 0, 0, 3, 0, 0, 0x10, 0, 0x80, 0, 0, 0x80, 0x5F, 0x9B, 0x34, 0xFB, 0x08, 9};
    EXPECT_THAT(channel_in(sequence(record_with(sequence(four)))), Optional(9));
    EXPECT_THAT(channel_in(sequence(record_with(sequence(sixteen)))), Optional(9));
    auto another = sixteen;
    another[16] ^= 1;
    EXPECT_EQ(channel_in(sequence(record_with(sequence(another)))), std::nullopt);
}

TEST(sdp_answer, may_write_lengths_in_each_form) {
    const auto record = record_with(rfcomm_at(5));
    const auto size = static_cast<std::uint8_t>(record.size());
    EXPECT_THAT(channel_in(bytes{0x35, size} + record), Optional(5));
    EXPECT_THAT(channel_in(bytes{0x36, 0, size} + record), Optional(5));
    EXPECT_THAT(channel_in(bytes{0x37, 0, 0, 0, size} + record), Optional(5));
}

TEST(sdp_answer, has_channels_from_1_to_30) {
    for (int channel = 0; channel < 256; ++channel) {
        const auto number = static_cast<std::uint8_t>(channel);
        const auto found = channel_in(sequence(record_with(rfcomm_at(number))));
        if (channel >= first_channel && channel <= last_channel)
            EXPECT_EQ(found, number);
        else
            EXPECT_EQ(found, std::nullopt) << channel;
    }
}

class answers_without_a_channel : public ::testing::TestWithParam<bytes> {};

TEST_P(answers_without_a_channel, have_none) { EXPECT_EQ(channel_in_exactly(GetParam()), std::nullopt); }

INSTANTIATE_TEST_SUITE_P(
    sdp_answer, answers_without_a_channel,
    ::testing::Values(bytes{}, sequence({}), sequence(sequence({})), sequence(record_with({})),
                      sequence(record_with(sequence({}))), sequence(record_with(l2cap)),
                      sequence(record_with(sequence({0x19, 0x00, 0x03}))),                    // no channel
                      sequence(record_with(sequence({0x19, 0x00, 0x03, 0x25, 0x01, 0x07}))),  // of text
                      sequence(record_with(sequence({0x09, 0x00, 0x03, 0x08, 0x07}))),        // number for a UUID
                      sequence(record_with({0x19, 0x00, 0x03, 0x08, 0x07})),                  // no inner sequence
                      sequence(sequence(protocol_list + bytes{0x08, 0x07})),                  // a number for a list
                      sequence(sequence(protocol_list)),                                      // no value
                      sequence(sequence(bytes{0x08, 0x04} + sequence(rfcomm_at(7)))),         // an id of 8 bits
                      sequence(sequence(bytes{0x09, 0x00, 0x0D} + sequence(rfcomm_at(7)))),   // another attribute
                      record_with(rfcomm_at(7)),                                              // no outer sequence
                      bytes{0x30, 0x07}, bytes{0x0D, 0x00}, bytes{0x48}, bytes{0xFF, 0xFF, 0xFF}));

TEST(sdp_answer, cut_short_at_any_byte_has_none) {
    const auto whole = whole_answer();
    for (std::size_t size = 0; size < whole.size(); ++size)
        EXPECT_EQ(channel_in_exactly({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}), std::nullopt)
            << size;
}

TEST(sdp_answer, with_any_byte_changed_has_a_channel_or_none) {
    const auto whole = whole_answer();
    for (std::size_t at = 0; at < whole.size(); ++at)
        for (int value = 0; value < 256; ++value) {
            auto other = whole;
            other[at] = static_cast<std::uint8_t>(value);
            const auto channel = channel_in_exactly(other);
            EXPECT_TRUE(!channel || (*channel >= first_channel && *channel <= last_channel)) << at << ' ' << value;
        }
}

TEST(sdp_answer, with_lengths_beyond_its_end_has_none) {
    const auto record = record_with(rfcomm_at(7));
    for (const bytes& head : {bytes{0x35, 0xFF}, bytes{0x36, 0xFF, 0xFF}, bytes{0x37, 0x7F, 0xFF, 0xFF, 0xFF},
                              bytes{0x37, 0xFF, 0xFF, 0xFF, 0xFF}}) {
        EXPECT_EQ(channel_in_exactly(head + record), std::nullopt);
        EXPECT_EQ(channel_in_exactly(sequence(head + record)), std::nullopt);
    }
}

// An inner length that runs past the sequence around it does not borrow from what follows that.
TEST(sdp_answer, with_an_element_longer_than_what_it_is_in_has_none) {
    const auto inner = bytes{0x35, 0x06, 0x19, 0x00, 0x03, 0x08};  // wants two more
    EXPECT_EQ(channel_in_exactly(sequence(record_with(inner) + bytes{0x07, 0x00})), std::nullopt);
}

// An alternative, whose content the library does not free.
TEST(sdp_answer, with_an_alternative_has_none) {
    const bytes alternative = {0x3D, 0x02, 0x08, 0x01};
    EXPECT_EQ(channel_in(sequence(
                  sequence(bytes{0x09, 0x00, 0x03} + alternative + protocol_list + sequence(l2cap + rfcomm_at(7))))),
              std::nullopt);
}

// The library's reader calls itself for each level, until it has used up the stack.
TEST(sdp_answer, nested_deeply_has_none) {
    bytes lies;
    for (int level = 0; level < 2'000'000; ++level) lies.insert(lies.end(), {0x35, 0xFF});
    EXPECT_EQ(channel_in(lies), std::nullopt);
    EXPECT_EQ(channel_in(sequence(sequence(protocol_list + lies))), std::nullopt);

    // Each of them fits into the one around it.
    constexpr std::size_t head = 5, levels = 400'000;
    bytes truths;
    for (std::size_t left = levels; left-- > 0;) {
        truths.push_back(0x37);
        for (int shift = 24; shift >= 0; shift -= 8) truths.push_back(static_cast<std::uint8_t>(left * head >> shift));
    }
    EXPECT_EQ(channel_in(truths), std::nullopt);
    EXPECT_EQ(channel_in(sequence(
                  sequence(bytes{0x09, 0x00, 0x01} + truths + protocol_list + sequence(l2cap + rfcomm_at(7))))),
              std::nullopt);
}

}  // namespace
}  // namespace wherry::rfcomm

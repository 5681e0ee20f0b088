// SPDX-License-Identifier: BSD-2-Clause
#include "bluetooth_address.hpp"

#include <gmock/gmock.h>

#include <string>

#include "error_of.hpp"
#include "wherry/error.hpp"

namespace wherry::rfcomm {
namespace {

using namespace std::string_view_literals;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::wherry::test::error_of;

// ---- An address ----

TEST(bluetooth_address_text, has_the_byte_that_the_air_has_last_first) {
    const auto address = bluetooth_address::parse("01:23:45:67:89:AB");
    ASSERT_TRUE(address);
    EXPECT_EQ(address->raw().b[5], 0x01);
    EXPECT_EQ(address->raw().b[0], 0xAB);
    EXPECT_EQ(to_string(*address), "01:23:45:67:89:AB");
}

TEST(bluetooth_address_text, may_be_in_either_case_and_is_shown_in_one) {
    EXPECT_EQ(bluetooth_address::parse("aa:bb:cc:dd:ee:ff"), bluetooth_address::parse("AA:BB:CC:DD:EE:FF"));
    EXPECT_EQ(to_string(*bluetooth_address::parse("aA:bB:cC:dD:eE:fF")), "AA:BB:CC:DD:EE:FF");
}

TEST(bluetooth_address_text, has_the_channel_behind_it) {
    EXPECT_EQ(to_string(*bluetooth_address::parse("00:00:00:00:00:0A"), 30), "00:00:00:00:00:0A/30");
}

TEST(bluetooth_address_text, of_zeros_is_any) {
    EXPECT_TRUE(bluetooth_address::parse("00:00:00:00:00:00")->is_any());
    EXPECT_TRUE(bluetooth_address().is_any());
    for (const auto* one : {"01:00:00:00:00:00", "00:00:00:00:00:01"})
        EXPECT_FALSE(bluetooth_address::parse(one)->is_any()) << one;
}

TEST(bluetooth_addresses, differ_if_any_byte_does) {
    const auto one = *bluetooth_address::parse("01:23:45:67:89:AB");
    for (int i = 0; i < 6; ++i) {
        auto raw = one.raw();
        raw.b[i] ^= 0x80;
        EXPECT_FALSE(bluetooth_address(raw) == one) << i;
    }
}

class no_addresses : public ::testing::TestWithParam<std::string_view> {};

TEST_P(no_addresses, are_not_parsed) { EXPECT_FALSE(bluetooth_address::parse(GetParam())); }

INSTANTIATE_TEST_SUITE_P(bluetooth_address, no_addresses,
                         ::testing::Values("", "AA:BB:CC:DD:EE", "AA:BB:CC:DD:EE:F", "AA:BB:CC:DD:EE:FF:",
                                           "AA:BB:CC:DD:EE:FF:00", "AA:BB:CC:DD:EE:FFF", "AA-BB-CC-DD-EE-FF",
                                           "AA:BB:CC:DD:EE-FF", "AABBCCDDEEFF", "GA:BB:CC:DD:EE:FF",
                                           "AA:BB:CC:DD:EE:FG", "AA:BB:CC:DD:EE: F", "AA:BB:CC:DD:EE:F ",
                                           "+A:BB:CC:DD:EE:FF", "-A:BB:CC:DD:EE:FF", "0x:BB:CC:DD:EE:FF",
                                           " A:BB:CC:DD:EE:FF", "AA:BB:CC:DD:EE:F\0"sv, "AA:BB:CC:DD:EE:FF/1"));

// ---- Where a receiver is ----

TEST(remote_endpoint, is_an_address) {
    const auto where = parse_remote("AA:BB:CC:DD:EE:FF");
    EXPECT_EQ(where.device, bluetooth_address::parse("AA:BB:CC:DD:EE:FF"));
    EXPECT_EQ(where.name, "");
    EXPECT_EQ(where.channel, 0);
}

TEST(remote_endpoint, has_channels_from_1_to_30) {
    EXPECT_EQ(parse_remote("AA:BB:CC:DD:EE:FF/1").channel, 1);
    EXPECT_EQ(parse_remote("AA:BB:CC:DD:EE:FF/30").channel, 30);
    EXPECT_EQ(parse_remote("laptop/7").channel, 7);
}

struct named {
    const char* text;
    const char* name;
    int channel;
};

class names : public ::testing::TestWithParam<named> {};

TEST_P(names, are_what_is_before_the_last_slash) {
    const auto where = parse_remote(GetParam().text);
    EXPECT_EQ(where.device, std::nullopt);
    EXPECT_EQ(where.name, GetParam().name);
    EXPECT_EQ(where.channel, GetParam().channel);
}

INSTANTIATE_TEST_SUITE_P(remote_endpoint, names,
                         ::testing::Values(named{"laptop", "laptop", 0}, named{"Anna's laptop/3", "Anna's laptop", 3},
                                           named{"lab/2/3", "lab/2", 3}, named{"caf\xC3\xA9", "caf\xC3\xA9", 0},
                                           named{"hci0", "hci0", 0}, named{"AABBCCDDEEFF", "AABBCCDDEEFF", 0},
                                           // As many colons as a time has, or hexadecimal digits only by chance.
                                           named{"10:30", "10:30", 0}, named{"cafe", "cafe", 0},
                                           named{"to: do: it", "to: do: it", 0}));

struct refused {
    std::string_view text;
    const char* why;
};

void PrintTo(const refused& one, std::ostream* out) { *out << one.why; }

class bad_remotes : public ::testing::TestWithParam<refused> {};

TEST_P(bad_remotes, are_refused_with_the_reason_and_the_right_form) {
    const auto failure = error_of([] { parse_remote(GetParam().text); });
    EXPECT_EQ(failure.code(), errc::bad_input);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr(GetParam().why), HasSubstr("AA:BB:CC:DD:EE:FF"), Not(EndsWith("."))));
}

constexpr auto no_pairs = "six pairs of hexadecimal digits";
constexpr auto no_channel = "is not a number from 1 to 30";
constexpr auto no_text = "a character that no address has";

INSTANTIATE_TEST_SUITE_P(
    remote_endpoint, bad_remotes,
    ::testing::Values(refused{"", "names no device"}, refused{"/3", "names no device"},
                      refused{"00:00:00:00:00:00", "no device has this address"},
                      // Mistyped addresses, which must not be looked for as a name.
                      refused{"AA:BB:CC:DD:EE", no_pairs}, refused{"AA:BB:CC:DD:EE:F", no_pairs},
                      refused{"AA:BB:CC:DD:EE:FF:", no_pairs}, refused{"AA:BB:CC:DD:EE:FF:00/1", no_pairs},
                      refused{"AA:BB:CC", no_pairs}, refused{"AA:BB:CC:DD:EE:FG", no_pairs},
                      refused{"0A:BB:CC:DD:EE:O1/3", no_pairs}, refused{"::", no_pairs},
                      refused{"AA:BB:CC:DD:EE:FF ", no_pairs},
                      // Channels.
                      refused{"AA:BB:CC:DD:EE:FF/", no_channel}, refused{"AA:BB:CC:DD:EE:FF/0", no_channel},
                      refused{"AA:BB:CC:DD:EE:FF/31", no_channel}, refused{"AA:BB:CC:DD:EE:FF/256", no_channel},
                      refused{"AA:BB:CC:DD:EE:FF/257", no_channel}, refused{"AA:BB:CC:DD:EE:FF/-1", no_channel},
                      refused{"AA:BB:CC:DD:EE:FF/+1", no_channel}, refused{"AA:BB:CC:DD:EE:FF/ 1", no_channel},
                      refused{"AA:BB:CC:DD:EE:FF/1 ", no_channel}, refused{"AA:BB:CC:DD:EE:FF/0x1", no_channel},
                      refused{"AA:BB:CC:DD:EE:FF/1/", no_channel}, refused{"lab/two", no_channel},
                      refused{"lab/", no_channel}, refused{"/", no_channel},
                      // Control characters.
                      refused{"lap\ntop", no_text}, refused{"\x1B[31mred", no_text}, refused{"laptop\x7F", no_text},
                      refused{"laptop\0"sv, no_text}, refused{"AA:BB:CC:DD:EE:FF/1\n", no_text}));

TEST(remote_endpoint, is_shown_without_its_control_characters) {
    const std::string told = error_of([] { parse_remote("\x1B[31mred"); }).what();
    EXPECT_EQ(told.find('\x1B'), told.npos) << told;
}

// ---- Where to listen ----

TEST(local_endpoint, may_be_nothing) {
    const auto anywhere = parse_local("");
    EXPECT_EQ(anywhere.adapter, "");
    EXPECT_EQ(anywhere.channel, 0);
}

TEST(local_endpoint, is_an_adapter_or_a_channel_or_both) {
    EXPECT_EQ(parse_local("hci0").adapter, "hci0");
    EXPECT_EQ(parse_local("hci12/30").adapter, "hci12");
    EXPECT_EQ(parse_local("hci12/30").channel, 30);
    EXPECT_EQ(parse_local("/1").adapter, "");
    EXPECT_EQ(parse_local("/1").channel, 1);
    EXPECT_EQ(parse_local("AA:BB:CC:DD:EE:FF/4").adapter, "AA:BB:CC:DD:EE:FF");
    EXPECT_EQ(parse_local("AA:BB:CC:DD:EE:FF/4").channel, 4);
}

class bad_places : public ::testing::TestWithParam<std::string_view> {};

TEST_P(bad_places, are_refused_with_the_right_form) {
    const auto failure = error_of([] { parse_local(GetParam()); });
    EXPECT_EQ(failure.code(), errc::bad_input);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr("/CHANNEL behind it if need be"), Not(EndsWith("."))));
}

INSTANTIATE_TEST_SUITE_P(local_endpoint, bad_places,
                         ::testing::Values("hci", "hci/1", "HCI0", "hci0x", "hci-1", "hci 0", "eth0", "laptop", "0",
                                           "AA:BB:CC:DD:EE", "AA:BB:CC:DD:EE:FF:", "hci0/", "hci0/0", "hci0/31", "/",
                                           "/0", "/31", "hci0/1/2", "hci0\n", "hci0/1\n", "\0"sv));

}  // namespace
}  // namespace wherry::rfcomm

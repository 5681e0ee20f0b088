// SPDX-License-Identifier: BSD-2-Clause
// What becomes of each errno: the code by which a caller decides, and a sentence for a person.
#include <gmock/gmock.h>

#include <cerrno>
#include <string>

#include "error_of.hpp"
#include "failures.hpp"
#include "socket_connection.hpp"
#include "wherry/text.hpp"

namespace wherry::rfcomm {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Values;
using ::wherry::test::error_of;

constexpr const char* who = "AA:BB:CC:DD:EE:FF";

bluetooth_address device() { return *bluetooth_address::parse(who); }

void expect_sentence(const error& failure, int code) {
    const std::string told = failure.what();
    EXPECT_EQ(failure.system_error(), code);
    EXPECT_EQ(told, printable(told));
    EXPECT_THAT(told, Not(EndsWith(".")));
    if (code != 0) {
        EXPECT_THAT(told, HasSubstr("(" + system_text(code) + ")"));
    }
}

struct expected {
    int code;
    errc kind;
    const char* hint;  // the next step, or what the sentence turns on
};

void PrintTo(const expected& one, std::ostream* out) { *out << system_text(one.code); }

// ---- Sockets ----

class socket_failures : public ::testing::TestWithParam<expected> {};

TEST_P(socket_failures, are_told) {
    const auto [code, kind, hint] = GetParam();
    const auto failure = error_of([code = code] { fail_socket(code); });
    EXPECT_EQ(failure.code(), kind);
    EXPECT_THAT(failure.what(), HasSubstr(hint));
    expect_sentence(failure, code);
}

INSTANTIATE_TEST_SUITE_P(
    rfcomm, socket_failures,
    Values(expected{EAFNOSUPPORT, errc::io, "modprobe bluetooth"},
           expected{EPROTONOSUPPORT, errc::io, "modprobe rfcomm"},
           expected{ESOCKTNOSUPPORT, errc::io, "modprobe rfcomm"},
           expected{EPERM, errc::io, "outside of the container"},
           expected{EACCES, errc::io, "outside of the container"}, expected{EMFILE, errc::exhausted, "no descriptor"},
           expected{ENFILE, errc::exhausted, "no descriptor"}, expected{ENOMEM, errc::exhausted, "memory"},
           expected{ENOBUFS, errc::exhausted, "memory"}, expected{EIO, errc::io, "no Bluetooth socket"},
           expected{0x7FFF, errc::io, "no Bluetooth socket"}));

// ---- Devices ----

const auto reaching = Values(
    expected{EHOSTDOWN, errc::timed_out, "; bring it nearer"}, expected{ETIMEDOUT, errc::timed_out, "wherry devices"},
    expected{EHOSTUNREACH, errc::disconnected, "bluetoothctl power on"},
    expected{ENETDOWN, errc::disconnected, "bluetoothctl power on"},
    expected{ENODEV, errc::disconnected, "bluetoothctl power on"},
    expected{EMLINK, errc::disconnected, "; try again when that has ended"},
    expected{EPIPE, errc::disconnected, "; see that it stays near"}, expected{EMFILE, errc::exhausted, "no descriptor"},
    expected{ENFILE, errc::exhausted, "no descriptor"}, expected{ENOMEM, errc::exhausted, "memory"},
    expected{ENOBUFS, errc::exhausted, "memory"}, expected{EIO, errc::disconnected, "; try again"},
    expected{0x7FFF, errc::disconnected, "; try again"});

template <class Call>
void expect_told_of_device(const expected& wanted, Call&& call) {
    const auto failure = error_of([&] { call(wanted.code); });
    EXPECT_EQ(failure.code(), wanted.kind);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr(who), HasSubstr(wanted.hint)));
    expect_sentence(failure, wanted.code);
}

void reach(int code) { fail_reach(device(), code); }
void connect(int code) { fail_connect(device(), 7, "medium", code); }
void lookup(int code) { fail_lookup(device(), code); }

class reach_failures : public ::testing::TestWithParam<expected> {};
class connect_failures : public ::testing::TestWithParam<expected> {};
class lookup_failures : public ::testing::TestWithParam<expected> {};

TEST_P(reach_failures, name_the_device_and_the_next_step) { expect_told_of_device(GetParam(), reach); }
TEST_P(connect_failures, name_the_device_and_the_next_step) { expect_told_of_device(GetParam(), connect); }
TEST_P(lookup_failures, name_the_device_and_the_next_step) { expect_told_of_device(GetParam(), lookup); }

INSTANTIATE_TEST_SUITE_P(common, reach_failures, reaching);
INSTANTIATE_TEST_SUITE_P(common, connect_failures, reaching);
INSTANTIATE_TEST_SUITE_P(common, lookup_failures, reaching);

const auto not_let_in = Values(expected{EACCES, errc::disconnected, "wherry pair AA:BB:CC:DD:EE:FF"},
                               expected{EPERM, errc::disconnected, "wherry pair AA:BB:CC:DD:EE:FF"},
                               expected{EKEYREJECTED, errc::disconnected, "wherry pair AA:BB:CC:DD:EE:FF"});

INSTANTIATE_TEST_SUITE_P(not_let_in, reach_failures, not_let_in);
INSTANTIATE_TEST_SUITE_P(not_let_in, connect_failures, not_let_in);
INSTANTIATE_TEST_SUITE_P(not_let_in, lookup_failures, not_let_in);

INSTANTIATE_TEST_SUITE_P(own, reach_failures,
                         Values(expected{EBUSY, errc::disconnected, "; try again when that has ended"},
                                expected{ECONNREFUSED, errc::disconnected, "; see that it stays near"},
                                expected{ECONNRESET, errc::disconnected, "; see that it stays near"},
                                expected{ECONNABORTED, errc::disconnected, "; see that it stays near"}));
INSTANTIATE_TEST_SUITE_P(own, connect_failures,
                         Values(expected{ECONNREFUSED, errc::disconnected, "nothing listens on its channel 7"},
                                expected{ECONNREFUSED, errc::disconnected, "wherry receive --transport rfcomm"},
                                expected{EACCES, errc::disconnected, "link security 'medium'"},
                                expected{EPERM, errc::disconnected, "--rfcomm.security"},
                                expected{EKEYREJECTED, errc::disconnected, "--rfcomm.security"},
                                expected{ECONNRESET, errc::disconnected, "do: wherry pair AA:BB:CC:DD:EE:FF"},
                                expected{ECONNABORTED, errc::disconnected, "at security 'medium' they have to be"},
                                expected{EBUSY, errc::disconnected, "channel 7 of AA:BB:CC:DD:EE:FF already"}));
INSTANTIATE_TEST_SUITE_P(own, lookup_failures,
                         Values(expected{ECONNREFUSED, errc::disconnected, "rfcomm://AA:BB:CC:DD:EE:FF/CHANNEL"},
                                expected{ECONNRESET, errc::disconnected, "bluetoothd runs there"},
                                expected{ECONNABORTED, errc::disconnected, "; see that it stays near"}));

TEST(device_failure, that_is_the_kernels_lack_of_bluetooth_is_told_as_that) {
    for (const auto& call : {reach, connect, lookup}) {
        for (const int code : {EAFNOSUPPORT, EPROTONOSUPPORT}) {
            const auto failure = error_of([&] { call(code); });
            EXPECT_EQ(failure.code(), errc::io);
            EXPECT_THAT(failure.what(), HasSubstr("modprobe"));
            expect_sentence(failure, code);
        }
    }
}

TEST(device_without_a_receiver, is_told_with_both_ways_on) {
    const auto failure = error_of([] { fail_no_service(device()); });
    EXPECT_EQ(failure.code(), errc::disconnected);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr(who), HasSubstr("wherry receive --transport rfcomm"),
                                      HasSubstr("rfcomm://AA:BB:CC:DD:EE:FF/CHANNEL")));
    expect_sentence(failure, 0);
}

// ---- Listening ----

class listen_failures : public ::testing::TestWithParam<expected> {};

TEST_P(listen_failures, name_the_place) {
    const auto [code, kind, hint] = GetParam();
    const auto failure = error_of([code = code] { fail_listen("hci0/7", code); });
    EXPECT_EQ(failure.code(), kind);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr("hci0/7"), HasSubstr(hint)));
    expect_sentence(failure, code);
}

INSTANTIATE_TEST_SUITE_P(rfcomm, listen_failures,
                         Values(expected{EADDRINUSE, errc::bad_input, "; choose another channel"},
                                expected{EINVAL, errc::io, "; stop a program that has one"},
                                expected{EADDRNOTAVAIL, errc::io, "bluetoothctl show"},
                                expected{ENODEV, errc::io, "bluetoothctl show"},
                                expected{EACCES, errc::io, "does not permit"},
                                expected{EPERM, errc::io, "does not permit"}, expected{EIO, errc::io, "cannot listen"},
                                expected{0x7FFF, errc::io, "cannot listen"}));

}  // namespace
}  // namespace wherry::rfcomm

// SPDX-License-Identifier: BSD-2-Clause
// bluetoothd's part, against one that does what a test says, on a D-Bus of the test's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bluez_bus.hpp"
#include "bluez_discovery.hpp"
#include "bluez_pairing.hpp"
#include "error_of.hpp"
#include "fake_bluetoothd.hpp"
#include "find_by_name.hpp"
#include "service_lookup.hpp"
#include "service_record.hpp"

namespace wherry::rfcomm {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::wherry::test::error_of;

const std::string desk = "00:00:00:00:00:0A";
const auto desk_address = *bluetooth_address::parse(desk);
const std::string desk_path = "/org/bluez/hci0/dev_00_00_00_00_00_0A";

adapter hci0() { return {0, "hci0", *bluetooth_address::parse("00:11:22:33:44:55"), true}; }

// What was asked of the person, and what the person says.
class scripted_person final : public pairing_agent {
public:
    bool confirm(std::string_view code) override {
        asked.push_back("confirm " + std::string(code));
        if (on_question) on_question();
        return agrees;
    }
    std::optional<std::string> enter() override {
        asked.push_back("enter");
        return typed;
    }
    void show(std::string_view code) override { asked.push_back("show " + std::string(code)); }

    std::vector<std::string> asked;
    bool agrees = true;
    std::optional<std::string> typed;
    std::function<void()> on_question;
};

class on_a_bus : public ::testing::Test {
protected:
    void SetUp() override {
        if (!bus.is_there()) GTEST_SKIP() << "there is no dbus-daemon here";
    }
    test::private_bus bus;
};

TEST_F(on_a_bus, that_has_no_bluetoothd) {
    std::string why;
    EXPECT_EQ(bluez_bus::try_open(why), nullptr);
    EXPECT_THAT(why, HasSubstr("bluetoothd is not running"));
    scripted_person person;
    const auto failure = error_of([&] { pair(hci0(), desk_address, 1s, person); });
    EXPECT_EQ(failure.code(), errc::io);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr("pairing needs bluetoothd"), HasSubstr("systemctl start bluetooth")));
}

TEST(without_a_bus, it_says_so) {
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/socket", 1);
    std::string why;
    EXPECT_EQ(bluez_bus::try_open(why), nullptr);
    EXPECT_THAT(why, HasSubstr("no D-Bus that answers"));
    ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

class with_bluetoothd : public on_a_bus {
protected:
    void SetUp() override {
        on_a_bus::SetUp();
        if (!IsSkipped()) bluetoothd = std::make_unique<test::fake_bluetoothd>();
    }

    // With a device that is known, and of which Pair does this.
    void prepare(std::function<void(const sdbus::ObjectPath&)> pairing) {
        bluetoothd->pairing = std::move(pairing);
        bluetoothd->add({desk, "Desk"});
    }
    void run(std::chrono::milliseconds limit = 1min) { pair(hci0(), desk_address, limit, person); }

    std::unique_ptr<test::fake_bluetoothd> bluetoothd;
    scripted_person person;
};

// ---- Pairing ----

TEST_F(with_bluetoothd, a_code_is_compared_with_all_its_digits) {
    prepare([&](const auto& path) { bluetoothd->ask("RequestConfirmation", path, std::uint32_t{42}); });
    run();
    EXPECT_THAT(person.asked, ElementsAre("confirm 000042"));
    EXPECT_THAT(bluetoothd->calls(), ElementsAre("RegisterAgent KeyboardDisplay", "Pair", "UnregisterAgent"));
}

TEST_F(with_bluetoothd, a_no_here_is_a_refusal) {
    std::string told;
    prepare([&](const auto& path) {
        try {
            bluetoothd->ask("RequestConfirmation", path, std::uint32_t{42});
        } catch (const sdbus::Error& e) {
            told = e.getName();
            throw bus_error("org.bluez.Error.AuthenticationFailed", "Authentication Failed");
        }
    });
    person.agrees = false;
    const auto failure = error_of([&] { run(); });
    EXPECT_EQ(failure.code(), errc::refused);
    EXPECT_THAT(failure.what(), HasSubstr("declined here"));
    EXPECT_EQ(told, "org.bluez.Error.Rejected");
}

TEST_F(with_bluetoothd, a_no_there_is_a_refusal) {
    prepare([](const auto&) { throw bus_error("org.bluez.Error.AuthenticationRejected", ""); });
    EXPECT_EQ(error_of([&] { run(); }).code(), errc::refused);
}

TEST_F(with_bluetoothd, a_device_without_a_code_is_asked_about_without_one) {
    prepare([&](const auto& path) { bluetoothd->ask("RequestAuthorization", path); });
    run();
    EXPECT_THAT(person.asked, ElementsAre("confirm "));
}

TEST_F(with_bluetoothd, a_passkey_is_a_number_and_a_pin_is_text) {
    std::uint32_t passkey = 0;
    std::string pin;
    prepare([&](const auto& path) {
        bluetoothd->ask("RequestPasskey", path) >> passkey;
        bluetoothd->ask("RequestPinCode", path) >> pin;
    });
    person.typed = "012345";
    run();
    EXPECT_EQ(passkey, 12345u);
    EXPECT_EQ(pin, "012345");
}

TEST_F(with_bluetoothd, a_passkey_that_is_none_is_bad_input) {
    prepare([&](const auto& path) { bluetoothd->ask("RequestPasskey", path); });
    for (const auto* wrong : {"", "1234567", "12a", "-1"}) {
        person.typed = wrong;
        EXPECT_EQ(error_of([&] { run(); }).code(), errc::bad_input) << wrong;
    }
}

TEST_F(with_bluetoothd, no_code_given_is_a_refusal) {
    prepare([&](const auto& path) { bluetoothd->ask("RequestPinCode", path); });
    EXPECT_EQ(error_of([&] { run(); }).code(), errc::refused);
}

TEST_F(with_bluetoothd, a_code_is_shown_once_however_often_keys_are_pressed) {
    prepare([&](const auto& path) {
        for (std::uint16_t entered = 0; entered < 3; ++entered)
            bluetoothd->ask("DisplayPasskey", path, std::uint32_t{7}, entered);
    });
    run();
    EXPECT_THAT(person.asked, ElementsAre("show 000007"));
}

TEST_F(with_bluetoothd, questions_about_another_device_or_its_services_are_refused_unasked) {
    std::vector<std::string> told;
    const auto note = [&](auto ask) {
        try {
            ask();
        } catch (const sdbus::Error& e) {
            told.push_back(e.getName());
        }
    };
    prepare([&](const auto& path) {
        note([&] {
            bluetoothd->ask("RequestConfirmation", sdbus::ObjectPath("/org/bluez/hci0/dev_00_00_00_00_00_0B"),
                            std::uint32_t{1});
        });
        note([&] { bluetoothd->ask("AuthorizeService", path, std::string(service_uuid)); });
    });
    run();
    EXPECT_THAT(told, ElementsAre("org.bluez.Error.Rejected", "org.bluez.Error.Rejected"));
    EXPECT_THAT(person.asked, ElementsAre());
}

TEST_F(with_bluetoothd, one_that_is_paired_stays_so) {
    prepare([](const auto&) { throw bus_error("org.bluez.Error.AlreadyExists", "Already Exists"); });
    run();
}

TEST_F(with_bluetoothd, codes_that_differ_are_told) {
    prepare([](const auto&) { throw bus_error("org.bluez.Error.AuthenticationFailed", ""); });
    EXPECT_EQ(error_of([&] { run(); }).code(), errc::auth_failed);
}

TEST_F(with_bluetoothd, a_pairing_that_does_not_end_is_cancelled) {
    bluetoothd->add({desk, "Desk"});
    EXPECT_EQ(error_of([&] { run(50ms); }).code(), errc::timed_out);
    EXPECT_THAT(bluetoothd->calls(), Contains("CancelPairing"));
}

TEST_F(with_bluetoothd, the_time_that_the_person_takes_does_not_count) {
    prepare([&](const auto& path) { bluetoothd->ask("RequestConfirmation", path, std::uint32_t{42}); });
    person.on_question = [] { std::this_thread::sleep_for(1500ms); };
    run(1s);
    EXPECT_THAT(bluetoothd->calls(), Not(Contains("CancelPairing")));
}

TEST_F(with_bluetoothd, what_the_agent_throws_comes_out_as_it_was) {
    prepare([&](const auto& path) { bluetoothd->ask("RequestConfirmation", path, std::uint32_t{42}); });
    person.on_question = [] { throw std::out_of_range("mine"); };
    EXPECT_THROW(run(), std::out_of_range);
}

TEST_F(with_bluetoothd, a_device_that_it_has_not_heard_of_is_looked_for) {
    bluetoothd->pairing = [](const auto&) {};
    bluetoothd->on_start = [&] { bluetoothd->add({desk, "Desk", false, std::int16_t{-50}}); };
    run();
    EXPECT_THAT(bluetoothd->calls(), ElementsAre("SetDiscoveryFilter bredr", "StartDiscovery", "StopDiscovery",
                                                 "RegisterAgent KeyboardDisplay", "Pair", "UnregisterAgent"));
}

TEST_F(with_bluetoothd, a_device_that_is_not_found_is_not_paired) {
    const auto failure = error_of([&] { run(50ms); });
    EXPECT_EQ(failure.code(), errc::timed_out);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr(desk), HasSubstr("discoverable")));
    EXPECT_THAT(bluetoothd->calls(), AllOf(Contains("StopDiscovery"), Not(Contains("Pair"))));
}

// ---- Looking around ----

TEST_F(with_bluetoothd, devices_and_changes_are_told_as_they_come) {
    bluetoothd->add({"00:00:00:00:00:0B", "Old", false});
    bluetoothd->add({"00:00:00:00:00:0C", "Phone", true});
    bluetoothd->on_start = [&] {
        bluetoothd->add({desk, "00-00-00-00-00-0A", false, std::int16_t{-50}});
        bluetoothd->change(desk_path, {{"Alias", sdbus::Variant(std::string("Desk"))}});
        bluetoothd->change(desk_path, {{"UUIDs", sdbus::Variant(std::vector<std::string>{service_uuid})}});
    };
    std::vector<std::string> told;
    bool is_over = false;
    device_table table([&](const discovered_peer& peer) {
        if (peer.address.empty()) return true;
        is_over = peer.has_receiver.value_or(false);
        told.push_back(std::string(peer.name) + (peer.signal_dbm ? " near" : "") +
                       (peer.is_paired.value_or(false) ? " paired" : "") + (is_over ? " receiver" : ""));
        return true;
    });
    std::string why;
    const auto connection = bluez_bus::try_open(why);
    ASSERT_TRUE(connection) << why;
    discover_with_bluez(*connection, hci0(), table, [&] { return is_over; });
    EXPECT_THAT(told, ElementsAre("Phone paired", " near", "Desk near", "Desk near receiver"));
    EXPECT_EQ(bluetoothd->calls().back(), "StopDiscovery");
}

TEST_F(with_bluetoothd, a_search_ends_when_what_was_found_is_enough) {
    bluetoothd->on_start = [&] { bluetoothd->add({desk, "Desk", false, std::int16_t{-50}}); };
    device_table table([](const discovered_peer& peer) { return peer.address.empty(); });
    std::string why;
    const auto connection = bluez_bus::try_open(why);
    discover_with_bluez(*connection, hci0(), table, [] { return false; });
    EXPECT_EQ(bluetoothd->calls().back(), "StopDiscovery");
}

TEST_F(with_bluetoothd, an_adapter_that_is_off_is_told) {
    bluetoothd->on_start = [] { throw bus_error("org.bluez.Error.NotReady", "Resource Not Ready"); };
    device_table table([](const discovered_peer&) { return true; });
    std::string why;
    const auto connection = bluez_bus::try_open(why);
    const auto failure = error_of([&] { discover_with_bluez(*connection, hci0(), table, [] { return false; }); });
    EXPECT_EQ(failure.code(), errc::io);
    EXPECT_THAT(failure.what(), HasSubstr("bluetoothctl power on"));
}

TEST_F(with_bluetoothd, that_ends_in_a_search_is_told) {
    device_table table([&](const discovered_peer&) {
        bluetoothd.reset();
        return true;
    });
    std::string why;
    const auto connection = bluez_bus::try_open(why);
    EXPECT_EQ(error_of([&] { discover_with_bluez(*connection, hci0(), table, [] { return false; }); }).code(),
              errc::disconnected);
}

// ---- Names ----

TEST_F(with_bluetoothd, a_name_is_that_of_a_paired_device) {
    bluetoothd->add({desk, "Desk", true});
    bluetoothd->add({"00:00:00:00:00:0B", "Desk", false});
    bluetoothd->add({"00:00:00:00:00:0C", "Phone", true});
    EXPECT_EQ(find_by_name(hci0(), "Desk", 1s), desk_address);
}

TEST_F(with_bluetoothd, a_name_of_two_paired_devices_is_none) {
    bluetoothd->add({desk, "Desk", true});
    bluetoothd->add({"00:00:00:00:00:0B", "Desk", true});
    const auto failure = error_of([&] { find_by_name(hci0(), "Desk", 1s); });
    EXPECT_EQ(failure.code(), errc::bad_input);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr(desk), HasSubstr("00:00:00:00:00:0B")));
}

TEST_F(with_bluetoothd, a_name_is_looked_for_among_those_that_are_near) {
    bluetoothd->on_start = [&] { bluetoothd->add({desk, "Desk", false, std::int16_t{-50}}); };
    EXPECT_EQ(find_by_name(hci0(), "Desk", 500ms), desk_address);
}

TEST_F(with_bluetoothd, a_name_that_two_near_devices_have_is_none) {
    bluetoothd->on_start = [&] {
        bluetoothd->add({desk, "Desk", false, std::int16_t{-50}});
        bluetoothd->add({"00:00:00:00:00:0B", "Desk", false, std::int16_t{-51}});
    };
    EXPECT_EQ(error_of([&] { find_by_name(hci0(), "Desk", 500ms); }).code(), errc::bad_input);
}

TEST_F(with_bluetoothd, a_name_that_nobody_has_is_not_found) {
    EXPECT_EQ(error_of([&] { find_by_name(hci0(), "Desk", 50ms); }).code(), errc::timed_out);
}

TEST_F(with_bluetoothd, looking_for_a_name_can_be_stopped) {
    stop_signal stop;
    bluetoothd->on_start = [&] { stop.raise(); };
    const auto failure = error_of([&] { find_by_name(hci0(), "Desk", 1h, &stop); });
    EXPECT_EQ(failure.code(), errc::cancelled);
    EXPECT_STREQ(failure.what(), "looking for 'Desk' was stopped");
}

// ---- The record ----

TEST_F(with_bluetoothd, receivers_register_records_beside_each_other_and_leave_the_channel_to_themselves) {
    std::vector<std::string> told;
    const auto tell = [&](const std::string& text) { told.push_back(text); };
    const service_registration one({}, 3, tell), other(desk_address, 4, tell);
    const auto profiles = bluetoothd->profiles();
    ASSERT_EQ(profiles.size(), 2u);
    EXPECT_NE(profiles[0].first, profiles[1].first);
    EXPECT_EQ(profiles[0].second.at("ServiceRecord").get<std::string>(), service_record_xml({}, 3));
    EXPECT_EQ(profiles[1].second.at("ServiceRecord").get<std::string>(), service_record_xml(desk_address, 4));
    for (const auto& [uuid, options] : profiles) EXPECT_FALSE(options.contains("Channel"));
    EXPECT_THAT(told, ElementsAre());
}

TEST_F(on_a_bus, a_receiver_without_bluetoothd_says_what_that_means) {
    std::vector<std::string> told;
    const service_registration one({}, 3, [&](const std::string& text) { told.push_back(text); });
    EXPECT_THAT(told, ElementsAre(AllOf(HasSubstr("/3"), HasSubstr("bluetoothd is not running"))));
}

}  // namespace
}  // namespace wherry::rfcomm

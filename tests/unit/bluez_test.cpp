// SPDX-License-Identifier: BSD-2-Clause
// What bluetoothd and adapters report, and what becomes of it; without either.
#include <bluetooth/bluetooth.h>
#include <bluetooth/hci.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "bluez_discovery.hpp"
#include "bluez_failures.hpp"
#include "device_table.hpp"
#include "error_of.hpp"
#include "find_by_name.hpp"
#include "hci_inquiry.hpp"
#include "service_lookup.hpp"
#include "service_record.hpp"

namespace wherry::rfcomm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::wherry::test::error_of;

bluetooth_address address(const char* text) { return *bluetooth_address::parse(text); }

const auto a = address("00:00:00:00:00:0A"), b = address("00:00:00:00:00:0B"), c = address("00:00:00:00:00:0C"),
           d = address("00:00:00:00:00:0D");

adapter hci0() { return {0, "hci0", address("00:11:22:33:44:55"), true}; }

template <class Value>
sdbus::Variant variant(Value value) {
    return sdbus::Variant(std::move(value));
}

// ---- The record ----

TEST(service_record, names_service_channel_and_protocols) {
    const auto xml = service_record_xml({}, 30);
    EXPECT_THAT(xml, AllOf(HasSubstr(service_uuid), HasSubstr("<uuid value=\"0x0003\"/><uint8 value=\"0x1e\"/>"),
                           HasSubstr("<uuid value=\"0x1002\"/>")));
}

TEST(service_record, of_one_adapter_names_it) {
    EXPECT_THAT(service_record_xml(a, 1), HasSubstr("<attribute id=\"0x0300\"><text value=\"" + to_string(a)));
    EXPECT_THAT(service_record_xml({}, 1), Not(HasSubstr("0x0300")));
}

// Records as they come over the air.
class records {
public:
    records& add(std::uint8_t channel, const char* adapter = nullptr) {
        std::vector<std::uint8_t> record = {0x09, 0x00, 0x04, 0x35, 0x0C, 0x35, 0x03, 0x19,   0x01,
                                            0x00, 0x35, 0x05, 0x19, 0x00, 0x03, 0x08, channel};
        if (adapter) {
            const std::string text = adapter;
            const std::uint8_t head[] = {0x09, 0x03, 0x00, 0x25, static_cast<std::uint8_t>(text.size())};
            for (const auto byte : head) record.push_back(byte);
            for (const char c : text) record.push_back(static_cast<std::uint8_t>(c));
        }
        body_.push_back(0x35);
        body_.push_back(static_cast<std::uint8_t>(record.size()));
        for (const auto byte : record) body_.push_back(byte);
        return *this;
    }
    std::vector<std::uint8_t> all() const {
        std::vector<std::uint8_t> whole(body_.size() + 2);
        whole[0] = 0x35;
        whole[1] = static_cast<std::uint8_t>(body_.size());
        std::copy(body_.begin(), body_.end(), whole.begin() + 2);
        return whole;
    }

private:
    std::vector<std::uint8_t> body_;
};

TEST(channel_in, is_that_of_the_first_record_about_the_device) {
    EXPECT_EQ(channel_in(records().add(3).add(4).all(), a), 3);
    EXPECT_EQ(channel_in(records().add(3, "00:00:00:00:00:0B").add(4, "00:00:00:00:00:0A").all(), a), 4);
    EXPECT_EQ(channel_in(records().add(3, "00:00:00:00:00:0B").add(5).all(), a), 5);
    EXPECT_EQ(channel_in(records().add(3, "00:00:00:00:00:0B").all(), a), std::nullopt);
    EXPECT_EQ(channel_in(records().add(3, "nonsense").all(), a), 3);
    EXPECT_EQ(channel_in(records().add(31).add(0).all(), a), std::nullopt);
    EXPECT_EQ(channel_in(records().all(), a), std::nullopt);
}

TEST(channel_in, survives_an_answer_that_is_cut_short_at_any_byte) {
    const auto whole = records().add(3, "00:00:00:00:00:0B").add(4).all();
    for (std::size_t length = 0; length < whole.size(); ++length)
        channel_in(std::vector(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)), a);
}

TEST(channel_in, survives_an_answer_with_any_one_byte_changed) {
    const auto whole = records().add(3, "00:00:00:00:00:0B").add(4).all();
    for (std::size_t at = 0; at < whole.size(); ++at)
        for (int value = 0; value < 256; ++value) {
            auto changed = whole;
            changed[at] = static_cast<std::uint8_t>(value);
            channel_in(changed, a);
        }
}

// ---- Device1 ----

TEST(read_device, takes_what_is_there) {
    found_device device;
    device.address = a;
    read_device({{"Alias", variant(std::string("laptop"))},
                 {"RSSI", variant(std::int16_t{-40})},
                 {"Paired", variant(true)},
                 {"Class", variant(std::uint32_t{0x0C010C})},
                 {"UUIDs", variant(std::vector<std::string>{"00001101-0000-1000-8000-00805f9b34fb", service_uuid})}},
                device);
    EXPECT_EQ(device.name, "laptop");
    EXPECT_EQ(device.signal_dbm, -40);
    EXPECT_EQ(device.is_paired, true);
    EXPECT_EQ(device.has_receiver, true);
    EXPECT_TRUE(device.is_near);
}

TEST(read_device, takes_a_change_by_itself) {
    found_device device;
    device.address = a;
    device.name = "laptop";
    read_device({{"Paired", variant(true)}}, device);
    EXPECT_EQ(device.name, "laptop");
    EXPECT_EQ(device.is_paired, true);
    EXPECT_FALSE(device.is_near);
    EXPECT_EQ(device.has_receiver, std::nullopt);
}

TEST(read_device, knows_that_an_address_with_dashes_is_no_name) {
    found_device device;
    device.address = a;
    read_device({{"Alias", variant(std::string("00-00-00-00-00-0A"))}}, device);
    EXPECT_EQ(device.name, "");
}

TEST(read_device, does_not_conclude_from_services_that_are_not_listed) {
    found_device device;
    device.address = a;
    device.has_receiver = true;
    read_device({{"UUIDs", variant(std::vector<std::string>{"00001101-0000-1000-8000-00805f9b34fb"})}}, device);
    EXPECT_EQ(device.has_receiver, true);
}

TEST(read_device, passes_over_what_has_another_type) {
    found_device device;
    device.address = a;
    read_device({{"Alias", variant(7)}, {"RSSI", variant(std::string("loud"))}, {"Paired", variant(1)}}, device);
    found_device untouched;
    untouched.address = a;
    EXPECT_EQ(device, untouched);
}

bus_interfaces device1(bus_properties properties) { return {{"org.bluez.Device1", std::move(properties)}}; }

TEST(known_devices, are_those_of_the_adapter_that_speak_br_edr) {
    const auto name = [](const char* text) { return bus_properties{{"Alias", variant(std::string(text))}}; };
    auto low_energy = name("watch");
    low_energy["AddressType"] = variant(std::string("random"));
    const auto known = known_devices(
        {
            {sdbus::ObjectPath("/org/bluez/hci0"), {{"org.bluez.Adapter1", {}}}},
            {sdbus::ObjectPath("/org/bluez/hci0/dev_00_00_00_00_00_0A"), device1(name("one"))},
            {sdbus::ObjectPath("/org/bluez/hci0/dev_00_00_00_00_00_0A/player0"), {{"org.bluez.MediaPlayer1", {}}}},
            {sdbus::ObjectPath("/org/bluez/hci0/dev_00_00_00_00_00_0B"), device1(low_energy)},
            {sdbus::ObjectPath("/org/bluez/hci0/dev_nonsense"), device1(name("three"))},
            {sdbus::ObjectPath("/org/bluez/hci1/dev_00_00_00_00_00_0D"), device1(name("four"))},
        },
        hci0());
    ASSERT_EQ(known.size(), 1u);
    EXPECT_EQ(known[0].name, "one");
    EXPECT_EQ(known[0].address, a);
}

// ---- device_table ----

struct told {
    std::string address, name;
    std::optional<int> signal_dbm;
    bool operator==(const told&) const = default;
};

class device_table_test : public ::testing::Test {
protected:
    void hear(const bluetooth_address& device, int signal) {
        table.update(device, [&](found_device& one) {
            one.signal_dbm = signal;
            one.is_near = true;
        });
    }

    std::vector<told> all;
    bool wants_more = true;
    device_table table{[this](const discovered_peer& peer) {
        if (!peer.address.empty()) all.push_back({std::string(peer.address), std::string(peer.name), peer.signal_dbm});
        return wants_more;
    }};
};

TEST_F(device_table_test, tells_news_only) {
    hear(a, -50);
    hear(a, -50);
    table.update(a, [](found_device& one) { one.name = "laptop"; });
    EXPECT_THAT(all, ElementsAre(told{to_string(a), "", -50}, told{to_string(a), "laptop", -50}));
}

TEST_F(device_table_test, keeps_to_itself_what_is_neither_near_nor_paired) {
    table.update(a, [](found_device& one) { one.name = "long gone"; });
    EXPECT_THAT(all, IsEmpty());
    table.update(a, [](found_device& one) { one.is_paired = true; });
    EXPECT_THAT(all, ElementsAre(told{to_string(a), "long gone", std::nullopt}));
}

TEST_F(device_table_test, stops_when_it_is_told_to) {
    wants_more = false;
    EXPECT_FALSE(table.is_stopped());
    hear(a, -50);
    EXPECT_TRUE(table.is_stopped());
    hear(b, -50);
    EXPECT_EQ(all.size(), 1u);
}

TEST_F(device_table_test, hears_of_the_end_without_any_device) {
    EXPECT_TRUE(table.goes_on());
    wants_more = false;
    EXPECT_FALSE(table.goes_on());
    EXPECT_TRUE(table.is_stopped());
}

TEST_F(device_table_test, asks_those_that_may_run_a_receiver_the_likely_ones_first) {
    static constexpr std::uint32_t headset = 0x240404, computer = 0x0C010C;
    hear(a, -80);
    table.update(a, [](found_device& one) { one.device_class = computer; });
    hear(b, -40);
    hear(c, -90);
    table.update(c, [](found_device& one) { one.has_receiver = true; });
    hear(d, -30);
    table.update(d, [](found_device& one) { one.device_class = headset; });
    table.update(hci0().address, [](found_device& one) { one.is_paired = true; });  // not near

    std::vector<bluetooth_address> order;
    for (const auto& one : table.to_be_asked()) order.push_back(one.address);
    EXPECT_THAT(order, ElementsAre(c, b, a));
}

// ---- Names ----

TEST(only_one, is_that_one_or_none) {
    EXPECT_EQ(only_one("x", {}), std::nullopt);
    EXPECT_EQ(only_one("x", std::vector{a}), a);
}

TEST(only_one, says_which_there_are_if_there_are_several) {
    const auto failure = error_of([] { only_one("lap\x1btop", std::vector{a, b}); });
    EXPECT_EQ(failure.code(), errc::bad_input);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr(to_string(a)), HasSubstr(to_string(b)), HasSubstr("lap\\x1Btop")));
}

// ---- Failures ----

struct answer {
    const char* name;
    errc code;
    const char* next_step;
};

class pairing_failure_test : public ::testing::TestWithParam<answer> {};

TEST_P(pairing_failure_test, has_a_code_and_a_next_step) {
    const auto failure = pairing_failure(GetParam().name, "because", a);
    EXPECT_EQ(failure.code(), GetParam().code);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr(to_string(a)), HasSubstr(GetParam().next_step), HasSubstr("because")));
}

INSTANTIATE_TEST_SUITE_P(
    of_bluetoothd, pairing_failure_test,
    ::testing::Values(answer{"org.bluez.Error.AuthenticationFailed", errc::auth_failed, "try again"},
                      answer{"org.bluez.Error.AuthenticationRejected", errc::refused, "accept it there"},
                      answer{"org.bluez.Error.AuthenticationCanceled", errc::refused, "try again"},
                      answer{"org.bluez.Error.AuthenticationTimeout", errc::timed_out, "try again"},
                      answer{"org.bluez.Error.ConnectionAttemptFailed", errc::timed_out, "bring it nearer"},
                      answer{"org.bluez.Error.NotReady", errc::io, "bluetoothctl power on"},
                      answer{"org.bluez.Error.InProgress", errc::io, "try again"},
                      answer{"org.bluez.Error.DoesNotExist", errc::disconnected, "try again"},
                      answer{"org.bluez.Error.Failed", errc::io, "journalctl -u bluetooth"},
                      answer{"org.freedesktop.DBus.Error.UnknownObject", errc::disconnected, "try again"},
                      answer{"org.freedesktop.DBus.Error.NoReply", errc::timed_out, "systemctl restart bluetooth"},
                      answer{"org.freedesktop.DBus.Error.AccessDenied", errc::io, "group bluetooth"},
                      answer{"org.freedesktop.DBus.Error.ServiceUnknown", errc::disconnected, "systemctl start"}));

TEST(missing_bluetoothd, is_told_from_a_lack_of_rights_and_from_one_that_hangs) {
    EXPECT_THAT(why_no_bluetoothd("org.freedesktop.DBus.Error.ServiceUnknown", ""), HasSubstr("is not running"));
    EXPECT_THAT(why_no_bluetoothd("org.freedesktop.DBus.Error.AccessDenied", "no"), HasSubstr("group bluetooth"));
    EXPECT_THAT(why_no_bluetoothd("org.freedesktop.DBus.Error.NoReply", ""), HasSubstr("restart bluetooth"));
    EXPECT_THAT(why_no_bus("No such file or directory"), AllOf(HasSubstr("No such file"), HasSubstr("start dbus")));
}

// ---- An adapter's reports ----

using bytes = std::vector<std::uint8_t>;

template <class Struct>
void append(bytes& to, const Struct& what) {
    const auto* const raw = reinterpret_cast<const std::uint8_t*>(&what);
    to.insert(to.end(), raw, raw + sizeof what);
}

bytes event(std::uint8_t type, std::uint8_t count, const bytes& rows) {
    bytes packet(rows.size() + 4);
    packet[0] = HCI_EVENT_PKT;
    packet[1] = type;
    packet[2] = static_cast<std::uint8_t>(rows.size() + 1);
    packet[3] = count;
    std::copy(rows.begin(), rows.end(), packet.begin() + 4);
    return packet;
}

std::vector<found_device> read_all(const bytes& packet) {
    std::vector<found_device> all;
    read_inquiry_event(packet, [&](const found_device& one) { all.push_back(one); });
    return all;
}

inquiry_info_with_rssi heard(const bluetooth_address& from, int rssi) {
    inquiry_info_with_rssi info{};
    info.bdaddr = from.raw();
    info.dev_class[1] = 1;
    info.rssi = static_cast<std::int8_t>(rssi);
    return info;
}

bytes extended(const bytes& response) {
    extended_inquiry_info info{};
    info.bdaddr = a.raw();
    info.rssi = -33;
    std::memcpy(info.data, response.data(), response.size());
    bytes rows;
    append(rows, info);
    return event(EVT_EXTENDED_INQUIRY_RESULT, 1, rows);
}

TEST(inquiry_event, several_with_signal) {
    bytes rows;
    append(rows, heard(a, -20));
    append(rows, heard(b, -128));
    const auto all = read_all(event(EVT_INQUIRY_RESULT_WITH_RSSI, 2, rows));
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].address, a);
    EXPECT_EQ(all[0].signal_dbm, -20);
    EXPECT_EQ(all[0].device_class, 0x100u);
    EXPECT_TRUE(all[0].is_near);
    EXPECT_EQ(all[1].signal_dbm, -128);
}

TEST(inquiry_event, with_signal_in_the_longer_format) {
    inquiry_info_with_rssi_and_pscan_mode info{};
    info.bdaddr = b.raw();
    info.rssi = -7;
    bytes rows;
    append(rows, info);
    const auto all = read_all(event(EVT_INQUIRY_RESULT_WITH_RSSI, 1, rows));
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].address, b);
    EXPECT_EQ(all[0].signal_dbm, -7);
}

TEST(inquiry_event, without_signal) {
    inquiry_info info{};
    info.bdaddr = b.raw();
    bytes rows;
    append(rows, info);
    const auto all = read_all(event(EVT_INQUIRY_RESULT, 1, rows));
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].signal_dbm, std::nullopt);
}

TEST(inquiry_event, extended_with_name_and_service) {
    bytes response = {5, 0x09, 'c', 'a', 'v', 'e', 17, 0x07};
    // The service's UUID, its last byte first.
    for (const std::uint8_t byte :
         {0x0e, 0x04, 0xbd, 0xe5, 0x23, 0x9a, 0x18, 0x84, 0xe0, 0x43, 0x09, 0xdd, 0x3e, 0x2c, 0x31, 0x54})
        response.push_back(byte);
    const auto all = read_all(extended(response));
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].name, "cave");
    EXPECT_EQ(all[0].has_receiver, true);
    EXPECT_EQ(all[0].signal_dbm, -33);
}

TEST(inquiry_event, extended_that_runs_over_its_end) {
    EXPECT_EQ(read_all(extended({255, 0x09, 'x'}))[0].name, "");
    EXPECT_EQ(read_all(extended({17, 0x07, 1, 2, 3})).size(), 1u);
}

TEST(inquiry_event, cut_short_at_any_byte) {
    bytes rows;
    append(rows, heard(a, -20));
    append(rows, heard(b, -21));
    const auto whole = event(EVT_INQUIRY_RESULT_WITH_RSSI, 2, rows);
    for (std::size_t length = 0; length < whole.size(); ++length)
        EXPECT_LE(read_all(bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))).size(), 1u);
    const auto long_one = extended({5, 0x09, 'c', 'a', 'v', 'e'});
    for (std::size_t length = 0; length < long_one.size(); ++length)
        EXPECT_THAT(read_all(bytes(long_one.begin(), long_one.begin() + static_cast<std::ptrdiff_t>(length))),
                    IsEmpty());
}

TEST(inquiry_event, that_counts_more_than_it_has) {
    bytes rows;
    append(rows, heard(a, -20));
    EXPECT_EQ(read_all(event(EVT_INQUIRY_RESULT_WITH_RSSI, 255, rows)).size(), 1u);
}

TEST(inquiry_event, of_another_kind) { EXPECT_THAT(read_all(event(EVT_CMD_COMPLETE, 1, bytes(20))), IsEmpty()); }

}  // namespace
}  // namespace wherry::rfcomm

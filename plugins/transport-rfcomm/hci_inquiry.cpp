// SPDX-License-Identifier: BSD-2-Clause
#include "hci_inquiry.hpp"

#include <bluetooth/hci.h>
#include <bluetooth/hci_lib.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>

#include "failures.hpp"
#include "service_lookup.hpp"
#include "socket_connection.hpp"
#include "wherry/error.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::rfcomm {

namespace {

using namespace std::chrono_literals;
using bytes = std::span<const std::uint8_t>;

template <class Struct>
std::optional<Struct> read(bytes raw) {
    Struct value{};
    if (raw.size() < sizeof value) return std::nullopt;
    std::memcpy(&value, raw.data(), sizeof value);
    return value;
}

std::uint32_t class_of(const std::uint8_t (&raw)[3]) {
    return static_cast<std::uint32_t>(raw[0] | raw[1] << 8 | raw[2] << 16);
}

template <class Info>
found_device heard(const Info& info) {
    found_device device;
    device.address = bluetooth_address(info.bdaddr);
    device.device_class = class_of(info.dev_class);
    device.is_near = true;
    if constexpr (requires { info.rssi; }) device.signal_dbm = static_cast<std::int8_t>(info.rssi);
    return device;
}

template <class Info>
void read_rows(bytes rows, std::size_t count, const std::function<void(const found_device&)>& tell) {
    // In each format the rows are what is left, divided by their number, which is how the two with RSSI are told apart.
    for (; count > 0; --count) {
        const auto info = read<Info>(rows);
        if (!info) return;
        tell(heard(*info));
        rows = rows.subspan(sizeof(Info));
    }
}

// Whether the service is among the UUIDs, each with its last byte first.
bool has_service(bytes uuids) {
    std::string digits;
    for (const char* c = service_uuid; *c; ++c)
        if (*c != '-') digits += *c;
    std::array<std::uint8_t, 16> wanted{};
    for (std::size_t i = 0; i < wanted.size(); ++i)
        wanted[15 - i] = static_cast<std::uint8_t>(std::stoi(digits.substr(2 * i, 2), nullptr, 16));
    for (; uuids.size() >= wanted.size(); uuids = uuids.subspan(wanted.size()))
        if (std::equal(wanted.begin(), wanted.end(), uuids.begin())) return true;
    return false;
}

// Assigned Numbers, section 2.3.
enum : std::uint8_t { uuids_128_some = 0x06, uuids_128_all = 0x07, name_short = 0x08, name_complete = 0x09 };

// Extended inquiry response (Bluetooth Core, Generic Access Profile, section 8): length, type, data; over and over.
void read_extended(bytes data, found_device& device) {
    while (data.size() >= 2 && data[0] > 0 && data[0] < data.size()) {
        const auto type = data[1];
        const auto value = data.subspan(2, data[0] - 1u);
        if (type == name_short || type == name_complete) {
            const std::string_view text(reinterpret_cast<const char*>(value.data()), value.size());
            device.name = text.substr(0, text.find('\0'));
        } else if ((type == uuids_128_some || type == uuids_128_all) && has_service(value)) {
            device.has_receiver = true;
        }
        data = data.subspan(data[0] + 1u);
    }
}

// What an inquiry tells, laid over what is known.
void merge(const found_device& news, found_device& known) {
    if (!news.name.empty()) known.name = news.name;
    if (news.signal_dbm) known.signal_dbm = news.signal_dbm;
    if (news.has_receiver) known.has_receiver = news.has_receiver;
    if (news.device_class) known.device_class = news.device_class;
    known.is_near |= news.is_near;
}

class hci_socket {
public:
    hci_socket(const adapter& local, std::initializer_list<int> events)
        : local_(local), socket_(::hci_open_dev(local.number)) {
        if (!socket_.is_open()) fail(errno);
        hci_filter filter;
        ::hci_filter_clear(&filter);
        ::hci_filter_set_ptype(HCI_EVENT_PKT, &filter);
        ::hci_filter_set_event(EVT_CMD_STATUS, &filter);
        for (const int event : events) ::hci_filter_set_event(event, &filter);
        if (::setsockopt(socket_.get(), SOL_HCI, HCI_FILTER, &filter, sizeof filter) != 0) fail(errno);
    }

    void send(std::uint16_t command, bytes parameters) {
        std::array<std::uint8_t, HCI_MAX_EVENT_SIZE> room{};
        std::copy(parameters.begin(), parameters.end(), room.begin());
        if (::hci_send_cmd(socket_.get(), OGF_LINK_CTL, command, static_cast<std::uint8_t>(parameters.size()),
                           room.data()) != 0)
            fail(errno);
    }

    // The next event, with its head; empty if none came for a tick.
    bytes next() {
        pollfd watched{socket_.get(), POLLIN, 0};
        if (uninterrupted([&] { return ::poll(&watched, 1, static_cast<int>(tick / 1ms)); }) <= 0) return {};
        const auto got = uninterrupted([&] { return ::read(socket_.get(), buffer_.data(), buffer_.size()); });
        if (got < 0) fail(errno);
        constexpr std::size_t head = 1 + HCI_EVENT_HDR_SIZE;
        const auto packet = bytes(buffer_).first(static_cast<std::size_t>(got));
        if (packet.size() < head || packet[0] != HCI_EVENT_PKT) return {};
        return packet;
    }

    [[noreturn]] void fail(int code) const {
        throw error(errc::io,
                    fmt::format("looking for devices with {} failed ({}); where bluetoothd runs, users may do that "
                                "without further rights: systemctl start bluetooth",
                                local_.name, system_text(code)),
                    code);
    }

private:
    const adapter& local_;
    unique_fd socket_;
    std::array<std::uint8_t, HCI_MAX_EVENT_SIZE + 1> buffer_{};
};

std::uint8_t event_of(bytes packet) { return packet[1]; }
bytes content_of(bytes packet) { return packet.subspan(1 + HCI_EVENT_HDR_SIZE); }

// A command that was refused, and with what.
std::optional<std::uint8_t> refusal(bytes packet, std::uint16_t command) {
    if (event_of(packet) != EVT_CMD_STATUS) return std::nullopt;
    const auto status = read<evt_cmd_status>(content_of(packet));
    if (!status || status->status == 0 || btohs(status->opcode) != cmd_opcode_pack(OGF_LINK_CTL, command))
        return std::nullopt;
    return status->status;
}

// Ends the inquiry that it began.
class inquiry {
public:
    explicit inquiry(hci_socket& socket) : socket_(socket) { begin(); }
    ~inquiry() {
        try {
            if (is_running_) socket_.send(OCF_INQUIRY_CANCEL, {});
        } catch (const error&) {
            // It ends by itself.
        }
    }
    inquiry(const inquiry&) = delete;
    inquiry& operator=(const inquiry&) = delete;

    void begin() {
        // General inquiry, for as long as the command can say; as many devices as there are.
        const inquiry_cp parameters{{0x33, 0x8B, 0x9E}, 0x30, 0};
        socket_.send(OCF_INQUIRY, bytes(reinterpret_cast<const std::uint8_t*>(&parameters), sizeof parameters));
        is_running_ = true;
    }
    void has_ended() noexcept { is_running_ = false; }

private:
    hci_socket& socket_;
    bool is_running_ = false;
};

}  // namespace

void read_inquiry_event(bytes packet, const std::function<void(const found_device&)>& tell) {
    constexpr std::size_t head = 1 + HCI_EVENT_HDR_SIZE;
    if (packet.size() <= head || packet[0] != HCI_EVENT_PKT) return;
    const std::size_t count = packet[head];
    const auto rows = packet.subspan(head + 1);
    switch (packet[1]) {
        case EVT_INQUIRY_RESULT: read_rows<inquiry_info>(rows, count, tell); break;
        case EVT_INQUIRY_RESULT_WITH_RSSI:
            if (rows.size() == count * sizeof(inquiry_info_with_rssi_and_pscan_mode))
                read_rows<inquiry_info_with_rssi_and_pscan_mode>(rows, count, tell);
            else
                read_rows<inquiry_info_with_rssi>(rows, count, tell);
            break;
        case EVT_EXTENDED_INQUIRY_RESULT:
            if (const auto info = read<extended_inquiry_info>(rows)) {
                auto device = heard(*info);
                read_extended(info->data, device);
                tell(device);
            }
            break;
        default: break;
    }
}

void discover_with_hci(const adapter& local, device_table& table, const std::function<bool()>& is_over) {
    hci_socket socket(
        local, {EVT_INQUIRY_RESULT, EVT_INQUIRY_RESULT_WITH_RSSI, EVT_EXTENDED_INQUIRY_RESULT, EVT_INQUIRY_COMPLETE});
    inquiry running(socket);
    while (!is_over() && table.goes_on()) {
        const auto packet = socket.next();
        if (packet.empty()) continue;
        if (const auto status = refusal(packet, OCF_INQUIRY)) {
            running.has_ended();
            throw error(errc::io, fmt::format("the Bluetooth adapter {} does not look for devices (status {}); another "
                                              "program may have it look already: try again soon",
                                              local.name, *status));
        }
        if (event_of(packet) == EVT_INQUIRY_COMPLETE) {
            running.has_ended();
            if (!is_over()) running.begin();
            continue;
        }
        read_inquiry_event(packet, [&](const found_device& news) {
            table.update(news.address, [&](found_device& known) { merge(news, known); });
        });
    }
}

void ask_names_with_hci(const adapter& local, device_table& table, const std::function<bool()>& is_over) {
    std::optional<hci_socket> socket;
    for (const auto& one : table.devices()) {
        if (!one.name.empty()) continue;
        if (!socket) socket.emplace(local, std::initializer_list<int>{EVT_REMOTE_NAME_REQ_COMPLETE});
        remote_name_req_cp wanted{};
        wanted.bdaddr = one.address.raw();
        wanted.pscan_rep_mode = 0x02;
        socket->send(OCF_REMOTE_NAME_REQ, bytes(reinterpret_cast<const std::uint8_t*>(&wanted), sizeof wanted));
        for (;;) {
            if (is_over() || !table.goes_on()) return;
            const auto packet = socket->next();
            if (packet.empty()) continue;
            if (refusal(packet, OCF_REMOTE_NAME_REQ)) break;
            const auto told = read<evt_remote_name_req_complete>(content_of(packet));
            if (event_of(packet) != EVT_REMOTE_NAME_REQ_COMPLETE || !told ||
                !(bluetooth_address(told->bdaddr) == one.address))
                continue;
            const auto* const name = reinterpret_cast<const char*>(told->name);
            if (told->status == 0)
                table.update(one.address,
                             [&](found_device& known) { known.name.assign(name, ::strnlen(name, sizeof told->name)); });
            break;
        }
    }
}

}  // namespace wherry::rfcomm

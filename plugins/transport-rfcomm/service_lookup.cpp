// SPDX-License-Identifier: BSD-2-Clause
#include "service_lookup.hpp"

#include <bluetooth/sdp.h>
#include <bluetooth/sdp_lib.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "failures.hpp"
#include "wherry/error.hpp"

namespace wherry::rfcomm {

namespace {

// As the library wants it, most significant byte first.
uuid_t service_class() {
    std::array<std::uint8_t, 16> bytes{};
    std::size_t digits = 0;
    const auto nibble = [](char c) { return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
    for (const char* c = service_uuid; *c; ++c) {
        if (*c == '-') continue;
        bytes[digits / 2] = static_cast<std::uint8_t>(bytes[digits / 2] << 4 | nibble(*c));
        ++digits;
    }
    uuid_t uuid{};
    ::sdp_uuid128_create(&uuid, bytes.data());
    return uuid;
}

struct list_deleter {
    void operator()(sdp_list_t* list) const noexcept { ::sdp_list_free(list, nullptr); }
};
using owned_list = std::unique_ptr<sdp_list_t, list_deleter>;

struct record_deleter {
    void operator()(sdp_record_t* record) const noexcept { ::sdp_record_free(record); }
};
using owned_record = std::unique_ptr<sdp_record_t, record_deleter>;

struct session_deleter {
    void operator()(sdp_session_t* session) const noexcept { ::sdp_close(session); }
};
using owned_session = std::unique_ptr<sdp_session_t, session_deleter>;

void free_protocols(sdp_list_t* all) {
    ::sdp_list_foreach(
        all, [](void* one, void*) { ::sdp_list_free(static_cast<sdp_list_t*>(one), nullptr); }, nullptr);
    ::sdp_list_free(all, nullptr);
}

std::optional<std::uint8_t> channel_of(const sdp_record_t* record) {
    sdp_list_t* protocols = nullptr;
    if (::sdp_get_access_protos(record, &protocols) != 0) return std::nullopt;
    const int channel = ::sdp_get_proto_port(protocols, RFCOMM_UUID);
    free_protocols(protocols);
    if (channel < first_channel || channel > last_channel) return std::nullopt;
    return static_cast<std::uint8_t>(channel);
}

bool is_about(const sdp_record_t* record, const bluetooth_address& device) {
    std::array<char, 32> text{};
    if (::sdp_get_string_attr(record, adapter_attribute, text.data(), static_cast<int>(text.size())) != 0) return true;
    const auto adapter = bluetooth_address::parse(text.data());
    return !adapter || *adapter == device;
}

// Records are a few levels deep.
constexpr int deepest = 8;

// The size of the data element that `data` begins with, its head included, if it is whole, of a type that there is, and
// so is what is in it (section 3); else 0.
std::size_t sound_element(std::span<const std::uint8_t> data, int depth) {
    if (data.empty() || depth <= 0) return 0;
    const unsigned type = data[0] >> 3, index = data[0] & 7;
    enum : unsigned { nil, unsigned_number, signed_number, uuid, text, boolean, sequence, alternative, url };
    std::size_t head = 1, length = 0;
    if (type == nil || type == boolean) {
        if (index != 0) return 0;
        length = type == nil ? 0 : 1;
    } else if (type <= uuid) {
        if (index > 4 || (type == uuid && (index == 0 || index == 3))) return 0;
        length = std::size_t{1} << index;
    } else if (type <= url) {
        // Alternatives are nothing that a receiver's record has, and the library does not free what is in them.
        if (index < 5 || type == alternative) return 0;
        head += std::size_t{1} << (index - 5);
        if (data.size() < head) return 0;
        for (std::size_t i = 1; i < head; ++i) length = length << 8 | data[i];
    } else {
        return 0;
    }
    if (data.size() - head < length) return 0;
    if (type == sequence) {
        for (auto rest = data.subspan(head, length); !rest.empty();) {
            const auto part = sound_element(rest, depth - 1);
            if (part == 0) return 0;
            rest = rest.subspan(part);
        }
    }
    return head + length;
}

// A sequence of numbers of attributes, each with its value. libbluetooth believes what it reads: one that is cut short
// has it loop for ever, and take all memory.
bool is_sound_record(std::span<const std::uint8_t> record) {
    if (record.empty()) return false;
    constexpr std::uint8_t sequence8 = 0x35, sequence16 = 0x36, number16 = 0x09;
    if (sound_element(record, deepest) != record.size()) return false;
    if (record[0] != sequence8 && record[0] != sequence16) return false;
    auto rest = record.subspan(record[0] == sequence8 ? 2 : 3);
    while (!rest.empty()) {
        if (rest[0] != number16) return false;
        rest = rest.subspan(3);
        const auto value = sound_element(rest, deepest);
        if (value == 0) return false;
        rest = rest.subspan(value);
    }
    return true;
}

// How many parts an answer may have: a receiver's record fits into one or two, and the library keeps whatever comes.
constexpr int most_parts = 256;

struct answer {
    bool has_come = false;
    bool is_sound = false;
    std::vector<std::uint8_t> records;
};

void take_answer(std::uint8_t type, std::uint16_t status, std::uint8_t* data, std::size_t size, void* context) {
    auto& told = *static_cast<answer*>(context);
    told.has_come = true;
    told.is_sound = status == 0 && type == SDP_SVC_SEARCH_ATTR_RSP;
    if (told.is_sound) told.records.assign(data, data + size);
}

void wait(int socket, short events, const bluetooth_address& device, const deadline& until, const stop_signal* stop) {
    std::array<pollfd, 2> watched{{{socket, events, 0}, {stop ? stop->descriptor() : -1, POLLIN, 0}}};
    const int ready = uninterrupted([&] { return ::poll(watched.data(), watched.size(), poll_timeout(until)); });
    if (ready < 0) throw error(errc::io, fmt::format("cannot wait for the device ({})", system_text(errno)), errno);
    if (watched[1].revents != 0)
        throw error(errc::cancelled, fmt::format("the question to {} was stopped", to_string(device)));
    // Also for a device whose answers are there before they are asked for, and never end.
    if (ready == 0 || poll_timeout(until) == 0) fail_lookup(device, ETIMEDOUT);
}

[[noreturn]] void fail_answer(const bluetooth_address& device) {
    throw error(
        errc::protocol,
        fmt::format("the device {0} answers the question for its services with nonsense; name the channel: {0}/CHANNEL",
                    to_string(device)));
}

}  // namespace

std::optional<std::uint8_t> channel_in(std::span<const std::uint8_t> records, const bluetooth_address& device) {
    if (sound_element(records, deepest) == 0) return std::nullopt;
    std::uint8_t type = 0;
    int length = 0;
    const int head = ::sdp_extract_seqtype(records.data(), static_cast<int>(records.size()), &type, &length);
    if (head <= 0 || length <= 0) return std::nullopt;
    auto rest = records.subspan(static_cast<std::size_t>(head), static_cast<std::size_t>(length));
    while (!rest.empty()) {
        const auto one = rest.first(sound_element(rest, deepest));
        if (!is_sound_record(one)) return std::nullopt;
        int scanned = 0;
        const owned_record record(::sdp_extract_pdu(one.data(), static_cast<int>(one.size()), &scanned));
        if (!record) return std::nullopt;
        if (const auto channel = channel_of(record.get()); channel && is_about(record.get(), device)) return channel;
        rest = rest.subspan(one.size());
    }
    return std::nullopt;
}

std::optional<std::uint8_t> lookup_channel(const bluetooth_address& local, const bluetooth_address& device,
                                           const deadline& until, const stop_signal* stop) {
    // Not blocking: the library's blocking calls wait for as long as the device likes.
    owned_session session(::sdp_connect(&local.raw(), &device.raw(), SDP_NON_BLOCKING));
    if (!session) fail_lookup(device, errno);
    const int socket = ::sdp_get_socket(session.get());
    ::fcntl(socket, F_SETFD, FD_CLOEXEC);
    wait(socket, POLLOUT, device, until, stop);
    int code = 0;
    socklen_t size = sizeof code;
    if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
    if (code != 0) fail_lookup(device, code);

    answer told;
    ::sdp_set_notify(session.get(), take_answer, &told);
    auto uuid = service_class();
    std::uint32_t every_attribute = 0x0000FFFF;
    const owned_list services(::sdp_list_append(nullptr, &uuid));
    const owned_list attributes(::sdp_list_append(nullptr, &every_attribute));
    if (::sdp_service_search_attr_async(session.get(), services.get(), SDP_ATTR_REQ_RANGE, attributes.get()) != 0)
        fail_lookup(device, errno);
    for (int parts = 0; !told.has_come; ++parts) {
        if (parts == most_parts) fail_answer(device);
        wait(socket, POLLIN, device, until, stop);
        // Negative also when the last part has come.
        if (::sdp_process(session.get()) < 0 && !told.has_come) fail_lookup(device, ECONNRESET);
    }
    if (!told.is_sound) fail_answer(device);
    return channel_in(told.records, device);
}

}  // namespace wherry::rfcomm

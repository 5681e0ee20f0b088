// SPDX-License-Identifier: BSD-2-Clause
#include "adapters.hpp"

#include <bluetooth/hci.h>
#include <bluetooth/hci_lib.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "failures.hpp"
#include "socket_connection.hpp"
#include "wherry/error.hpp"
#include "wherry/text.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::rfcomm {

namespace {

// "0" or "1" in a file of sysfs.
bool is_set(const std::filesystem::path& file) {
    std::ifstream content(file);
    char digit = '0';
    return content >> digit && digit == '1';
}

}  // namespace

std::vector<adapter> list_adapters() {
    const unique_fd control(::socket(AF_BLUETOOTH, SOCK_RAW | SOCK_CLOEXEC, BTPROTO_HCI));
    if (!control.is_open()) fail_socket(errno);

    // Room for HCI_MAX_DEV rows behind the head, as HCIGETDEVLIST wants it.
    alignas(hci_dev_list_req) std::array<char, sizeof(hci_dev_list_req) + HCI_MAX_DEV * sizeof(hci_dev_req)> room{};
    auto* const list = reinterpret_cast<hci_dev_list_req*>(room.data());
    list->dev_num = HCI_MAX_DEV;
    if (::ioctl(control.get(), HCIGETDEVLIST, list) != 0)
        throw error(errc::io, fmt::format("the Bluetooth adapters cannot be listed ({})", system_text(errno)), errno);

    std::vector<adapter> all;
    for (int i = 0; i < list->dev_num; ++i) {
        hci_dev_info info{};
        info.dev_id = list->dev_req[i].dev_id;
        // One that was unplugged between the two calls is none.
        if (::ioctl(control.get(), HCIGETDEVINFO, &info) != 0) continue;
        all.push_back({info.dev_id, std::string(info.name, ::strnlen(info.name, sizeof info.name)),
                       bluetooth_address(info.bdaddr), hci_test_bit(HCI_UP, &info.flags) != 0});
    }
    std::sort(all.begin(), all.end(), [](const adapter& a, const adapter& b) { return a.number < b.number; });
    return all;
}

std::string why_down(const adapter& one) {
    std::error_code ignored;
    const auto folder = std::filesystem::path("/sys/class/bluetooth") / one.name;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        if (!entry.path().filename().native().starts_with("rfkill")) continue;
        if (is_set(entry.path() / "hard"))
            return fmt::format(
                "the Bluetooth adapter {} is switched off by a switch or key of this machine; turn that on", one.name);
        if (is_set(entry.path() / "soft"))
            return fmt::format("the Bluetooth adapter {} is blocked (rfkill); do: rfkill unblock bluetooth", one.name);
    }
    return fmt::format(
        "the Bluetooth adapter {0} is down; do: bluetoothctl power on (or, without bluetoothd, hciconfig {0} up)",
        one.name);
}

adapter usable_adapter(std::string_view which) {
    const auto all = list_adapters();
    if (all.empty())
        throw error(errc::io, "this machine has no Bluetooth adapter; plug one in, or switch on the one inside");
    if (which.empty()) {
        const auto found = std::find_if(all.begin(), all.end(), [](const adapter& one) { return one.is_up; });
        if (found == all.end()) throw error(errc::io, why_down(all.front()));
        return *found;
    }
    const auto address = bluetooth_address::parse(which);
    const auto found = std::find_if(all.begin(), all.end(), [&](const adapter& one) {
        return one.name == which || (address && one.address == *address);
    });
    if (found == all.end())
        throw error(errc::bad_input,
                    fmt::format("there is no Bluetooth adapter '{}'; bluetoothctl list shows those that there are",
                                printable(which)));
    if (!found->is_up) throw error(errc::io, why_down(*found));
    return *found;
}

}  // namespace wherry::rfcomm

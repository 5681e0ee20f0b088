// SPDX-License-Identifier: BSD-2-Clause
#include "device_table.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

namespace wherry::rfcomm {

bool found_device::may_run_wherry() const noexcept {
    if (!device_class) return true;
    enum : std::uint32_t { miscellaneous = 0, computer = 1, phone = 2, access_point = 3, uncategorised = 31 };
    switch (*device_class >> 8 & 0x1F) {
        case miscellaneous:
        case computer:
        case phone:
        case access_point:
        case uncategorised: return true;
        default: return false;
    }
}

discovered_peer as_peer(const found_device& device, const std::string& address) {
    return {address, device.name, device.signal_dbm, device.is_paired, device.has_receiver};
}

void device_table::update(const bluetooth_address& address, const std::function<void(found_device&)>& change) {
    auto shown = to_string(address);
    const auto found = devices_.find(shown);
    auto changed = found == devices_.end() ? found_device() : found->second;
    changed.address = address;
    change(changed);
    if (found != devices_.end() && changed == found->second) return;
    const auto& kept = devices_[shown] = std::move(changed);
    if (kept.is_worth_telling() && !is_stopped_) is_stopped_ = !found_(as_peer(kept, shown));
}

bool device_table::goes_on() {
    if (!is_stopped_) is_stopped_ = !found_(discovered_peer());
    return !is_stopped_;
}

std::vector<found_device> device_table::devices() const {
    std::vector<found_device> all;
    for (const auto& [address, device] : devices_)
        if (device.is_worth_telling()) all.push_back(device);
    return all;
}

std::vector<found_device> device_table::to_be_asked() const {
    auto all = devices();
    // A device that is not heard takes seconds to be found silent; and Linux 6.1.192 for one trips over itself when a
    // question finds nobody (hci_chan_del, from the closing of an L2CAP socket that did not connect).
    std::erase_if(all, [](const found_device& one) { return !one.is_near || !one.may_run_wherry(); });
    const auto rank = [](const found_device& one) {
        return std::tuple(one.has_receiver.value_or(false), one.is_paired.value_or(false),
                          one.signal_dbm.value_or(std::numeric_limits<int>::min()));
    };
    std::stable_sort(all.begin(), all.end(),
                     [&](const found_device& a, const found_device& b) { return rank(a) > rank(b); });
    return all;
}

}  // namespace wherry::rfcomm

// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bluetooth_address.hpp"
#include "wherry/transport.hpp"

namespace wherry::rfcomm {

// How often a search looks whether it is over.
inline constexpr std::chrono::milliseconds tick{200};

// What is known of a device, bit by bit.
struct found_device {
    bluetooth_address address;
    std::string name;  // what the device calls itself, or the person here calls it: untrusted bytes
    std::optional<int> signal_dbm;
    std::optional<bool> is_paired;
    std::optional<bool> has_receiver;
    std::optional<std::uint32_t> device_class;  // Assigned Numbers, section 2.8
    bool is_near = false;                       // it was heard, or is connected

    // Of those that are neither near nor paired a system remembers many, and nobody wants to hear of them.
    bool is_worth_telling() const noexcept { return is_near || is_paired.value_or(false); }
    // False for headsets, keyboards, watches and their like: there is no need to disturb them with questions.
    bool may_run_wherry() const noexcept;

    bool operator==(const found_device&) const = default;
};

// Borrows from `device` and from `address`, which is the device's as text.
discovered_peer as_peer(const found_device& device, const std::string& address);

// Collects what is known of devices, and tells it when there is news.
class device_table {
public:
    using found_function = std::function<bool(const discovered_peer&)>;

    // `found` is that of transport::discover(); it is called by the functions below only.
    explicit device_table(found_function found) : found_(std::move(found)) {}

    // Changes what is known of a device, a new one perhaps, and tells it if it is another then.
    void update(const bluetooth_address& address, const std::function<void(found_device&)>& change);

    // False once found() did not want more; asks it. For every fraction of a second in which nothing is found.
    bool goes_on();
    bool is_stopped() const noexcept { return is_stopped_; }

    std::vector<found_device> devices() const;

    // Those whose receiver is to be asked for, in the order in which it is most likely worth the time.
    std::vector<found_device> to_be_asked() const;

private:
    found_function found_;
    std::map<std::string, found_device> devices_;
    bool is_stopped_ = false;
};

}  // namespace wherry::rfcomm

// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bluetooth_address.hpp"

namespace wherry::rfcomm {

// The record by which senders find this receiver's channel, as bluetoothd takes it: on one adapter, or on all for an
// address that is any.
std::string service_record_xml(const bluetooth_address& adapter, std::uint8_t channel);

// Has bluetoothd answer that a wherry receiver is on `channel` of that adapter, or of all, for as long as this object,
// or else this process, lives: again, too, when bluetoothd was restarted or comes up only later.
class service_registration {
public:
    // `tell` gets a sentence when the record cannot be there, which is no failure: senders can name the channel; and
    // one when it is, after that. The first time before the constructor returns, later from another thread.
    service_registration(const bluetooth_address& adapter, std::uint8_t channel,
                         std::function<void(const std::string&)> tell);
    ~service_registration();
    service_registration(const service_registration&) = delete;
    service_registration& operator=(const service_registration&) = delete;

private:
    class keeper;
    std::unique_ptr<keeper> keeper_;
};

}  // namespace wherry::rfcomm

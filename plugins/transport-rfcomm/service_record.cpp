// SPDX-License-Identifier: BSD-2-Clause
#include "service_record.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <thread>

#include "bluez_bus.hpp"
#include "bluez_failures.hpp"
#include "service_lookup.hpp"
#include "socket_connection.hpp"

namespace wherry::rfcomm {

namespace {

using namespace std::chrono_literals;

constexpr const char* profile_path = "/org/wherry/receiver";
constexpr const char* profile_interface = "org.bluez.Profile1";

// How long after a failure bluetoothd is tried again.
constexpr auto patience = 5s;

// A name for the registration itself. bluetoothd lets each be registered once on a machine, by whatever process, while
// the record may hold any service class: with the receiver's own here, a second receiver would get none.
std::string unique_uuid() {
    std::array<unsigned char, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw error(errc::io, "the system gives no random bytes", errno);
    bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);  // RFC 4122, section 4.4
    bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", bytes[i]);
        text += digits;
    }
    return text;
}

}  // namespace

std::string service_record_xml(const bluetooth_address& adapter, std::uint8_t channel) {
    char number[8];
    std::snprintf(number, sizeof number, "0x%02x", channel);
    std::string only_on;
    if (!adapter.is_any()) {
        char id[8];
        std::snprintf(id, sizeof id, "0x%04x", adapter_attribute);
        only_on = std::string("<attribute id=\"") + id + "\"><text value=\"" + to_string(adapter) + "\"/></attribute>";
    }
    // Service classes, protocols (L2CAP, RFCOMM with the channel), browse group (public), name.
    return std::string("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>") +
           "<record>"
           "<attribute id=\"0x0001\"><sequence><uuid value=\"" +
           service_uuid +
           "\"/></sequence></attribute>"
           "<attribute id=\"0x0004\"><sequence>"
           "<sequence><uuid value=\"0x0100\"/></sequence>"
           "<sequence><uuid value=\"0x0003\"/><uint8 value=\"" +
           number +
           "\"/></sequence>"
           "</sequence></attribute>"
           "<attribute id=\"0x0005\"><sequence><uuid value=\"0x1002\"/></sequence></attribute>"
           "<attribute id=\"0x0100\"><text value=\"wherry receiver\"/></attribute>" +
           only_on + "</record>";
}

class service_registration::keeper {
public:
    keeper(const bluetooth_address& adapter, std::uint8_t channel, std::function<void(const std::string&)> tell)
        : adapter_(adapter), channel_(channel), tell_(std::move(tell)) {
        register_record();
        thread_ = std::jthread([this] { keep(); });
    }
    ~keeper() { stop_.raise(); }

private:
    struct registration {
        std::unique_ptr<bluez_bus> bus;
        std::unique_ptr<sdbus::IObject> profile;  // of the bus, and so gone before it
    };

    void register_record() {
        try {
            make_registration();
            if (is_missed_) tell_("bluetoothd now offers this receiver to senders that do not know its channel");
            is_missed_ = false;
        } catch (const std::exception& e) {
            current_.reset();
            miss(e.what());
        }
    }

    void make_registration() {
        std::string why;
        auto& made = current_.emplace();
        made.bus = bluez_bus::try_open(why);
        if (!made.bus) throw error(errc::io, why);
        // bluetoothd wants somebody to hand connections to, but listens on no channel that it was not told of.
        made.profile =
            object_maker(made.bus->connection(), profile_path)
                .method(
                    profile_interface, "Release", [] {}, reply::never)
                .method(profile_interface, "NewConnection",
                        [](const sdbus::ObjectPath&, const sdbus::UnixFd&, const bus_properties&) {
                            throw bus_error("org.bluez.Error.Rejected", "wherry accepts its connections itself");
                        })
                .method(profile_interface, "RequestDisconnection", [](const sdbus::ObjectPath&) {})
                .publish();
        const bus_properties options = {
            {"ServiceRecord", sdbus::Variant(service_record_xml(adapter_, channel_))},
            {"Name", sdbus::Variant(std::string("wherry receiver"))},
            {"Role", sdbus::Variant(std::string("server"))},
            {"AutoConnect", sdbus::Variant(false)},
        };
        try {
            made.bus->proxy("/org/bluez")
                ->callMethod("RegisterProfile")
                .onInterface("org.bluez.ProfileManager1")
                .withArguments(sdbus::ObjectPath(profile_path), unique_uuid(), options);
        } catch (const sdbus::Error& e) {
            throw bluez_failure(e.getName(), e.getMessage(), "bluetoothd does not take the record");
        }
    }

    void miss(const std::string& why) {
        if (!is_missed_)
            tell_(fmt::format(
                "senders do not find this receiver's channel, and have to name it (the /{} of its address), for {}",
                channel_, why));
        is_missed_ = true;
    }

    // The thread's: the bus is used there only from now on.
    void keep() {
        while (!stop_.raised()) {
            try {
                if (!current_) register_record();
                if (current_) {
                    current_->bus->wait(
                        std::nullopt, [] { return false; }, stop_.descriptor());
                    continue;
                }
            } catch (const std::exception& e) {
                current_.reset();
                miss(e.what());
            }
            wait_for(stop_.descriptor(), POLLIN, stop_, deadline_after(patience));
        }
        current_.reset();
    }

    const bluetooth_address adapter_;
    const std::uint8_t channel_;
    const std::function<void(const std::string&)> tell_;
    stop_signal stop_;
    std::optional<registration> current_;
    bool is_missed_ = false;
    std::jthread thread_;  // last: it uses the rest
};

service_registration::service_registration(const bluetooth_address& adapter, std::uint8_t channel,
                                           std::function<void(const std::string&)> tell)
    : keeper_(std::make_unique<keeper>(adapter, channel, std::move(tell))) {}

service_registration::~service_registration() = default;

}  // namespace wherry::rfcomm

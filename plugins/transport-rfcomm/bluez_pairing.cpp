// SPDX-License-Identifier: BSD-2-Clause
#include "bluez_pairing.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <optional>
#include <string>

#include "bluez_bus.hpp"
#include "bluez_discovery.hpp"
#include "bluez_failures.hpp"
#include "device_table.hpp"
#include "socket_connection.hpp"
#include "wherry/text.hpp"

namespace wherry::rfcomm {

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr const char* agent_path = "/org/wherry/agent";
constexpr const char* agent_interface = "org.bluez.Agent1";
constexpr const char* manager_interface = "org.bluez.AgentManager1";

// For bluetoothd to give up a pairing that was called off.
constexpr auto time_to_give_up = 3s;

std::string six_digits(std::uint32_t passkey) {
    char text[16];
    std::snprintf(text, sizeof text, "%06u", passkey);
    return text;
}

// What bluetoothd asks, handed to the person; and the time that takes.
class agent {
public:
    agent(bluez_bus& bus, const bluetooth_address& device, const std::string& path, pairing_agent& person)
        : bus_(bus), device_(device), path_(path), person_(person), manager_(bus.proxy("/org/bluez")) {
        offer();
        try {
            // Without becoming the default agent: the one who pairs is asked about the pairing, and nobody else's
            // business is taken away from the desktop's agent.
            manager_->callMethod("RegisterAgent")
                .onInterface(manager_interface)
                .withArguments(sdbus::ObjectPath(agent_path), std::string("KeyboardDisplay"));
        } catch (const sdbus::Error& e) {
            throw bluez_failure(e.getName(), e.getMessage(), "bluetoothd takes no pairing agent");
        }
    }
    ~agent() {
        try {
            manager_->callMethod("UnregisterAgent")
                .onInterface(manager_interface)
                .withArguments(sdbus::ObjectPath(agent_path));
        } catch (const sdbus::Error&) {
            // It ends with the connection at the latest.
        }
    }
    agent(const agent&) = delete;
    agent& operator=(const agent&) = delete;

    bool has_declined() const noexcept { return has_declined_; }
    clock::duration time_asking() const noexcept { return time_asking_; }

private:
    void offer() {
        object_maker object(bus_.connection(), agent_path);
        const auto on = [&](const char* method, auto handler) {
            object.method(agent_interface, method, std::move(handler));
        };
        using path = sdbus::ObjectPath;
        on("Release", [] {});
        on("Cancel", [] {});
        on("RequestConfirmation",
           [this](const path& who, const std::uint32_t& passkey) { confirm(who, six_digits(passkey)); });
        on("RequestAuthorization", [this](const path& who) { confirm(who, {}); });
        // A service of this machine's that the device wants to use: not what was asked for.
        on("AuthorizeService", [](const path&, const std::string&) { reject(); });
        on("RequestPinCode", [this](const path& who) { return enter(who); });
        on("RequestPasskey", [this](const path& who) { return enter_passkey(who); });
        on("DisplayPinCode", [this](const path& who, const std::string& code) { show(who, code); });
        // Again with each key that is pressed on the other side.
        on("DisplayPasskey", [this](const path& who, const std::uint32_t& passkey, const std::uint16_t&) {
            show(who, six_digits(passkey));
        });
        object_ = object.publish();
    }

    [[noreturn]] static void reject() { throw bus_error("org.bluez.Error.Rejected", "declined"); }

    // The agent's own failure ends the pairing, and is what pair() throws.
    [[noreturn]] void fail(std::exception_ptr why) {
        bus_.keep_failure(std::move(why));
        throw bus_error("org.bluez.Error.Canceled", "called off");
    }

    // Asks the person; time does not count meanwhile.
    template <class Ask>
    auto asked(const sdbus::ObjectPath& who, Ask ask) {
        if (who != path_) reject();
        struct stopwatch {
            clock::duration& sum;
            clock::time_point begin = clock::now();
            ~stopwatch() { sum += clock::now() - begin; }
        } const running{time_asking_};
        try {
            return ask();
        } catch (...) {
            fail(std::current_exception());
        }
    }

    void confirm(const sdbus::ObjectPath& who, const std::string& code) {
        if (asked(who, [&] { return person_.confirm(code); })) return;
        has_declined_ = true;
        reject();
    }

    std::string enter(const sdbus::ObjectPath& who) {
        if (const auto code = asked(who, [&] { return person_.enter(); })) return *code;
        has_declined_ = true;
        reject();
    }

    std::uint32_t enter_passkey(const sdbus::ObjectPath& who) {
        const auto digits = enter(who);
        if (digits.empty() || digits.size() > 6 || digits.find_first_not_of("0123456789") != digits.npos)
            fail(std::make_exception_ptr(
                error(errc::bad_input,
                      fmt::format("'{}' is no passkey; it is a number of up to six digits", printable(digits)))));
        return static_cast<std::uint32_t>(std::stoul(digits));
    }

    void show(const sdbus::ObjectPath& who, const std::string& code) {
        if (code == shown_) return;
        shown_ = code;
        asked(who, [&] { person_.show(code); });
    }

    bluez_bus& bus_;
    const bluetooth_address device_;
    const std::string path_;
    pairing_agent& person_;
    std::unique_ptr<sdbus::IProxy> manager_;
    std::unique_ptr<sdbus::IObject> object_;
    std::string shown_;
    bool has_declined_ = false;
    clock::duration time_asking_{0};
};

// Cancels the call when it goes.
class pairing_call {
public:
    pairing_call(bluez_bus& bus, const std::string& path) : bus_(bus), device_(bus.proxy(path)) {
        device_->callMethodAsync("Pair")
            .onInterface(device_interface)
            // bluetoothd has its own limits; ours is in wait().
            .withTimeout(24h)
            .uponReplyInvoke([this](reply_error e) {
                is_over_ = true;
                if (e) failure_ = *e;
            });
    }
    bool is_over() const noexcept { return is_over_; }
    const std::optional<sdbus::Error>& failure() const noexcept { return failure_; }

    void cancel() noexcept {
        try {
            if (is_over_) return;
            device_->callMethod("CancelPairing").onInterface(device_interface);
            bus_.wait(deadline_after(time_to_give_up), [this] { return is_over_; });
        } catch (const std::exception&) {
            // It ends with the connection at the latest.
        }
    }

private:
    bluez_bus& bus_;
    std::unique_ptr<sdbus::IProxy> device_;
    bool is_over_ = false;
    std::optional<sdbus::Error> failure_;
};

bool is_known(bluez_bus& bus, const std::string& path) {
    const auto all = bus.objects();
    const auto found = all.find(sdbus::ObjectPath(path));
    return found != all.end() && found->second.contains(device_interface);
}

// bluetoothd pairs with devices that it has heard of only.
void make_known(bluez_bus& bus, const adapter& local, const bluetooth_address& device, const std::string& path,
                clock::time_point until) {
    if (is_known(bus, path)) return;
    bool is_found = false;
    device_table table([&](const discovered_peer& peer) {
        is_found = is_found || peer.address == to_string(device);
        return !is_found;
    });
    discover_with_bluez(bus, local, table, [&] { return clock::now() >= until; });
    if (!is_found)
        throw error(errc::timed_out,
                    fmt::format("{} was not found; bring it nearer, make it discoverable (bluetoothctl discoverable "
                                "on), and check the address with wherry devices",
                                to_string(device)));
}

}  // namespace

void pair(const adapter& local, const bluetooth_address& device, std::chrono::milliseconds limit,
          pairing_agent& person) {
    std::string why;
    const auto bus = bluez_bus::try_open(why);
    if (!bus) throw error(errc::io, fmt::format("pairing needs bluetoothd: {}", why));
    const auto begin = clock::now();
    const auto path = device_path(local.name, to_string(device));
    make_known(*bus, local, device, path, begin + limit);

    const agent asks(*bus, device, path, person);
    pairing_call call(*bus, path);
    try {
        while (!call.is_over()) {
            const auto until = begin + limit + asks.time_asking();
            if (clock::now() >= until) break;
            bus->wait(until, [&] { return call.is_over(); });
        }
    } catch (...) {
        call.cancel();
        throw;
    }
    if (!call.is_over()) {
        call.cancel();
        throw error(
            errc::timed_out,
            fmt::format("the pairing with {} did not end within {}; accept it on that device, too, and try again",
                        to_string(device), shown(limit)));
    }
    if (asks.has_declined())
        throw error(errc::refused, fmt::format("the pairing with {} was declined here", to_string(device)));
    const auto& failure = call.failure();
    if (failure && failure->getName() != "org.bluez.Error.AlreadyExists")
        throw pairing_failure(failure->getName(), failure->getMessage(), device);
}

}  // namespace wherry::rfcomm

// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "sdbus_versions.hpp"
#include "temporary_folder.hpp"

namespace wherry::test {

// A D-Bus of its own that takes the place of the system's for this process, with nobody on it.
class private_bus {
public:
    private_bus() {
        const auto socket = folder_.path() / "socket";
        const auto config = folder_.path() / "config";
        std::ofstream(config)
            << "<busconfig><type>session</type><listen>unix:path=" << socket.string()
            << "</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow send_destination=\"*\" "
               "eavesdrop=\"false\"/><allow receive_sender=\"*\"/><allow own=\"*\"/></policy></busconfig>";
        int ready[2];
        if (::pipe(ready) != 0) throw std::runtime_error("no pipe");
        const auto option = "--config-file=" + config.string();
        const auto print = "--print-address=" + std::to_string(ready[1]);
        daemon_ = ::fork();
        if (daemon_ == 0) {
            ::close(ready[0]);
            ::execlp("dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", option.c_str(), print.c_str(), nullptr);
            ::_exit(127);
        }
        ::close(ready[1]);
        char first = 0;
        is_there_ = ::read(ready[0], &first, 1) == 1;
        ::close(ready[0]);
        ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + socket.string()).c_str(), 1);
    }
    ~private_bus() {
        ::kill(daemon_, SIGKILL);
        ::waitpid(daemon_, nullptr, 0);
        ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
    }
    private_bus(const private_bus&) = delete;
    private_bus& operator=(const private_bus&) = delete;

    // False where there is no dbus-daemon to run.
    bool is_there() const noexcept { return is_there_; }

private:
    temporary_folder folder_;
    ::pid_t daemon_ = -1;
    bool is_there_ = false;
};

// What wherry uses of bluetoothd: one adapter, hci0, whose devices do what a test says. Set it up before it is used;
// what it was asked is read under the lock of calls().
class fake_bluetoothd {
public:
    struct device {
        std::string address, alias;
        bool is_paired = false;
        std::optional<std::int16_t> rssi = std::nullopt;
    };

    fake_bluetoothd() : connection_(sdbus::createSystemBusConnection(rfcomm::service_name("org.bluez"))) {
        root_ = rfcomm::object_maker(*connection_, "/").publish();
        root_->addObjectManager();

        constexpr const char* agent_manager = "org.bluez.AgentManager1";
        constexpr const char* profile_manager = "org.bluez.ProfileManager1";
        manager_ =
            rfcomm::object_maker(*connection_, "/org/bluez")
                .method(agent_manager, "RegisterAgent",
                        [this](const sdbus::ObjectPath& path, const std::string& capability) {
                            const std::lock_guard lock(mutex_);
                            calls_.push_back("RegisterAgent " + capability);
                            agent_path_ = path;
                            agent_owner_ = rfcomm::current_sender(*manager_);
                        })
                .method(agent_manager, "UnregisterAgent", [this](const sdbus::ObjectPath&) { note("UnregisterAgent"); })
                .method(profile_manager, "RegisterProfile",
                        [this](const sdbus::ObjectPath&, const std::string& uuid,
                               const std::map<std::string, sdbus::Variant>& options) {
                            const std::lock_guard lock(mutex_);
                            profiles_.emplace_back(uuid, options);
                        })
                .publish();

        constexpr const char* adapter = "org.bluez.Adapter1";
        adapter_ = rfcomm::object_maker(*connection_, "/org/bluez/hci0")
                       .method(adapter, "SetDiscoveryFilter",
                               [this](const std::map<std::string, sdbus::Variant>& filter) {
                                   note("SetDiscoveryFilter " + filter.at("Transport").get<std::string>());
                               })
                       .method(adapter, "StartDiscovery",
                               [this] {
                                   note("StartDiscovery");
                                   if (on_start) on_start();
                               })
                       .method(adapter, "StopDiscovery", [this] { note("StopDiscovery"); })
                       .publish();
        connection_->enterEventLoopAsync();
    }
    ~fake_bluetoothd() {
        connection_->leaveEventLoop();
        for (auto& one : devices_) one->object.reset();
    }
    fake_bluetoothd(const fake_bluetoothd&) = delete;
    fake_bluetoothd& operator=(const fake_bluetoothd&) = delete;

    // A device that is known from now on, and that whoever listens is told of. From any thread.
    void add(const device& what) {
        auto shown = what.address;
        for (auto& c : shown)
            if (c == ':') c = '_';
        devices_.push_back(std::make_unique<kept_device>());
        auto& kept = *devices_.back();
        kept.path = "/org/bluez/hci0/dev_" + shown;
        constexpr const char* device1 = "org.bluez.Device1";
        rfcomm::object_maker object(*connection_, kept.path);
        object.property(device1, "Address", [a = what.address] { return a; })
            .property(device1, "Alias", [a = what.alias] { return a; })
            .property(device1, "Paired", [p = what.is_paired] { return p; });
        if (what.rssi) object.property(device1, "RSSI", [r = *what.rssi] { return r; });
        object.method(device1, "Pair", [this, &kept](sdbus::Result<>&& result) { pair(kept, std::move(result)); })
            .method(device1, "CancelPairing", [this] {
                note("CancelPairing");
                if (!unanswered_) throw rfcomm::bus_error("org.bluez.Error.DoesNotExist", "");
                unanswered_->returnError(
                    rfcomm::bus_error("org.bluez.Error.AuthenticationCanceled", "Authentication Canceled"));
                unanswered_.reset();
            });
        kept.object = object.publish();
        kept.object->emitInterfacesAddedSignal({rfcomm::interface_name(device1)});
    }

    // A change of a device's that whoever listens is told of.
    void change(const std::string& path, const std::map<std::string, sdbus::Variant>& properties) {
        for (auto& one : devices_) {
            if (one->path != path) continue;
            auto signal = one->object->createSignal(rfcomm::interface_name("org.freedesktop.DBus.Properties"),
                                                    rfcomm::signal_name("PropertiesChanged"));
            signal << std::string("org.bluez.Device1") << properties << std::vector<std::string>();
            one->object->emitSignal(signal);
        }
    }

    // Calls a method of the agent, as part of `pairing`; throws what it answers.
    template <class... Arguments>
    sdbus::MethodReply ask(const char* method, const Arguments&... arguments) {
        const auto proxy = rfcomm::make_proxy(*connection_, agent_owner_, agent_path_);
        auto call = proxy->createMethodCall(rfcomm::interface_name("org.bluez.Agent1"), rfcomm::method_name(method));
        (call << ... << arguments);
        return proxy->callMethod(call);
    }

    std::vector<std::string> calls() {
        const std::lock_guard lock(mutex_);
        return calls_;
    }
    // Of each profile that was registered.
    std::vector<std::pair<std::string, std::map<std::string, sdbus::Variant>>> profiles() {
        const std::lock_guard lock(mutex_);
        return profiles_;
    }

    // What Pair does before it succeeds; it may throw sdbus::Error. None: it never answers. Gets the device's path.
    std::function<void(const sdbus::ObjectPath&)> pairing;
    std::function<void()> on_start;

private:
    struct kept_device {
        std::string path;
        std::unique_ptr<sdbus::IObject> object;
    };

    void pair(kept_device& kept, sdbus::Result<>&& result) {
        note("Pair");
        if (!pairing) {
            unanswered_ = std::move(result);
            return;
        }
        try {
            pairing(sdbus::ObjectPath(kept.path));
            result.returnResults();
        } catch (const sdbus::Error& e) {
            result.returnError(e);
        }
    }

    void note(const std::string& call) {
        const std::lock_guard lock(mutex_);
        calls_.push_back(call);
    }

    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<sdbus::IObject> root_, manager_, adapter_;
    std::vector<std::unique_ptr<kept_device>> devices_;
    std::optional<sdbus::Result<>> unanswered_;
    std::mutex mutex_;
    std::vector<std::string> calls_;
    std::vector<std::pair<std::string, std::map<std::string, sdbus::Variant>>> profiles_;
    std::string agent_path_, agent_owner_;
};

}  // namespace wherry::test

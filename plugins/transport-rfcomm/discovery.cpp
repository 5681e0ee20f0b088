// SPDX-License-Identifier: BSD-2-Clause
#include "discovery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <thread>
#include <utility>

#include "bluez_bus.hpp"
#include "bluez_discovery.hpp"
#include "find_by_name.hpp"
#include "hci_inquiry.hpp"
#include "service_lookup.hpp"
#include "socket_connection.hpp"
#include "wherry/mutex.hpp"
#include "wherry/text.hpp"

namespace wherry::rfcomm {

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using time_point = clock::time_point;

// A device that is not there is given up by the adapter after 5.12 s.
constexpr auto patience_with_one = 5500ms;

// Asks devices for their receivers on a thread of its own, so that whoever waits for it can be heard meanwhile.
class receiver_survey {
public:
    struct finding {
        bluetooth_address device;
        std::optional<bool> has_receiver;
    };

    receiver_survey(const adapter& local, std::vector<found_device> devices, time_point until)
        : local_(local), devices_(std::move(devices)), until_(until), thread_([this] { run(); }) {}
    ~receiver_survey() { stop_.raise(); }
    receiver_survey(const receiver_survey&) = delete;
    receiver_survey& operator=(const receiver_survey&) = delete;

    // What has come within a tick; false when no more will.
    bool next(std::deque<finding>& findings) {
        mutex_lock lock(mutex_);
        changed_.wait_for(lock, tick, [this]() WHERRY_REQUIRES(mutex_) { return is_over_ || !findings_.empty(); });
        findings = std::exchange(findings_, {});
        return !is_over_ || !findings.empty();
    }

private:
    void run() {
        for (const auto& one : devices_) {
            if (stop_.raised() || clock::now() >= until_) break;
            ask(one.address);
        }
        const mutex_lock lock(mutex_);
        is_over_ = true;
        changed_.notify_one();
    }

    void ask(const bluetooth_address& device) {
        try {
            const auto until = std::min(until_, clock::now() + patience_with_one);
            const bool has_receiver = lookup_channel(local_.address, device, until, &stop_).has_value();
            tell({device, has_receiver});
        } catch (const error& e) {
            // It is there, but has nobody who could answer: what it said of itself is of another time.
            if (e.system_error() == ECONNREFUSED) tell({device, std::nullopt});
        }
    }

    void tell(const finding& one) {
        const mutex_lock lock(mutex_);
        findings_.push_back(one);
        changed_.notify_one();
    }

    const adapter& local_;
    const std::vector<found_device> devices_;
    const time_point until_;
    stop_signal stop_;
    mutex mutex_;
    condition changed_;
    std::deque<finding> findings_ WHERRY_GUARDED_BY(mutex_);
    bool is_over_ WHERRY_GUARDED_BY(mutex_) = false;
    std::jthread thread_;  // last: it uses the rest
};

void ask_for_receivers(const adapter& local, device_table& table, time_point until) {
    receiver_survey survey(local, table.to_be_asked(), until);
    std::deque<receiver_survey::finding> findings;
    while (table.goes_on() && survey.next(findings))
        for (const auto& [address, has_receiver] : findings)
            table.update(address, [has = has_receiver](found_device& device) { device.has_receiver = has; });
}

// Listens around until is_over().
void inquire(const adapter& local, device_table& table, const std::function<bool()>& is_over, bool& by_bluetoothd) {
    std::string why;
    const auto bus = bluez_bus::try_open(why);
    by_bluetoothd = bus != nullptr;
    if (bus)
        discover_with_bluez(*bus, local, table, is_over);
    else
        discover_with_hci(local, table, is_over);
}

}  // namespace

void discover(const adapter& local, std::chrono::milliseconds limit,
              const std::function<bool(const discovered_peer&)>& found) {
    device_table table(found);
    const auto begin = clock::now();
    const auto until = begin + limit;
    // Most devices answer an inquiry within half of the 10 s that it can take. Who has nobody to ask goes on to listen.
    const auto turn = begin + limit * 6 / 10;
    bool by_bluetoothd = false;
    inquire(
        local, table,
        [&] {
            const auto now = clock::now();
            return now >= until || (now >= turn && !table.to_be_asked().empty());
        },
        by_bluetoothd);
    if (!by_bluetoothd) {
        const auto most = clock::now() + (until - clock::now()) / 2;
        ask_names_with_hci(local, table, [&] { return clock::now() >= most; });
    }
    ask_for_receivers(local, table, until);
}

std::optional<bluetooth_address> only_one(std::string_view name, std::span<const bluetooth_address> fitting) {
    if (fitting.empty()) return std::nullopt;
    if (fitting.size() == 1) return fitting.front();
    std::string all;
    for (const auto& one : fitting) all += (all.empty() ? "" : ", ") + to_string(one);
    throw error(errc::bad_input,
                fmt::format("several devices are called '{}' ({}); write the address of the one that you mean",
                            printable(name), all));
}

bluetooth_address find_by_name(const adapter& local, std::string_view name, std::chrono::milliseconds limit,
                               const stop_signal* stop) {
    std::string why;
    if (const auto bus = bluez_bus::try_open(why))
        if (const auto paired = paired_by_name(*bus, local, name)) return *paired;

    // Another one of that name shows in the same moment, or a little later.
    constexpr auto time_for_doubles = 3s;
    const auto until = clock::now() + limit;
    auto enough = until;
    std::vector<bluetooth_address> fitting;
    const auto goes_on = [&] { return stop == nullptr || !stop->raised(); };
    device_table table([&](const discovered_peer& peer) {
        if (peer.name != name) return goes_on();
        const auto address = bluetooth_address::parse(peer.address);
        if (address && std::find(fitting.begin(), fitting.end(), *address) == fitting.end())
            fitting.push_back(*address);
        enough = std::min(enough, clock::now() + time_for_doubles);
        return goes_on();
    });
    bool by_bluetoothd = false;
    const auto half = clock::now() + limit / 2;
    inquire(
        local, table, [&] { return clock::now() >= (by_bluetoothd || !fitting.empty() ? enough : half); },
        by_bluetoothd);
    if (!by_bluetoothd) ask_names_with_hci(local, table, [&] { return clock::now() >= enough; });
    if (!goes_on()) throw error(errc::cancelled, fmt::format("looking for '{}' was stopped", printable(name)));
    if (const auto found = only_one(name, fitting)) return *found;
    throw error(errc::timed_out,
                fmt::format("no device called '{}' was found over Bluetooth; make it discoverable and bring it nearer, "
                            "or write its address (wherry devices lists those around)",
                            printable(name)));
}

}  // namespace wherry::rfcomm

// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <thread>

#include "application.hpp"
#include "device_list.hpp"
#include "wherry/mutex.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

// What is found, and the picture of it that moves on a terminal while the transport looks.
class looking {
public:
    looking(application& app, const effective_options& options)
        : app_(app),
          transport_name_(options.chosen(plugin_kind::transport).name()),
          transport_(options.make_transport()),
          limit_(options.duration("limit")) {}

    exit_code run() {
        const auto begin = clock::now();
        bool is_stopped = false;
        {
            const signal_watcher::scope stop(app_.signals, [&](unsigned count) {
                // A transport that does not let itself be stopped is left behind.
                if (count > 1) ::_exit(to_status(exit_code::interrupted));
                wants_stop_ = true;
            });
            const std::jthread painter([this](std::stop_token stopped) { paint(stopped); });
            transport_->discover(limit_, [this](const discovered_peer& peer) {
                take(peer);
                return !wants_stop_;
            });
            is_stopped = wants_stop_;
        }
        const auto code = is_stopped ? exit_code::interrupted : exit_code::delivered;
        tell_end(std::chrono::duration<double>(clock::now() - begin).count(), code);
        return code;
    }

private:
    void take(const discovered_peer& peer) {
        if (peer.address.empty()) return;
        {
            const mutex_lock lock(mutex_);
            if (!found_.update(peer)) return;
        }
        if (app_.style != output::json) return;
        json fields;
        put_name(fields, "address", peer.address);
        put_name(fields, "destination", destination(peer.address));
        if (!peer.name.empty()) put_name(fields, "name", peer.name);
        if (peer.signal_dbm) fields["signal_dbm"] = *peer.signal_dbm;
        if (peer.is_paired) fields["paired"] = *peer.is_paired;
        if (peer.has_receiver) fields["receiver"] = *peer.has_receiver;
        app_.events.write("device", fields);
    }

    void paint(const std::stop_token& stopped) {
        if (app_.style != output::lines || !app_.terminal.shows_status()) return;
        std::condition_variable_any tick;
        mutex_lock lock(mutex_);
        for (unsigned turn = 0; !stopped.stop_requested(); ++turn) {
            auto picture = found_.table(app_.terminal.columns(), std::max<std::size_t>(app_.terminal.rows(), 4) - 2);
            if (!picture.empty()) picture += '\n';
            picture += fmt::format("{} looking for devices (Ctrl-C ends it)", "|/-\\"[turn % 4]);
            app_.terminal.status(fitted(picture, app_.terminal.columns()));
            tick.wait_for(lock, stopped, 100ms, [] { return false; });
        }
        app_.terminal.status({});
    }

    void tell_end(double seconds, exit_code code) {
        const mutex_lock lock(mutex_);
        if (app_.style == output::json) {
            json fields;
            fields["devices"] = found_.devices().size();
            fields["seconds"] = seconds;
            fields["exit_code"] = to_status(code);
            app_.events.write("done", fields);
            return;
        }
        // A pipe has no columns; what reads it may want all of a name.
        const auto columns = app_.terminal.is_output_terminal() ? app_.terminal.columns() : widest_table;
        if (app_.style == output::lines && !found_.devices().empty())
            app_.terminal.result(found_.table(columns, found_.devices().size() + 1));
        app_.note(next_step());
    }

    std::string next_step() const WHERRY_REQUIRES(mutex_) {
        const auto devices = found_.devices();
        if (devices.empty())
            return "no device was found; see that the other one is switched on, near, and lets itself be found, or "
                   "look longer: wherry devices --limit 30s";
        const auto ready = std::find_if(devices.begin(), devices.end(),
                                        [](const listed_device& one) { return one.has_receiver.value_or(false); });
        if (ready == devices.end())
            return fmt::format(
                "none of them is known to run a receiver; start one there: wherry receive --transport {}",
                transport_name_);
        const auto send =
            fmt::format("to send there: wherry send FILE --to {}", shell_word(destination(ready->address)));
        if (!ready->is_paired.value_or(true))
            return fmt::format("pair first: wherry pair {}; then, {}", shell_word(destination(ready->address)), send);
        return send;
    }

    std::string destination(std::string_view address) const { return transport_name_ + "://" + std::string(address); }

    application& app_;
    const std::string transport_name_;
    const std::unique_ptr<transport> transport_;
    const std::chrono::milliseconds limit_;
    std::atomic<bool> wants_stop_{false};
    mutex mutex_;
    device_list found_ WHERRY_GUARDED_BY(mutex_);
};

exit_code run(application& app) {
    // What the settings name is for sending and receiving; most of it cannot look around.
    if (app.options.early_origin("transport") != origin::command_line)
        app.options.choose(plugin_kind::transport, "rfcomm");
    const plugin_kind kinds[] = {plugin_kind::transport};
    const auto options = app.read_options(kinds);
    if (const auto more = plain_arguments(options); !more.empty())
        throw error(errc::bad_input,
                    fmt::format("'{}' is an argument too many; devices takes none", printable(more.front())));
    return looking(app, options).run();
}

}  // namespace

const command& devices_command() {
    static const command described = {devices_syntax(), run};
    return described;
}

}  // namespace wherry::app

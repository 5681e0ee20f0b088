// SPDX-License-Identifier: BSD-2-Clause
#include "application.hpp"

#include <fmt/format.h>
#include "device_list.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

// What a person typed to a yes-or-no question: no is all that is not a clear yes.
bool is_yes(std::string answer) {
    while (!answer.empty() && (answer.back() == ' ' || answer.back() == '\r')) answer.pop_back();
    return answer == "yes" || answer == "y" || answer == "Yes" || answer == "YES";
}

// The person at the terminal.
class terminal_agent final : public pairing_agent {
public:
    terminal_agent(application& app, std::string device, bool accepts_without_code)
        : app_(app), device_(std::move(device)), accepts_without_code_(accepts_without_code) {}

    bool confirm(std::string_view code) override {
        tell_code("compare", code);
        if (code.empty()) {
            if (accepts_without_code_) {
                app_.note(fmt::format("{} shows no code; paired all the same (--yes)", device_));
                return true;
            }
            need_terminal("to be asked whether to pair without a code to compare; give --yes to pair all the same");
            return is_yes(
                ask_line(fmt::format("{} shows no code to compare, so nobody can tell that it is the one you mean.\n"
                                     "Pair all the same? [yes/no] ",
                                     device_)));
        }
        // Never answered for the person: that both see the same number is all that keeps a third one out.
        need_terminal(fmt::format("for a person to compare the code {}", printable(code)));
        return is_yes(ask_line(fmt::format("Does {} show the code {}, too? [yes/no] ", device_, printable(code))));
    }

    std::optional<std::string> enter() override {
        tell_code("enter", {});
        need_terminal(fmt::format("for a person to type the code of {}", device_));
        auto code = ask_line(fmt::format("The code of {} (what it shows, or its manual says): ", device_));
        while (!code.empty() && (code.back() == ' ' || code.back() == '\r')) code.pop_back();
        if (code.empty()) return std::nullopt;
        return code;
    }

    void show(std::string_view code) override {
        tell_code("show", code);
        // Also with --quiet: without it nobody can go on.
        if (app_.style != output::json)
            app_.terminal.note(fmt::format("Type this code on {}: {}", device_, printable(code)));
    }

private:
    void tell_code(const char* what, std::string_view code) {
        if (app_.style != output::json) return;
        json fields;
        fields["what"] = what;
        if (!code.empty()) put_name(fields, "code", code);
        app_.events.write("pairing_code", fields);
    }

    void need_terminal(const std::string& what) const {
        if (can_ask()) return;
        throw error(errc::auth_failed, fmt::format("there is no terminal {}; run wherry pair on one", what));
    }

    application& app_;
    const std::string device_;
    const bool accepts_without_code_;
};

// The address that was given, without its scheme, which must be the transport's.
std::string read_device(const effective_options& options) {
    const auto arguments = plain_arguments(options);
    if (arguments.empty())
        throw error(errc::bad_input, "with whom to pair is not said; give the ADDRESS, which wherry devices shows");
    if (arguments.size() > 1)
        throw error(errc::bad_input,
                    fmt::format("there is an argument too many: '{}'; one ADDRESS is taken", printable(arguments[1])));
    const auto parts = split_destination(arguments.front());
    const auto& transport = options.chosen(plugin_kind::transport).name();
    if (!parts.scheme.empty() && parts.scheme != transport)
        throw error(errc::bad_input, fmt::format("'{}' is for the transport {}, but the transport is {}",
                                                 printable(arguments.front()), parts.scheme, transport));
    if (parts.address.empty())
        throw error(errc::bad_input, fmt::format("'{}' names no device", printable(arguments.front())));
    return parts.address;
}

exit_code run(application& app) {
    if (app.options.early_origin("transport") != origin::command_line) {
        std::string name = "rfcomm";
        for (const auto& argument : app.options.early_arguments())
            if (const auto scheme = split_destination(argument).scheme; !scheme.empty()) name = scheme;
        app.options.choose(plugin_kind::transport, name);
    }
    const plugin_kind kinds[] = {plugin_kind::transport};
    const auto options = app.read_options(kinds);
    const auto address = read_device(options);
    const auto& transport_name = options.chosen(plugin_kind::transport).name();
    const auto transport = options.make_transport();

    terminal_agent person(app, printable(address), options.boolean("yes"));
    transport->pair(address, options.duration("limit"), person);

    const auto destination = transport_name + "://" + address;
    if (app.style == output::json) {
        json fields;
        put_name(fields, "address", address);
        put_name(fields, "destination", destination);
        app.events.write("paired", fields);
    } else if (app.style == output::lines) {
        app.terminal.result(fmt::format("paired with {}", printable(address)));
        app.note(fmt::format("to send there: wherry send FILE --to {}", shell_word(destination)));
    }
    return exit_code::delivered;
}

}  // namespace

const command& pair_command() {
    static const command described = {pair_syntax(), run};
    return described;
}

}  // namespace wherry::app

// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "application.hpp"
#include "bench/client.hpp"
#include "bench/local.hpp"
#include "bench/server.hpp"
#include "dial_report.hpp"
#include "serving.hpp"
#include "wherry/limits.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

enum class bench_mode { serve, to, local };

std::string_view option_of(bench_mode mode) {
    switch (mode) {
        case bench_mode::serve: return "--serve";
        case bench_mode::to: return "--to";
        case bench_mode::local: break;
    }
    return "--local";
}

bench_mode choose_mode(const option_reader& options) {
    std::vector<bench_mode> chosen;
    if (options.early_flag("serve")) chosen.push_back(bench_mode::serve);
    // The receiver that a configuration names is for sending, and not to be measured by accident.
    if (options.early_origin("to") == origin::command_line) chosen.push_back(bench_mode::to);
    if (options.early_flag("local")) chosen.push_back(bench_mode::local);
    if (chosen.empty())
        throw error(
            errc::bad_input,
            "what to measure is not said; start wherry bench --serve on one host, and wherry bench --to ADDRESS "
            "on the other, or wherry bench --local for this host alone");
    if (chosen.size() > 1)
        throw error(errc::bad_input, fmt::format("{} and {} exclude each other; give one of them", option_of(chosen[0]),
                                                 option_of(chosen[1])));
    return chosen.front();
}

bool was_given(const effective_options& options, std::string_view name) {
    return options.has(name) && options.given(name).source != origin::built_in;
}

// Options that mean nothing here were given for something; what stands in the configuration is for other commands.
void require_absent(const effective_options& options, std::initializer_list<const char*> names,
                    const std::string& where) {
    for (const auto* const name : names)
        if (options.has(name) && options.given(name).source == origin::command_line)
            throw error(errc::bad_input, fmt::format("{} means nothing {}", options.given(name).written, where));
}

std::uint64_t positive(const effective_options& options, const char* name) {
    const auto bytes = options.bytes(name);
    if (bytes == 0) throw error(errc::bad_input, fmt::format("{}: it is to be 1 or more", options.given(name).written));
    return bytes;
}

bench::client_options read_client_options(const effective_options& options) {
    using bench::workload;
    bench::client_options chosen;
    chosen.senders = static_cast<std::size_t>(options.integer("senders"));
    chosen.streams = static_cast<std::size_t>(options.integer("streams"));
    chosen.interval = options.duration("interval");
    auto& what = chosen.what;
    const auto& word = options.text("workload");
    const auto where = fmt::format("with --workload {}", word);
    if (word == "stream") {
        require_absent(options, {"files", "messages", "size", "singles"}, where);
        what.kind = workload::stream;
        if (options.has("source")) what.source = options.text("source");
        if (options.has("bytes")) what.bytes = positive(options, "bytes");
        // What has an end of its own is sent to its end, unless a time is given, too.
        if (was_given(options, "time") || (!what.bytes && what.source.empty())) what.time = options.duration("time");
    } else {
        require_absent(options, {"time", "bytes", "source"}, where);
        what.kind = word == "files" ? workload::files : workload::messages;
        require_absent(options, {what.kind == workload::files ? "messages" : "files"}, where);
        what.count = static_cast<std::uint64_t>(options.integer(word));
        if (what.kind == workload::files) require_absent(options, {"singles"}, where);
        what.singles = static_cast<std::uint64_t>(options.integer("singles"));
        what.size = options.has("size") ? options.bytes("size") : what.kind == workload::files ? 4096 : 100;
        constexpr std::uint64_t longest_message = std::uint64_t{1} << 20;
        if (what.kind == workload::messages && what.size > longest_message)
            throw error(errc::bad_input,
                        fmt::format("{}: a message is to have 1 MiB at most", options.given("size").written));
    }
    return chosen;
}

constexpr plugin_kind all_kinds[] = {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink};

// What the settings name is for real use, and stores what comes.
void choose_sink(application& app) {
    if (app.options.early_origin("sink") != origin::command_line) app.options.choose(plugin_kind::sink, "null");
}

// The ADDRESS that was given, if one was.
std::optional<std::string> only_argument(const effective_options& options) {
    const auto arguments = plain_arguments(options);
    if (arguments.size() > 1)
        throw error(errc::bad_input,
                    fmt::format("there is an argument too many: '{}'; one ADDRESS is taken", printable(arguments[1])));
    return arguments.empty() ? std::nullopt : std::optional(arguments.front());
}

exit_code serve(application& app) {
    choose_sink(app);
    choose_transport_by_address(app);
    const auto options = app.read_options(all_kinds);
    require_absent(options,
                   {"accept-new-peer", "workload", "time", "bytes", "source", "files", "messages", "size", "singles",
                    "senders", "streams", "interval", "compare", "rounds"},
                   "with --serve; the side with --to says what is sent");
    std::string address;
    if (const auto given = only_argument(options)) {
        const auto parts = split_destination(*given);
        const auto& transport = options.chosen(plugin_kind::transport).name();
        if (!parts.scheme.empty() && parts.scheme != transport)
            throw error(errc::bad_input,
                        fmt::format("'{}' is for the transport {}, but the transport is {}; leave --transport out",
                                    printable(*given), parts.scheme, transport));
        address = parts.address;
    }
    return bench::run_server(app, options, address,
                             options.boolean("once") ? bench::serving::once : bench::serving::until_interrupted);
}

void require_no_argument(const effective_options& options, bench_mode mode) {
    if (const auto more = plain_arguments(options); !more.empty())
        throw error(errc::bad_input, fmt::format("'{}' is an argument too many; with {} bench takes none",
                                                 printable(more.front()), option_of(mode)));
}

exit_code run_here(application& app) {
    choose_sink(app);
    const auto options = app.read_options(all_kinds);
    require_absent(options, {"once", "accept-new-peer"}, "with --local, which has both sides");
    bench::local_options how;
    how.address = only_argument(options).value_or("127.0.0.1:0");
    how.what = read_client_options(options);
    // There is more than one to measure, mostly, and no network whose mood changes.
    constexpr std::chrono::seconds short_time{3};
    if (how.what.what.time && !was_given(options, "time")) how.what.what.time = short_time;
    how.rounds = static_cast<unsigned>(options.integer("rounds"));
    if (options.has("compare")) {
        try {
            how.compare = bench::read_comparison(options.text("compare"));
        } catch (const error& e) {
            throw e.within(options.given("compare").written);
        }
    } else if (options.given("cipher").source != origin::command_line) {
        how.compare.name = "cipher";
    }
    return bench::run_local(app, options, how);
}

exit_code run(application& app) {
    const auto mode = choose_mode(app.options);
    if (mode == bench_mode::serve) return serve(app);
    if (mode == bench_mode::local) return run_here(app);
    const auto options = read_sender_options(app);
    require_no_argument(options, mode);
    require_absent(options, {"once", "sink"}, "with --to; the side with --serve says what becomes of what comes");
    require_absent(options, {"compare", "rounds"}, "with --to; --local has it");
    return bench::run_client(app, options, read_client_options(options));
}

}  // namespace

const command& bench_command() {
    static const command described = {bench_syntax(), run, true};
    return described;
}

}  // namespace wherry::app

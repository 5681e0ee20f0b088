// SPDX-License-Identifier: BSD-2-Clause
#include "bench/local.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>

#include "bench/bench_report.hpp"
#include "bench/child.hpp"
#include "wherry/endpoint.hpp"
#include "wherry/keys/known_hosts.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/mutex.hpp"
#include "wherry/text.hpp"

extern char** environ;  // NOLINT

namespace wherry::app::bench {

namespace {

namespace fs = std::filesystem;

// A folder for keys that nobody needs afterwards.
class scratch_folder {
public:
    scratch_folder() {
        std::error_code none;
        auto parent = fs::temp_directory_path(none);
        if (none) parent = "/tmp";
        auto pattern = (parent / "wherry-bench.XXXXXX").native();
        if (::mkdtemp(pattern.data()) == nullptr)
            throw error(errc::io, fmt::format("no folder for keys can be made in {}", printable(parent.native())),
                        errno);
        path_ = pattern;
    }
    ~scratch_folder() {
        std::error_code none;
        fs::remove_all(path_, none);
    }
    scratch_folder(const scratch_folder&) = delete;
    scratch_folder& operator=(const scratch_folder&) = delete;

    const fs::path& path() const noexcept { return path_; }

private:
    fs::path path_;
};

// What to do when a signal comes, as long as something can be done.
class interruptible {
public:
    void interrupt() {
        const mutex_lock lock(mutex_);
        has_come_ = true;
        if (running_ != nullptr) running_->signal(SIGINT);
    }
    bool has_come() const {
        const mutex_lock lock(mutex_);
        return has_come_;
    }

    // While it lives a signal goes to this process.
    class scope {
    public:
        scope(interruptible& owner, child_process& running) : owner_(owner) {
            const mutex_lock lock(owner_.mutex_);
            owner_.running_ = &running;
            if (owner_.has_come_) running.signal(SIGINT);
        }
        ~scope() {
            const mutex_lock lock(owner_.mutex_);
            owner_.running_ = nullptr;
        }
        scope(const scope&) = delete;
        scope& operator=(const scope&) = delete;

    private:
        interruptible& owner_;
    };

private:
    mutable mutex mutex_;
    child_process* running_ WHERRY_GUARDED_BY(mutex_) = nullptr;
    bool has_come_ WHERRY_GUARDED_BY(mutex_) = false;
};

class local_bench {
public:
    local_bench(application& app, const effective_options& options, const local_options& how)
        : app_(app), options_(options), how_(how), values_(values()) {
        require_no_overlap(app, options);
        endpoint_options sides;
        sides.home = home("receiver");
        endpoint(sides).make_key("receiver");
        const auto receiver = endpoint(sides);
        receiver_key_ = receiver.public_key().key.line("receiver");
        sides.home = home("sender");
        receiver.authorize(endpoint(sides).make_key("sender").key.line("sender"));
    }

    exit_code run() {
        auto code = exit_code::delivered;
        const signal_watcher::scope stop(app_.signals, [this](unsigned) { signals_.interrupt(); });
        for (unsigned round = 0; round < how_.rounds; ++round)
            for (const auto& value : values_) {
                if (code != exit_code::delivered || signals_.has_come()) break;
                if (is_repeated() && app_.style == output::lines) app_.terminal.result(heading(value, round));
                code = measure(value);
            }
        if (signals_.has_come()) code = exit_code::interrupted;
        if (is_repeated()) tell_comparison(code);
        return code;
    }

private:
    bool is_repeated() const noexcept { return values_.size() > 1 || how_.rounds > 1; }

    std::string heading(const std::string& value, unsigned round) const {
        const auto compared = how_.compare.name.empty() ? std::string() : how_.compare.name + " " + printable(value);
        if (how_.rounds == 1) return compared;
        return compared.empty() ? fmt::format("round {} of {}", round + 1, how_.rounds)
                                : fmt::format("{}, round {} of {}", compared, round + 1, how_.rounds);
    }

    fs::path home(const char* side) const { return folder_.path() / side; }

    // What is compared; one empty value where nothing is.
    std::vector<std::string> values() {
        const auto& [name, given] = how_.compare;
        if (name.empty()) return {""};
        if (name == "cipher") {
            if (!given.empty()) return given;
            std::vector<std::string> found;
            for (const auto& plugin : app_.plugins.list())
                if (plugin.kind == plugin_kind::cipher && plugin.loaded) found.push_back(plugin.name);
            return found;
        }
        for (const auto kind : {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink}) {
            const auto& used = options_.chosen(kind);
            for (const auto& row : used.options()) {
                if (name != used.name() + "." + row.name) continue;
                if (given.empty() && row.choices.empty())
                    throw error(errc::bad_input,
                                fmt::format("--compare {0} has no values; write --compare {0}=VALUE,VALUE", name));
                for (const auto& value : given) {
                    try {
                        canonical_value(row, value);
                    } catch (const error& e) {
                        throw e.within(fmt::format("--compare {}", name));
                    }
                }
                return given.empty() ? row.choices : given;
            }
        }
        throw error(
            errc::bad_input,
            fmt::format("--compare: '{}' cannot be compared; name 'cipher', or an option of a plugin that is used, "
                        "such as hybrid.aead",
                        printable(name)));
    }

    std::string cipher_for(const std::string& value) const {
        return how_.compare.name == "cipher" ? value : options_.chosen(plugin_kind::cipher).name();
    }

    // The environment of both sides: this program's, with the options of plugins, and without any others.
    std::vector<std::string> environment(const std::string& value) const {
        std::map<std::string, std::string> variables;
        for (auto** variable = environ; *variable != nullptr; ++variable) {
            const std::string_view text(*variable);
            const auto name = text.substr(0, text.find('='));
            if (!name.starts_with("WHERRY_") || name == "WHERRY_PLUGIN_PATH")
                variables[std::string(name)] = text.substr(std::min(name.size() + 1, text.size()));
        }
        for (const auto kind : {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink}) {
            const auto& used = options_.chosen(kind);
            for (const auto& [name, given] : options_.values_of(kind)) {
                const auto rows = used.options();
                const auto row = std::find_if(rows.begin(), rows.end(),
                                              [&name = name](const auto& one) { return one.name == name; });
                // A file of a cipher is a key, and both sides have their own here.
                if (kind == plugin_kind::cipher && row != rows.end() && row->type == option_type::path) continue;
                variables[variable_name(used.name() + "." + name)] = given;
            }
        }
        if (how_.compare.name.find('.') != std::string::npos) variables[variable_name(how_.compare.name)] = value;
        std::vector<std::string> words;
        for (const auto& [name, text] : variables) words.push_back(name + "=" + text);
        return words;
    }

    std::vector<std::string> common_arguments(const char* side, const std::string& value) const {
        std::vector<std::string> words = {"bench",
                                          "--json",
                                          "--insecure",
                                          "--home",
                                          home(side).native(),
                                          "--transport",
                                          options_.chosen(plugin_kind::transport).name(),
                                          "--cipher",
                                          cipher_for(value),
                                          "--log-level",
                                          app_.options.early_origin("log-level") == origin::built_in
                                              ? "error"
                                              : app_.options.early("log-level").value_or("error")};
        for (const auto& folder : app_.options.early_all("plugin-dir")) words.push_back("--plugin-dir=" + folder);
        add_given(words, {"handshake-timeout", "io-timeout"}, "ms");
        return words;
    }

    void add_given(std::vector<std::string>& words, std::initializer_list<const char*> names,
                   const std::string& unit = {}) const {
        for (const auto* const name : names)
            if (options_.has(name) && options_.given(name).source != origin::built_in)
                words.push_back("--" + std::string(name) + "=" + options_.text(name) + unit);
    }

    exit_code measure(const std::string& value) {
        auto serving = common_arguments("receiver", value);
        for (const auto* const word : {"--serve", "--once", "--sink"}) serving.emplace_back(word);
        serving.push_back(options_.chosen(plugin_kind::sink).name());
        serving.push_back(how_.address);
        const auto variables = environment(value);
        child_process receiver(serving, variables);
        const auto destination = await_listening(receiver);
        if (!destination) return ending_of(receiver, "receiving");
        receiver.drop_output();

        endpoint_options sender_side;
        sender_side.home = home("sender");
        sender_side.plugin_directories = app_.options.early_all("plugin-dir");
        const bool is_keyed = !receiver_is_keyless_;
        if (is_keyed) {
            std::error_code none;
            fs::remove(home("sender") / "known_hosts", none);  // of the run before, which may have had the same port
            const endpoint sender(sender_side);
            sender.trust(*destination, receiver_key_);
            // Keeps each sender from telling that the key exchange is classical, as if that were news.
            keys::known_hosts(keys::known_hosts_path(sender.home()))
                .note_exchange(sender.find_route(*destination).canonical,
                               keys::parse_public_key_line(receiver_key_).key, key_exchange::classical);
        }
        auto sending = common_arguments("sender", value);
        sending.push_back("--to=" + *destination);
        add_given(sending, {"workload", "bytes", "source", "files", "messages", "singles", "size", "senders", "streams",
                            "digest", "compress"});
        if (how_.what.what.time) sending.push_back("--time=" + std::to_string(how_.what.what.time->count()) + "ms");
        sending.push_back("--interval=" + std::to_string(how_.what.interval.count()) + "ms");
        child_process sender(sending, variables);
        {
            const interruptible::scope running(signals_, sender);
            while (const auto line = sender.next_line()) take(*line, value);
        }
        const auto code = ending_of(sender, "sending");
        // It ends by itself when its sender has gone, if there was one.
        if (code != exit_code::delivered) receiver.signal(SIGTERM);
        receiver.wait();
        return code;
    }

    static exit_code ending_of(child_process& side, const std::string& which) {
        const auto status = side.wait();
        if (status > 128 && status != to_status(exit_code::interrupted))
            throw error(errc::internal, fmt::format("the {} process was ended by signal {}", which, status - 128));
        return static_cast<exit_code>(status);
    }

    // Where it listens; nothing if it has ended instead.
    std::optional<std::string> await_listening(child_process& receiver) {
        const interruptible::scope running(signals_, receiver);
        while (const auto line = receiver.next_line()) {
            const auto event = json::parse(*line, nullptr, false);
            if (!event.is_object()) continue;
            if (event.value("event", "") == "error") relay("error", event);
            if (event.value("event", "") != "listening") continue;
            receiver_is_keyless_ = !event.contains("public_key");
            return event.at("destination").get<std::string>();
        }
        return std::nullopt;
    }

    // An event of the sender.
    void take(const std::string& line, const std::string& value) {
        auto event = json::parse(line, nullptr, false);
        if (!event.is_object()) return;
        const auto name = event.value("event", "");
        if (name == "error") return relay(name, event);
        const bool is_result = name == "bench";
        if (!is_result && name != "interval") return;
        if (!how_.compare.name.empty()) event["compared"] = {{how_.compare.name, value}};
        if (is_result) {
            event["local"] = true;
            results_.add(value, event);
        }
        if (app_.style == output::json) return relay(name, event);
        if (app_.style != output::lines) return;
        if (!is_result) {
            const auto seconds = [&](const char* which) {
                return std::chrono::round<nanoseconds>(std::chrono::duration<double>(event.at(which).get<double>()));
            };
            app_.terminal.result(
                interval_line({seconds("begin"), seconds("end"), event.at("bytes").get<std::uint64_t>(),
                               event.at("items").get<std::uint64_t>()},
                              how_.what.what.kind));
            return;
        }
        const auto text = result_text(event);
        // Of many rounds the sum is what counts.
        app_.terminal.result(how_.rounds > 1 ? text.substr(0, text.find('\n')) : text + "\n");
    }

    void relay(const std::string& name, json event) {
        if (app_.style != output::json) return;
        event.erase("event");
        event.erase("time");
        app_.events.write(name, event);
    }

    void tell_comparison(exit_code code) {
        const auto rows = results_.rows();
        if (rows.empty()) return;
        const auto name = how_.compare.name.empty() ? std::string("round") : how_.compare.name;
        if (app_.style == output::json)
            app_.events.write("comparison",
                              {{"name", how_.compare.name}, {"values", rows}, {"exit_code", to_status(code)}});
        else if (app_.style == output::lines)
            app_.terminal.result(results_.table(name));
    }

    application& app_;
    const effective_options& options_;
    const local_options& how_;
    const std::vector<std::string> values_;
    const scratch_folder folder_;
    std::string receiver_key_;
    bool receiver_is_keyless_ = false;
    interruptible signals_;
    compared_results results_;
};

}  // namespace

exit_code run_local(application& app, const effective_options& options, const local_options& how) {
    local_bench one(app, options, how);
    return one.run();
}

}  // namespace wherry::app::bench

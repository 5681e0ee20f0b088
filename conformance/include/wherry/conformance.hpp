// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/plugin_host.hpp"
#include "wherry/sink.hpp"

// The conformance kit: what every plugin of a kind must do, tried on a plugin as programs have it, loaded from its
// file. It calls the plugin's C functions themselves, since the host's C++ adapters would forgive some of what an
// author gets wrong. docs/checking-plugins.md says how to use it: as `wherry check-plugin`.
namespace wherry::conformance {

// The plugin, and what its author says of it.
struct subject {
    std::filesystem::path file;  // absolute; KIND-NAME.so
    plugin_kind kind = plugin_kind::sink;
    std::string name;
    option_values options;
    // Absolute; each with the keys of one side. Only ciphers have a use for the second.
    std::vector<std::filesystem::path> homes;
    // Words of promises(): what the plugin is known to do, so that it is a failure, and no reason to skip, if not.
    std::set<std::string> promises;
    // The longest that any one call may take, but for those that wait for a peer.
    std::chrono::milliseconds call_limit{20'000};

    // Of sinks: what to offer, where anything at all would be refused.
    std::optional<item_kind> offer_kind;
    std::string offer_name;                        // the end of every name
    std::optional<std::filesystem::path> content;  // a file with content that it takes
    // For /bin/sh: writes what is stored under the name in WHERRY_NAME to standard output, or fails if nothing is.
    std::optional<std::string> read_back;

    // Of transports.
    std::optional<std::string> address;      // to listen at; several listeners must be able to follow each other there
    std::vector<std::string> bad_addresses;  // of the wrong form
    int connections = 50;                    // that the link bears at once
};

struct described_word {
    std::string_view name, about;
};

// The cases for a kind, in the order in which they should run. Names are words with '_' between them.
std::vector<described_word> cases(plugin_kind kind);
// What may be promised of a plugin of that kind.
std::vector<described_word> promises(plugin_kind kind);

// Unchecked: all that could be seen is right, but not all that matters could be seen.
enum class verdict { passed, failed, unchecked, skipped };

// "passed", "failed", "unchecked", "skipped".
std::string_view to_string(verdict how) noexcept;

struct outcome {
    verdict how = verdict::passed;
    std::string reason;  // a sentence that names the fault, or why it was skipped or is unchecked; fit for a terminal
    std::vector<std::string> notes;  // what is no fault, but worth to know
    std::chrono::milliseconds took{0};
};

// Runs one case in a process of its own, so that a plugin that crashes, hangs or ends its process fails that case and
// no other. `scratch` is an existing, empty folder for it to run in. is_cancelled is asked now and then; once it says
// so, the case is ended, and reported as skipped.
// Throws error if no process can be had. REQUIRES: the program's main() knows child_argument.
outcome run_case(
    const subject& what, std::string_view name, const std::filesystem::path& scratch,
    const std::function<bool()>& is_cancelled = [] { return false; });

// The other side of it: a program whose first argument this is hands the second one over, and ends with what it
// returns.
inline constexpr std::string_view child_argument = "--wherry-conformance-case";
int run_as_child(const char* descriptor);

}  // namespace wherry::conformance

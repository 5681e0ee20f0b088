// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "run_command.hpp"
#include "spool_area.hpp"
#include "wherry/mutex.hpp"
#include "wherry/sink.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::exec {

enum class input_style { standard_input, file };

// What an option is unless it is given. The plugin's table shows the same.
namespace defaults {
inline constexpr bool use_shell = false;
inline constexpr auto input = input_style::standard_input;
inline constexpr std::size_t parallel = 0;
inline constexpr std::chrono::milliseconds timeout = std::chrono::minutes(5);
inline constexpr std::size_t max_response = std::size_t{64} << 10;
inline constexpr std::uint64_t max_size = std::uint64_t{1} << 30;
}  // namespace defaults

struct options {
    // The command: words as split_words() reads them, or with `use_shell` text for /bin/sh.
    std::string command;
    bool use_shell = defaults::use_shell;
    // How it gets the data. As a file: its path is in WHERRY_FILE and in place of each {} in the words.
    input_style input = defaults::input;
    // Commands that run at once; further deliveries wait for their turn. 0: one for each processor.
    std::size_t parallel = defaults::parallel;
    // After which a command is ended; zero: never.
    std::chrono::milliseconds timeout = defaults::timeout;
    std::chrono::milliseconds grace{std::chrono::seconds(2)};
    // What is answered of its standard output; the rest is cut.
    std::size_t max_response = defaults::max_response;
    // The largest delivery; 0: any.
    std::uint64_t max_size = defaults::max_size;
    // Where commands run; "": where the receiver does.
    std::string directory;
    // What commands get of the environment besides the usual few: words as environment_of_commands() reads them.
    std::string environment;
    // Where deliveries wait; "": $TMPDIR, else /var/tmp.
    std::string spool;
};

enum class log_level { info, warning };

// Lets so many in at once.
class turnstile {
public:
    explicit turnstile(std::size_t places) noexcept : free_(places) {}

    // Waits for a place. False once it is closed.
    bool enter();
    void leave();
    // Nobody is let in any more.
    void close();

private:
    mutex mutex_;
    condition changed_;
    std::size_t free_ WHERRY_GUARDED_BY(mutex_);
    bool is_closed_ WHERRY_GUARDED_BY(mutex_) = false;
};

// Runs a command for each delivery, once all of it has come. See docs/sinks.md for what the command gets, and what
// becomes of what it says.
class sink final : public wherry::sink {
public:
    // Throws error(errc::bad_input) for a command or folders that cannot be used.
    sink(options chosen, std::function<void(log_level, const std::string&)> log);

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) override;

    // Ends the commands that run, and runs no more.
    void interrupt() noexcept override;

private:
    friend class exec_delivery;

    const options options_;
    const std::function<void(log_level, const std::string&)> log_;
    std::vector<std::string> words_;
    std::string program_;
    std::vector<std::string> inherited_;  // environment of all commands
    spool_area spool_;
    turnstile turns_;
    unique_fd nothing_;  // /dev/null
    unique_fd stop_;     // can be read once commands are to end
};

}  // namespace wherry::exec

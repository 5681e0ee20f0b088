// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <map>
#include <optional>
#include <string>

// What belongs to the process or to the host's thread, and not to a plugin (plugin-abi.md, The process).
namespace wherry::conformance {

// Of the whole process. Read at one moment, and compared with a later one.
class process_state {
public:
    process_state();

    // What has changed since then, as the end of a sentence: "changes the umask from 0022 to 0000".
    std::optional<std::string> change() const;

private:
    // By what it is, in words: "the umask".
    using properties = std::map<std::string, std::string>;
    static properties read();

    properties before_;
};

// Of the thread that calls, cheap enough to be looked at around every call.
class thread_state {
public:
    thread_state() noexcept;

    // "changes the rounding mode"
    std::optional<std::string> change() const;

private:
    unsigned long blocked_;  // the kernel's signals 1 to 64
    int rounding_;
};

}  // namespace wherry::conformance

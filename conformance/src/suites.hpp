// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "calls.hpp"
#include "process_state.hpp"
#include "wherry/conformance.hpp"

namespace wherry::conformance {

struct check_case {
    std::string_view name, about;
    void (*run)(context&);
};

// Every kind's, then those of one kind.
std::span<const check_case> plugin_suite();
std::span<const check_case> sink_suite();
std::span<const check_case> transport_suite();
std::span<const check_case> cipher_suite();

std::span<const described_word> sink_promises();
std::span<const described_word> transport_promises();
std::span<const described_word> cipher_promises();

// Fails the case if something is not as it was then that belongs to the process.
void require_unchanged(const process_state& then);
// At the end of each case.
void require_process_as_before_loading();

// ---- What a plugin must not leave behind ----

// Fails the case if descriptors, threads or processes are more than before. `whence` ends the sentence: "after ...".
class leftovers {
public:
    leftovers();
    void require_none(const std::string& whence) const;

private:
    process_state state_;
    std::map<int, std::string> descriptors_;
    std::size_t threads_;
    std::set<int> children_;
};

// Fails the case if each round makes the heap grow. `what` is one of them: "delivery".
void require_no_growth(const std::string& what, const std::function<void()>& round);

// Runs tasks at the same time, and returns when all have ended.
void at_once(std::size_t threads, const std::function<void(std::size_t)>& task);

}  // namespace wherry::conformance

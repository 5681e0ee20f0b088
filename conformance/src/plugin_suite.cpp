// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "observed.hpp"
#include "suites.hpp"
#include "wherry/text.hpp"

// What holds for plugins of every kind: the descriptor, options, instances.
namespace wherry::conformance {

namespace fs = std::filesystem;

void require_unchanged(const process_state& then) {
    if (const auto change = then.change()) fail(*change + ", which belongs to the whole process");
}

void require_process_as_before_loading() {
    const auto& before = before_loading();
    require_unchanged(before.state);
    const auto now = open_descriptors();
    for (const auto& [fd, target] : before.descriptors) {
        const auto found = now.find(fd);
        require(found != now.end() && found->second == target,
                "closes descriptor " + std::to_string(fd) + ", which is not its own");
    }
}

// ---- What a plugin must not leave behind ----

leftovers::leftovers() : descriptors_(open_descriptors()), threads_(thread_count()), children_(child_processes()) {}

void leftovers::require_none(const std::string& whence) const {
    require_unchanged(state_);
    // Threads and processes that were told to end may take a moment.
    const auto end = steady_ms() + 2000;
    const auto new_children = [&] {
        auto all = child_processes();
        std::erase_if(all, [&](int child) { return children_.count(child) > 0; });
        return all;
    };
    while ((thread_count() > threads_ || !new_children().empty()) && steady_ms() < end)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));

    std::string extra;
    std::size_t count = 0;
    for (const auto& [fd, target] : open_descriptors()) {
        if (descriptors_.count(fd) > 0) continue;
        if (count++ == 0) extra = target;
    }
    require(count == 0, "leaks descriptors: " + std::to_string(count) + " more are open (" + extra + ") " + whence);
    const auto threads = thread_count();
    require(threads <= threads_, "leaves " + std::to_string(threads - threads_) + " threads running " + whence);
    const auto children = new_children();
    require(children.empty(), "leaves " + std::to_string(children.size()) +
                                  " child processes that it did not end and wait for " + whence);
}

void require_no_growth(const std::string& what, const std::function<void()>& round) {
    // No block of the heap is smaller than 32 bytes; less on average is what numbers of random length make.
    constexpr std::size_t rounds = 25, least_leak = 30;
    for (int i = 0; i < 5; ++i) round();
    if (!allocated_bytes()) {
        leave_unchecked("this system's allocator does not tell whether the heap grows");
        return;
    }
    std::size_t smallest = SIZE_MAX;
    // What is only made once, or is reused, does not grow in every one of these.
    for (int window = 0; window < 8; ++window) {
        const auto before = *allocated_bytes();
        for (std::size_t i = 0; i < rounds; ++i) round();
        const auto after = *allocated_bytes();
        const auto growth = after > before ? after - before : 0;
        if (growth < rounds * least_leak) return;
        smallest = std::min(smallest, growth);
    }
    fail("leaks memory: the heap grows by " + std::to_string(smallest / rounds) + " bytes with each " + what);
}

void at_once(std::size_t threads, const std::function<void(std::size_t)>& task) {
    std::vector<std::thread> crew;
    for (std::size_t i = 0; i < threads; ++i) crew.emplace_back(task, i);
    for (auto& one : crew) one.join();
}

namespace {

// ---- Descriptor ----

// To load it is what the context does.
void loads(context&) {}

void descriptor_says_what_it_is(context& c) {
    const auto& it = *c.descriptor;
    require(it.reserved == 0, "the descriptor's 'reserved' is " + std::to_string(it.reserved) + "; it must be 0");
    require_presentable("the descriptor's version", it.version);
    require_presentable("the descriptor's summary", it.summary);
    for (const auto& option : c.loaded->options()) {
        const auto where = "the help of option '" + option.name + "'";
        require_presentable(where, option.help);
        require(!option.is_secret || !option.default_value || option.default_value->empty(),
                "the option '" + option.name + "' is secret and yet has a default that everybody can read");
    }
}

void loading_does_nothing(context&) {
    for (const auto& [fd, target] : open_descriptors()) {
        if (before_loading().descriptors.count(fd) > 0) continue;
        fail("opens " + target + " when it is loaded; it may do so in configure_done()");
    }
    require(thread_count() <= before_loading().threads,
            "starts a thread when it is loaded; it may do so in configure_done()");
}

// ---- Lifecycle ----

void becomes_ready(context& c) {
    const auto tried = instance::try_make(c);
    if (!tried.it) fail(tried.failure->told());
}

void goes_without_having_been_configured(context& c) {
    const leftovers before;
    for (int i = 0; i < 3; ++i) instance::make_bare(c);
    before.require_none("after an instance that was created was destroyed");
}

void instances_do_not_disturb_each_other(context& c) {
    auto first = instance::make(c);
    auto second = instance::make(c);
    // In either order.
    first.reset();
    first = instance::make(c);
    second.reset();
    first.reset();
}

void instances_can_be_made_on_any_thread(context& c) {
    std::unique_ptr<instance> it;
    std::thread([&] { it = instance::make(c); }).join();
    std::thread([&] { it.reset(); }).join();
}

// ---- Options ----

std::vector<std::string> odd_values(const plugin_option& option) {
    switch (option.type) {
        case option_type::string:
            return {"",   " ",      std::string(5000, 'x'),        "two words", "%s%n", "../../..",
                    "-1", "\u00e4", "nobody-has-this:value/at?all"};
        case option_type::path:
            return {"no/such/folder",
                    std::string(300, 'x'),
                    std::string(5000, 'y'),
                    "a-file",
                    "a-file/below",
                    "a-folder",
                    " "};
        case option_type::boolean: return {"true", "false"};
        case option_type::choice: return option.choices;
        case option_type::integer:
        case option_type::duration:
        case option_type::size: break;
    }
    auto lowest = option.minimum, highest = option.maximum;
    if (lowest == 0 && highest == 0) {
        lowest = option.type == option_type::integer ? -2'147'483'648 : 0;
        highest = 4'294'967'296;
    }
    const std::string unit = option.type == option_type::duration ? "ms" : "";
    std::vector<std::string> values;
    for (const auto number : {lowest, lowest + 1, highest}) values.push_back(std::to_string(number) + unit);
    return values;
}

void any_value_of_an_option_is_taken_or_refused(context& c) {
    if (c.loaded->options().empty()) skip("it has no options");
    instance::make(c);
    std::ofstream("a-file") << "x";
    fs::create_directory("a-folder");
    for (const auto& option : c.loaded->options()) {
        for (const auto& value : odd_values(option)) {
            try {
                canonical_value(option, value);
            } catch (const error&) {
                continue;  // the host would not let it through
            }
            // A proper failure is as good as an instance.
            const auto tried = instance::try_make(c, {{option.name, value}});
            if (tried.it || option.type == option_type::path || option.type == option_type::string) continue;
            if (tried.failure->code != errc::bad_input)
                note("the option '" + option.name + "' admits '" + value + "', but " + tried.failure->told());
        }
    }
}

// ---- What stays ----

void instances_leave_nothing(context& c) {
    instance::make(c);
    const auto round = [&] {
        instance::make(c);
        instance::make_bare(c);
        // One that may be refused.
        for (const auto& option : c.loaded->options())
            if (option.type == option_type::string || option.type == option_type::path) {
                instance::try_make(c, {{option.name, "no/such:thing"}});
                break;
            }
    };
    round();
    const leftovers before;
    for (int i = 0; i < 10; ++i) round();
    before.require_none("after 10 instances were made and destroyed");
    require_no_growth("instance", round);
}

constexpr std::array plugin_cases = {
    check_case{"loads", "is a plugin that the host accepts: its file, descriptor, tables and options", loads},
    check_case{"descriptor_says_what_it_is", "has a version, a summary and help that can be shown",
               descriptor_says_what_it_is},
    check_case{"loading_does_nothing", "opens nothing and starts no thread when it is loaded", loading_does_nothing},
    check_case{"becomes_ready", "can be configured with the given options and the defaults", becomes_ready},
    check_case{"goes_without_having_been_configured", "can be destroyed right after create",
               goes_without_having_been_configured},
    check_case{"instances_do_not_disturb_each_other", "several instances come and go in any order",
               instances_do_not_disturb_each_other},
    check_case{"instances_can_be_made_on_any_thread", "create and destroy come from different threads",
               instances_can_be_made_on_any_thread},
    check_case{"any_value_of_an_option_is_taken_or_refused",
               "whatever its option table admits is taken, or refused with a reason",
               any_value_of_an_option_is_taken_or_refused},
    check_case{"instances_leave_nothing", "no descriptor, thread, process or memory stays of an instance",
               instances_leave_nothing},
};

}  // namespace

std::span<const check_case> plugin_suite() { return plugin_cases; }

}  // namespace wherry::conformance

// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/plugin_calls.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "call_note.hpp"
#include "temporary_folder.hpp"
#include "wherry/plugin_host.hpp"

namespace wherry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string text_of(const plugin_call* call) {
    return call == nullptr ? "none" : std::string(call->kind) + " " + call->plugin + " " + call->function;
}

std::vector<std::string> all_texts() {
    std::vector<std::string> texts;
    for (const auto& call : ongoing_plugin_calls()) texts.push_back(text_of(call.what));
    std::sort(texts.begin(), texts.end());
    return texts;
}

const auto& slow = noted_plugin::find("sink", "slow");
const auto& far = noted_plugin::find("transport", "far");

TEST(plugin_calls, are_not_noted_unasked) {
    EXPECT_EXIT(
        {
            const call_note note(slow, plugin_function::write);
            ::_exit(ongoing_plugin_calls().empty() && plugin_call_of_this_thread() == nullptr ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
}

TEST(plugin_calls, are_noted_while_they_last) {
    note_plugin_calls();
    EXPECT_THAT(all_texts(), IsEmpty());
    {
        const call_note outer(slow, plugin_function::begin);
        EXPECT_EQ(text_of(plugin_call_of_this_thread()), "sink slow begin");
        {
            const call_note inner(far, plugin_function::read_some);
            EXPECT_THAT(all_texts(), ElementsAre("transport far read_some"));
        }
        EXPECT_THAT(all_texts(), ElementsAre("sink slow begin"));
    }
    EXPECT_EQ(plugin_call_of_this_thread(), nullptr);
    EXPECT_THAT(all_texts(), IsEmpty());
}

TEST(plugin_calls, are_told_from_the_same_call_made_again) {
    note_plugin_calls();
    std::vector<ongoing_call> first, still, again;
    {
        const call_note note(slow, plugin_function::write);
        first = ongoing_plugin_calls();
        still = ongoing_plugin_calls();
    }
    {
        const call_note note(slow, plugin_function::write);
        again = ongoing_plugin_calls();
    }
    ASSERT_EQ(first.size(), 1U);
    EXPECT_EQ(first, still);
    EXPECT_NE(first, again);
}

TEST(plugin_calls, are_seen_of_other_threads_until_these_have_ended) {
    note_plugin_calls();
    for (int i = 0; i < 3; ++i) {
        std::vector<std::string> seen;
        const call_note own(far, plugin_function::accept);
        std::thread([&] {
            const call_note note(slow, plugin_function::finish);
            seen = all_texts();
        }).join();
        EXPECT_THAT(seen, ElementsAre("sink slow finish", "transport far accept"));
        EXPECT_THAT(all_texts(), ElementsAre("transport far accept"));
    }
}

TEST(plugin_calls, are_noted_for_what_a_host_makes) {
    note_plugin_calls();
    std::string at_log;
    host_environment environment;
    const test::temporary_folder home;
    environment.home = home.path().string();
    environment.log = [&](host_environment::level, const std::string&) {
        at_log = text_of(plugin_call_of_this_thread());
    };
    const plugin_host host({WHERRY_TEST_PLUGIN_DIRECTORY}, environment);
    const auto made = host.load(plugin_kind::transport, "faulty")->make_transport({});
    EXPECT_EQ(at_log, "transport faulty configure_done");
    EXPECT_THAT(names_of_loaded_plugins(), HasSubstr("transport faulty"));
    EXPECT_THAT(all_texts(), IsEmpty());
}

}  // namespace
}  // namespace wherry

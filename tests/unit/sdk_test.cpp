// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/sdk.hpp"

#include <gtest/gtest.h>

namespace wherry {

namespace {

class any_sink : public sink {
public:
    any_sink(const settings&, const host_services&) {}
    std::unique_ptr<delivery> begin(const offer&, const offering_peer&) override { return nullptr; }
};

class sink_of_one_call : public any_sink {
public:
    using any_sink::any_sink;
    static constexpr bool one_call_at_a_time = true;
};

template <class Plugin>
auto thread_model_told() {
    return sdk::describe<Plugin>("any", "1", "does nothing", no_options).thread_model;
}

TEST(sdk, many_calls_come_at_a_time_unless_the_class_says_otherwise) {
    EXPECT_EQ(thread_model_told<any_sink>(), std::uint32_t{WHERRY_THREADS_PARALLEL});
    EXPECT_EQ(thread_model_told<sink_of_one_call>(), std::uint32_t{WHERRY_THREADS_SERIAL});
}

}  // namespace

}  // namespace wherry

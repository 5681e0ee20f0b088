// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/routing_sink.hpp"

#include <gmock/gmock.h>

#include "recording_sink.hpp"

namespace wherry {
namespace {

using testing::ElementsAre;

void begin(sink& into, item_kind kind, std::string name) {
    offer what;
    what.kind = kind;
    what.name = std::move(name);
    static const identity nobody{};
    into.begin(what, {"peer", nobody})->abort(delivery::partial::drop);
}

TEST(routing_sink_test, each_kind_goes_where_its_route_leads_and_the_rest_to_the_other) {
    test::recording_sink messages, folders, rest;
    routing_sink routed(rest);
    routed.route(item_kind::message, messages);
    routed.route(item_kind::folder, folders);
    begin(routed, item_kind::message, "m");
    begin(routed, item_kind::file, "f");
    begin(routed, item_kind::data, "d");
    begin(routed, item_kind::folder, "o");
    EXPECT_THAT(messages.calls(), ElementsAre("begin m", "drop m"));
    EXPECT_THAT(folders.calls(), ElementsAre("begin o", "drop o"));
    EXPECT_THAT(rest.calls(), ElementsAre("begin f", "drop f", "begin d", "drop d"));
}

TEST(routing_sink_test, a_kind_that_is_not_known_goes_where_the_rest_goes) {
    test::recording_sink messages, rest;
    routing_sink routed(rest);
    routed.route(item_kind::message, messages);
    begin(routed, static_cast<item_kind>(200), "new");
    EXPECT_THAT(rest.calls(), ElementsAre("begin new", "drop new"));
}

TEST(routing_sink_test, an_interruption_reaches_every_sink) {
    struct interrupted final : sink {
        std::unique_ptr<delivery> begin(const offer&, const offering_peer&) override { return nullptr; }
        void interrupt() noexcept override { is_interrupted = true; }
        bool is_interrupted = false;
    } messages, rest;
    routing_sink routed(rest);
    routed.route(item_kind::message, messages);
    routed.interrupt();
    EXPECT_TRUE(messages.is_interrupted && rest.is_interrupted);
}

TEST(routing_sink_test, what_a_sink_refuses_is_refused) {
    test::recording_sink rest;
    rest.on_call = [](const std::string&, const std::string&) { throw error(errc::refused, "no"); };
    routing_sink routed(rest);
    EXPECT_THROW(begin(routed, item_kind::file, "f"), error);
}

}  // namespace
}  // namespace wherry

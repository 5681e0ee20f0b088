// SPDX-License-Identifier: BSD-2-Clause
// Every wrapper of a transport passes on every function: what is called, and what comes back, is the same as without
// it. Connections and listeners have tests of their own.
#include <gmock/gmock.h>

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bench/probes.hpp"
#include "plain_cipher.hpp"
#include "recording_sink.hpp"
#include "wherry/plugin_host.hpp"

namespace wherry {
namespace {

// A function that is added to the table comes into transport, too, and needs a line in exercise() and in
// telling_transport.cpp.
static_assert(sizeof(wherry_transport_functions) == 19 * sizeof(void*));

using namespace std::chrono_literals;
using lines = std::vector<std::string>;

// A transport of a plugin, and what that told in the log.
class loaded_transport {
public:
    explicit loaded_transport(const std::string& name = "telling", const option_values& options = {})
        : host_({std::string(WHERRY_TEST_FIXTURE_DIRECTORY) + "/telling-transport", WHERRY_TEST_PLUGIN_DIRECTORY},
                {"/nowhere",
                 [this](host_environment::level, const std::string& text) {
                     const std::lock_guard lock(mutex_);
                     if (!text.starts_with("faulty:")) told_.push_back(text);
                 },
                 nullptr, nullptr}),
          transport_(host_.load(plugin_kind::transport, name)->make_transport(options)) {}

    const std::shared_ptr<transport>& get() const noexcept { return transport_; }
    lines told() const {
        const std::lock_guard lock(mutex_);
        return told_;
    }

private:
    mutable std::mutex mutex_;
    lines told_;
    plugin_host host_;
    std::shared_ptr<transport> transport_;
};

// Calls every function of a transport; returns what came back.
lines exercise(transport& link) {
    lines returned;
    const auto connected = link.connect("there");
    returned.emplace_back(connected->peer_address());
    std::array<std::byte, 16> room{};
    returned.emplace_back(as_text(const_bytes(room).first(connected->read_some(room))));
    const auto door = link.listen("here");
    returned.emplace_back(door->address());
    returned.emplace_back(door->accept()->peer_address());
    link.discover(7ms, [&](const discovered_peer& peer) {
        returned.push_back("found " + std::string(peer.address) + " " + std::string(peer.name));
        return true;
    });
    class : public pairing_agent {
    public:
        bool confirm(std::string_view code) override {
            asked = code;
            return true;
        }
        std::optional<std::string> enter() override { return std::nullopt; }
        void show(std::string_view) override {}
        std::string asked;
    } person;
    link.pair("near", 9ms, person);
    returned.push_back("confirmed " + person.asked);
    link.connect_abort();
    return returned;
}

using test_body = std::function<lines(const std::shared_ptr<transport>& inner)>;

struct wrapper {
    const char* name;
    test_body exercised;  // the transport that wraps `inner`
};

void PrintTo(const wrapper& one, std::ostream* out) { *out << one.name; }

lines in_program(const std::shared_ptr<transport>& inner) { return exercise(*inner); }

lines timed(const std::shared_ptr<transport>& inner) {
    app::bench::timed_transport around(inner, std::make_shared<app::bench::stage_meter>());
    return exercise(around);
}

lines watched(const std::shared_ptr<transport>& inner) {
    test::plain_cipher cipher;
    test::recording_sink store;
    app::bench::receiving_probe probe(cipher, store, [](const app::bench::received_report&) {});
    app::bench::watched_transport around(inner, probe);
    return exercise(around);
}

class TransportWrapper : public testing::TestWithParam<wrapper> {};

TEST_P(TransportWrapper, passes_on_every_function) {
    const loaded_transport bare, wrapped;
    const auto returned = exercise(*bare.get());
    EXPECT_THAT(returned,
                testing::ElementsAre("there", "hello", "door", "accepted", "found near Peer", "confirmed 1234"));
    EXPECT_THAT(bare.told(),
                testing::ElementsAre("connect there", "listen here", "discover 7", "pair near 9", "connect_abort"));
    EXPECT_EQ(GetParam().exercised(wrapped.get()), returned);
    EXPECT_EQ(wrapped.told(), bare.told());
}

INSTANTIATE_TEST_SUITE_P(of, TransportWrapper,
                         testing::Values(wrapper{"plugin", in_program}, wrapper{"bench_meter", timed},
                                         wrapper{"bench_probe", watched}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(TransportWrapperPlugin, faulty_passes_on_every_function) {
    const loaded_transport bare;
    const loaded_transport wrapped(
        "faulty",
        {{"transport", "telling"}, {"plugin-dir", std::string(WHERRY_TEST_FIXTURE_DIRECTORY) + "/telling-transport"}});
    EXPECT_EQ(exercise(*wrapped.get()), exercise(*bare.get()));
    EXPECT_EQ(wrapped.told(), bare.told());
}

}  // namespace
}  // namespace wherry

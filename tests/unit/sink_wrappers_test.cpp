// SPDX-License-Identifier: BSD-2-Clause
// Every wrapper of a sink passes on every function: what is called, and what comes back, is the same as without it.
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "bench/probes.hpp"
#include "claimed_delivery.hpp"
#include "collected_response.hpp"
#include "memory_listener.hpp"
#include "message_tee.hpp"
#include "plain_cipher.hpp"
#include "wherry/plugin_host.hpp"
#include "wherry/routing_sink.hpp"

namespace wherry {
namespace {

// A function that is added to the table comes into delivery or sink, too, and needs a line in exercise() and in
// telling_sink.cpp.
static_assert(sizeof(wherry_sink_functions) == 10 * sizeof(void*));

using lines = std::vector<std::string>;

// A sink of a plugin, and what that told in the log.
class loaded_sink {
public:
    loaded_sink(const std::string& name, const option_values& options)
        : host_({std::string(WHERRY_TEST_FIXTURE_DIRECTORY) + "/telling", WHERRY_TEST_PLUGIN_DIRECTORY},
                {"/nowhere",
                 [this](host_environment::level, const std::string& text) {
                     const std::lock_guard lock(mutex_);
                     told_.push_back(text);
                 },
                 nullptr, nullptr}),
          sink_(host_.load(plugin_kind::sink, name)->make_sink(options)) {}

    sink& operator*() noexcept { return *sink_; }
    // An interruption may come more than once.
    lines told() const {
        const std::lock_guard lock(mutex_);
        auto all = told_;
        const auto again = std::unique(all.begin(), all.end(), [](const auto& one, const auto& next) {
            return one == "interrupt" && next == one;
        });
        all.erase(again, all.end());
        return all;
    }

private:
    mutable std::mutex mutex_;
    lines told_;
    plugin_host host_;
    std::unique_ptr<sink> sink_;
};

std::string text_of(const collected_response& answer) {
    return std::string(as_text(answer.bytes)) + " " + answer.outcome;
}

// Calls every function of a sink and of its deliveries; returns what came back.
lines exercise(sink& into, const identity& who) {
    lines returned;
    const auto begin = [&](const std::string& name, std::optional<delivery_id> id = std::nullopt) {
        offer what;
        what.id = id;
        what.kind = item_kind::message;
        what.name = name;
        what.wants_resume = true;
        return into.begin(what, {"peer", who});
    };
    {
        const auto one = begin("finished");
        returned.push_back("offset " + std::to_string(one->offset()));
        std::array<std::byte, 8> back{};
        const auto count = one->read_back(2, back);
        returned.emplace_back(as_text(const_bytes(back).first(count)));
        one->write(as_bytes("content"));
        returned.emplace_back(one->finishes_at_once() ? "at once" : "later");
        collected_response answer;
        one->finish(answer);
        returned.push_back(text_of(answer));
    }
    {
        const auto one = begin("first"), other = begin("second");
        auto* const group = one->commits_with();
        returned.emplace_back(group == nullptr ? "no group" : group == other->commits_with() ? "one group" : "groups");
        if (group != nullptr) {
            std::array<collected_response, 2> answers;
            std::array<ending, 2> both = {{{one.get(), &answers[0], {}}, {other.get(), &answers[1], {}}}};
            group->finish_group(both);
            for (const auto& ended : both)
                returned.emplace_back(ended.failure ? ended.failure->what() : "finished in a group");
            for (const auto& answer : answers) returned.push_back(text_of(answer));
        }
    }
    {
        const auto one = begin("stored", delivery_id{std::byte{7}});
        collected_response answer;
        returned.emplace_back(one->already(answer) ? "already" : "new");
        returned.push_back(text_of(answer));
        one->abort(delivery::partial::drop);
    }
    begin("kept")->abort(delivery::partial::keep);
    begin("dropped")->abort(delivery::partial::drop);
    into.interrupt();
    return returned;
}

// A receiver's claimed deliveries, as a sink.
class claiming_sink final : public sink, public group_commit {
public:
    explicit claiming_sink(sink& inner) noexcept : inner_(inner) {}

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& from) override {
        auto claimed = std::make_unique<claim>(*this);
        claimed->into.begin([&] { return inner_.begin(what, from); });
        return claimed;
    }
    void finish_group(std::span<ending> all) noexcept override {
        std::vector<collected_response> answers(all.size());
        std::vector<claimed_delivery::ending> inner;
        for (std::size_t i = 0; i < all.size(); ++i)
            inner.push_back({&static_cast<claim*>(all[i].of)->into, &answers[i], {}});
        claimed_delivery::finish_group(inner);
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i].failure = inner[i].failure;
            give(answers[i], *all[i].answer);
        }
    }
    void interrupt() noexcept override { inner_.interrupt(); }

private:
    struct claim final : delivery {
        explicit claim(claiming_sink& sink) noexcept : of(sink) {}
        std::uint64_t offset() const noexcept override { return into.offset(); }
        bool already(response& answer) override {
            collected_response collected;
            const bool is_stored = into.already(collected);
            if (is_stored) give(collected, answer);
            return is_stored;
        }
        std::size_t read_back(std::uint64_t position, mutable_bytes bytes) override {
            return into.read_back(position, bytes);
        }
        void write(const_bytes bytes) override { into.write(bytes); }
        void finish(response& answer) override {
            collected_response collected;
            into.finish(collected);
            give(collected, answer);
        }
        bool finishes_at_once() const noexcept override { return into.finishes_at_once(); }
        group_commit* commits_with() noexcept override { return into.commits_with() != nullptr ? &of : nullptr; }
        void abort(partial what_came) noexcept override { into.abort(what_came); }

        claiming_sink& of;
        claimed_delivery into;
    };

    static void give(const collected_response& collected, response& answer) {
        answer.append(const_bytes(collected.bytes));
        answer.set_outcome(collected.outcome);
    }

    sink& inner_;
};

identity tester() {
    identity who;
    who.fingerprint = "SHA256:plain";
    return who;
}

using test_body = std::function<lines(sink& inner)>;

struct wrapper {
    const char* name;
    test_body exercised;  // the sink that wraps `inner`
};

void PrintTo(const wrapper& one, std::ostream* out) { *out << one.name; }

lines in_program(sink& inner) { return exercise(inner, tester()); }

lines routed(sink& inner) {
    routing_sink routes(inner);
    return exercise(routes, tester());
}

lines claimed(sink& inner) {
    claiming_sink claims(inner);
    return exercise(claims, tester());
}

lines teed(sink& inner) {
    lines messages;
    app::message_tee tee(inner, [&](const app::delivered_message& message) {
        messages.push_back(message.what.name + " " + std::string(message.text) + " " + std::string(message.outcome) +
                           " " + std::string(as_text(message.response)));
    });
    auto returned = exercise(tee, tester());
    EXPECT_THAT(messages,
                testing::ElementsAre("finished content told thanks", "first  told thanks", "second  told thanks"));
    return returned;
}

// With a connection whose handshake went through the probe, as a measuring receiver has it.
lines measured(sink& inner) {
    test::plain_cipher cipher;
    app::bench::receiving_probe probe(cipher, inner, [](const app::bench::received_report&) {});
    auto listener = std::make_unique<test::memory_listener>();
    const auto peer = listener->connect();
    const auto watched = probe.watch(std::move(listener));
    const auto link = watched->accept();
    peer->write_all(as_bytes("ph"));
    std::byte preface;
    link->read_some({&preface, 1});
    const auto session = probe.watched_cipher().handshake(role::responder, {}, *link, nullptr);
    return exercise(probe.watched_sink(), session->peer());
}

class SinkWrapper : public testing::TestWithParam<wrapper> {};

TEST_P(SinkWrapper, passes_on_every_function) {
    loaded_sink bare("telling", {}), wrapped("telling", {});
    const auto returned = exercise(*bare, tester());
    EXPECT_THAT(returned,
                testing::ElementsAre("offset 3", "k", "at once", "thanks told", "one group", "finished in a group",
                                     "finished in a group", "thanks told", "thanks told", "already", "thanks told"));
    EXPECT_THAT(bare.told(),
                testing::ElementsAre("begin finished from peer SHA256:plain", "read_back 2", "write content",
                                     "finishes_at_once", "finish", "begin first from peer SHA256:plain",
                                     "begin second from peer SHA256:plain", "finish_group 2",
                                     "begin stored with an id from peer SHA256:plain", "already", "drop",
                                     "begin kept from peer SHA256:plain", "keep",
                                     "begin dropped from peer SHA256:plain", "drop", "interrupt"));
    EXPECT_EQ(GetParam().exercised(*wrapped), returned);
    EXPECT_EQ(wrapped.told(), bare.told());
}

INSTANTIATE_TEST_SUITE_P(of, SinkWrapper,
                         testing::Values(wrapper{"plugin", in_program}, wrapper{"routing_sink", routed},
                                         wrapper{"claimed_delivery", claimed}, wrapper{"message_tee", teed},
                                         wrapper{"bench_probe", measured}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(SinkWrapperPlugin, faulty_passes_on_every_function) {
    loaded_sink bare("telling", {});
    // It finds the other one where its own host looks for plugins.
    loaded_sink wrapped("faulty", {{"sink", "telling"}});
    EXPECT_EQ(exercise(*wrapped, tester()), exercise(*bare, tester()));
    EXPECT_EQ(wrapped.told(), bare.told());
}

}  // namespace
}  // namespace wherry

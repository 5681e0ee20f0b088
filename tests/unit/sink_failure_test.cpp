// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include "recording_sink.hpp"
#include "scripted_connection.hpp"
#include "scripted_peer.hpp"
#include "wherry/engine/receiver.hpp"

// Whatever a sink throws, and wherever: one delivery fails, the peer hears of it, and the next goes on.
namespace wherry {
namespace {

struct ending final : receiving_observer {
    void delivered(transfer_id id, const offer&, const delivery_result& result) override { results[id] = result; }
    std::map<transfer_id, delivery_result> results;
};

class sink_failure : public testing::TestWithParam<const char*> {
protected:
    // A peer sends two items; the sink throws at the call that the test is about, for the first.
    template <class Thrown>
    void serve(const Thrown& thrown) {
        into_->on_call = [&, where = std::string(GetParam())](const std::string& call, const std::string& name) {
            if (call == where && name == "first") throw thrown;
        };
        test::scripted_peer peer;
        peer.item(1, "first", "abc").item(3, "second", "defgh").bye();
        link_->says(peer.said());
        test::plain_cipher cipher;
        engine::receiver serving(secure_channel::open(role::responder, link_, cipher, "plain", nullptr, {}), *into_,
                                 ending_);
        ASSERT_NO_THROW(serving.serve());
    }

    // What the peer was told about a transfer, in the records that were written to it.
    result_frame answer(transfer_id about) const {
        // Behind the preface and the verdict of the handshake.
        byte_reader in(const_bytes(link_->written()).subspan(8 + 2 + 5 + 1), "what was written");
        while (in.remaining() > 0) {
            const auto sealed = in.sized<std::uint32_t>(limits::max_record_bytes);
            byte_reader frames(sealed.first(sealed.size() - 1), "a record");
            while (frames.remaining() > 0) {
                const auto got = take_frame(frames);
                if (got.type == frame_type::result && got.transfer == about) return decode_result(got.payload);
            }
        }
        ADD_FAILURE() << "no answer";
        return {};
    }

    void expect_first_failed(errc code, const std::string& text) {
        ASSERT_TRUE(ending_.results.contains(1));
        EXPECT_EQ(ending_.results[1].failure, code);
        EXPECT_EQ(ending_.results[1].text, text);
        EXPECT_EQ(answer(1).failure, code);
        EXPECT_EQ(answer(1).text, text);
        const auto finished = into_->finished();
        EXPECT_FALSE(finished.contains("first"));
        ASSERT_TRUE(finished.contains("second"));
        EXPECT_EQ(finished.at("second").content, "defgh");
        EXPECT_TRUE(ending_.results[3].ok());
        EXPECT_FALSE(answer(3).failure);
        EXPECT_TRUE(std::string_view(GetParam()) != "write" || into_->has_call("drop first"));
    }

    std::optional<test::recording_sink> into_{std::in_place};
    ending ending_;
    std::shared_ptr<test::scripted_connection> link_ = std::make_shared<test::scripted_connection>();
};

INSTANTIATE_TEST_SUITE_P(in, sink_failure, testing::Values("begin", "write", "finish"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(sink_failure, with_any_code) {
    for (int status = WHERRY_BAD_INPUT; status <= WHERRY_CANCELLED; ++status) {
        SCOPED_TRACE(std::string(to_string(static_cast<errc>(status))));
        link_ = std::make_shared<test::scripted_connection>();
        into_.emplace();
        serve(error(static_cast<errc>(status), "the sink says no"));
        expect_first_failed(static_cast<errc>(status), "the sink says no");
    }
}

TEST_P(sink_failure, with_no_memory) {
    serve(std::bad_alloc());
    expect_first_failed(errc::exhausted, "the receiver is out of memory");
}

TEST_P(sink_failure, with_any_exception) {
    serve(std::out_of_range("index 7"));
    expect_first_failed(errc::internal, "index 7");
}

// An OFFER that this side does not understand, in the middle of good ones.
class odd_offer : public testing::Test {
protected:
    std::optional<error> serve(const_bytes payload) {
        test::scripted_peer peer;
        peer.item(1, "first", "abc").frame(frame_type::offer, 3, payload).item(5, "third", "defgh").bye();
        const auto link = std::make_shared<test::scripted_connection>();
        link->says(peer.said());
        test::plain_cipher cipher;
        engine::receiver serving(secure_channel::open(role::responder, link, cipher, "plain", nullptr, {}), into_,
                                 ending_);
        try {
            serving.serve();
        } catch (const error& e) {
            return e;
        }
        return std::nullopt;
    }

    test::recording_sink into_;
    ending ending_;
};

TEST_F(odd_offer, that_is_malformed_ends_the_connection) {
    const auto failure = serve(as_bytes("?"));
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    EXPECT_TRUE(into_.finished().contains("first"));
    EXPECT_FALSE(into_.finished().contains("third"));
}

TEST_F(odd_offer, that_wants_what_this_version_cannot_is_refused_alone) {
    auto payload = encode(offer_frame{});
    payload.push_back(std::byte{0xFF});  // a critical field, 0x7F00, of no length
    payload.insert(payload.end(), 5, std::byte{0});
    EXPECT_FALSE(serve(payload));
    EXPECT_EQ(ending_.results[3].failure, errc::unsupported);
    EXPECT_TRUE(into_.finished().contains("first") && into_.finished().contains("third"));
}

}  // namespace
}  // namespace wherry

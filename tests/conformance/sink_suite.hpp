#pragma once

#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "error_of.hpp"
#include "loaded_plugin.hpp"
#include "open_descriptors.hpp"
#include "temporary_folder.hpp"
#include "test_bytes.hpp"
#include "wherry/sink.hpp"

// What every sink must do (core/include/wherry/sink.hpp), whatever it does with what comes.
namespace wherry::conformance {

struct sink_subject {
    std::string name;
    // A configured instance that keeps whatever it keeps beneath the (existing, empty) folder.
    std::function<std::unique_ptr<sink>(const std::filesystem::path& folder)> make;
    // For a sink that stores: every finished item there is, name and content. Null for others.
    std::function<std::map<std::string, std::string>(const std::filesystem::path& folder)> stored = nullptr;
    // Fails a delivery whose bytes are fewer or more than offered.
    bool checks_sizes = false;
    // Keeps what came of a cut delivery that wants to be resumed.
    bool resumes = false;
    // Why this machine cannot run it; "" if it can. Null: it always can.
    std::function<std::string()> missing = nullptr;
};

inline void PrintTo(const sink_subject& subject, std::ostream* out) { *out << subject.name; }

// The content of every file beneath, by its relative name: `stored` for sinks that store one file an item.
inline std::map<std::string, std::string> files_beneath(const std::filesystem::path& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file() || entry.is_symlink()) continue;
        std::ifstream in(entry.path(), std::ios::binary);
        std::ostringstream all;
        all << in.rdbuf();
        files[entry.path().lexically_relative(folder).string()] = all.str();
    }
    return files;
}

class sink_conformance : public testing::TestWithParam<sink_subject> {
protected:
    struct collected_response final : response {
        std::string text;
        using response::append;
        void append(const_bytes bytes) override { text += as_text(bytes); }
        void set_outcome(std::string_view) override {}
    };

    void SetUp() override {
        const auto missing = GetParam().missing ? GetParam().missing() : "";
        if (!missing.empty()) GTEST_SKIP() << missing;
        std::filesystem::create_directory(place());
        sink_ = GetParam().make(place());
    }

    std::filesystem::path place() const { return home_ / "place"; }
    bool stores() const { return GetParam().stored != nullptr; }
    std::map<std::string, std::string> stored() const { return GetParam().stored(place()); }

    static offer item(std::string name, std::optional<std::uint64_t> size = {}) {
        offer what;
        what.name = std::move(name);
        what.size = size;
        return what;
    }
    static offer message() {
        offer what;
        what.kind = item_kind::message;
        return what;
    }

    std::unique_ptr<delivery> begin(const offer& what) {
        static const identity peer{"ssh-ed25519", "ssh-ed25519 AAAA", "SHA256:conformance", "tester"};
        return sink_->begin(what, {"peer:1", peer});
    }

    static std::string finish(delivery& ending) {
        collected_response answer;
        ending.finish(answer);
        return answer.text;
    }

    std::string deliver(const offer& what, std::string_view content, std::size_t step = 4096) {
        const auto coming = begin(what);
        in_steps(as_bytes(content), step, [&](const_bytes piece) { coming->write(piece); });
        return finish(*coming);
    }

    void expect_nothing_stored() const {
        if (stores()) {
            EXPECT_TRUE(stored().empty()) << stored().begin()->first;
        }
    }

    test::temporary_folder home_;
    std::unique_ptr<sink> sink_;
};

// ---- Deliveries that end well ----

TEST_P(sink_conformance, takes_any_size_in_any_steps) {
    std::map<std::string, std::string> sent;
    for (const std::size_t size : {0u, 1u, 4095u, 4096u, 4097u, 300'007u}) {
        for (const std::size_t step : std::set<std::size_t>{1 + size / 300, 4096, size + 1}) {
            const auto name = std::to_string(size) + "-" + std::to_string(step);
            sent[name] = noise_text(size, size + step);
            deliver(item(name, size), sent[name], step);
            sent[name + "-of-unknown-size"] = sent[name];
            deliver(item(name + "-of-unknown-size"), sent[name], step);
        }
    }
    if (stores()) {
        EXPECT_TRUE(stored() == sent);
    }
}

TEST_P(sink_conformance, takes_every_kind_or_refuses_it_clearly) {
    for (const auto kind : {item_kind::message, item_kind::file, item_kind::data, item_kind::folder}) {
        auto what = item(kind == item_kind::message ? "" : std::string(to_string(kind)));
        what.kind = kind;
        what.mode = 0644;
        what.mtime = file_time{1'700'000'000, 1};
        try {
            deliver(what, kind == item_kind::folder ? "" : "content");
        } catch (const error& e) {
            expect_presentable(e);
        }
    }
}

TEST_P(sink_conformance, writes_without_bytes_change_nothing) {
    const auto coming = begin(item("a", 3));
    coming->write({});
    coming->write(as_bytes("abc"));
    coming->write({});
    finish(*coming);
    if (stores()) {
        EXPECT_EQ(stored().at("a"), "abc");
    }
}

TEST_P(sink_conformance, needs_no_answer_to_be_kept) {
    // A response may be any bytes; what matters is that it is there before finish() returns.
    for (int i = 0; i < 3; ++i) EXPECT_LE(deliver(item("a" + std::to_string(i), 1), "x").size(), std::size_t{1} << 20);
}

TEST_P(sink_conformance, deliveries_take_turns) {
    constexpr std::size_t count = 12, steps = 20;
    std::vector<std::unique_ptr<delivery>> open;
    std::map<std::string, std::string> sent;
    for (std::size_t i = 0; i < count; ++i) open.push_back(begin(item("turn" + std::to_string(i))));
    for (std::size_t step = 0; step < steps; ++step)
        for (std::size_t i = 0; i < count; ++i) {
            const auto piece = noise_text(500 + i, step * count + i);
            sent["turn" + std::to_string(i)] += piece;
            open[i]->write(as_bytes(piece));
        }
    for (std::size_t i = count; i-- > 0;) finish(*open[i]);
    if (stores()) {
        EXPECT_TRUE(stored() == sent);
    }
}

TEST_P(sink_conformance, a_delivery_may_move_from_thread_to_thread) {
    std::unique_ptr<delivery> coming;
    std::thread([&] { coming = begin(item("a", 6)); }).join();
    std::thread([&] { coming->write(as_bytes("abc")); }).join();
    std::thread([&] { coming->write(as_bytes("def")); }).join();
    std::thread([&] { finish(*coming); }).join();
    if (stores()) {
        EXPECT_EQ(stored().at("a"), "abcdef");
    }
}

TEST_P(sink_conformance, eight_threads_deliver_at_once) {
    constexpr int threads = 8, each = 20;
    std::vector<std::thread> crew;
    for (int t = 0; t < threads; ++t)
        crew.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) {
                const auto seed = static_cast<std::uint64_t>(t * each + i);
                const auto name = "folder" + std::to_string(i % 3) + "/" + std::to_string(seed);
                if (i % 5 == 4) {
                    const auto cut = begin(item(name));
                    cut->write(as_bytes("cut"));
                    cut->abort(delivery::partial::drop);
                } else {
                    deliver(item(name, 3000 + seed), noise_text(3000 + seed, seed), 701);
                }
            }
        });
    for (auto& one : crew) one.join();
    if (!stores()) return;
    const auto there = stored();
    EXPECT_EQ(there.size(), std::size_t{threads * each * 4 / 5});
    for (const auto& [name, content] : there) {
        const auto seed = std::stoull(name.substr(name.find('/') + 1));
        EXPECT_TRUE(content == noise_text(3000 + seed, seed)) << name;
    }
}

TEST_P(sink_conformance, eight_threads_deliver_the_same_name) {
    std::atomic<std::size_t> accepted{0};
    std::vector<std::thread> crew;
    for (std::uint64_t t = 0; t < 8; ++t)
        crew.emplace_back([&, t] {
            try {
                deliver(item("same"), noise_text(50'000, t), 1009);
                ++accepted;
            } catch (const error& e) {
                expect_presentable(e);
            }
        });
    for (auto& one : crew) one.join();
    EXPECT_GE(accepted, 1u);
    if (!stores()) return;
    // Whatever the policy: each is whole.
    for (const auto& [name, content] : stored()) {
        bool whole = false;
        for (std::uint64_t t = 0; t < 8; ++t) whole = whole || content == noise_text(50'000, t);
        EXPECT_TRUE(whole) << name;
    }
}

// ---- Deliveries that end early ----

TEST_P(sink_conformance, abort_at_any_point_leaves_nothing) {
    for (const auto how : {delivery::partial::drop, delivery::partial::keep}) {
        for (const int writes : {0, 1, 2, 7}) {
            for (const auto& what : {item("cut", 7'000), item("cut/deeper"), message()}) {
                const auto coming = begin(what);
                for (int i = 0; i < writes; ++i) coming->write(noise(1'000));
                coming->abort(how);
            }
        }
    }
    expect_nothing_stored();
}

TEST_P(sink_conformance, a_delivery_that_is_dropped_leaves_nothing) {
    begin(item("dropped"));
    begin(item("dropped", 5))->write(as_bytes("12345"));
    expect_nothing_stored();
}

TEST_P(sink_conformance, a_delivery_is_not_there_before_it_is_finished) {
    const auto coming = begin(item("a", 3));
    coming->write(as_bytes("abc"));
    expect_nothing_stored();
    finish(*coming);
}

TEST_P(sink_conformance, wrong_sizes_fail_and_leave_nothing) {
    if (!GetParam().checks_sizes) GTEST_SKIP() << "this sink takes what comes, whatever size was offered";
    expect_presentable(test::error_of([&] { deliver(item("fewer", 5), "1234"); }));
    expect_presentable(test::error_of([&] { deliver(item("more", 5), "123456", 1); }));
    expect_presentable(test::error_of([&] { deliver(item("more", 0), "1"); }));
    expect_nothing_stored();
}

TEST_P(sink_conformance, an_answer_that_cannot_be_given_fails_the_delivery) {
    struct full_response final : response {
        using response::append;
        void append(const_bytes) override { throw error(errc::exhausted, "the response is full"); }
        void set_outcome(std::string_view) override {}
    };
    bool failed = false;
    {
        const auto coming = begin(item("a", 3));
        coming->write(as_bytes("abc"));
        full_response answer;
        try {
            coming->finish(answer);
        } catch (const error& e) {
            failed = true;
            EXPECT_EQ(e.code(), errc::exhausted);
        }
    }
    if (failed) expect_nothing_stored();
}

TEST_P(sink_conformance, an_instance_goes_without_having_been_used) {
    sink_.reset();
    for (int i = 0; i < 3; ++i) GetParam().make(place());
    expect_nothing_stored();
}

// ---- Names that mean harm ----

TEST_P(sink_conformance, no_name_leads_out_of_its_place) {
    using namespace std::string_literals;
    const auto outside = home_ / "outside";
    std::filesystem::create_directory(outside);
    const std::vector<std::string> names = {
        "../outside/x",
        outside.string() + "/x",
        "a/../../outside/x",
        "/x",
        "..",
        ".",
        "",
        "/",
        "a//b",
        "./a",
        "a/",
        "a\0b"s,
        "\0"s,
        std::string(255, 'x'),
        std::string(256, 'x'),
        std::string(4096, 'x'),
        "\x1b[2J\x1b]0;title\x07",
        "line\nbreak\r\t",
        "\xff\xfe\xc0\xaf",
        "\u202Etxt.exe",
        "-rf",
        "$(touch pwned)",
        "`touch pwned`",
        "a;b|c&d>e'f\"g",
        "%s%n%x",
        "C:\\x\\..\\y",
        "~/x",
        "*",
        " ",
        "CON",
    };
    for (const auto& name : names) {
        for (const auto kind : {item_kind::file, item_kind::data, item_kind::folder}) {
            auto what = item(name);
            what.kind = kind;
            try {
                const auto coming = begin(what);
                if (kind != item_kind::folder) coming->write(as_bytes("x"));
                finish(*coming);
            } catch (const error& e) {
                EXPECT_NE(e.code(), errc::internal) << e.what();
                expect_presentable(e);
            }
        }
    }
    sink_.reset();
    EXPECT_TRUE(std::filesystem::is_empty(outside));
    for (const auto& entry : std::filesystem::directory_iterator(home_.path()))
        EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("outside", "place"));
    EXPECT_FALSE(std::filesystem::exists("pwned"));
}

TEST_P(sink_conformance, odd_attributes_do_no_harm) {
    auto what = item("odd");
    what.mode = 07777;
    for (const auto time : {file_time{std::numeric_limits<std::int64_t>::max(), 0},
                            file_time{std::numeric_limits<std::int64_t>::min(), 0}, file_time{0, 4'294'967'295}}) {
        what.mtime = time;
        try {
            deliver(what, "x");
        } catch (const error& e) {
            expect_presentable(e);
        }
    }
    try {
        begin(item("huge", std::numeric_limits<std::uint64_t>::max()))->abort(delivery::partial::drop);
    } catch (const error& e) {
        expect_presentable(e);
    }
    deliver(item("after"), "x");
}

// ---- Going on ----

TEST_P(sink_conformance, an_offer_that_does_not_want_it_starts_anew) {
    for (int i = 0; i < 2; ++i) {
        const auto coming = begin(item("a", 6));
        EXPECT_EQ(coming->offset(), 0u);
        coming->write(as_bytes("abc"));
        coming->abort(delivery::partial::keep);
    }
}

TEST_P(sink_conformance, resumes_after_each_byte_count) {
    if (!GetParam().resumes) GTEST_SKIP() << "this sink keeps nothing to resume from";
    std::map<std::string, std::string> sent;
    for (const std::size_t cut : {1u, 4096u, 9999u, 10'000u}) {
        auto what = item("cut" + std::to_string(cut), 10'000);
        what.mtime = file_time{1'700'000'000, 7};
        what.wants_resume = true;
        const auto content = noise_text(10'000, cut);
        sent[what.name] = content;

        auto coming = begin(what);
        EXPECT_EQ(coming->offset(), 0u);
        coming->write(as_bytes(content).first(cut));
        coming->abort(delivery::partial::keep);
        coming.reset();
        sink_.reset();
        sink_ = GetParam().make(place());

        coming = begin(what);
        const auto offset = coming->offset();
        ASSERT_LE(offset, cut);
        std::string kept;
        std::vector<std::byte> buffer(777);
        while (const auto got = coming->read_back(kept.size(), buffer)) kept += as_text(const_bytes(buffer).first(got));
        EXPECT_TRUE(kept == content.substr(0, offset)) << "what it reads back is not what was sent";
        coming->write(as_bytes(content).subspan(offset));
        finish(*coming);
    }
    if (stores()) {
        EXPECT_TRUE(stored() == sent);
    }
}

TEST_P(sink_conformance, what_is_dropped_is_not_resumed) {
    auto what = item("a", 6);
    what.mtime = file_time{1'700'000'000, 7};
    what.wants_resume = true;
    auto coming = begin(what);
    coming->write(as_bytes("abc"));
    coming->abort(delivery::partial::drop);
    coming.reset();
    coming = begin(what);
    EXPECT_EQ(coming->offset(), 0u);
    coming->write(as_bytes("abcdef"));
    finish(*coming);
    if (stores()) {
        EXPECT_EQ(stored().at("a"), "abcdef");
    }
}

// ---- Housekeeping ----

TEST_P(sink_conformance, nothing_is_left_open) {
    deliver(item("warm"), "x");
    const auto before = test::open_descriptors();
    for (int i = 0; i < 5; ++i) {
        deliver(item("a/b" + std::to_string(i), 3), "abc");
        deliver(message(), "hello");
        begin(item("cut"))->abort(delivery::partial::keep);
        begin(item("dropped"));
        try {
            deliver(item("../x"), "x");
        } catch (const error&) {
        }
        try {
            deliver(item("short", 9), "x");
        } catch (const error&) {
        }
    }
    EXPECT_EQ(test::open_descriptors(), before);
}

}  // namespace wherry::conformance

// SPDX-License-Identifier: BSD-2-Clause
#include "progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "events.hpp"

namespace wherry::app {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

progress_state half() {
    progress_state state;
    state.bytes = 50 << 20;
    state.total_bytes = 100 << 20;
    state.items = 3;
    state.total_items = 7;
    state.current = "holiday/pictures/beach.jpg";
    state.bytes_per_second = 10 << 20;
    return state;
}

TEST(progress, line_has_everything_where_there_is_room) {
    const auto line = render_progress(half(), 120);
    EXPECT_THAT(line, StartsWith("holiday/pictures/beach.jpg  ["));
    for (const auto* part : {"====>", "50%", "3/7", "50.0 MiB of 100 MiB", "10.0 MiB/s", "0:05 left"})
        EXPECT_THAT(line, HasSubstr(part));
}

TEST(progress, line_fits_every_window) {
    auto state = half();
    for (const auto* name :
         {"", "x", "holiday/pictures/beach.jpg", "\xE5\x86\x99\xE7\x9C\x9F/\xE6\xB5\xB7\xE8\xBE\xB9.jpg"}) {
        state.current = name;
        for (std::size_t columns = 0; columns <= 300; ++columns)
            EXPECT_LE(display_width(render_progress(state, columns)), columns > 0 ? columns - 1 : 0) << columns;
    }
}

TEST(progress, what_matters_stays_longest) {
    EXPECT_EQ(render_progress(half(), 6), " 50%");
    EXPECT_EQ(render_progress(half(), 20), " 50%  10.0 MiB/s");
    EXPECT_THAT(render_progress(half(), 40), HasSubstr("50%"));
    EXPECT_THAT(render_progress(half(), 40), HasSubstr("left"));
}

TEST(progress, end_of_a_long_name_is_shown) {
    auto state = half();
    state.current = std::string(200, 'd') + "/beach.jpg";
    EXPECT_THAT(render_progress(state, 100), StartsWith("..."));
    EXPECT_THAT(render_progress(state, 100), HasSubstr("beach.jpg  ["));
}

TEST(progress, without_a_total_there_is_no_share) {
    auto state = half();
    state.total_bytes.reset();
    const auto line = render_progress(state, 100);
    EXPECT_EQ(line.find('%'), line.npos);
    EXPECT_EQ(line.find("left"), line.npos);
    EXPECT_THAT(line, HasSubstr("50.0 MiB"));
}

TEST(progress, hundred_per_cent_is_not_said_too_early) {
    progress_state state;
    state.total_bytes = 1'000'000;
    state.bytes = 999'999;
    EXPECT_THAT(render_progress(state, 80), HasSubstr("99%"));
    state.bytes = 1'000'000;
    EXPECT_THAT(render_progress(state, 80), HasSubstr("100%"));
    state.bytes = 2'000'000;  // it grew
    EXPECT_THAT(render_progress(state, 80), HasSubstr("100%"));
    state.bytes = state.total_bytes.emplace(0);
    EXPECT_THAT(render_progress(state, 80), HasSubstr("100%"));
}

TEST(progress, sentence) {
    EXPECT_EQ(describe_progress(half()),
              "50%, 50.0 MiB of 100 MiB, 3 of 7 items, 10.0 MiB/s, 0:05 left: holiday/pictures/beach.jpg");
}

TEST(rate_meter, counts_the_last_seconds) {
    const progress_clock::time_point start;
    rate_meter rate;
    EXPECT_EQ(rate.bytes_per_second(), 0);
    rate.sample(start, 0);
    EXPECT_EQ(rate.bytes_per_second(), 0);
    rate.sample(start + 1s, 1000);
    EXPECT_DOUBLE_EQ(rate.bytes_per_second(), 1000);
    for (int second = 2; second <= 20; ++second) rate.sample(start + std::chrono::seconds(second), 1000);
    EXPECT_EQ(rate.bytes_per_second(), 0) << "it stands still";
    rate.sample(start + 21s, 6000);
    EXPECT_DOUBLE_EQ(rate.bytes_per_second(), 1000);
}

TEST(human_duration, forms) {
    EXPECT_EQ(human_duration(0s), "0:00");
    EXPECT_EQ(human_duration(7s), "0:07");
    EXPECT_EQ(human_duration(754s), "12:34");
    EXPECT_EQ(human_duration(11109s), "3:05:09");
    EXPECT_EQ(human_duration(100h), "4 d 4 h");
}

TEST(display_width, counts_columns) {
    EXPECT_EQ(display_width("abc"), 3u);
    EXPECT_EQ(display_width("\xC3\xA9"), 1u);
    EXPECT_EQ(display_width("e\xCC\x81"), 1u);
    EXPECT_EQ(display_width("\xE6\xB5\xB7"), 2u);
    EXPECT_EQ(display_width("\xF0\x9F\x98\x80"), 2u);
    EXPECT_EQ(display_width("\u2705"), 2u) << "a wide sign among narrow ones";
    EXPECT_EQ(display_width("\U0001F5A5"), 1u) << "a narrow picture among wide ones";
    EXPECT_EQ(display_width("\u0915\u093E"), 2u) << "a mark with a place of its own";
    EXPECT_EQ(display_width("\xFF\xE2\x82"), 3u) << "bytes that are not UTF-8";
}

// What a meter tells, for a test to wait for.
class listener_of_progress {
public:
    void tell(const progress_state* state) {
        const std::lock_guard lock(mutex_);
        state ? void(last_ = *state) : last_.reset();
        ++told_;
        changed_.notify_all();
    }
    template <class Condition>
    bool waits_for(Condition condition) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 20s, [&] { return told_ > 0 && condition(last_); });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<progress_state> last_;
    int told_ = 0;
};

TEST(progress_meter, known_total) {
    listener_of_progress heard;
    progress_meter meter(5ms, [&](const progress_state* state) { heard.tell(state); });
    meter.expect(3, 300);
    meter.skip(100);
    meter.begin({0, 1}, "a", 100, 40);
    meter.advance({0, 1}, 60);
    EXPECT_TRUE(heard.waits_for([](const auto& state) {
        return state && state->bytes == 160 && state->total_bytes == 300 && state->items == 1 &&
               state->total_items == 3 && state->current == "a";
    }));
    meter.begin({0, 3}, "b", 100, 0);
    meter.end({0, 1});
    EXPECT_TRUE(heard.waits_for(
        [](const auto& state) { return state && state->bytes == 200 && state->items == 2 && state->current == "b"; }));
}

TEST(progress_meter, total_of_what_is_there) {
    listener_of_progress heard;
    progress_meter meter(5ms, [&](const progress_state* state) { heard.tell(state); });
    meter.begin({1, 1}, "a", 100, 0);
    meter.begin({2, 1}, "b", 50, 10);
    EXPECT_TRUE(
        heard.waits_for([](const auto& state) { return state && state->bytes == 10 && state->total_bytes == 150; }));
    meter.begin({2, 3}, "pipe", std::nullopt, 0);
    EXPECT_TRUE(
        heard.waits_for([](const auto& state) { return state && !state->total_bytes && state->total_items == 3; }));
    for (const auto& key : {progress_meter::transfer_key{1, 1}, {2, 1}, {2, 3}}) meter.end(key);
    EXPECT_TRUE(heard.waits_for([](const auto& state) { return !state; })) << "at rest nothing is shown";
    meter.begin({3, 1}, "c", 7, 0);
    EXPECT_TRUE(heard.waits_for([](const auto& state) { return state && state->total_bytes == 7; })) << "counts anew";
}

// ---- Events: what programs read ----

TEST(events, names_that_are_not_text_are_kept) {
    json fields;
    put_name(fields, "name", "plain");
    EXPECT_EQ(fields.dump(), R"({"name":"plain"})");
    fields.clear();
    put_name(fields, "name", "caf\xE9.txt");
    EXPECT_EQ(fields["name"], "caf\xEF\xBF\xBD.txt");
    EXPECT_EQ(fields["name_hex"], "636166e92e747874");
}

TEST(events, content_that_is_not_text) {
    json fields;
    put_content(fields, "response", "fine");
    EXPECT_EQ(fields.dump(), R"({"response":"fine"})");
    for (const auto& [bytes, text] : {std::pair<std::string, std::string>{"\xFF", "/w=="},
                                      {"\xFF\xFE", "//4="},
                                      {"\xFF\xFE\xFD", "//79"},
                                      {"\xFF\xFE\xFDz", "//79eg=="}}) {
        fields.clear();
        put_content(fields, "response", bytes);
        EXPECT_EQ(fields["response_base64"], text);
        EXPECT_FALSE(fields.contains("response"));
    }
}

TEST(events, times) {
    EXPECT_EQ(format_time(0, 0), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(format_time(1'772'323'445, 678'999'999), "2026-03-01T00:04:05.678Z");
    EXPECT_EQ(format_time(-1, 0), "1969-12-31T23:59:59.000Z");
}

TEST(events, offers_have_what_is_known) {
    json fields;
    put_offer(fields, {item_kind::file, "a", 5, 0640, file_time{0, 0}, false});
    EXPECT_EQ(fields.dump(), R"({"kind":"file","name":"a","size":5,"mode":"0640","mtime":"1970-01-01T00:00:00.000Z"})");
    fields.clear();
    put_offer(fields, {item_kind::data, "p", {}, {}, {}, false});
    EXPECT_EQ(fields.dump(), R"({"kind":"data","name":"p"})");
}

TEST(events, results_say_who_failed) {
    delivery_result result;
    json fields;
    put_result(fields, result);
    EXPECT_EQ(fields["status"], "ok");
    EXPECT_EQ(fields["response"], "");
    result.failure = errc::refused;
    result.text = "no\xFF";
    result.is_remote = true;
    fields.clear();
    put_result(fields, result);
    EXPECT_EQ(fields["ok"], false);
    EXPECT_EQ(fields["status"], "refused");
    EXPECT_EQ(fields["error"], "no\xEF\xBF\xBD");
    EXPECT_EQ(fields["remote"], true);
}

}  // namespace
}  // namespace wherry::app

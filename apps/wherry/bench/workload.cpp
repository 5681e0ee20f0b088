// SPDX-License-Identifier: BSD-2-Clause
#include "bench/workload.hpp"

#include <botan/hex.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <utility>

#include "wherry/limits.hpp"
#include "wherry/mutex.hpp"
#include "wherry/sources.hpp"

namespace wherry::app::bench {

namespace {

constexpr std::string_view workload_names[] = {"stream", "files", "messages"};

// How many files lie in one folder, as in a tree that people have.
constexpr std::uint64_t files_in_folder = 100;

// Letters that do not compress well, the same in every run.
const std::vector<std::byte>& pattern() {
    static const std::vector<std::byte> bytes = [] {
        std::vector<std::byte> made(std::size_t{4} << 20);
        std::mt19937_64 numbers(20261121);
        for (std::size_t position = 0; position < made.size(); position += sizeof(std::uint64_t)) {
            const auto number = numbers();
            std::memcpy(&made[position], &number, sizeof number);
        }
        return made;
    }();
    return bytes;
}

// Text that is as good as any, for messages.
std::string message_text(std::uint64_t size) {
    static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz012345";
    std::string text(size, ' ');
    for (std::size_t i = 0; i < text.size(); ++i)
        text[i] = letters[std::to_integer<std::size_t>(pattern()[i % pattern().size()]) % letters.size()];
    return text;
}

offer an_offer(item_kind kind, std::string name, std::optional<std::uint64_t> size) {
    offer what;
    what.kind = kind;
    what.name = std::move(name);
    what.size = size;
    if (kind == item_kind::file) what.mode = 0644;
    return what;
}

// A file or a message that lies in memory.
class memory_source final : public source {
public:
    memory_source(offer what, const_bytes content) noexcept : what_(std::move(what)), content_(content) {}
    const offer& what() const noexcept override { return what_; }
    std::size_t read(mutable_bytes buffer) override {
        const auto now = std::min(buffer.size(), content_.size());
        if (now > 0) std::memcpy(buffer.data(), content_.data(), now);
        content_ = content_.subspan(now);
        return now;
    }

private:
    offer what_;
    const_bytes content_;
};

// Content without an end of its own, out of memory or a file, that ends when it is enough.
class stream_source final : public source {
public:
    stream_source(offer what, const workload_options& limits, bench_progress& progress)
        : what_(std::move(what)),
          left_(limits.bytes.value_or(std::numeric_limits<std::uint64_t>::max())),
          time_(limits.time),
          progress_(progress) {
        if (!limits.source.empty())
            file_ = std::make_unique<file_source>(limits.source, what_.name, resuming::no, symlinks::follow);
    }

    const offer& what() const noexcept override { return what_; }

    std::size_t read(mutable_bytes buffer) override {
        // The clock starts with the first byte.
        const auto now = std::chrono::steady_clock::now();
        if (!deadline_) deadline_ = time_ ? now + *time_ : std::chrono::steady_clock::time_point::max();
        if (left_ == 0 || now >= *deadline_ || progress_.wants_stop) return 0;
        const auto got = take(buffer.first(std::min<std::uint64_t>(buffer.size(), left_)));
        left_ -= got;
        progress_.bytes += got;
        return got;
    }

private:
    std::size_t take(mutable_bytes buffer) {
        if (file_) return file_->read(buffer);
        const auto& bytes = pattern();
        const auto got = std::min(buffer.size(), bytes.size() - position_);
        std::memcpy(buffer.data(), &bytes[position_], got);
        position_ = (position_ + got) % bytes.size();
        return got;
    }

    const offer what_;
    std::uint64_t left_;
    const std::optional<std::chrono::milliseconds> time_;
    std::optional<std::chrono::steady_clock::time_point> deadline_;
    bench_progress& progress_;
    std::unique_ptr<file_source> file_;
    std::size_t position_ = 0;
};

// Counts answers; keeps that to the question for a report to itself.
class tally final : public sending_observer {
public:
    explicit tally(bench_progress& progress) noexcept : progress_(progress) {}

    void answered(transfer_id, const offer& what, const delivery_result& result) override {
        const mutex_lock lock(mutex_);
        if (what.kind == item_kind::data && what.name == report_name) {
            report_ = result;
            return;
        }
        ++answered_;
        if (result.ok()) {
            ++outcome_.items;
            outcome_.bytes += result.bytes;
            outcome_.bytes_on_link += result.bytes_on_link;
            ++progress_.items;
        } else {
            ++outcome_.failed;
            if (!outcome_.first_failure) outcome_.first_failure = result;
        }
    }

    void streams(std::size_t joined, std::size_t, const std::string& why_fewer) override {
        const mutex_lock lock(mutex_);
        outcome_.streams = joined;
        outcome_.why_fewer_streams = why_fewer;
    }

    std::uint64_t answered() const {
        const mutex_lock lock(mutex_);
        return answered_;
    }

    std::optional<delivery_result> take_report() {
        const mutex_lock lock(mutex_);
        return std::exchange(report_, std::nullopt);
    }

    // Counts, and nothing else of it.
    connection_outcome outcome() const {
        const mutex_lock lock(mutex_);
        return outcome_;
    }

private:
    bench_progress& progress_;
    mutable mutex mutex_;
    connection_outcome outcome_ WHERRY_GUARDED_BY(mutex_);
    std::uint64_t answered_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::optional<delivery_result> report_ WHERRY_GUARDED_BY(mutex_);
};

// What a receiver answered to the question for a report; nothing if it is no bench.
std::optional<side_times> read_report(const delivery_result& answer) {
    if (!answer.ok()) return std::nullopt;
    const auto told = json::parse(as_text(answer.response), nullptr, false);
    if (!told.is_object() || told.value("wherry_bench", json()) != json(report_version)) return std::nullopt;
    return side_times_from(told);
}

}  // namespace

std::string_view to_string(workload which) noexcept { return workload_names[static_cast<std::size_t>(which)]; }

nanoseconds latencies::percentile(double percent) const {
    const auto rank = std::ceil(percent / 100 * static_cast<double>(samples.size()));
    const auto index = std::clamp<std::size_t>(static_cast<std::size_t>(rank), 1, samples.size());
    return samples[index - 1];
}

nanoseconds latencies::mean() const {
    return std::accumulate(samples.begin(), samples.end(), nanoseconds(0)) /
           static_cast<nanoseconds::rep>(samples.size());
}

struct bench_connection::implementation {
    implementation(std::unique_ptr<secure_channel> channel, std::shared_ptr<stage_meter> given,
                   const workload_options& what, const sender_options& how, bench_progress& progress)
        : meter(std::move(given)),
          options(what),
          progress(progress),
          counted(progress),
          sender(std::move(channel), how, counted) {
        const auto id = make_delivery_id();
        constexpr bool lower_case = false;
        name = "wherry-bench-" + Botan::hex_encode(reinterpret_cast<const std::uint8_t*>(id.data()), 4, lower_case);
    }

    connection_outcome run() {
        connection_outcome outcome;
        try {
            work();
            settle();
            outcome = counted.outcome();
            outcome.sender = spent();
            outcome.elapsed = outcome.sender.elapsed;
            outcome.receiver = ask_for_report();
            if (options.kind == workload::messages && !progress.wants_stop) send_singles(outcome.singles);
            sender.finish();
        } catch (const error& e) {
            if (!has_settled) {
                outcome = counted.outcome();
                outcome.sender = spent();
                outcome.elapsed = outcome.sender.elapsed;
            }
            outcome.broken = e;
        }
        return outcome;
    }

    void work() {
        began = meter->clock().wall();
        at_begin = meter->sum();
        cpu_at_begin = process_time_now();
        switch (options.kind) {
            case workload::stream: return send_stream();
            case workload::files: return send_files();
            case workload::messages: return send_messages();
        }
    }

    void send_stream() {
        stream_source endless(an_offer(item_kind::data, name, std::nullopt), options, progress);
        send(endless);
    }

    void send_files() {
        const auto content = const_bytes(pattern());
        for (std::uint64_t i = 0; i < options.count && !progress.wants_stop; ++i) {
            const auto path =
                name + "/" + std::to_string(i / files_in_folder) + "/" + std::to_string(i % files_in_folder);
            if (options.size > content.size()) {
                workload_options limits;
                limits.bytes = options.size;
                bench_progress own;
                stream_source large(an_offer(item_kind::file, path, options.size), limits, own);
                send(large);
            } else {
                memory_source file(an_offer(item_kind::file, path, options.size), content.first(options.size));
                send(file);
            }
            progress.bytes += options.size;
        }
    }

    void send_messages() {
        text = message_text(options.size);
        for (std::uint64_t i = 0; i < options.count && !progress.wants_stop; ++i) {
            send_message();
            progress.bytes += options.size;
        }
    }

    void send_message() {
        memory_source message(an_offer(item_kind::message, "", text.size()), as_bytes(text));
        send(message);
    }

    void send_singles(latencies& times) {
        times.samples.reserve(options.singles);
        for (std::uint64_t i = 0; i < options.singles && !progress.wants_stop; ++i) {
            const auto before = meter->clock().wall();
            send_message();
            sender.settle();
            times.samples.push_back(meter->clock().wall() - before);
        }
    }

    void send(source& item) {
        timed_source timed(item, *meter);
        // Then the sender waits for answers before it takes more.
        const bool is_crowded = sent - counted.answered() >= limits::max_unanswered_transfers;
        std::optional<stage_timer> waiting;
        if (is_crowded) waiting.emplace(*meter, stage::answers);
        const auto id = sender.announce(timed);
        waiting.reset();
        ++sent;
        sender.send(id, timed);
    }

    void settle() {
        {
            const stage_timer waiting(*meter, stage::answers);
            sender.settle();
        }
        ended = meter->clock().wall();
        has_settled = true;
    }

    side_times spent() const {
        side_times times;
        times.connections = 1;
        times.elapsed = times.longest = (has_settled ? ended : meter->clock().wall()) - began;
        times.stages = difference(meter->sum(), at_begin);
        const auto cpu = process_time_now();
        times.cpu = {cpu.user - cpu_at_begin.user, cpu.system - cpu_at_begin.system};
        return times;
    }

    std::optional<side_times> ask_for_report() {
        memory_source question(an_offer(item_kind::data, std::string(report_name), 0), {});
        sender.send(question);
        sender.settle();
        const auto answer = counted.take_report();
        return answer ? read_report(*answer) : std::nullopt;
    }

    const std::shared_ptr<stage_meter> meter;
    const workload_options& options;
    bench_progress& progress;
    tally counted;
    engine::sender sender;
    std::string name;  // what is sent is called so, and like nothing else
    std::string text;
    std::uint64_t sent = 0;
    nanoseconds began{0}, ended{0};
    stage_times at_begin{};
    process_time cpu_at_begin;
    bool has_settled = false;
};

bench_connection::bench_connection(std::unique_ptr<secure_channel> channel, std::shared_ptr<stage_meter> meter,
                                   const workload_options& what, const sender_options& how, bench_progress& progress)
    : implementation_(std::make_unique<implementation>(std::move(channel), std::move(meter), what, how, progress)) {}

bench_connection::~bench_connection() = default;

void bench_connection::await_entry() { implementation_->sender.await_entry(); }

connection_outcome bench_connection::run() { return implementation_->run(); }

void bench_connection::abort() noexcept { implementation_->sender.abort(); }

std::string bench_connection::describe() const { return std::string(implementation_->sender.channel().describe()); }

}  // namespace wherry::app::bench

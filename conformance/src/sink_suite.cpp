// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

#include "noise.hpp"
#include "observed.hpp"
#include "read_back.hpp"
#include "suites.hpp"
#include "sync_calls.hpp"
#include "wherry/limits.hpp"
#include "wherry/text.hpp"
#include "wherry/unique_fd.hpp"

// What every sink must do (core/include/wherry/plugin.h, sink.hpp), whatever it does with what comes. Each case runs in
// an empty folder, so that a sink which keeps things there can be watched; what the sink takes is found out first.
namespace wherry::conformance {

namespace fs = std::filesystem;

namespace {

using namespace std::string_literals;

std::string quoted(const offer& what) {
    return std::string(to_string(what.kind)) + (what.name.empty() ? "" : " '" + what.name + "'") +
           (what.size ? " of " + std::to_string(*what.size) + " bytes" : "");
}

// How one attempt to deliver ended.
struct attempt {
    failed failure;
    bool was_refused = false;  // by begin
    answer response;
    bool is_delivered() const { return !failure; }
};

enum class source { noise, text, file };

// How it is seen what the sink stored: nowhere; in files of the names that were offered; in files of any name that hold
// what was delivered; by the author's --read-back.
enum class sight { none, by_name, by_content, by_command };

// What more is found out of a sink before a case begins: only where it matters, for a fault in it would fail all.
enum class ability { none, checking_sizes, resuming };

// A sink may keep no part of a small item.
constexpr std::size_t resumed_bytes = std::size_t{3} << 20;

class sink_check {
public:
    explicit sink_check(context& given, ability wanted = ability::none) : c(given), wanted_(wanted) {
        find_what_it_takes();
        fs::create_directory("place");
        fs::current_path("place");
        offered_.clear();
        state_.emplace();
        restart();
    }
    ~sink_check() {
        it.reset();
        require_unchanged(*state_);
        fs::current_path(outside_);
    }
    sink_check(const sink_check&) = delete;
    sink_check& operator=(const sink_check&) = delete;

    context& c;
    std::unique_ptr<instance> it;

    void restart() {
        it.reset();
        it = instance::make(c);
    }

    // ---- What is offered ----

    // An item of the kind that it takes, with a name of its own.
    offer item(const std::string& label, std::optional<std::uint64_t> size = {}) const {
        offer what;
        what.kind = kind_;
        if (kind_ != item_kind::message) what.name = name_for(label);
        what.size = size;
        return what;
    }
    std::string name_for(const std::string& label) const {
        return c.about.offer_name.empty() ? label : label + "-" + c.about.offer_name;
    }
    static offer message() {
        offer what;
        what.kind = item_kind::message;
        return what;
    }

    // Of that size, unless it takes only what is in the author's file.
    std::string content(std::size_t size, std::uint64_t seed = 1) const {
        switch (source_) {
            case source::noise: return std::string(as_text(noise(size, seed)));
            case source::text: return noise_text(size, seed);
            case source::file: break;
        }
        return file_;
    }
    bool sizes_vary() const { return source_ != source::file; }

    // ---- Delivering ----

    begun start(const offer& what) {
        {
            const std::lock_guard lock(mutex_);
            if (!what.name.empty()) offered_.insert(what.name);
        }
        return begin(c, *it, what);
    }

    std::unique_ptr<running_delivery> begin_or_fail(const offer& what) {
        auto tried = start(what);
        if (!tried.it) fail("refused a " + quoted(what) + ", though it takes others like it: " + tried.refusal->told());
        return std::move(tried.it);
    }

    static void write_or_fail(running_delivery& to, std::string_view bytes) {
        if (const auto failure = to.write(as_bytes(bytes))) fail(failure->told());
    }

    static void finish_or_fail(running_delivery& it) {
        answer response;
        if (const auto failure = it.finish(response)) fail(failure->told());
    }

    attempt try_deliver(const offer& what, std::string_view bytes, std::size_t step = 4096) {
        attempt made;
        auto tried = start(what);
        if (!tried.it) {
            made.failure = std::move(tried.refusal);
            made.was_refused = true;
            return made;
        }
        in_steps(as_bytes(bytes), step, [&](const_bytes piece) {
            if (!made.failure) made.failure = tried.it->write(piece);
        });
        if (made.failure)
            tried.it->abort(delivery::partial::drop);
        else
            made.failure = tried.it->finish(made.response);
        return made;
    }

    // Ends the case if it failed otherwise than a sink may that does not want the item.
    static void require_refusal(const offer& what, const attempt& made) {
        if (made.failure && !made.failure->is_refusal())
            fail("fails with a " + quoted(what) + ": " + made.failure->told() +
                 "; that is no refusal, which has the status refused, bad_input, unsupported or exhausted");
    }

    void deliver(const offer& what, std::string_view bytes, std::size_t step = 4096) {
        const auto made = try_deliver(what, bytes, step);
        if (made.failure)
            fail((made.was_refused ? "refused a " : "failed with a ") + quoted(what) +
                 " though it takes others like it: " + made.failure->told());
    }

    // ---- What it stores ----

    // Each does what can be done, and leaves the case unchecked where nothing is seen.

    // REQUIRES: sent is all that was delivered. `condition` is under what: ", where the disk is full".
    void require_stored(const std::map<std::string, std::string>& sent, const std::string& condition = "") const {
        if (!is_seen()) return;
        const auto there = sight_ == sight::by_content ? files_beneath(".") : stored();
        for (const auto& [name, bytes] : sent) {
            const auto found = held_of(name, bytes, there);
            require(found.has_value(), "said that '" + name + "' is delivered, but it is not there" + condition);
            require(*found == bytes, "said that '" + name +
                                         "' is delivered, but it holds other bytes than were written (" +
                                         std::to_string(found->size()) + " bytes, written were " +
                                         std::to_string(bytes.size()) + ")" + condition);
        }
        if (const auto extra = finished_beside(sent, stored()))
            fail("there is a finished item '" + *extra + "' that nobody delivered" + condition);
    }

    // Of deliveries that did not end well. What is not stored under names must not lie around, either.
    void require_nothing_finished(const std::string& whence) const {
        if (!is_seen()) return;
        if (const auto extra = finished_beside({}, stored()))
            fail("leaves '" + *extra + "', which looks finished, " + whence);
    }

    // What is there was delivered under this name, by several; whatever the policy, each is whole.
    void require_whole(const std::string& offered, const std::vector<std::string>& sent,
                       const std::string& whence) const {
        if (!is_seen()) return;
        auto there = stored();
        if (sight_ == sight::by_command)
            if (const auto found = read_back(*c.about.read_back, offered)) there[offered] = *found;
        require(!there.empty(), "took the same name " + whence + ", but has nothing");
        for (const auto& [name, bytes] : there)
            require(std::find(sent.begin(), sent.end(), bytes) != sent.end(),
                    "mixes deliveries of the same name: '" + name + "' is none of those that were sent");
    }

    // Since the watch began, which was after all but the last write.
    void require_synced(const std::string& offered, const std::string& bytes, const sync_watch& seen) const {
        const auto item = " of '" + offered + "'";
        std::string missing = seen.has_any() ? "" : "anything" + item;
        if (sight_ == sight::by_name || sight_ == sight::by_content) {
            missing = "the file" + item;
            // Of several with the same content one is new.
            for (const auto& [path, held] : stored()) {
                if (sight_ == sight::by_name ? path != offered : held != bytes) continue;
                const auto file = fs::path(root_) / path;
                if (seen.has(file)) missing = seen.has(file.parent_path()) ? "" : "the folder of the file" + item;
            }
        }
        if (missing.empty()) return;
        const auto sentence = "nothing asks the disk to keep " + missing +
                              " between the last write() and the end of finish(), by fsync() or its like";
        if (c.is_promised("syncs")) fail("is promised to have on the disk what is finished, but " + sentence);
        leave_unchecked(sentence);
    }

    bool checks_sizes() const { return checks_sizes_; }
    // Whether a name may lead into a folder.
    bool takes_folders() const { return takes_folders_; }
    bool resumes() const { return resumes_; }

private:
    void find_what_it_takes() {
        if (c.about.content) {
            std::ifstream in(*c.about.content, std::ios::binary);
            std::ostringstream all;
            all << in.rdbuf();
            require(static_cast<bool>(in), "the content " + c.about.content->string() + " cannot be read");
            file_ = std::move(all).str();
        }
        std::vector<item_kind> kinds{item_kind::file, item_kind::data, item_kind::message};
        if (c.about.offer_kind) kinds = {*c.about.offer_kind};
        std::vector<source> sources{source::noise, source::text};
        if (c.about.content) sources = {source::file};

        const auto here = fs::current_path();
        int count = 0;
        std::string refusals;
        for (const auto kind : kinds) {
            for (const auto one : sources) {
                kind_ = kind;
                source_ = one;
                const auto folder = here / ("probe" + std::to_string(count++));
                fs::create_directory(folder);
                fs::current_path(folder);
                restart();
                const auto what = item("sample");
                const auto bytes = content(1000, 99);
                const process_state before;
                const auto made = try_deliver(what, bytes);
                require_unchanged(before);
                if (made.is_delivered()) {
                    find_where_it_is(what, bytes);
                    find_abilities();
                    it.reset();
                    fs::current_path(here);
                    return;
                }
                require_refusal(what, made);
                refusals = "a " + quoted(what) + ": " + made.failure->told();
                it.reset();
                fs::current_path(here);
            }
        }
        const bool is_told = c.about.content || c.about.offer_kind || !c.about.offer_name.empty();
        if (is_told || c.is_promised("takes-anything")) fail("refused everything that was tried, at last " + refusals);
        end_unchecked("it refuses everything that was tried, at last " + refusals +
                      "; say what it takes with --offer-name, --offer-kind and --content");
    }

    bool is_seen() const {
        if (sight_ == sight::none) leave_unchecked("what it stored is not seen");
        return sight_ != sight::none;
    }

    // Every finished item that is seen in a file, by the path beneath root_.
    std::map<std::string, std::string> stored() const {
        if (sight_ == sight::by_command) return {};
        auto files = files_beneath(root_);
        for (const auto& name : own_files_) files.erase(name);
        return files;
    }

    // What is there of a delivery, if anything is.
    std::optional<std::string> held_of(const std::string& name, const std::string& bytes,
                                       const std::map<std::string, std::string>& there) const {
        if (sight_ == sight::by_command) return read_back(*c.about.read_back, name);
        if (sight_ == sight::by_name) {
            const auto found = there.find(name);
            return found != there.end() ? std::optional(found->second) : std::nullopt;
        }
        const bool is_there =
            std::any_of(there.begin(), there.end(), [&](const auto& one) { return one.second == bytes; });
        return is_there ? std::optional(bytes) : std::nullopt;
    }

    // One that is there beside what was delivered.
    std::optional<std::string> finished_beside(const std::map<std::string, std::string>& sent,
                                               const std::map<std::string, std::string>& there) const {
        if (sight_ == sight::by_command)
            for (const auto& name : offered_)
                if (sent.count(name) == 0 && read_back(*c.about.read_back, name)) return name;
        std::multiset<std::string_view> expected;
        for (const auto& [name, bytes] : sent) expected.insert(bytes);
        for (const auto& [path, held] : there) {
            if (sight_ == sight::by_name && sent.count(path) == 0) return path;
            if (sight_ != sight::by_content) continue;
            const auto found = expected.find(held);
            if (found == expected.end()) return path;
            expected.erase(found);
        }
        return std::nullopt;
    }

    void find_where_it_is(const offer& what, const std::string& bytes) {
        // Messages have no name to tell one from another.
        if (what.name.empty()) return;
        if (c.about.read_back) {
            sight_ = sight::by_command;
            return;
        }
        const auto files = files_beneath(".");
        for (const auto& [path, stored] : files) {
            if (stored != bytes || !path.ends_with(what.name)) continue;
            root_ = path.substr(0, path.size() - what.name.size());
            if (root_.empty()) root_ = ".";
            sight_ = sight::by_name;
        }
        if (sight_ == sight::none) find_it_by_content(files, bytes);
        if (c.is_promised("stores") && sight_ == sight::none)
            fail(
                "is promised to store each item as a file in the folder it runs in, but no file there holds what was "
                "delivered as '" +
                what.name + "'");
    }

    // Where each delivery makes one file, which holds it.
    void find_it_by_content(const std::map<std::string, std::string>& first, const std::string& bytes) {
        const auto holds = [&](const auto& file) { return file.second == bytes; };
        const auto sample = std::find_if(first.begin(), first.end(), holds);
        if (sample == first.end() || std::count_if(first.begin(), first.end(), holds) != 1) return;
        if (!try_deliver(item("another-sample"), bytes).is_delivered()) return;
        auto second = files_beneath(".");
        for (const auto& [path, held] : first) second.erase(path);
        if (second.size() != 1 || !holds(*second.begin())) return;
        sight_ = sight::by_content;
        fs::path root;
        const fs::path one = fs::path(sample->first).parent_path(),
                       other = fs::path(second.begin()->first).parent_path();
        for (auto a = one.begin(), b = other.begin(); a != one.end() && b != other.end() && *a == *b; ++a, ++b)
            root /= *a;
        root_ = root.empty() ? "." : root.string();
        // What it keeps there besides, under names that stay.
        for (const auto& [path, held] : first)
            if (path != sample->first) own_files_.insert(fs::path(path).lexically_relative(root_).string());
    }

    void find_abilities() {
        if (sight_ == sight::by_name && c.about.offer_name.empty())
            takes_folders_ = try_deliver(item("folder/sample"), content(100)).is_delivered();
        if (wanted_ == ability::checking_sizes && sizes_vary()) {
            const auto fewer = try_deliver(item("fewer", 700), content(600));
            checks_sizes_ = !fewer.is_delivered();
            if (c.is_promised("checks-sizes") && !checks_sizes_)
                fail("is promised to check sizes, but took 600 bytes of an item that was offered with 700");
        }
        if (wanted_ != ability::resuming) return;
        if (c.sink.read_back != nullptr && kind_ != item_kind::message) {
            const auto bytes = content(resumed_bytes);
            auto what = item("resumed", bytes.size());
            what.mtime = file_time{1'700'000'000, 7};
            what.wants_resume = true;
            if (auto first = begin(c, *it, what); first.it) {
                if (!first.it->write(as_bytes(bytes).first(bytes.size() / 2))) first.it->abort(delivery::partial::keep);
                first.it.reset();
                if (const auto second = begin(c, *it, what); second.it) resumes_ = second.it->offset() > 0;
            }
        }
        if (c.is_promised("resumes") && !resumes_)
            fail("is promised to resume, but kept nothing of an item of 3 MiB that was cut in the middle");
    }

    const ability wanted_;
    const fs::path outside_ = fs::current_path();
    std::optional<process_state> state_;  // since it is in a place of its own
    item_kind kind_ = item_kind::file;
    source source_ = source::noise;
    std::string file_;
    sight sight_ = sight::none;
    std::string root_;
    std::set<std::string> own_files_;
    std::mutex mutex_;
    std::set<std::string> offered_;  // since it is in a place of its own
    bool checks_sizes_ = false, resumes_ = false, takes_folders_ = false;
};

// ---- Deliveries that end well ----

void takes_any_size_in_any_steps(context& given) {
    sink_check c(given);
    std::map<std::string, std::string> sent;
    const auto one = [&](const std::string& label, const std::string& bytes, std::optional<std::uint64_t> size,
                         std::size_t step) {
        const auto what = c.item(label, size);
        c.deliver(what, bytes, step);
        sent[what.name] = bytes;
    };
    if (!c.sizes_vary()) {
        const auto bytes = c.content(0);
        for (const std::size_t step : {std::size_t{1} + bytes.size() / 3000, std::size_t{4095}, std::size_t{65'536}}) {
            one("steps-of-" + std::to_string(step), bytes, bytes.size(), step);
            one("steps-of-" + std::to_string(step) + "-of-unknown-size", bytes, {}, step);
        }
    } else {
        for (const std::size_t size : {0u, 1u, 7u, 4095u, 4096u, 4097u, 300'007u}) {
            for (const std::size_t step : std::set<std::size_t>{1 + size / 300, 4096, size + 1}) {
                const auto label = std::to_string(size) + "-" + std::to_string(step);
                const auto bytes = c.content(size, size + step);
                one(label, bytes, size, step);
                one(label + "-of-unknown-size", bytes, {}, step);
            }
        }
    }
    c.require_stored(sent);
}

void takes_what_is_huge_or_refuses_it(context& given) {
    sink_check c(given);
    if (!c.sizes_vary()) skip("it takes only content like that of --content");
    constexpr std::size_t piece_bytes = std::size_t{1} << 20, pieces = 64;
    std::string bytes;
    for (std::size_t i = 0; i < pieces; ++i) bytes += c.content(piece_bytes, i);
    std::map<std::string, std::string> sent;
    for (const bool knows_size : {true, false}) {
        const auto what = c.item(knows_size ? "huge" : "huge-of-unknown-size",
                                 knows_size ? std::optional<std::uint64_t>(bytes.size()) : std::nullopt);
        const auto made = c.try_deliver(what, bytes, piece_bytes);
        c.require_refusal(what, made);
        if (made.failure) {
            note("does not take 64 MiB: " + made.failure->told());
            c.require_nothing_finished("after a huge delivery failed");
            if (given.is_promised("takes-anything")) fail("does not take 64 MiB: " + made.failure->told());
            return;
        }
        sent[what.name] = bytes;
    }
    c.require_stored(sent);
    // More than it could ever have, though it will not come.
    for (const auto size : {std::uint64_t{1} << 62, std::numeric_limits<std::uint64_t>::max()})
        if (auto coming = c.start(c.item("endless", size)); coming.it) coming.it->abort(delivery::partial::drop);
}

void takes_every_kind_or_refuses_it_clearly(context& given) {
    sink_check c(given);
    for (const auto kind : {item_kind::message, item_kind::file, item_kind::data, item_kind::folder}) {
        offer what;
        what.kind = kind;
        if (kind != item_kind::message) what.name = c.name_for(std::string(to_string(kind)));
        what.mode = 0644;
        what.mtime = file_time{1'700'000'000, 1};
        const auto made = c.try_deliver(what, kind == item_kind::folder ? "" : c.content(700));
        c.require_refusal(what, made);
        if (made.failure) note("does not take a " + quoted(what) + ": " + made.failure->text);
    }
}

void writes_without_bytes_change_nothing(context& given) {
    sink_check c(given);
    const auto bytes = c.content(300);
    const auto what = c.item("a", bytes.size());
    const auto coming = c.begin_or_fail(what);
    c.write_or_fail(*coming, "");
    c.write_or_fail(*coming, bytes);
    c.write_or_fail(*coming, "");
    c.finish_or_fail(*coming);
    c.require_stored({{what.name, bytes}});
}

void answers_are_within_bounds(context& given) {
    sink_check c(given);
    for (int i = 0; i < 3; ++i) {
        const auto bytes = c.content(100, static_cast<std::uint64_t>(i));
        const auto made = c.try_deliver(c.item("a" + std::to_string(i)), bytes);
        if (made.failure) fail(made.failure->told());
        require(made.response.refused.empty(), "answers with " + made.response.refused);
    }
}

void deliveries_take_turns(context& given) {
    sink_check c(given);
    constexpr std::size_t count = 12, steps = 20;
    std::vector<std::unique_ptr<running_delivery>> open;
    std::vector<std::string> bytes;
    std::map<std::string, std::string> sent;
    for (std::size_t i = 0; i < count; ++i) {
        const auto what = c.item("turn" + std::to_string(i));
        bytes.push_back(c.content(steps * (500 + i), i));
        sent[what.name] = bytes.back();
        open.push_back(c.begin_or_fail(what));
    }
    for (std::size_t step = 0; step < steps; ++step)
        for (std::size_t i = 0; i < count; ++i) {
            const auto from = bytes[i].size() * step / steps, to = bytes[i].size() * (step + 1) / steps;
            c.write_or_fail(*open[i], std::string_view(bytes[i]).substr(from, to - from));
        }
    for (std::size_t i = count; i-- > 0;) c.finish_or_fail(*open[i]);
    c.require_stored(sent);
}

void a_delivery_may_move_from_thread_to_thread(context& given) {
    sink_check c(given);
    const auto bytes = c.content(900);
    const auto what = c.item("a", bytes.size());
    const auto half = bytes.size() / 2;
    std::unique_ptr<running_delivery> coming;
    std::thread([&] { coming = c.begin_or_fail(what); }).join();
    std::thread([&] { c.write_or_fail(*coming, std::string_view(bytes).substr(0, half)); }).join();
    std::thread([&] { c.write_or_fail(*coming, std::string_view(bytes).substr(half)); }).join();
    std::thread([&] { c.finish_or_fail(*coming); }).join();
    c.require_stored({{what.name, bytes}});
}

void eight_threads_deliver_at_once(context& given) {
    sink_check c(given);
    constexpr std::size_t threads = 8, each = 20;
    std::mutex mutex;
    std::map<std::string, std::string> sent;
    at_once(threads, [&](std::size_t t) {
        for (std::size_t i = 0; i < each; ++i) {
            const auto seed = t * each + i;
            auto label = std::to_string(seed);
            if (c.takes_folders()) label = "folder" + std::to_string(i % 3) + "/" + label;
            if (i % 5 == 4) {
                const auto cut = c.begin_or_fail(c.item(label));
                static_cast<void>(cut->write(as_bytes("cut")));
                cut->abort(delivery::partial::drop);
                continue;
            }
            const auto bytes = c.content(3000 + seed, seed);
            const auto what = c.item(label, bytes.size());
            const auto made = c.try_deliver(what, bytes, 701);
            if (made.failure)
                fail("fails when eight threads deliver at once, and not when one does: " + made.failure->told());
            const std::lock_guard lock(mutex);
            sent[what.name] = bytes;
        }
    });
    c.require_stored(sent);
}

void eight_threads_deliver_the_same_name(context& given) {
    sink_check c(given);
    std::atomic<std::size_t> accepted{0};
    at_once(8, [&](std::size_t t) {
        const auto made = c.try_deliver(c.item("same"), c.content(50'000, t), 1009);
        c.require_refusal(c.item("same"), made);
        if (made.is_delivered()) ++accepted;
    });
    require(accepted >= 1, "refused the same name from all of eight threads");
    std::vector<std::string> sent;
    for (std::uint64_t t = 0; t < 8; ++t) sent.push_back(c.content(50'000, t));
    c.require_whole(c.name_for("same"), sent, "from eight threads");
}

void instances_deliver_independently(context& given) {
    sink_check c(given);
    auto other = instance::make(given);
    const auto bytes = c.content(500);
    const auto coming = c.begin_or_fail(c.item("one", bytes.size()));
    auto theirs = begin(given, *other, c.item("other", bytes.size()));
    if (!theirs.it) fail("a second instance beside the first refused a delivery: " + theirs.refusal->told());
    c.write_or_fail(*coming, bytes);
    theirs.it->abort(delivery::partial::drop);
    theirs.it.reset();
    other.reset();
    c.finish_or_fail(*coming);
    c.deliver(c.item("two", bytes.size()), bytes);
    c.require_stored({{c.item("one").name, bytes}, {c.item("two").name, bytes}});
}

void what_is_finished_is_on_the_disk(context& given) {
    sink_check c(given);
    const std::size_t last = c.content(1).empty() ? 0 : 1;
    const auto begin_all_but_the_end = [&](const offer& what, const std::string& bytes) {
        auto coming = c.begin_or_fail(what);
        c.write_or_fail(*coming, std::string_view(bytes).substr(0, bytes.size() - last));
        return coming;
    };
    for (const std::size_t size : {1u, 5000u, 200'000u})
        for (const bool knows_size : {true, false}) {
            const auto bytes = c.content(size, size + (knows_size ? 1 : 0));
            const auto what = c.item(std::to_string(size) + (knows_size ? "" : "-of-unknown-size"),
                                     knows_size ? std::optional<std::uint64_t>(bytes.size()) : std::nullopt);
            const auto coming = begin_all_but_the_end(what, bytes);
            const sync_watch seen;
            c.write_or_fail(*coming, std::string_view(bytes).substr(bytes.size() - last));
            c.finish_or_fail(*coming);
            c.require_synced(what.name, bytes, seen);
        }
    if (given.sink.finish_group == nullptr) return;
    std::vector<std::unique_ptr<running_delivery>> open;
    std::vector<std::string> contents;
    std::vector<answer> answers(3);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        contents.push_back(c.content(3000 + i, 50 + i));
        open.push_back(begin_all_but_the_end(c.item("group" + std::to_string(i), contents[i].size()), contents[i]));
    }
    const sync_watch seen;
    for (std::size_t i = 0; i < open.size(); ++i)
        c.write_or_fail(*open[i], std::string_view(contents[i]).substr(contents[i].size() - last));
    for (const auto& failure : running_delivery::finish_together(open, answers))
        if (failure) fail("a group failed, though nothing is wrong with it: " + failure->told());
    for (std::size_t i = 0; i < open.size(); ++i)
        c.require_synced(c.item("group" + std::to_string(i)).name, contents[i], seen);
}

// ---- Deliveries that end early ----

void abort_at_any_point_leaves_nothing(context& given) {
    sink_check c(given);
    const auto bytes = c.content(7000);
    const auto eighth = bytes.size() / 7;
    std::vector<offer> offers = {c.item("cut", bytes.size()), c.item("cut-of-unknown-size")};
    if (c.takes_folders()) offers.push_back(c.item("cut/deeper"));
    if (auto tried = c.start(c.message()); tried.it) offers.push_back(c.message());
    for (const auto how : {delivery::partial::drop, delivery::partial::keep})
        for (const std::size_t writes : {0u, 1u, 2u, 7u})
            for (const auto& what : offers) {
                const auto coming = c.begin_or_fail(what);
                failed failure;
                for (std::size_t i = 0; i < writes && !failure; ++i)
                    failure = coming->write(as_bytes(bytes).subspan(i * eighth, eighth));
                coming->abort(failure ? delivery::partial::drop : how);
                c.require_nothing_finished("after its delivery was aborted");
            }
    // And it works on.
    const auto what = c.item("after", bytes.size());
    c.deliver(what, bytes);
    c.require_stored({{what.name, bytes}});
}

void a_delivery_is_not_there_before_it_is_finished(context& given) {
    sink_check c(given);
    const auto bytes = c.content(3000);
    const auto coming = c.begin_or_fail(c.item("a", bytes.size()));
    c.write_or_fail(*coming, bytes);
    c.require_nothing_finished("before its delivery was finished");
    c.finish_or_fail(*coming);
}

void what_was_finished_stays_as_it_is(context& given) {
    sink_check c(given);
    const auto bytes = c.content(3000);
    const auto what = c.item("a", bytes.size());
    c.deliver(what, bytes);
    // The same name again, not to the end.
    if (auto again = c.start(what); again.it) {
        static_cast<void>(again.it->write(as_bytes("something else")));
        again.it->abort(delivery::partial::drop);
    }
    if (auto again = c.start(what); again.it) {
        static_cast<void>(again.it->write(as_bytes("something else")));
        again.it->abort(delivery::partial::keep);
    }
    c.it.reset();
    c.require_stored({{what.name, bytes}});
}

void wrong_sizes_fail_and_leave_nothing(context& given) {
    sink_check c(given, ability::checking_sizes);
    if (!c.checks_sizes()) skip("it takes what comes, whatever size was offered");
    const auto must_fail = [&](const std::string& label, std::uint64_t size, std::string_view bytes, std::size_t step) {
        if (c.try_deliver(c.item(label, size), bytes, step).is_delivered())
            fail("took " + std::to_string(bytes.size()) + " bytes of an item that was offered with " +
                 std::to_string(size));
    };
    must_fail("fewer", 5, "1234", 4096);
    must_fail("more", 5, "123456", 1);
    must_fail("more", 0, "1", 4096);
    c.require_nothing_finished("after a delivery of the wrong size");
}

void an_answer_that_cannot_be_given_does_no_harm(context& given) {
    sink_check c(given);
    const auto bytes = c.content(300);
    const auto coming = c.begin_or_fail(c.item("a", bytes.size()));
    c.write_or_fail(*coming, bytes);
    answer full;
    full.is_full = true;
    if (coming->finish(full)) c.require_nothing_finished("after finish() failed");
    c.deliver(c.item("after", bytes.size()), bytes);
}

// ---- Groups ----

// Deliveries that are to be ended in one call of finish_group().
class group {
public:
    explicit group(sink_check& of) : c_(of) {
        if (c_.c.sink.finish_group == nullptr) skip("it has no finish_group(): its deliveries are finished one by one");
    }

    void add(const offer& what, std::string bytes) {
        open_.push_back(c_.begin_or_fail(what));
        in_steps(as_bytes(bytes), 4096,
                 [&](const_bytes piece) { sink_check::write_or_fail(*open_.back(), as_text(piece)); });
        names_.push_back(what.name);
        contents_.push_back(std::move(bytes));
        answers_.emplace_back();
    }
    // Of the one that was added last.
    answer& latest_answer() { return answers_.back(); }

    // What each came to.
    const std::vector<failed>& finish() {
        failures_ = running_delivery::finish_together(open_, answers_);
        for (std::size_t i = 0; i < failures_.size(); ++i) {
            if (!answers_[i].refused.empty()) fail("answers with " + answers_[i].refused);
            if (!failures_[i]) delivered_[names_[i]] = contents_[i];
        }
        open_.clear();
        return failures_;
    }
    void finish_or_fail() {
        finish();
        for (std::size_t i = 0; i < failures_.size(); ++i)
            if (failures_[i])
                fail("a group failed with '" + names_[i] +
                     "', though nothing is wrong with it: " + failures_[i]->told());
    }
    // By its name.
    const std::map<std::string, std::string>& delivered() const { return delivered_; }

private:
    sink_check& c_;
    std::vector<std::unique_ptr<running_delivery>> open_;
    std::vector<std::string> names_, contents_;
    std::vector<answer> answers_;
    std::vector<failed> failures_;
    std::map<std::string, std::string> delivered_;
};

void a_group_is_stored_and_answered(context& given) {
    sink_check c(given);
    std::map<std::string, std::string> sent;
    for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{9}, limits::max_group_commit}) {
        group all(c);
        for (std::size_t i = 0; i < count; ++i) {
            auto label = "group" + std::to_string(count) + "-" + std::to_string(i);
            if (c.takes_folders() && i % 3 > 0) label = "folder" + std::to_string(i % 3) + "/" + label;
            const auto bytes = c.content(i * 37 % 5000, i);
            all.add(c.item(label, i % 4 == 3 ? std::nullopt : std::optional<std::uint64_t>(bytes.size())), bytes);
        }
        c.require_stored(sent);  // and nothing of the group yet
        all.finish_or_fail();
        for (const auto& [name, bytes] : all.delivered()) sent[name] = bytes;
        c.require_stored(sent);
    }
}

void of_a_group_what_fails_fails_alone(context& given) {
    sink_check c(given, ability::checking_sizes);
    const auto bytes = c.content(700);
    // Not of the group, and not ended by it.
    const auto beside = c.begin_or_fail(c.item("beside", bytes.size()));
    c.write_or_fail(*beside, bytes);

    group all(c);
    all.add(c.item("first", bytes.size()), bytes);
    if (c.checks_sizes()) all.add(c.item("short", bytes.size() + 100), bytes);
    all.add(c.item("second", bytes.size()), bytes);
    all.add(c.item("unheard", bytes.size()), bytes);
    all.latest_answer().is_full = true;
    all.add(c.item("last", bytes.size()), bytes);
    const auto& failures = all.finish();
    auto sent = all.delivered();
    const auto must_be_delivered = [&](const std::string& label, std::size_t at) {
        if (failures[at])
            fail("a group failed with '" + label +
                 "', though it was another of the group that was wrong: " + failures[at]->told());
    };
    const std::size_t more = c.checks_sizes() ? 1 : 0;
    must_be_delivered("first", 0);
    must_be_delivered("second", 1 + more);
    must_be_delivered("last", 3 + more);
    if (c.checks_sizes() && !failures[1])
        fail("took 700 bytes of an item that was offered with 800 in a group, and not by itself");
    // What failed is not there, and what is said to be there is.
    c.require_stored(sent);

    c.finish_or_fail(*beside);
    sent[c.item("beside").name] = bytes;
    const auto after = c.item("after", bytes.size());
    c.deliver(after, bytes);
    sent[after.name] = bytes;
    c.require_stored(sent);
}

void a_group_of_one_name_mixes_nothing(context& given) {
    sink_check c(given);
    group all(c);
    for (std::uint64_t i = 0; i < 4; ++i) all.add(c.item("same"), c.content(5000, i));
    std::size_t delivered = 0;
    for (const auto& failure : all.finish()) delivered += failure ? 0 : 1;
    require(delivered >= 1, "refused the same name to all of a group");
    std::vector<std::string> sent;
    for (std::uint64_t i = 0; i < 4; ++i) sent.push_back(c.content(5000, i));
    c.require_whole(c.name_for("same"), sent, "from a group");
}

void four_threads_finish_groups_at_once(context& given) {
    sink_check c(given);
    std::mutex mutex;
    std::map<std::string, std::string> sent;
    if (given.sink.finish_group == nullptr) group none(c);
    at_once(4, [&](std::size_t t) {
        for (std::size_t round = 0; round < 5; ++round) {
            group all(c);
            for (std::size_t i = 0; i < 8; ++i) {
                const auto seed = (t * 5 + round) * 8 + i;
                auto label = std::to_string(seed);
                if (c.takes_folders()) label = "folder" + std::to_string(i % 3) + "/" + label;
                const auto bytes = c.content(1000 + seed, seed);
                all.add(c.item(label, bytes.size()), bytes);
            }
            all.finish_or_fail();
            const std::lock_guard lock(mutex);
            sent.insert(all.delivered().begin(), all.delivered().end());
        }
    });
    c.require_stored(sent);
}

// ---- When the system fails ----

// Sets a limit of this process for as long as it lives.
class limited {
public:
    limited(__rlimit_resource which, rlim_t to) : which_(which) {
        ::getrlimit(which, &before_);
        const rlimit now{std::min(to, before_.rlim_max), before_.rlim_max};
        ::setrlimit(which, &now);
    }
    ~limited() { ::setrlimit(which_, &before_); }
    limited(const limited&) = delete;
    limited& operator=(const limited&) = delete;

private:
    const __rlimit_resource which_;
    rlimit before_{};
};

void a_failed_write_is_not_a_delivery(context& given) {
    sink_check c(given);
    ::signal(SIGXFSZ, SIG_IGN);
    const auto bytes = c.content(200'000);
    if (bytes.size() < 2000) skip("the content is too small to fail in the middle of it");
    const auto what = c.item("too-large-for-the-disk", bytes.size());
    const auto what_of_unknown_size = c.item("unknown-too-large-for-the-disk");
    std::map<std::string, std::string> sent;
    for (const auto& one : {what, what_of_unknown_size}) {
        attempt made;
        {
            const limited disk(RLIMIT_FSIZE, bytes.size() / 2);
            made = c.try_deliver(one, bytes, 4096);
        }
        // It may have kept it elsewhere.
        if (made.is_delivered()) sent[one.name] = bytes;
        c.require_stored(sent, ", where the disk took only half of it");
    }
    if (sent.size() == 2 && given.is_promised("stores"))
        fail("stored a file of " + std::to_string(bytes.size()) + " bytes where only half of it could be written");
    // There is room again.
    c.deliver(c.item("after", bytes.size()), bytes);
}

void running_out_of_descriptors_is_a_refusal(context& given) {
    sink_check c(given);
    const auto bytes = c.content(3000);
    const auto what = c.item("a", bytes.size());
    std::size_t failures = 0;
    for (const std::size_t spare : {0u, 1u, 2u, 3u, 4u}) {
        const limited descriptors(RLIMIT_NOFILE, static_cast<rlim_t>(open_descriptors().rbegin()->first) + 10);
        std::vector<unique_fd> all;
        for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) all.emplace_back(fd);
        all.resize(all.size() - spare);
        if (!c.try_deliver(c.item("spare" + std::to_string(spare), bytes.size()), bytes).is_delivered()) ++failures;
    }
    if (failures == 0) note("needs no descriptors to deliver");
    c.deliver(what, bytes);
}

// ---- Names that mean harm ----

void no_name_leads_out_of_its_place(context& given) {
    sink_check c(given);
    const auto outside = fs::current_path().parent_path() / "outside";
    fs::create_directory(outside);
    const std::vector<std::string> names = {
        "../outside/x",
        "../../outside/x",
        outside.string() + "/x",
        "a/../../outside/x",
        "a/../../../outside/x",
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
        "';touch pwned;'",
        "');drop table x;--",
        "%s%n%x",
        "C:\\x\\..\\y",
        "~/x",
        "*",
        " ",
        "CON",
    };
    for (const auto& name : names) {
        for (const auto kind : {item_kind::file, item_kind::data, item_kind::folder}) {
            offer what;
            what.kind = kind;
            what.name = name;
            c.try_deliver(what, kind == item_kind::folder ? "" : "x");
        }
    }
    c.it.reset();
    require(fs::is_empty(outside),
            "a name from the sender led out of the sink's folder, to '" +
                (fs::is_empty(outside) ? std::string() : fs::directory_iterator(outside)->path().string()) + "'");
    for (const auto& entry : fs::directory_iterator("..")) {
        const auto name = entry.path().filename().string();
        require(name == "outside" || name == "place" || name.starts_with("probe"),
                "a name from the sender led out of the sink's folder, to '../" + name + "'");
    }
    for (const auto& [path, bytes] : files_beneath(".."))
        require(!path.ends_with("pwned"), "a name from the sender was run as a command");
}

void odd_attributes_do_no_harm(context& given) {
    sink_check c(given);
    const auto bytes = c.content(100);
    auto what = c.item("odd");
    what.mode = 07777;
    for (const auto time : {file_time{std::numeric_limits<std::int64_t>::max(), 0},
                            file_time{std::numeric_limits<std::int64_t>::min(), 0}, file_time{0, 4'294'967'295}}) {
        what.mtime = time;
        c.try_deliver(what, bytes);
    }
    if (auto huge = c.start(c.item("huge", std::numeric_limits<std::uint64_t>::max())); huge.it)
        huge.it->abort(delivery::partial::drop);
    c.deliver(c.item("after"), bytes);
}

// ---- Going on ----

void an_offer_that_does_not_want_it_starts_anew(context& given) {
    sink_check c(given);
    const auto bytes = c.content(600);
    for (int i = 0; i < 2; ++i) {
        // That the offset is 0 is seen to by begin().
        const auto coming = c.begin_or_fail(c.item("a", bytes.size()));
        c.write_or_fail(*coming, std::string_view(bytes).substr(0, bytes.size() / 2));
        coming->abort(delivery::partial::keep);
    }
}

void resumes_after_each_byte_count(context& given) {
    sink_check c(given, ability::resuming);
    if (!c.resumes()) skip("it keeps nothing to resume from");
    std::map<std::string, std::string> sent;
    for (const std::size_t share : {0u, 4096u, 9999u, 10'000u}) {
        const auto bytes = c.content(resumed_bytes, share + 1);
        const auto cut = std::max<std::size_t>(1, bytes.size() * share / 10'000);
        auto what = c.item("cut" + std::to_string(share), bytes.size());
        what.mtime = file_time{1'700'000'000, 7};
        what.wants_resume = true;
        sent[what.name] = bytes;

        auto coming = c.begin_or_fail(what);
        require(coming->offset() == 0, "told an offset for an item that it never saw before");
        c.write_or_fail(*coming, std::string_view(bytes).substr(0, cut));
        coming->abort(delivery::partial::keep);
        coming.reset();
        c.restart();

        coming = c.begin_or_fail(what);
        const auto offset = coming->offset();
        require(offset <= cut, "told the offset " + std::to_string(offset) + " of an item of which " +
                                   std::to_string(cut) + " bytes had been written");
        std::string kept;
        std::vector<std::byte> buffer(70'007);
        for (;;) {
            std::size_t length = 0;
            if (const auto failure = coming->read_back(kept.size(), buffer, length)) fail(failure->told());
            if (length == 0) break;
            kept += as_text(const_bytes(buffer).first(length));
            require(kept.size() <= bytes.size(), "read_back() gives more than was ever written");
        }
        require(kept == bytes.substr(0, offset), "read_back() gives other bytes than were written");
        c.write_or_fail(*coming, std::string_view(bytes).substr(offset));
        c.finish_or_fail(*coming);
    }
    c.require_stored(sent);
}

void what_is_dropped_is_not_resumed(context& given) {
    sink_check c(given, ability::resuming);
    const auto bytes = c.content(c.resumes() ? resumed_bytes : 600);
    auto what = c.item("a", bytes.size());
    what.mtime = file_time{1'700'000'000, 7};
    what.wants_resume = true;
    auto coming = c.begin_or_fail(what);
    c.write_or_fail(*coming, std::string_view(bytes).substr(0, bytes.size() / 2));
    coming->abort(delivery::partial::drop);
    coming.reset();
    coming = c.begin_or_fail(what);
    require(coming->offset() == 0, "offers to resume what it was told to drop");
    c.write_or_fail(*coming, bytes);
    c.finish_or_fail(*coming);
    c.require_stored({{what.name, bytes}});
}

// ---- Offered again ----

delivery_id id_of(unsigned char number) {
    delivery_id id{};
    id.fill(static_cast<std::byte>(number));
    return id;
}

// A sender offers again what it was not answered.
class repeated_delivery {
public:
    explicit repeated_delivery(sink_check& of) : c_(of), bytes_(of.content(600)) {
        if (of.c.sink.already == nullptr) skip("it has no already(): it does not tell what it stored before");
    }

    offer what(const std::string& label, unsigned char number) const {
        auto made = c_.item(label, bytes_.size());
        made.mtime = file_time{1'700'000'000, 7};
        made.id = id_of(number);
        return made;
    }

    // Whether the sink says that it stored this delivery before, with the answer in `told`.
    bool is_known(const offer& what, answer& told) {
        // One that has something of that name may refuse another.
        const auto coming = begin(c_.c, *c_.it, what).it;
        if (!coming) return false;
        const bool known = coming->already(told);
        if (!told.refused.empty()) fail("answers in already() with " + told.refused);
        coming->abort(delivery::partial::drop);
        return known;
    }
    void require_new(const offer& what, const std::string& why) {
        answer told;
        require(!is_known(what, told), "says in already() that it stored a delivery before, " + why);
    }

    // Delivers one that already() was asked of, as the host does.
    answer deliver(const offer& what) {
        const auto coming = c_.begin_or_fail(what);
        answer told;
        require(!coming->already(told), "says in already() that it stored a delivery before, whose id is new");
        require(told.text.empty() && told.word.empty(), "answers in already(), though it returns 0");
        sink_check::write_or_fail(*coming, bytes_);
        if (const auto failure = coming->finish(told)) fail(failure->told());
        return told;
    }
    const std::string& bytes() const { return bytes_; }

private:
    sink_check& c_;
    const std::string bytes_;
};

void knows_only_what_it_stored(context& given) {
    sink_check c(given);
    repeated_delivery repeated(c);
    const auto what = repeated.what("a", 1);
    {
        const auto cut = c.begin_or_fail(what);
        answer none;
        static_cast<void>(cut->already(none));
        sink_check::write_or_fail(*cut, std::string_view(repeated.bytes()).substr(0, repeated.bytes().size() / 2));
        cut->abort(delivery::partial::drop);
    }
    repeated.require_new(what, "which was aborted");
    const auto first = repeated.deliver(what);
    repeated.require_new(repeated.what("a", 2), "though another id names it");
    if (!what.name.empty()) repeated.require_new(repeated.what("b", 1), "though its name is another");
    auto other = what;
    other.size = *what.size + 1;
    repeated.require_new(other, "though its size is another");
    other = what;
    other.mtime->nanoseconds = 8;
    repeated.require_new(other, "though its time is another");

    for (const bool is_restarted : {false, true}) {
        if (is_restarted) c.restart();
        answer again;
        const bool known = repeated.is_known(what, again);
        if (!known && given.is_promised("remembers"))
            fail("is promised to remember what it stored, but does not know a delivery that it finished" +
                 std::string(is_restarted ? " in the instance before" : ""));
        if (!known) continue;
        require(again.text == first.text && again.word == first.word,
                "answers in already() '" + again.text + "', and answered in finish() '" + first.text + "'");
    }
    c.require_stored({{what.name, repeated.bytes()}});
}

// ---- After it was unused, and what stays ----

void an_instance_that_was_not_used_leaves_nothing(context& given) {
    sink_check c(given);
    c.it.reset();
    for (int i = 0; i < 3; ++i) instance::make(given);
    c.require_nothing_finished("without a delivery");
}

// Deliveries of every sort, good and bad.
void mixed_deliveries(sink_check& c, int seed) {
    const auto suffix = std::to_string(seed);
    const auto bytes = c.content(300);
    c.try_deliver(c.item("whole" + suffix, bytes.size()), bytes);
    c.try_deliver(c.message(), "hello");
    if (auto cut = begin(c.c, *c.it, c.item("cut")); cut.it) {
        static_cast<void>(cut.it->write(as_bytes(bytes)));
        cut.it->abort(delivery::partial::drop);
    }
    if (auto cut = begin(c.c, *c.it, c.item("kept")); cut.it) cut.it->abort(delivery::partial::keep);
    offer bad;
    bad.name = "../x";
    c.try_deliver(bad, "x");
    bad.name = "short";
    bad.size = 9;
    c.try_deliver(bad, "x");
}

void deliveries_leave_no_descriptor_thread_or_process(context& given) {
    sink_check c(given);
    mixed_deliveries(c, 0);
    const leftovers before;
    for (int i = 0; i < 5; ++i) mixed_deliveries(c, i % 2);
    before.require_none("after 30 deliveries");
}

void deliveries_leave_no_memory(context& given) {
    sink_check c(given);
    int seed = 0;
    // What an instance remembers goes with it.
    require_no_growth("delivery", [&] {
        mixed_deliveries(c, seed++ % 2);
        c.restart();
    });
}

constexpr std::array sink_cases = {
    check_case{"takes_any_size_in_any_steps", "deliveries of 0 bytes and more, written in steps of every size",
               takes_any_size_in_any_steps},
    check_case{"takes_what_is_huge_or_refuses_it", "64 MiB, and offers of more than any disk holds",
               takes_what_is_huge_or_refuses_it},
    check_case{"takes_every_kind_or_refuses_it_clearly", "messages, files, data and folders",
               takes_every_kind_or_refuses_it_clearly},
    check_case{"writes_without_bytes_change_nothing", "a write of 0 bytes is no event",
               writes_without_bytes_change_nothing},
    check_case{"answers_are_within_bounds", "the response fits in 1 MiB, the outcome in 64 bytes",
               answers_are_within_bounds},
    check_case{"deliveries_take_turns", "twelve deliveries are open at once on one thread", deliveries_take_turns},
    check_case{"a_delivery_may_move_from_thread_to_thread", "each of its calls comes from another thread",
               a_delivery_may_move_from_thread_to_thread},
    check_case{"eight_threads_deliver_at_once", "deliveries that run at the same time do not disturb each other",
               eight_threads_deliver_at_once},
    check_case{"eight_threads_deliver_the_same_name", "and if they have the same name, none is mixed with another",
               eight_threads_deliver_the_same_name},
    check_case{"instances_deliver_independently", "another instance goes while a delivery of this one runs",
               instances_deliver_independently},
    check_case{"what_is_finished_is_on_the_disk", "before finish() returns, the disk is asked to keep file and folder",
               what_is_finished_is_on_the_disk},
    check_case{"abort_at_any_point_leaves_nothing", "after 0 and more writes, kept or dropped; and it works on",
               abort_at_any_point_leaves_nothing},
    check_case{"a_delivery_is_not_there_before_it_is_finished", "nothing looks finished before finish() has returned",
               a_delivery_is_not_there_before_it_is_finished},
    check_case{"what_was_finished_stays_as_it_is", "a later delivery of the name that is aborted does not touch it",
               what_was_finished_stays_as_it_is},
    check_case{"wrong_sizes_fail_and_leave_nothing", "fewer or more bytes than were offered",
               wrong_sizes_fail_and_leave_nothing},
    check_case{"an_answer_that_cannot_be_given_does_no_harm", "the host takes no response",
               an_answer_that_cannot_be_given_does_no_harm},
    check_case{"a_group_is_stored_and_answered", "1 to 64 deliveries that are ended by one finish_group()",
               a_group_is_stored_and_answered},
    check_case{"of_a_group_what_fails_fails_alone", "one that is too short, and one whose answer cannot be given",
               of_a_group_what_fails_fails_alone},
    check_case{"a_group_of_one_name_mixes_nothing", "deliveries of the same name in one group",
               a_group_of_one_name_mixes_nothing},
    check_case{"four_threads_finish_groups_at_once", "groups that are ended at the same time do not disturb each other",
               four_threads_finish_groups_at_once},
    check_case{"a_failed_write_is_not_a_delivery", "a disk that is full while files are written",
               a_failed_write_is_not_a_delivery},
    check_case{"running_out_of_descriptors_is_a_refusal", "no descriptor is left; and it works on when there are again",
               running_out_of_descriptors_is_a_refusal},
    check_case{"no_name_leads_out_of_its_place", "names such as ../x, /x, and ones with control characters",
               no_name_leads_out_of_its_place},
    check_case{"odd_attributes_do_no_harm", "modes, times and sizes out of all bounds", odd_attributes_do_no_harm},
    check_case{"an_offer_that_does_not_want_it_starts_anew", "nothing is resumed that was not asked for",
               an_offer_that_does_not_want_it_starts_anew},
    check_case{"resumes_after_each_byte_count", "a cut delivery goes on where it stopped, in another instance",
               resumes_after_each_byte_count},
    check_case{"what_is_dropped_is_not_resumed", "abort without keep forgets what came",
               what_is_dropped_is_not_resumed},
    check_case{"knows_only_what_it_stored", "a delivery that is offered again under its id, and others like it",
               knows_only_what_it_stored},
    check_case{"an_instance_that_was_not_used_leaves_nothing", "made and destroyed",
               an_instance_that_was_not_used_leaves_nothing},
    check_case{"deliveries_leave_no_descriptor_thread_or_process", "whether they ended well or not",
               deliveries_leave_no_descriptor_thread_or_process},
    check_case{"deliveries_leave_no_memory", "the heap does not grow with each", deliveries_leave_no_memory},
};

constexpr std::array sink_words = {
    described_word{"takes-anything", "no item is refused for its name, kind, size or content"},
    described_word{"stores", "each item becomes a file, of any name, beneath the folder that the plugin runs in"},
    described_word{"syncs", "what is finished is on the disk, and so is its name: fsync() or its like was called"},
    described_word{"checks-sizes", "a delivery of fewer or more bytes than were offered fails"},
    described_word{"resumes", "what came of a cut delivery is kept and gone on from"},
    described_word{"remembers",
                   "a delivery that was finished is known when it is offered again, in another instance, too"},
};

}  // namespace

std::span<const check_case> sink_suite() { return sink_cases; }
std::span<const described_word> sink_promises() { return sink_words; }

}  // namespace wherry::conformance

// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "error_of.hpp"
#include "recording_sink.hpp"
#include "temporary_folder.hpp"
#include "unused_address.hpp"
#include "wait_until.hpp"
#include "wherry/keys/private_key.hpp"
#include "wherry/sending.hpp"
#include "wherry/wherry.hpp"

namespace wherry {
namespace {

using namespace std::chrono_literals;
using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// Collects the results of a sending, by index.
class result_collector final : public send_observer {
public:
    void ended(const ended_item& item, const delivery_result& result) override {
        const std::lock_guard lock(mutex_);
        EXPECT_TRUE(results_.emplace(item.index, item_result(item, result)).second) << "two results for one item";
    }
    std::vector<item_result> take() {
        const std::lock_guard lock(mutex_);
        std::vector<item_result> all;
        for (auto& [index, result] : results_) {
            EXPECT_EQ(index, all.size());
            all.push_back(std::move(result));
        }
        return all;
    }

private:
    std::mutex mutex_;
    std::map<std::size_t, item_result> results_;
};

struct collected_result : send_result {
    std::vector<item_result> items;
};

collected_result collect(const endpoint& here, const std::string& to, const std::vector<item>& items,
                         send_options options = {}) {
    result_collector results;
    options.observer = &results;
    collected_result all{wherry::send(here, to, items, options), {}};
    all.items = results.take();
    std::vector<std::size_t> failed, told;
    for (const auto& one : all.items)
        if (!one.ok()) failed.push_back(one.index);
    for (const auto& one : all.failures) told.push_back(one.index);
    EXPECT_EQ(told, failed);
    EXPECT_EQ(all.failed, failed.size());
    EXPECT_EQ(all.delivered + all.failed, all.items.size());
    return all;
}

constexpr const char* anywhere = "tcp://127.0.0.1:0";

// Two endpoints that trust each other, once the receiver's address is known, and what the receiver gets.
class library_test : public testing::Test {
protected:
    library_test() : alice_(at("alice")), bob_(at("bob")) {
        alice_key_ = alice_.make_key("alice@here").key.line("alice@here");
        bob_.make_key("bob@there");
        bob_.authorize(alice_key_);
    }

    endpoint_options options_at(const std::string& name) {
        endpoint_options options;
        options.home = folder_ / name;
        options.plugin_directories = {WHERRY_TEST_PLUGIN_DIRECTORY};
        options.transport_options["tcp"] = {{"connect-timeout", "5s"}};
        return options;
    }
    endpoint at(const std::string& name) { return endpoint(options_at(name)); }

    void start(delivery_callback callback, receiver_options options = {}, const std::string& address = anywhere) {
        inbox_.emplace(bob_, address, std::move(callback), options);
        begin();
    }
    void start(sink& into) {
        inbox_.emplace(bob_, anywhere, into);
        begin();
    }
    void begin() {
        alice_.trust(inbox_->address(), bob_.public_key().key.line());
        inbox_->start();
    }

    delivery_callback keep() {
        return [this](received_item&& item) -> reply {
            const std::lock_guard lock(mutex_);
            items_.push_back(std::move(item));
            return {};
        };
    }

    collected_result send(const std::vector<item>& items, const send_options& options = {}) {
        return collect(alice_, inbox_->address(), items, options);
    }

    std::filesystem::path write(const std::string& name, const std::string& content) {
        const auto path = folder_ / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << content;
        return path;
    }

    test::temporary_folder folder_;
    std::vector<std::string> warnings_;  // kept by a test
    endpoint alice_, bob_;
    std::string alice_key_;
    std::mutex mutex_;
    std::vector<received_item> items_;
    std::optional<receiver> inbox_;
};

TEST_F(library_test, what_is_sent_is_what_the_callback_gets) {
    start([&](received_item&& item) -> reply {
        const auto size = item.content.size();
        items_.push_back(std::move(item));
        return reply("got " + std::to_string(size) + " bytes").as("kept");
    });
    const auto path = write("model.stl", "solid");
    write("dir/inner", "in");
    std::filesystem::create_symlink("inner", folder_ / "dir/link");
    const auto sent = send({message("hello"), file(path), file(path, "other name"), data("piped", "in memory"),
                            folder(folder_ / "dir"), data("empty", std::string_view())});
    EXPECT_TRUE(sent.ok());
    ASSERT_EQ(sent.items.size(), 7u);
    std::vector<std::string> names;
    for (const auto& one : sent.items) names.push_back(one.name);
    EXPECT_THAT(names, ElementsAre("", "model.stl", "other name", "piped", "dir/inner", "dir", "empty"));
    EXPECT_EQ(sent.items[0].response_text(), "got 5 bytes");
    EXPECT_EQ(sent.items[0].outcome, "kept");
    EXPECT_EQ(sent.items[1].bytes, 5u);
    ASSERT_EQ(sent.skipped.size(), 1u);
    EXPECT_EQ(sent.skipped[0].path, folder_ / "dir/link");

    inbox_->stop();
    inbox_->wait();
    ASSERT_EQ(items_.size(), 7u);
    const auto find = [&](std::string_view name) -> const received_item& {
        return *std::find_if(items_.begin(), items_.end(), [&](const auto& one) { return one.what.name == name; });
    };
    const auto& text = find("");
    EXPECT_EQ(text.what.kind, item_kind::message);
    EXPECT_EQ(text.text(), "hello");
    EXPECT_EQ(text.sender.label, "alice@here");
    EXPECT_EQ(text.sender.fingerprint, alice_.public_key().key.fingerprint());
    EXPECT_THAT(text.address, StartsWith("127.0.0.1:"));
    EXPECT_EQ(find("model.stl").text(), "solid");
    EXPECT_TRUE(find("model.stl").what.mtime);
    EXPECT_EQ(find("other name").text(), "solid");
    EXPECT_EQ(find("piped").what.kind, item_kind::data);
    EXPECT_EQ(find("piped").text(), "in memory");
    EXPECT_EQ(find("dir").what.kind, item_kind::folder);
    EXPECT_EQ(find("empty").text(), "");
}

TEST_F(library_test, what_the_callback_throws_is_told_and_the_rest_goes_on) {
    start([](const received_item& item) -> reply {
        if (item.text() == "throw") throw std::runtime_error("the index is broken");
        if (item.text() == "refuse") throw error(errc::refused, "not on Sundays");
        if (item.text() == "fail")
            return reply::failed(errc::bad_input, "no such patient", reply("line 7").as("rejected"));
        if (item.text() == "babble") return std::string((1 << 20) + 1, 'x');
        return "fine";
    });
    const auto sent =
        send({message("throw"), message("refuse"), message("fail"), message("babble"), message("something else")});
    EXPECT_FALSE(sent.ok());
    ASSERT_EQ(sent.items.size(), 5u);
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(sent.items[i].is_remote) << i;
    EXPECT_EQ(sent.items[0].text, "the index is broken");
    EXPECT_EQ(sent.items[0].failure, errc::internal);
    EXPECT_EQ(sent.items[1].text, "not on Sundays");
    EXPECT_EQ(sent.items[1].failure, errc::refused);
    EXPECT_EQ(sent.items[2].text, "no such patient");
    EXPECT_EQ(sent.items[2].outcome, "rejected");
    EXPECT_EQ(sent.items[2].response_text(), "line 7");
    EXPECT_THAT(sent.items[3].text, HasSubstr("1 MiB"));
    EXPECT_TRUE(sent.items[4].ok());
    EXPECT_EQ(sent.items[4].response_text(), "fine");
}

TEST_F(library_test, what_is_too_large_is_refused) {
    receiver_options options;
    options.limits = {1000, 1500};
    std::promise<void> has_one, may_end;
    std::atomic<int> count{0};
    options.how = calls::many;
    start(
        [&](const received_item& item) -> reply {
            ++count;
            if (item.what.name == "held") {
                has_one.set_value();
                may_end.get_future().wait();
            }
            return {};
        },
        options);
    const auto too_large =
        send({data("told", std::string(1001, 'x')), data("fits", std::string(1000, 'x')), from("grows", [] {
                  offer what;
                  what.kind = item_kind::data;
                  what.name = "grows";
                  return std::make_unique<text_source>(what, std::string(1001, 'y'));
              })});
    EXPECT_EQ(too_large.items[0].text, "this receiver takes at most 1000 B in one delivery");
    EXPECT_EQ(too_large.items[0].failure, errc::exhausted);
    EXPECT_TRUE(too_large.items[1].ok());
    EXPECT_EQ(too_large.items[2].text, "this receiver takes at most 1000 B in one delivery");
    EXPECT_EQ(count, 1);

    auto held = std::async(std::launch::async, [&] { return send({data("held", std::string(1000, 'x'))}); });
    has_one.get_future().wait();
    const auto crowded = send({data("second", std::string(600, 'x'))});
    EXPECT_THAT(crowded.items[0].text, HasSubstr("send it again later"));
    may_end.set_value();
    EXPECT_TRUE(held.get().ok());
    EXPECT_TRUE(send({data("second", std::string(600, 'x'))}).ok());
}

TEST_F(library_test, receivers_are_recognised) {
    start(keep());
    const auto stranger = at("stranger");
    bob_.authorize(stranger.make_key().key.line());
    const auto unknown = error_of([&] { wherry::send(stranger, inbox_->address(), {message("x")}); });
    EXPECT_EQ(unknown.code(), errc::auth_failed);
    EXPECT_THAT(unknown.what(), HasSubstr("first contact"));
    EXPECT_THAT(unknown.what(), HasSubstr(bob_.public_key().key.fingerprint()));

    send_options remembering;
    remembering.new_peer = first_contact::remember;
    EXPECT_TRUE(wherry::send(stranger, inbox_->address(), {message("x")}, remembering).ok());
    EXPECT_TRUE(wherry::send(stranger, inbox_->address(), {message("x")}).ok());

    const auto address = inbox_->address();
    inbox_.reset();
    const auto impostor = at("impostor");
    impostor.make_key();
    impostor.authorize(stranger.public_key().key.line());
    receiver other(impostor, address, keep());
    other.start();
    const auto changed = error_of([&] { wherry::send(stranger, address, {message("x")}, remembering); });
    EXPECT_EQ(changed.code(), errc::auth_failed);
    EXPECT_THAT(changed.what(), HasSubstr("has changed"));
    EXPECT_EQ(items_.size(), 2u);
}

TEST_F(library_test, lines_of_key_files_that_are_not_understood_are_told_once) {
    const auto add_nonsense = [&](const std::string& file) {
        std::ofstream(folder_ / file, std::ios::app) << "nonsense\n";
        std::filesystem::permissions(folder_ / file,
                                     std::filesystem::perms::owner_write | std::filesystem::perms::owner_read);
    };
    const auto with_log = [&](const std::string& name) {
        auto options = options_at(name);
        options.log = [&](host_environment::level level, const std::string& text) {
            const std::lock_guard lock(mutex_);
            if (level == host_environment::level::warning) warnings_.push_back(text);
        };
        return endpoint(options);
    };
    bob_ = with_log("bob");
    alice_ = with_log("alice");
    add_nonsense("bob/authorized_keys");
    add_nonsense("alice/known_hosts");
    start(keep());
    EXPECT_TRUE(send({message("one")}).ok());
    EXPECT_TRUE(send({message("two")}).ok());
    inbox_->stop();
    inbox_->wait();
    EXPECT_THAT(warnings_, testing::UnorderedElementsAre(HasSubstr("known_hosts line 1 is passed over"),
                                                         HasSubstr("authorized_keys line 3 is passed over")));
}

TEST_F(library_test, senders_are_let_in_by_their_keys) {
    std::promise<std::string> told;
    auto options = options_at("bob");
    options.log = [&](host_environment::level level, const std::string& text) {
        if (level == host_environment::level::warning) told.set_value(text);
    };
    receiver inbox(endpoint(options), anywhere, keep());
    inbox.start();
    const auto stranger = at("stranger");
    const auto key = stranger.make_key().key;
    stranger.trust(inbox.address(), bob_.public_key().key.line());
    const auto refused = error_of([&] { wherry::send(stranger, inbox.address(), {message("x")}); });
    EXPECT_EQ(refused.code(), errc::auth_failed);
    EXPECT_THAT(refused.what(), HasSubstr(key.fingerprint()));
    EXPECT_THAT(told.get_future().get(), HasSubstr(key.fingerprint()));
    EXPECT_THAT(items_, IsEmpty());
    // At once, without a restart.
    bob_.authorize(key.line());
    EXPECT_TRUE(wherry::send(stranger, inbox.address(), {message("x")}).ok());
}

TEST_F(library_test, any_sink_will_do_and_files_go_on_where_they_stopped) {
    test::recording_sink sink;
    const std::string content(3 << 20, 'c');
    sink.set_partial("large", content.substr(0, 1 << 20));
    start(sink);
    const auto path = write("large", content);
    std::mutex mutex;
    std::vector<std::uint64_t> positions;
    send_options options;
    options.digest = sender_options::digest::sha256;
    options.compression = sender_options::compression::zstd;
    options.progress = [&](const send_progress& now) {
        const std::lock_guard lock(mutex);
        EXPECT_EQ(now.index, 0u);
        EXPECT_EQ(now.what.name, "large");
        positions.push_back(now.bytes);
    };
    const auto sent = send({file(path)}, options);
    EXPECT_TRUE(sent.ok()) << sent.items[0].text;
    EXPECT_EQ(sent.items[0].resumed_from, std::uint64_t{1} << 20);
    EXPECT_EQ(sent.items[0].response_text(), "thanks");
    EXPECT_TRUE(sink.finished()["large"].content == content);
    ASSERT_FALSE(positions.empty());
    EXPECT_EQ(positions.front(), std::uint64_t{1} << 20);
    EXPECT_EQ(positions.back(), std::uint64_t{3} << 20);
    EXPECT_TRUE(std::is_sorted(positions.begin(), positions.end()));
    inbox_.reset();  // before what it delivers to
}

TEST_F(library_test, sink_may_be_a_plugins) {
    const auto into = bob_.plugins().load(plugin_kind::sink, "filesystem")->make_sink({{"directory", folder_ / "in"}});
    start(*into);
    EXPECT_TRUE(send({data("a", "content")}).ok());
    std::string stored;
    std::getline(std::ifstream(folder_ / "in" / "a"), stored);
    EXPECT_EQ(stored, "content");
    inbox_.reset();  // before what it delivers to
}

// Counts what goes through it.
class counting_transport final : public transport {
public:
    explicit counting_transport(std::shared_ptr<transport> inner) : inner_(std::move(inner)) {}
    std::unique_ptr<connection> connect(const std::string& address) override {
        ++connected;
        return inner_->connect(address);
    }
    std::unique_ptr<listener> listen(const std::string& address) override {
        ++listened;
        return inner_->listen(address);
    }
    std::atomic<int> connected{0}, listened{0};

private:
    const std::shared_ptr<transport> inner_;
};

TEST_F(library_test, program_may_bring_its_own_plugins) {
    const auto counting =
        std::make_shared<counting_transport>(alice_.plugins().load(plugin_kind::transport, "tcp")->make_transport({}));
    const auto plugins_of = [&](const endpoint& side) {
        return made_plugins{"tcp", [=] { return counting; }, "9417", "hybrid", side.protection()};
    };
    bob_ = bob_.with_plugins(plugins_of(bob_));
    alice_ = endpoint(options_at("alice"), plugins_of(alice_));
    start(keep());
    EXPECT_EQ(inbox_->count_keys(), 1u);
    EXPECT_TRUE(send({message("hello")}).ok());
    EXPECT_EQ(counting->connected, 1);
    EXPECT_EQ(counting->listened, 1);
    EXPECT_EQ(alice_.find_route("tcp://host").canonical, "tcp://host:9417");
    EXPECT_THAT(error_of([&] { alice_.find_route("rfcomm://x"); }).what(), HasSubstr("but the transport is tcp"));
    auto none = plugins_of(bob_);
    none.protection = nullptr;
    const auto bare = bob_.with_plugins(none);
    EXPECT_THAT(error_of([&] { receiver(bare, anywhere, keep()); }).what(), HasSubstr("has no cipher"));
}

TEST_F(library_test, raw_receiver_takes_what_any_peer_sends) {
    std::promise<std::string> came;
    receiver_options options;
    options.raw.emplace();
    options.raw->once = true;
    receiver inbox(
        at("nobody"), anywhere,
        [&](const received_item& item) -> reply {
            came.set_value(std::string(item.text()));
            return {};
        },
        options);
    inbox.start();
    const auto route = alice_.find_route(inbox.address());
    const auto link = route.link->connect(route.address);
    link->write_all(as_bytes(std::string_view("no protocol")));
    link->shutdown_write();
    EXPECT_EQ(came.get_future().get(), "no protocol");
}

TEST_F(library_test, who_is_refused_is_told_to_the_program) {
    std::promise<std::string> refused;
    receiver_options options;
    options.refused = [&](const identity& peer) { refused.set_value(peer.fingerprint); };
    start(keep(), options);
    const auto stranger = at("stranger");
    const auto key = stranger.make_key().key;
    stranger.trust(inbox_->address(), bob_.public_key().key.line());
    EXPECT_EQ(error_of([&] { wherry::send(stranger, inbox_->address(), {message("x")}); }).code(), errc::auth_failed);
    EXPECT_EQ(refused.get_future().get(), key.fingerprint());
}

TEST_F(library_test, what_cannot_be_read_has_a_result_of_its_own) {
    start(keep());
    const auto sent = send({file(folder_ / "missing"), file(folder_.path()), message("x"),
                            from("broken", []() -> std::unique_ptr<source> { throw std::runtime_error("no luck"); })});
    EXPECT_FALSE(sent.ok());
    EXPECT_EQ(sent.items[0].failure, errc::io);
    EXPECT_FALSE(sent.items[0].is_remote);
    EXPECT_THAT(sent.items[0].text, HasSubstr("missing"));
    EXPECT_THAT(sent.items[1].text, HasSubstr("is a folder"));
    EXPECT_TRUE(sent.items[2].ok());
    EXPECT_EQ(sent.items[3].text, "no luck");
    // With nothing else to send nobody is even reached.
    EXPECT_FALSE(wherry::send(alice_, "tcp://127.0.0.1:1", {file(folder_ / "missing")}).ok());
}

TEST_F(library_test, what_makes_no_sense_is_said) {
    start(keep());
    EXPECT_EQ(error_of([&] { send({}); }).code(), errc::bad_input);
    EXPECT_THAT(error_of([&] { send({data("a", "1"), data("a", "2")}); }).what(), HasSubstr("would both arrive"));
    EXPECT_THAT(error_of([&] { wherry::send(alice_, "tcp://", {message("x")}); }).what(), HasSubstr("no address"));
    EXPECT_THAT(error_of([&] { wherry::send(alice_, "pigeon://x", {message("x")}); }).what(), HasSubstr("pigeon"));
    EXPECT_EQ(error_of([&] { alice_.authorize("not a key"); }).code(), errc::bad_input);
    EXPECT_EQ(error_of([&] { receiver(bob_, anywhere, delivery_callback()); }).code(), errc::bad_input);
    EXPECT_EQ(error_of([&] { receiver(at("nobody"), anywhere, keep()); }).code(), errc::bad_input);
    EXPECT_EQ(error_of([&] { receiver(bob_, inbox_->address(), keep()); }).code(), errc::bad_input);
    EXPECT_EQ(error_of([&] { inbox_->start(); }).code(), errc::bad_input);
    auto insecure = options_at("bob");
    insecure.cipher = "none";
    EXPECT_THAT(error_of([&] { receiver(endpoint(insecure), anywhere, keep()); }).what(),
                HasSubstr("protects nothing"));
    EXPECT_TRUE(send({message("x")}).ok());
}

TEST_F(library_test, key_is_made_once) {
    const auto key = alice_.make_key("another comment");
    EXPECT_EQ(key.key.line(key.comment), alice_key_);
    EXPECT_EQ(error_of([&] { at("nobody").public_key(); }).code(), errc::bad_input);
    EXPECT_EQ(error_of([&] { at("nobody").make_key("two\nlines"); }).code(), errc::bad_input);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "nobody"));
}

TEST_F(library_test, receiver_stops_when_its_callback_says_so) {
    receiver inbox(bob_, anywhere, [&](const received_item&) -> reply {
        inbox.stop();
        return "the last one";
    });
    alice_.trust(inbox.address(), bob_.public_key().key.line());
    auto sent = std::async(std::launch::async, [&] { return collect(alice_, inbox.address(), {message("enough")}); });
    inbox.run();
    EXPECT_EQ(sent.get().items[0].response_text(), "the last one");
}

TEST_F(library_test, receiver_stops_by_a_token) {
    receiver inbox(bob_, anywhere, keep());
    std::stop_source stop;
    auto running = std::async(std::launch::async, [&] { inbox.run(stop.get_token()); });
    stop.request_stop();
    running.get();
}

TEST_F(library_test, receiver_that_goes_cuts_what_is_under_way) {
    std::promise<void> has_begun;
    test::recording_sink sink;
    sink.on_call = [&](const std::string& call, const std::string&) {
        if (call == "begin") has_begun.set_value();
    };
    start(sink);
    std::atomic<bool> may_end{false};
    class endless final : public source {
    public:
        explicit endless(std::atomic<bool>& may_end) : may_end_(may_end) {
            what_.kind = item_kind::data;
            what_.name = "endless";
        }
        const offer& what() const noexcept override { return what_; }
        std::size_t read(mutable_bytes into) override {
            if (may_end_) return 0;
            std::this_thread::sleep_for(1ms);
            into[0] = std::byte{'.'};
            return 1;
        }
        bool may_wait() const noexcept override { return true; }

    private:
        offer what_;
        std::atomic<bool>& may_end_;
    };
    auto sent = std::async(std::launch::async, [&] {
        return error_of([&] { send({from("endless", [&] { return std::make_unique<endless>(may_end); })}); });
    });
    has_begun.get_future().wait();
    inbox_->stop(0ms);
    inbox_->wait();
    EXPECT_EQ(sent.get().code(), errc::disconnected);
    EXPECT_THAT(sink.finished(), IsEmpty());
}

TEST_F(library_test, sending_stops_when_it_is_told_to_even_by_its_own_progress) {
    test::recording_sink sink;
    start(sink);
    std::stop_source stop;
    send_options options;
    options.stop = stop.get_token();
    options.compression = sender_options::compression::none;
    options.progress = [&](const send_progress& now) {
        if (now.what.name == "second" && now.bytes > 0) stop.request_stop();
    };
    const auto large = write("second", std::string(64 << 20, 's'));
    const auto sent = send({message("first"), file(large), message("third")}, options);
    // Its answer may have been on the way still.
    EXPECT_TRUE(sent.items[0].ok() || sent.items[0].is_uncertain) << sent.items[0].text;
    EXPECT_EQ(sent.items[1].failure, errc::cancelled);
    EXPECT_EQ(sent.items[2].failure, errc::cancelled);
    // Nothing delivered is nothing to tell of.
    EXPECT_EQ(error_of([&] { send({message("more")}, options); }).code(), errc::cancelled);
    inbox_.reset();  // before what it delivers to
}

TEST_F(library_test, reading_a_pipe_that_says_nothing_can_be_stopped) {
    start(keep());
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const unique_fd out(ends[0]), in(ends[1]);
    std::stop_source stop;
    send_options options;
    options.stop = stop.get_token();
    std::promise<void> is_sending;
    options.progress = [&](const send_progress&) {
        if (!stop.stop_requested()) is_sending.set_value();
    };
    auto sent = std::async(std::launch::async, [&] {
        return error_of(
            [&] { send({from("pipe", [&] { return std::make_unique<pipe_source>(out.get(), "pipe"); })}, options); });
    });
    is_sending.get_future().wait();
    stop.request_stop();
    EXPECT_EQ(sent.get().code(), errc::cancelled);
}

TEST_F(library_test, sender_tries_again_until_the_receiver_is_there) {
    unused_address address;
    EXPECT_EQ(error_of([&] { wherry::send(alice_, address.text(), {message("x")}); }).code(), errc::disconnected);
    send_options options;
    options.retry = 20;
    auto sent = std::async(std::launch::async,
                           [&] { return wherry::send(alice_, address.text(), {message("at last")}, options); });
    address.release();
    start(keep(), {}, address.text());
    EXPECT_TRUE(sent.get().ok());
    ASSERT_EQ(items_.size(), 1u);
    EXPECT_EQ(items_[0].text(), "at last");
}

TEST_F(library_test, sender_tries_again_what_the_receiver_had_no_room_for) {
    std::atomic<int> asked = 0;
    start([&](const received_item& item) -> reply {
        if (item.text() == "large" && ++asked < 3) throw error(errc::exhausted, "no room");
        return {};
    });
    send_options options;
    options.retry = 2;
    const auto sent = send({message("small"), message("large")}, options);
    EXPECT_TRUE(sent.ok());
    EXPECT_EQ(asked, 3);
    // Without retries it is an answer like any other.
    asked = 0;
    const auto once = send({message("small"), message("large")});
    EXPECT_TRUE(once.items[0].ok());
    EXPECT_EQ(once.items[1].failure, errc::exhausted);
    EXPECT_EQ(asked, 1);
    // After the last attempt the receiver's answer is the result.
    asked = -1'000;
    options.retry = 1;
    const auto in_vain = send({message("large")}, options);
    EXPECT_EQ(in_vain.items[0].failure, errc::exhausted);
    EXPECT_TRUE(in_vain.items[0].is_remote);
    EXPECT_EQ(asked, -998);
}

TEST_F(library_test, observer_is_told_of_each_attempt) {
    std::atomic<int> asked = 0;
    start([&](const received_item& item) -> reply {
        if (item.text() == "large" && ++asked < 3) throw error(errc::exhausted, "no room");
        return {};
    });
    class all_calls final : public send_observer {
    public:
        void sending(std::size_t index, transfer_id, const offer& what, std::uint64_t) override {
            add("sending " + std::to_string(index) + " " + std::to_string(what.size.value_or(0)));
        }
        void withdrawn(transfer_id) override { add("withdrawn"); }
        void ended(const ended_item& item, const delivery_result& result) override {
            EXPECT_TRUE(item.transfer);
            add("ended " + std::to_string(item.index) + (result.ok() ? " ok" : " failed"));
        }
        void retrying(const error& why, const next_attempt& next) override {
            add("retrying " + std::to_string(next.number) + " of " + std::to_string(next.total) + ": " + why.what());
        }
        std::mutex mutex;
        std::vector<std::string> calls;

    private:
        void add(std::string call) {
            const std::lock_guard lock(mutex);
            calls.push_back(std::move(call));
        }
    } seen;
    send_options options;
    options.retry = 1;
    options.observer = &seen;
    const auto sent = wherry::send(alice_, inbox_->address(), {message("large")}, options);
    // Nothing was got done, so the one further attempt was the last one.
    EXPECT_FALSE(sent.ok());
    EXPECT_FALSE(sent.ended_by);
    EXPECT_THAT(seen.calls, ElementsAre("sending 0 5", "withdrawn", "retrying 1 of 1: the receiver says: no room",
                                        "sending 0 5", "withdrawn", "ended 0 failed"));
}

// Waits for the receiver to have lost a connection, and then says yes or no.
class slow_person final : public dial_observer, public server_observer {
public:
    using server_observer::connected;
    explicit slow_person(bool answer) : answer_(answer) {}
    bool accepts(const receiver_check& check) override {
        gone_.get_future().wait();
        asked_about = check.peer().fingerprint;
        return answer_;
    }
    void connected(const secure_channel&, const receiver_check& check) override { met = check.destination(); }
    void disconnected(connection_id id, std::string_view, const std::optional<error>&) override {
        if (id == 1) gone_.set_value();
    }
    std::string asked_about, met;

private:
    const bool answer_;
    std::promise<void> gone_;
};

TEST_F(library_test, first_contact_is_decided_while_nobody_waits) {
    for (const bool answer : {false, true}) {
        slow_person person(answer);
        receiver_options watched;
        watched.observer = &person;
        const auto stranger = at(answer ? "trusting" : "doubting");
        bob_.authorize(stranger.make_key().key.line());
        start(keep(), watched);
        send_options options;
        options.meeting = &person;
        if (answer) {
            EXPECT_TRUE(wherry::send(stranger, inbox_->address(), {message("x")}, options).ok());
            EXPECT_TRUE(wherry::send(stranger, inbox_->address(), {message("y")}).ok()) << "it is known now";
            EXPECT_EQ(person.met, inbox_->address());
        } else {
            const auto refused = error_of([&] { wherry::send(stranger, inbox_->address(), {message("x")}, options); });
            EXPECT_EQ(refused.code(), errc::auth_failed);
            EXPECT_THAT(refused.what(), HasSubstr("was not accepted; nothing was sent"));
        }
        EXPECT_EQ(person.asked_about, bob_.public_key().key.fingerprint());
        inbox_.reset();  // before who observes it
    }
    EXPECT_EQ(items_.size(), 2u);
}

TEST_F(library_test, plan_may_grow_and_outlives_its_connection) {
    class counting final : public server_observer {
    public:
        void connected(connection_id, std::string_view, const identity&, std::string_view) override { ++count; }
        std::atomic<int> count = 0;
    } connections;
    receiver_options watched;
    watched.observer = &connections;
    start(keep(), watched);
    const auto address = inbox_->address();
    sending_plan plan;
    result_collector results;
    send_options options;
    options.observer = &results;
    options.retry = 20;
    sending talk(alice_, address, plan, options, link_use::kept);
    talk.connect();
    for (const auto* const text : {"one", "two", "three"}) {
        if (text == std::string_view("three")) {
            inbox_.reset();
            std::optional<error> why;
            wait_until([&] { return (why = talk.notice_loss()).has_value(); });
            EXPECT_EQ(why->code(), errc::disconnected);
            EXPECT_FALSE(talk.notice_loss()) << "it is told once";
            start(keep(), watched, address);
        }
        plan.add_message(text);
        talk.plan_has_grown();
        EXPECT_TRUE(talk.has_anything_left());
        talk.deliver(plan.items.size() - 1);
        EXPECT_FALSE(talk.has_anything_left());
    }
    plan.items.push_back({item_kind::message, {}, {}, {}, 0, error(errc::bad_input, "makes no sense")});
    talk.plan_has_grown();
    talk.close();
    EXPECT_EQ(connections.count, 2);
    EXPECT_EQ(talk.counts().delivered, 3u);
    EXPECT_EQ(talk.counts().failed, 1u);
    const auto all = results.take();
    ASSERT_EQ(all.size(), 4u);
    EXPECT_EQ(all[3].text, "makes no sense");
    ASSERT_EQ(items_.size(), 3u);
    EXPECT_EQ(items_[2].text(), "three");
    inbox_.reset();  // before who observes it
}

TEST_F(library_test, waiting_to_try_again_ends_when_told_to) {
    class telling final : public send_observer {
    public:
        void retrying(const error&, const next_attempt&) override {
            if (!std::exchange(has_told, true)) is_to_wait.set_value();
        }
        std::promise<void> is_to_wait;
        bool has_told = false;
    } observer;
    const unused_address address;
    sending_plan plan;
    plan.add_message("x");
    send_options options;
    options.retry = 1'000'000;
    options.observer = &observer;
    sending all(alice_, address.text(), plan, options, link_use::once);
    auto sent = std::async(std::launch::async, [&] { return all.deliver_all(); });
    observer.is_to_wait.get_future().wait();
    all.stop([](sending::phase) { return true; });
    const auto why = sent.get();
    ASSERT_TRUE(why);
    EXPECT_EQ(why->code(), errc::cancelled);
    EXPECT_EQ(all.counts().failed, 1u);
}

TEST_F(library_test, waiting_to_try_again_can_be_stopped) {
    const unused_address address;
    std::stop_source stop;
    send_options options;
    options.retry = 1'000'000;
    options.stop = stop.get_token();
    auto sent = std::async(std::launch::async, [&] {
        return error_of([&] { wherry::send(alice_, address.text(), {message("x")}, options); });
    });
    stop.request_stop();
    EXPECT_EQ(sent.get().code(), errc::cancelled);
}

// ---- Stopping while it connects ----

// A transport of which one connect, counted from 1, waits for its end: until it is aborted, or, if it cannot be
// aborted, released.
class waiting_transport final : public transport {
public:
    enum class ability { aborts, cannot_abort };

    waiting_transport(std::unique_ptr<transport> inner, int waits_in, ability able = ability::aborts)
        : inner_(std::move(inner)), waits_in_(waits_in), able_(able) {}

    std::unique_ptr<connection> connect(const std::string& address) override {
        std::unique_lock lock(mutex_);
        const bool waits = ++connected_ == waits_in_;
        if (waits) is_waiting_ = true;
        changed_.notify_all();
        if (waits) changed_.wait(lock, [&] { return is_over_; });
        if (is_over_) throw error(errc::cancelled, "connecting was stopped, says the transport");
        return inner_->connect(address);
    }
    void connect_abort() noexcept override {
        if (able_ == ability::aborts) release();
    }
    std::unique_ptr<listener> listen(const std::string& address) override { return inner_->listen(address); }

    void release() {
        const std::lock_guard lock(mutex_);
        is_over_ = true;
        changed_.notify_all();
    }
    void await() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return is_waiting_; });
    }

private:
    const std::unique_ptr<transport> inner_;
    const int waits_in_;
    const ability able_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int connected_ = 0;
    bool is_waiting_ = false, is_over_ = false;
};

class stopped_connecting : public library_test {
protected:
    std::unique_ptr<transport> tcp() {
        return alice_.plugins().load(plugin_kind::transport, "tcp")->make_transport({});
    }
    // The first instance waits in a connect; those after it do not.
    void wait_in(int connect, waiting_transport::ability able = waiting_transport::ability::aborts) {
        waiting_ = std::make_shared<waiting_transport>(tcp(), connect, able);
        made_plugins plugins{"tcp", nullptr, "9417", "hybrid", alice_.protection()};
        plugins.make_link = [this]() -> std::shared_ptr<transport> {
            if (++made_ == 1) return waiting_;
            return tcp();
        };
        alice_ = alice_.with_plugins(std::move(plugins));
    }

    std::shared_ptr<waiting_transport> waiting_;
    int made_ = 0;
};

TEST_F(stopped_connecting, by_a_token) {
    start(keep());
    wait_in(1);
    std::stop_source stop;
    send_options options;
    options.stop = stop.get_token();
    options.retry = 1'000'000;
    auto sent = std::async(std::launch::async, [&] { return error_of([&] { send({message("x")}, options); }); });
    waiting_->await();
    stop.request_stop();
    const auto why = sent.get();
    EXPECT_EQ(why.code(), errc::cancelled);
    EXPECT_STREQ(why.what(), "sending was stopped");
}

TEST_F(stopped_connecting, a_sending_can_be_used_again) {
    start(keep());
    wait_in(1);
    sending_plan plan;
    plan.add_message("x");
    sending all(alice_, inbox_->address(), plan, {}, link_use::kept);
    auto sent = std::async(std::launch::async, [&] { return error_of([&] { all.deliver(); }); });
    waiting_->await();
    all.stop([](sending::phase) {
        ADD_FAILURE() << "it can be aborted";
        return false;
    });
    EXPECT_EQ(sent.get().code(), errc::cancelled);
    EXPECT_NO_THROW(all.deliver());
    EXPECT_EQ(all.counts().delivered, 1u);
    EXPECT_EQ(made_, 2);
}

TEST_F(stopped_connecting, is_left_to_the_caller_where_the_transport_cannot_be_aborted) {
    start(keep());
    wait_in(1, waiting_transport::ability::cannot_abort);
    sending_plan plan;
    plan.add_message("x");
    sending all(alice_, inbox_->address(), plan, {}, link_use::once);
    auto sent = std::async(std::launch::async, [&] { return all.deliver_all(); });
    waiting_->await();
    std::promise<sending::phase> left_to;
    std::atomic<int> asked{0};
    const auto otherwise = [&](sending::phase at) {
        if (++asked == 1) left_to.set_value(at);
        return false;
    };
    // After a while, and at each further call at once.
    all.stop(otherwise);
    EXPECT_EQ(left_to.get_future().get(), sending::phase::connecting);
    all.stop(otherwise);
    EXPECT_EQ(asked, 2);
    waiting_->release();
    const auto why = sent.get();
    ASSERT_TRUE(why);
    EXPECT_EQ(why->code(), errc::cancelled);
}

TEST_F(stopped_connecting, while_an_extra_connection_is_opened) {
    start(keep());
    wait_in(2);
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const unique_fd out(ends[0]), in(ends[1]);
    std::stop_source stop;
    send_options options;
    options.stop = stop.get_token();
    options.streams = 2;
    auto sent = std::async(std::launch::async, [&] {
        return error_of(
            [&] { send({from("pipe", [&] { return std::make_unique<pipe_source>(out.get(), "pipe"); })}, options); });
    });
    ASSERT_EQ(::write(in.get(), "beginning", 9), 9);
    waiting_->await();
    stop.request_stop();
    EXPECT_EQ(sent.get().code(), errc::cancelled);
}

TEST_F(stopped_connecting, while_the_peer_says_nothing) {
    // The system accepts, and nobody reads.
    const auto door = tcp()->listen("127.0.0.1:0");
    std::promise<void> is_accepted;
    auto accepted = std::async(std::launch::async, [&] {
        auto link = door->accept();
        is_accepted.set_value();
        return link;
    });
    std::stop_source stop;
    send_options options;
    options.stop = stop.get_token();
    options.timing.handshake_timeout = 1h;
    auto sent = std::async(std::launch::async, [&] {
        return error_of(
            [&] { wherry::send(alice_, "tcp://" + std::string(door->address()), {message("x")}, options); });
    });
    is_accepted.get_future().wait();
    stop.request_stop();
    const auto why = sent.get();
    EXPECT_EQ(why.code(), errc::cancelled);
    EXPECT_STREQ(why.what(), "sending was stopped");
}

TEST_F(stopped_connecting, while_the_peer_does_not_answer) {
    // Its queue is full, so that the system drops whatever else wants to connect.
    const unique_fd silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
        filler(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof where;
    auto* const raw = reinterpret_cast<sockaddr*>(&where);
    ASSERT_EQ(::bind(silent.get(), raw, length), 0);
    ASSERT_EQ(::listen(silent.get(), 0), 0);
    ASSERT_EQ(::getsockname(silent.get(), raw, &length), 0);
    ASSERT_EQ(::connect(filler.get(), raw, length), 0);

    auto patient = options_at("alice");
    patient.transport_options["tcp"] = {{"connect-timeout", "1h"}};
    const endpoint alice(patient);
    std::stop_source stop;
    send_options options;
    options.stop = stop.get_token();
    class : public dial_observer {
    public:
        void connecting(const std::string&) override { begun.set_value(); }
        std::promise<void> begun;
    } meeting;
    options.meeting = &meeting;
    const auto address = "tcp://127.0.0.1:" + std::to_string(ntohs(where.sin_port));
    auto sent = std::async(std::launch::async,
                           [&] { return error_of([&] { wherry::send(alice, address, {message("x")}, options); }); });
    meeting.begun.get_future().wait();
    EXPECT_EQ(sent.wait_for(200ms), std::future_status::timeout);
    stop.request_stop();
    EXPECT_EQ(sent.get().code(), errc::cancelled);
}

TEST_F(library_test, callbacks_come_one_at_a_time_unless_told_otherwise) {
    std::atomic<int> inside{0}, most{0};
    start([&](const received_item&) -> reply {
        most = std::max(most.load(), ++inside);
        std::this_thread::yield();
        --inside;
        return {};
    });
    std::vector<std::thread> senders;
    for (int i = 0; i < 4; ++i)
        senders.emplace_back([&] {
            for (int n = 0; n < 5; ++n) EXPECT_TRUE(send({message("x"), message("y")}).ok());
        });
    for (auto& one : senders) one.join();
    EXPECT_EQ(most, 1);

    // Two that wait for each other can only be called at the same time.
    receiver_options options;
    options.how = calls::many;
    std::mutex mutex;
    std::condition_variable changed;
    int met = 0;
    start(
        [&](const received_item&) -> reply {
            std::unique_lock lock(mutex);
            ++met;
            changed.notify_all();
            changed.wait(lock, [&] { return met == 2; });
            return {};
        },
        options);
    auto first = std::async(std::launch::async, [&] { return send({message("x")}).ok(); });
    EXPECT_TRUE(send({message("y")}).ok());
    EXPECT_TRUE(first.get());
}

TEST_F(library_test, a_passphrase_is_asked_for_once_and_again_when_the_key_is_another) {
    const auto home = folder_ / "carol";
    std::filesystem::create_directories(home);
    std::filesystem::permissions(home, std::filesystem::perms::owner_all);
    const auto make_key = [&](const std::string& passphrase) {
        std::filesystem::remove(home / "identity");
        std::filesystem::remove(home / "identity.pub");
        const auto key = keys::private_key::generate(keys::key_type::ed25519);
        key.save(home / "identity", keys::secret_text(passphrase.begin(), passphrase.end()));
        keys::write_public_key_file(home / "identity.pub", key.public_part(), "carol");
    };
    std::string passphrase = "first";
    std::atomic<int> asked = 0;
    auto options = options_at("carol");
    options.ask_secret = [&](const std::string&, std::span<char> into) {
        ++asked;
        return passphrase.copy(into.data(), into.size());
    };
    make_key(passphrase);
    const endpoint carol(options);
    start(keep());
    carol.trust(inbox_->address(), bob_.public_key().key.line());
    bob_.authorize(carol.public_key().key.line());
    const auto send_many = [&] {
        std::vector<std::future<bool>> all;
        for (int i = 0; i < 4; ++i)
            all.push_back(std::async(std::launch::async,
                                     [&] { return wherry::send(carol, inbox_->address(), {message("hello")}).ok(); }));
        return std::all_of(all.begin(), all.end(), [](auto& one) { return one.get(); });
    };
    EXPECT_TRUE(send_many());
    EXPECT_TRUE(send_many());
    EXPECT_EQ(asked, 1);

    passphrase = "second";
    make_key(passphrase);
    // The old key is let in, and the new one is not yet.
    const auto refused = error_of([&] { wherry::send(carol, inbox_->address(), {message("hello")}); });
    EXPECT_EQ(refused.code(), errc::auth_failed);
    bob_.authorize(carol.public_key().key.line());
    EXPECT_TRUE(send_many());
    EXPECT_EQ(asked, 2);
}

}  // namespace
}  // namespace wherry

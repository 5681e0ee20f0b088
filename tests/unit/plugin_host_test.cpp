// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/plugin_host.hpp"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "error_of.hpp"
#include "temporary_folder.hpp"

// The host against plugins good and bad. Each is copied to a folder of the test's own, whose modes are known.
namespace wherry {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""ms;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

using words = std::vector<std::string>;

// An environment variable for as long as this lives.
class variable {
public:
    variable(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
    ~variable() { ::unsetenv(name_); }
    variable(const variable&) = delete;
    variable& operator=(const variable&) = delete;

private:
    const char* const name_;
};

class kept_response final : public response {
public:
    using response::append;
    void append(const_bytes bytes) override {
        if (text.size() + bytes.size() > (1 << 20)) throw error(errc::exhausted, "that is too much");
        text += as_text(bytes);
    }
    void set_outcome(std::string_view word) override { outcome = word; }
    std::string text, outcome;
};

class plugin_host_of : public testing::Test {
protected:
    plugin_host_of() { fs::create_directory(folder()); }

    // The folder that is searched.
    fs::path folder() const { return root_ / "plugins"; }

    // Copies a fixture into a folder.
    fs::path install(const std::string& which, const std::string& file, const fs::path& into) const {
        fs::create_directories(into);
        const auto to = into / file;
        for (const auto& entry : fs::directory_iterator(fs::path(WHERRY_TEST_FIXTURE_DIRECTORY) / which))
            fs::copy_file(entry.path(), to, fs::copy_options::overwrite_existing);
        fs::permissions(to, fs::perms(0644));
        return to;
    }
    fs::path install(const std::string& which, const std::string& file) const { return install(which, file, folder()); }

    plugin_host host_for(std::vector<fs::path> search_path) const {
        host_environment environment;
        environment.home = "/home/of/tests";
        environment.log = [events = events_](host_environment::level, const std::string& text) { events->add(text); };
        environment.ask_secret = ask_secret_;
        environment.show = show_;
        return plugin_host(std::move(search_path), std::move(environment));
    }
    plugin_host host() const { return host_for({folder()}); }

    std::shared_ptr<const plugin> load(const std::string& name, plugin_kind kind = plugin_kind::sink) const {
        return host().load(kind, name);
    }

    // Why sink-bad.so, or what else is named, is refused.
    std::string refusal(const std::string& name = "bad", plugin_kind kind = plugin_kind::sink) const {
        const auto thrown = test::error_of([&] { load(name, kind); });
        EXPECT_EQ(thrown.code(), errc::unsupported) << thrown.what();
        return thrown.what();
    }

    // What the plugins logged since this was last asked for.
    words events() const { return events_->take(); }

    bool code_has_run() const { return fs::exists(root_ / "mark"); }

    // Delivers a piece of text; returns the response.
    static std::string deliver(sink& into, const std::string& content, const std::string& name = "item") {
        const auto going = begin(into, name);
        going->write(as_bytes(content));
        kept_response answer;
        going->finish(answer);
        return answer.text;
    }

    static std::unique_ptr<delivery> begin(sink& into, const std::string& name = "item") {
        offer what;
        what.name = name;
        const identity who;
        return into.begin(what, {"the moon", who});
    }

    class event_list {
    public:
        void add(const std::string& text) {
            const std::lock_guard lock(mutex_);
            texts_.push_back(text);
        }
        words take() {
            const std::lock_guard lock(mutex_);
            return std::exchange(texts_, {});
        }

    private:
        std::mutex mutex_;
        words texts_;
    };

    const test::temporary_folder root_;
    const variable tell_tale_{"WHERRY_TEST_TELL_TALE", (root_ / "mark").string()};
    const std::shared_ptr<event_list> events_ = std::make_shared<event_list>();
    std::function<std::size_t(const std::string&, std::span<char>)> ask_secret_;
    std::function<void(const std::string&)> show_;
};

// ---- Good plugins ----

struct recording_agent final : pairing_agent {
    bool confirm(std::string_view code) override {
        heard.push_back("confirm " + std::string(code));
        return agrees;
    }
    std::optional<std::string> enter() override {
        heard.emplace_back("enter");
        return code;
    }
    void show(std::string_view text) override { heard.push_back("show " + std::string(text)); }

    std::vector<std::string> heard;
    std::optional<std::string> code = "42";
    bool agrees = true;
};

class good_plugin : public plugin_host_of {};

TEST_F(good_plugin, in_plain_c_goes_through_its_life) {
    install("plain", "sink-plain.so");
    auto plain = load("plain");
    EXPECT_TRUE(code_has_run()) << "the mark works, so that its absence elsewhere means something";
    auto into = plain->make_sink({{"number", "42"}, {"note", "hello"}});
    EXPECT_THAT(events(), ElementsAre("create", "configure number=42", "configure size=65536", "configure note=hello",
                                      "configure_done"));
    EXPECT_EQ(deliver(*into, "12345"), "got 5 bytes");
    EXPECT_THAT(events(), ElementsAre("begin item from the moon", "finish"));
    begin(*into)->abort(delivery::partial::keep);
    begin(*into)->abort(delivery::partial::drop);
    begin(*into);  // is let go
    EXPECT_THAT(events(), ElementsAre("begin item from the moon", "abort keep", "begin item from the moon",
                                      "abort drop", "begin item from the moon", "abort drop"));
    into.reset();
    EXPECT_THAT(events(), ElementsAre("destroy"));
}

TEST_F(good_plugin, tells_about_itself) {
    const auto file = install("plain", "sink-plain.so");
    const auto plain = load("plain");
    EXPECT_EQ(plain->kind(), plugin_kind::sink);
    EXPECT_EQ(plain->name(), "plain");
    EXPECT_EQ(plain->version(), "1.2.3");
    EXPECT_EQ(plain->summary(), "a sink in plain C");
    EXPECT_EQ(plain->path(), file);
    ASSERT_EQ(plain->options().size(), 3U);
    const auto& number = plain->options()[0];
    EXPECT_EQ(number.name, "number");
    EXPECT_EQ(number.type, option_type::integer);
    EXPECT_EQ(number.default_value, "7");
    EXPECT_EQ(number.help, "a number");
    EXPECT_EQ(number.minimum, 1);
    EXPECT_EQ(number.maximum, 99);
    EXPECT_FALSE(number.is_required || number.is_secret);
    EXPECT_EQ(plain->options()[2].default_value, std::nullopt);
}

TEST_F(good_plugin, may_be_stripped) {
    install("stripped", "sink-plain.so");
    EXPECT_EQ(deliver(*load("plain")->make_sink({}), "abc"), "got 3 bytes");
}

TEST_F(good_plugin, is_made_as_its_own_kind_only) {
    install("plain", "sink-plain.so");
    const auto plain = load("plain");
    EXPECT_EQ(test::error_of([&] { plain->make_transport({}); }).code(), errc::internal);
    EXPECT_EQ(test::error_of([&] { plain->make_cipher({}); }).code(), errc::internal);
    EXPECT_THAT(events(), ElementsAre());
}

TEST_F(good_plugin, of_a_later_minor_version_works) {
    install("future", "sink-future.so");
    const auto future = load("future");
    EXPECT_EQ(future->version(), "99");
    ASSERT_EQ(future->options().size(), 3U);
    EXPECT_EQ(future->options()[1].choices, (words{"a", "b"}));
    EXPECT_EQ(deliver(*future->make_sink({{"first", "9"}}), ""), "first=9;second=b;third=2048;");
}

TEST_F(good_plugin, of_an_earlier_minor_version_lacks_what_came_later) {
    const variable shape("WHERRY_TEST_SHAPE", "short-table");
    install("shapeshifter", "sink-shapeshifter.so");
    const auto into = load("shapeshifter")->make_sink({});
    const auto going = begin(*into);
    EXPECT_EQ(going->offset(), 3U);
    std::array<std::byte, 8> room;
    const auto thrown = test::error_of([&] { going->read_back(0, room); });
    EXPECT_EQ(thrown.code(), errc::internal);
    EXPECT_STREQ(thrown.what(), "shapeshifter: offers to resume but cannot read back");
}

TEST_F(good_plugin, of_an_earlier_version_cannot_discover_pair_or_abort_a_connect) {
    const variable shape("WHERRY_TEST_SHAPE", "transport,short-table");
    install("shapeshifter", "transport-shapeshifter.so");
    const auto link = load("shapeshifter", plugin_kind::transport)->make_transport({});
    EXPECT_EQ(test::error_of([&] { link->discover(1ms, [](const auto&) { return true; }); }).code(), errc::unsupported);
    recording_agent person;
    EXPECT_EQ(test::error_of([&] { link->pair("peer", 1ms, person); }).code(), errc::unsupported);
    link->connect_abort();
}

TEST_F(good_plugin, of_an_earlier_version_counts_as_secure_when_it_cannot_say) {
    const variable shape("WHERRY_TEST_SHAPE", "cipher,short-table");
    install("shapeshifter", "cipher-shapeshifter.so");
    EXPECT_FALSE(load("shapeshifter", plugin_kind::cipher)->make_cipher({})->is_insecure());
}

// ---- Files that are refused without being loaded ----

class unloaded_plugin : public plugin_host_of {
protected:
    void TearDown() override { EXPECT_FALSE(code_has_run()) << "code of a refused file has run"; }

    fs::path write(const std::string& content, const std::string& file = "sink-bad.so") const {
        std::ofstream(folder() / file, std::ios::binary) << content;
        fs::permissions(folder() / file, fs::perms(0644));
        return folder() / file;
    }
};

TEST_F(unloaded_plugin, of_another_abi) {
    const auto file = install("other-abi", "sink-bad.so");
    EXPECT_EQ(refusal(), file.string() +
                             " was built for another plugin ABI (it exports wherry_plugin_v2, this wherry wants "
                             "wherry_plugin_v1); get or build the plugin for this version");
}

TEST_F(unloaded_plugin, that_is_no_plugin) {
    const auto file = install("no-descriptor", "sink-bad.so");
    EXPECT_EQ(refusal(), file.string() + " is no wherry plugin: it does not export wherry_plugin_v1");
}

TEST_F(unloaded_plugin, that_is_no_shared_object) {
    for (const auto* content : {"", "#!/bin/sh\n", "\177ELF\2\1\1"}) {
        const auto file = write(content);
        EXPECT_EQ(refusal(), file.string() + " is no shared object for this machine");
    }
}

TEST_F(unloaded_plugin, that_is_cut_off) {
    std::ifstream in(install("plain", "sink-plain.so"), std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(in), {}};
    fs::remove(folder() / "sink-plain.so");
    for (const auto length :
         {std::size_t{10}, std::size_t{63}, std::size_t{64}, std::size_t{4096}, whole.size() / 2, whole.size() - 1}) {
        const auto file = write(whole.substr(0, length));
        EXPECT_THAT(refusal(), StartsWith(file.string() + " ")) << length;
    }
}

TEST_F(unloaded_plugin, whose_own_library_is_missing) {
    const auto file = install("unresolved", "sink-bad.so");
    const auto text = refusal();
    EXPECT_THAT(text, StartsWith(file.string() + " cannot be loaded: "));
    EXPECT_THAT(text, HasSubstr("undefined symbol: wherry_test_function_of_a_missing_library"));
}

TEST_F(unloaded_plugin, that_is_a_folder_or_a_pipe) {
    fs::create_directory(folder() / "sink-folder.so");
    ASSERT_EQ(::mkfifo((folder() / "sink-pipe.so").c_str(), 0600), 0);
    EXPECT_EQ(refusal("folder"), (folder() / "sink-folder.so").string() + " is no regular file");
    EXPECT_EQ(refusal("pipe"), (folder() / "sink-pipe.so").string() + " is no regular file");
    EXPECT_EQ(host().list().size(), 2U) << "and listing does not wait for it";
}

// ---- Files that others could have changed ----

class unsafe_plugin : public unloaded_plugin {
protected:
    std::string others_can_write(const fs::path& path) const {
        return path.string() + " can be written by other users, so nothing is loaded from there; run: chmod go-w '" +
               path.string() + "'";
    }
    std::string belongs_to_another(const fs::path& path) const {
        return path.string() +
               " belongs to another user, who could change what is loaded; install the plugin as root or as yourself";
    }
    static void mode(const fs::path& path, unsigned bits) { fs::permissions(path, fs::perms(bits)); }
    static bool is_root() { return ::geteuid() == 0; }
};

TEST_F(unsafe_plugin, that_others_can_write) {
    const auto file = install("plain", "sink-plain.so");
    for (const unsigned bits : {0666U, 0664U, 0646U, 0602U}) {
        mode(file, bits);
        EXPECT_EQ(refusal("plain"), others_can_write(fs::canonical(file)));
    }
}

TEST_F(unsafe_plugin, in_a_folder_that_others_can_write) {
    install("plain", "sink-plain.so");
    // The sticky bit would keep others from taking the file away, not from adding one that comes first elsewhere.
    for (const unsigned bits : {0777U, 0775U, 0757U, 01777U, 01775U}) {
        mode(folder(), bits);
        EXPECT_EQ(refusal("plain"), others_can_write(fs::canonical(folder())));
    }
}

TEST_F(unsafe_plugin, below_a_folder_that_others_can_write) {
    const auto above = root_ / "above";
    const auto deep = above / "middle" / "plugins";
    install("plain", "sink-plain.so", deep);
    const auto host = host_for({deep});
    for (const unsigned bits : {0777U, 0770U}) {
        mode(above, bits);
        const auto thrown = test::error_of([&] { host.load(plugin_kind::sink, "plain"); });
        EXPECT_EQ(thrown.code(), errc::unsupported);
        EXPECT_EQ(thrown.what(), others_can_write(fs::canonical(above)));
    }
}

TEST_F(plugin_host_of, a_sticky_folder_above_is_safe_enough) {
    const auto above = root_ / "above";
    install("plain", "sink-plain.so", above / "plugins");
    fs::permissions(above, fs::perms(01777));
    EXPECT_EQ(host_for({above / "plugins"}).load(plugin_kind::sink, "plain")->name(), "plain");
}

TEST_F(unsafe_plugin, that_belongs_to_another_user) {
    if (!is_root()) GTEST_SKIP() << "only root can give files away";
    constexpr uid_t nobody = 65534;
    const auto file = install("plain", "sink-plain.so");
    ASSERT_EQ(::chown(file.c_str(), nobody, nobody), 0);
    EXPECT_EQ(refusal("plain"), belongs_to_another(fs::canonical(file)));
}

TEST_F(unsafe_plugin, in_a_folder_of_another_user) {
    if (!is_root()) GTEST_SKIP() << "only root can give files away";
    constexpr uid_t nobody = 65534;
    install("plain", "sink-plain.so");
    ASSERT_EQ(::chown(folder().c_str(), nobody, nobody), 0);
    EXPECT_EQ(refusal("plain"), belongs_to_another(fs::canonical(folder())));
}

TEST_F(unsafe_plugin, below_a_folder_of_another_user) {
    if (!is_root()) GTEST_SKIP() << "only root can give files away";
    constexpr uid_t nobody = 65534;
    const auto above = root_ / "above";
    install("plain", "sink-plain.so", above / "plugins");
    ASSERT_EQ(::chown(above.c_str(), nobody, nobody), 0);
    const auto host = host_for({above / "plugins"});
    EXPECT_EQ(test::error_of([&] { host.load(plugin_kind::sink, "plain"); }).what(),
              belongs_to_another(fs::canonical(above)));
}

TEST_F(unsafe_plugin, behind_a_link_into_an_unsafe_folder) {
    const auto unsafe = root_ / "unsafe";
    const auto real = install("plain", "sink-plain.so", unsafe);
    fs::create_symlink(real, folder() / "sink-plain.so");
    mode(unsafe, 0777);
    EXPECT_EQ(refusal("plain"), others_can_write(fs::canonical(unsafe)));
}

// Whoever can write the folder chooses where the link leads, also between the look and the load.
TEST_F(unsafe_plugin, behind_a_link_in_an_unsafe_folder) {
    const auto real = install("plain", "sink-plain.so", root_ / "safe");
    fs::create_symlink(real, folder() / "sink-plain.so");
    mode(folder(), 0777);
    EXPECT_EQ(refusal("plain"), others_can_write(fs::canonical(folder())));
}

TEST_F(unsafe_plugin, in_an_unsafe_folder_behind_a_link) {
    const auto unsafe = root_ / "unsafe";
    install("plain", "sink-plain.so", unsafe);
    mode(unsafe, 0777);
    fs::create_directory_symlink(unsafe, root_ / "link");
    const auto host = host_for({root_ / "link"});
    EXPECT_EQ(test::error_of([&] { host.load(plugin_kind::sink, "plain"); }).what(),
              others_can_write(fs::canonical(unsafe)));
}

TEST_F(unsafe_plugin, is_not_passed_over_for_the_next_folder) {
    const auto file = install("plain", "sink-plain.so");
    install("plain", "sink-plain.so", root_ / "second");
    mode(file, 0666);
    const auto host = host_for({folder(), root_ / "second"});
    EXPECT_EQ(test::error_of([&] { host.load(plugin_kind::sink, "plain"); }).what(),
              others_can_write(fs::canonical(file)));
}

TEST_F(plugin_host_of, links_between_safe_folders_are_followed) {
    const auto real = install("plain", "sink-plain.so", root_ / "safe");
    fs::create_symlink(real, folder() / "sink-plain.so");
    const auto plain = load("plain");
    EXPECT_EQ(plain->path(), folder() / "sink-plain.so") << "it is named as it was found";
    EXPECT_EQ(deliver(*plain->make_sink({}), "abc"), "got 3 bytes");
}

// ---- Descriptors that are wrong ----

class misshapen_plugin : public plugin_host_of {
protected:
    // What is said, behind the file's name, of the shapeshifter in this shape.
    std::string refusal_of(const std::string& shape_words, plugin_kind kind = plugin_kind::sink) {
        const variable shape("WHERRY_TEST_SHAPE", shape_words);
        // A new folder each time: what is loaded already does not change its shape.
        const auto place = root_ / std::to_string(++count_);
        const auto file = install("shapeshifter", std::string(to_string(kind)) + "-shapeshifter.so", place);
        const auto host = host_for({place});
        const auto thrown = test::error_of([&] { host.load(kind, "shapeshifter"); });
        EXPECT_EQ(thrown.code(), errc::unsupported) << shape_words << ": " << thrown.what();
        EXPECT_THAT(thrown.what(), StartsWith(file.string() + " ")) << shape_words;
        return std::string(thrown.what()).substr(std::min(file.string().size() + 1, std::strlen(thrown.what())));
    }

    // Whether it can be loaded in this shape.
    bool is_accepted(const std::string& shape_words, plugin_kind kind = plugin_kind::sink) {
        const variable shape("WHERRY_TEST_SHAPE", shape_words);
        const auto place = root_ / std::to_string(++count_);
        install("shapeshifter", std::string(to_string(kind)) + "-shapeshifter.so", place);
        return host_for({place}).load(kind, "shapeshifter") != nullptr;
    }

    int count_ = 0;
};

TEST_F(misshapen_plugin, the_shapes_themselves_are_good) {
    EXPECT_TRUE(is_accepted(""));
    EXPECT_TRUE(is_accepted("transport", plugin_kind::transport));
    EXPECT_TRUE(is_accepted("cipher", plugin_kind::cipher));
}

TEST_F(misshapen_plugin, with_other_magic) {
    EXPECT_EQ(refusal_of("magic"), "exports a descriptor that is not wherry's");
}

TEST_F(misshapen_plugin, of_another_abi_inside) {
    EXPECT_EQ(refusal_of("abi-2"),
              "says plugin ABI 2 inside, this wherry speaks 1; rebuild it against this wherry's plugin.h");
    EXPECT_THAT(refusal_of("abi-0"), StartsWith("says plugin ABI 0 inside"));
}

TEST_F(misshapen_plugin, with_a_short_descriptor) {
    const auto size = sizeof(wherry_plugin);
    for (const auto bytes : {std::size_t{0}, std::size_t{12}, size - 8, size - 1})
        EXPECT_EQ(refusal_of("struct-" + std::to_string(bytes)),
                  "has a descriptor of " + std::to_string(bytes) +
                      " bytes, too short for ABI 1; rebuild it against this wherry's plugin.h");
    EXPECT_TRUE(is_accepted("struct-" + std::to_string(size)));
    EXPECT_TRUE(is_accepted("struct-" + std::to_string(size + 8)));
}

TEST_F(misshapen_plugin, of_another_kind_or_name_than_its_file) {
    EXPECT_EQ(refusal_of("transport"), "holds the transport 'shapeshifter'; its name must be that of the file");
    EXPECT_EQ(refusal_of("", plugin_kind::cipher), "holds the sink 'shapeshifter'; its name must be that of the file");
    EXPECT_EQ(refusal_of("kind-9"), "says that it is of kind 9, which this wherry does not know; a newer one may");
    EXPECT_EQ(refusal_of("other-name"), "holds the sink 'wolf\\x1B[2J'; its name must be that of the file");
}

TEST_F(misshapen_plugin, without_name_version_or_summary) {
    for (const auto* shape : {"no-name", "no-version", "no-summary"})
        EXPECT_EQ(refusal_of(shape), "lacks its name, version or summary");
}

TEST_F(misshapen_plugin, with_a_thread_model_that_it_cannot_have) {
    constexpr const char* text = "asks for a thread model that its kind cannot have";
    EXPECT_EQ(refusal_of("threads-2"), text);
    EXPECT_EQ(refusal_of("transport,threads-1", plugin_kind::transport), text);
    EXPECT_EQ(refusal_of("cipher,threads-1", plugin_kind::cipher), text);
    EXPECT_TRUE(is_accepted("threads-1"));
}

TEST_F(misshapen_plugin, without_its_tables) {
    EXPECT_EQ(refusal_of("no-instance"), "lacks the table of instance functions");
    EXPECT_EQ(refusal_of("no-functions"), "lacks the table of its kind's functions");
}

TEST_F(misshapen_plugin, without_a_mandatory_function_names_it) {
    const auto sentence = [](const char* table, const char* function) {
        return std::string("lacks the ") + table + " function '" + function + "', which every such plugin must have";
    };
    const auto expect_each = [&](const char* table, const std::vector<const char*>& functions, const std::string& shape,
                                 plugin_kind kind) {
        for (std::size_t i = 0; i < functions.size(); ++i)
            EXPECT_EQ(refusal_of(shape + std::to_string(i), kind), sentence(table, functions[i]));
    };
    expect_each("instance", {"create", "configure", "configure_done", "destroy"}, "instance-lacks-", plugin_kind::sink);
    expect_each("sink", {"begin", "write", "finish", "abort"}, "lacks-", plugin_kind::sink);
    expect_each("transport",
                {"connect", "listen", "accept", "listener_address", "listener_abort", "listener_close", "read_some",
                 "write_all", "shutdown_write", "set_read_timeout", "set_write_timeout", "abort", "peer_address",
                 "record_bytes", "connection_close"},
                "transport,lacks-", plugin_kind::transport);
    expect_each("cipher",
                {"handshake", "finish_handshake", "overhead", "seal", "open", "peer", "describe", "session_close"},
                "cipher,lacks-", plugin_kind::cipher);
}

TEST_F(misshapen_plugin, with_a_table_too_short_for_a_mandatory_function) {
    EXPECT_EQ(refusal_of("table-0"), "lacks the sink function 'begin', which every such plugin must have");
    const auto up_to_abort = offsetof(wherry_sink_functions, abort);
    EXPECT_EQ(refusal_of("table-" + std::to_string(up_to_abort)),
              "lacks the sink function 'abort', which every such plugin must have");
}

TEST_F(misshapen_plugin, with_a_damaged_option_table) {
    EXPECT_EQ(refusal_of("option-table-null"), "has a damaged option table");
    EXPECT_EQ(refusal_of("option-count-1001"), "has a damaged option table");
    EXPECT_EQ(refusal_of("option-size-" + std::to_string(sizeof(wherry_option) - 1)),
              "has an option table of an older, shorter form; rebuild it against this wherry's plugin.h");
    EXPECT_TRUE(is_accepted("option-count-0,option-table-null,option-size-0")) << "without options there is no table";
}

TEST_F(misshapen_plugin, with_an_option_without_a_proper_name) {
    for (const auto* shape : {"option-nameless", "option-name-empty", "option-name-upper", "option-name-dot"})
        EXPECT_EQ(refusal_of(shape), "has an option without a proper name") << shape;
    EXPECT_EQ(refusal_of("option-name-twice"), "has an option 'it' twice");
}

TEST_F(misshapen_plugin, with_an_option_that_no_value_fits) {
    EXPECT_EQ(refusal_of("option-type-9"), "has an option 'other' of a type that this wherry does not know");
    EXPECT_EQ(refusal_of("option-limits-crossed"),
              "has an option 'other' whose limits leave nothing between them: from 5 to 1; where there is no upper "
              "limit, its maximum is INT64_MAX");
    EXPECT_EQ(refusal_of("option-choice"), "has an option 'other' without choices");
    EXPECT_EQ(refusal_of("option-choice,option-choices-empty"), "has an option 'other' without choices");
    EXPECT_EQ(refusal_of("option-choice,option-choices-gap"), "has an option 'other' with an empty choice");
    EXPECT_EQ(refusal_of("option-required,option-default-3"),
              "has an option 'other' that is required and yet has a default");
}

TEST_F(misshapen_plugin, with_a_default_that_it_would_not_accept) {
    EXPECT_EQ(refusal_of("option-limits,option-default-6"),
              "has an option 'other' whose own default is wrong: '6' is not a whole number from 1 to 5");
    EXPECT_EQ(refusal_of("option-default-word"),
              "has an option 'other' whose own default is wrong: 'many' is not a whole number");
    EXPECT_EQ(refusal_of("option-choice,option-choices,option-default-3"),
              "has an option 'other' whose own default is wrong: '3' is not one of a, b");
    EXPECT_TRUE(is_accepted("option-limits,option-default-3"));
    EXPECT_TRUE(is_accepted("option-choice,option-choices"));
    EXPECT_TRUE(is_accepted("option-helpless")) << "help that is missing is only unkind";
}

// ---- Functions that misbehave ----

class crude_plugin : public plugin_host_of {
protected:
    crude_plugin() { install("crude", "sink-crude.so"); }

    error begin_error(const std::string& name) const {
        const auto into = load("crude")->make_sink({});
        return test::error_of([&] { begin(*into, name); });
    }
};

TEST_F(crude_plugin, may_use_null_handles) {
    auto into = load("crude")->make_sink({});
    deliver(*into, "abc");
    begin(*into)->abort(delivery::partial::keep);
    begin(*into);
    into.reset();
    EXPECT_THAT(events(), ElementsAre("create", "begin", "write", "finish", "begin", "abort keep", "begin",
                                      "abort drop", "destroy"));
}

TEST_F(crude_plugin, a_status_that_is_none_is_an_internal_error) {
    const auto unknown = begin_error("unknown-status");
    EXPECT_EQ(unknown.code(), errc::internal);
    EXPECT_STREQ(unknown.what(), "crude: a reason");
    EXPECT_EQ(begin_error("negative-status").code(), errc::internal);
}

TEST_F(crude_plugin, a_failure_without_a_text_is_said_to_have_none) {
    const auto thrown = begin_error("no-text");
    EXPECT_EQ(thrown.code(), errc::refused);
    EXPECT_STREQ(thrown.what(), "crude: failed without saying why");
}

TEST_F(crude_plugin, a_text_without_an_end_ends_with_its_room) {
    EXPECT_EQ(begin_error("no-end").what(), "crude: " + std::string(WHERRY_ERROR_TEXT_BYTES - 1, 'x'));
}

TEST_F(crude_plugin, more_read_back_than_there_is_room_for_is_not_believed) {
    const auto into = load("crude")->make_sink({});
    const auto going = begin(*into, "resume");
    EXPECT_EQ(going->offset(), 5U);
    std::array<std::byte, 8> room;
    EXPECT_STREQ(test::error_of([&] { going->read_back(0, room); }).what(),
                 "crude: read more than it was given room for");
}

TEST_F(plugin_host_of, a_transport_without_manners_does_no_harm) {
    const variable shape("WHERRY_TEST_SHAPE", "transport");
    install("shapeshifter", "transport-shapeshifter.so");
    const auto over = load("shapeshifter", plugin_kind::transport)->make_transport({});
    auto link = over->connect("anywhere");
    EXPECT_EQ(link->peer_address(), "") << "for a null pointer";
    std::array<std::byte, 8> room;
    const auto thrown = test::error_of([&] { link->read_some(room); });
    EXPECT_EQ(thrown.code(), errc::internal);
    EXPECT_STREQ(thrown.what(), "shapeshifter: read more than it was given room for");
    link.reset();
    auto waiting = over->listen("");
    EXPECT_EQ(waiting->address(), "");
    EXPECT_EQ(waiting->accept()->peer_address(), "");
    waiting.reset();
    EXPECT_THAT(events(), ElementsAre("close", "close", "close"));
}

class no_stream final : public stream {
public:
    std::size_t read_some(mutable_bytes) override { return 0; }
    void write_all(std::span<const const_bytes>) override {}
};

TEST_F(plugin_host_of, a_cipher_without_manners_does_no_harm) {
    const variable shape("WHERRY_TEST_SHAPE", "cipher");
    install("shapeshifter", "cipher-shapeshifter.so");
    const auto protection = load("shapeshifter", plugin_kind::cipher)->make_cipher({});
    EXPECT_FALSE(protection->is_insecure());
    no_stream link;
    const auto session = protection->handshake(role::initiator, {}, link, {});
    EXPECT_EQ(session->describe(), "");
    EXPECT_EQ(session->exchanged(), std::nullopt) << "of a number that is not known";
    EXPECT_EQ(session->peer().public_key, "");
    std::array<std::byte, 8> record;
    const auto thrown = test::error_of([&] { session->open(record); });
    EXPECT_EQ(thrown.code(), errc::internal);
    EXPECT_STREQ(thrown.what(), "shapeshifter: opened to more than was sealed");
}

TEST_F(plugin_host_of, a_cipher_cannot_want_more_room_than_a_record_has) {
    const variable shape("WHERRY_TEST_SHAPE", "cipher,overhead-1025");
    install("shapeshifter", "cipher-shapeshifter.so");
    const auto protection = load("shapeshifter", plugin_kind::cipher)->make_cipher({});
    no_stream link;
    const auto thrown = test::error_of([&] { protection->handshake(role::initiator, {}, link, {}); });
    EXPECT_EQ(thrown.code(), errc::internal);
    EXPECT_STREQ(thrown.what(), "shapeshifter: adds more to a record than 1024 bytes");
    EXPECT_THAT(events(), ElementsAre("close")) << "the session that is not used is closed";
}

// ---- Exceptions of plugins written with the SDK ----

struct thrown_thing {
    const char* what;
    errc code;
    std::string text;
    int system_error;
};

const thrown_thing thrown_things[] = {
    {"error", errc::exhausted, "throwing: the shelf is full", ENOSPC},
    {"bad_alloc", errc::exhausted, "throwing: out of memory", 0},
    {"system_error", errc::io, "throwing: writing: Disk quota exceeded", EDQUOT},
    {"exception", errc::internal, "throwing: index 7", 0},
    {"number", errc::internal, "throwing: an exception of unknown type", 0},
    {"long-text", errc::refused, "throwing: " + std::string(WHERRY_ERROR_TEXT_BYTES - 1, 'x'), 0},
    {"no-text", errc::refused, "throwing: failed without saying why", 0},
};

class throwing_plugin : public plugin_host_of, public testing::WithParamInterface<thrown_thing> {
protected:
    throwing_plugin() { install("throwing", "sink-throwing.so"); }

    std::unique_ptr<sink> throwing_in(const char* where) const {
        return load("throwing")->make_sink({{"where", where}, {"what", GetParam().what}});
    }

    template <class Call>
    void expect_thrown(Call&& call) const {
        const auto thrown = test::error_of(std::forward<Call>(call));
        EXPECT_EQ(thrown.code(), GetParam().code);
        EXPECT_EQ(thrown.what(), GetParam().text);
        EXPECT_EQ(thrown.system_error(), GetParam().system_error);
    }
};

INSTANTIATE_TEST_SUITE_P(every, throwing_plugin, testing::ValuesIn(thrown_things), [](const auto& info) {
    std::string name = info.param.what;
    std::ranges::replace(name, '-', '_');
    return name;
});

TEST_P(throwing_plugin, in_its_constructor) {
    expect_thrown([&] { throwing_in("constructor"); });
    EXPECT_THAT(events(), ElementsAre()) << "what was not made is not destroyed";
}

TEST_P(throwing_plugin, in_begin) {
    const auto into = throwing_in("begin");
    expect_thrown([&] { begin(*into); });
    EXPECT_THAT(events(), ElementsAre());
}

TEST_P(throwing_plugin, in_write) {
    const auto into = throwing_in("write");
    auto going = begin(*into);
    expect_thrown([&] { going->write(as_bytes("abc")); });
    going.reset();
    EXPECT_THAT(events(), ElementsAre("delivery aborted", "delivery destroyed"));
}

TEST_P(throwing_plugin, in_finish) {
    const auto into = throwing_in("finish");
    auto going = begin(*into);
    kept_response answer;
    expect_thrown([&] { going->finish(answer); });
    EXPECT_THAT(events(), ElementsAre("delivery destroyed")) << "finish ends it whatever it throws";
    going->abort(delivery::partial::drop);
    going.reset();
    EXPECT_THAT(events(), ElementsAre()) << "and nothing is done with it afterwards";
}

TEST_P(throwing_plugin, in_read_back) {
    const auto into = throwing_in("read_back");
    const auto going = begin(*into);
    std::array<std::byte, 8> room;
    expect_thrown([&] { going->read_back(0, room); });
}

// ---- Groups ----

class plugin_groups : public plugin_host_of {
protected:
    // Deliveries of these names, finished together.
    void finish_group(sink& into, const words& names) {
        for (const auto& name : names) open_.push_back(begin(into, name));
        answers_.resize(names.size());
        for (std::size_t i = 0; i < names.size(); ++i) all_.push_back({open_[i].get(), &answers_[i], std::nullopt});
        for (auto& one : open_) ASSERT_EQ(one->commits_with(), open_.front()->commits_with());
        ASSERT_NE(open_.front()->commits_with(), nullptr);
        open_.front()->commits_with()->finish_group(all_);
        // That they have ended is known: nothing is called for them any more.
        open_.clear();
    }

    std::vector<std::unique_ptr<delivery>> open_;
    std::vector<kept_response> answers_;
    std::vector<ending> all_;
};

TEST_F(plugin_groups, cross_the_line_and_each_is_answered) {
    install("grouping", "sink-grouping.so");
    const auto into = load("grouping")->make_sink({});
    finish_group(*into, {"one", "bad", "three", "full", "five"});
    EXPECT_FALSE(all_[0].failure);
    EXPECT_EQ(answers_[0].text, "done one");
    EXPECT_EQ(answers_[0].outcome, "kept");
    ASSERT_TRUE(all_[1].failure);
    EXPECT_EQ(all_[1].failure->code(), errc::exhausted);
    EXPECT_EQ(all_[1].failure->system_error(), ENOSPC);
    EXPECT_STREQ(all_[1].failure->what(), "grouping: no room for bad");
    EXPECT_EQ(answers_[1].text, "done bad");
    EXPECT_FALSE(all_[2].failure);
    EXPECT_EQ(answers_[2].text, "done three");
    ASSERT_TRUE(all_[3].failure);
    EXPECT_STREQ(all_[3].failure->what(), "grouping: that is too much");
    EXPECT_FALSE(all_[4].failure);
    EXPECT_EQ(answers_[4].text, "done five");
    EXPECT_THAT(events(), ElementsAre("group of one bad three full five", "one destroyed", "bad destroyed",
                                      "three destroyed", "full destroyed", "five destroyed"));
}

TEST_F(plugin_groups, those_that_name_no_group_or_another_are_finished_alone) {
    install("grouping", "sink-grouping.so");
    const auto into = load("grouping")->make_sink({});
    finish_group(*into, {"one", "alone", "two", "other", "alone-bad", "three"});
    for (const auto& one : all_) EXPECT_FALSE(one.failure);
    for (std::size_t i = 0; i < all_.size(); ++i) EXPECT_EQ(answers_[i].outcome, "kept");
    EXPECT_EQ(answers_[1].text, "done alone");
    EXPECT_EQ(answers_[3].text, "done other");
    EXPECT_EQ(answers_[5].text, "done three");
    const auto told = events();
    EXPECT_THAT(told, testing::IsSupersetOf(words{"alone finished alone", "other finished alone",
                                                  "alone-bad finished alone", "group of one two three"}));
    EXPECT_EQ(std::count_if(told.begin(), told.end(), [](const auto& line) { return line.ends_with("destroyed"); }), 6);
    EXPECT_EQ(std::count_if(told.begin(), told.end(), [](const auto& line) { return line.ends_with("aborted"); }), 0);
}

TEST_F(plugin_groups, of_which_none_is_grouped) {
    install("grouping", "sink-grouping.so");
    const auto into = load("grouping")->make_sink({});
    finish_group(*into, {"alone", "other"});
    EXPECT_THAT(events(),
                ElementsAre("alone finished alone", "alone destroyed", "other finished alone", "other destroyed"));
}

TEST_F(plugin_groups, a_plugin_without_them_names_none) {
    install("plain", "sink-plain.so");
    const auto into = load("plain")->make_sink({});
    EXPECT_EQ(begin(*into)->commits_with(), nullptr);
}

TEST_F(plugin_groups, what_a_plugin_forgets_has_failed) {
    install("forgetful", "sink-forgetful.so");
    const auto into = load("forgetful")->make_sink({});
    finish_group(*into, {"done", "forgotten", "odd", "silent", "endless"});
    EXPECT_FALSE(all_[0].failure);
    ASSERT_TRUE(all_[1].failure);
    EXPECT_EQ(all_[1].failure->code(), errc::internal);
    EXPECT_STREQ(all_[1].failure->what(), "forgetful: did not say how a delivery of a group ended");
    ASSERT_TRUE(all_[2].failure);
    EXPECT_EQ(all_[2].failure->code(), errc::internal);
    ASSERT_TRUE(all_[3].failure);
    EXPECT_EQ(all_[3].failure->code(), errc::io);
    EXPECT_STREQ(all_[3].failure->what(), "forgetful: failed without saying why");
    ASSERT_TRUE(all_[4].failure);
    EXPECT_EQ(all_[4].failure->what(), "forgetful: " + std::string(WHERRY_ERROR_TEXT_BYTES - 1, 'x'));
}

TEST_F(plugin_host_of, what_the_host_throws_at_a_plugin_comes_back_through_it) {
    install("throwing", "sink-throwing.so");
    const auto into = load("throwing")->make_sink({{"where", "respond"}});
    const auto thrown = test::error_of([&] { deliver(*into, "abc"); });
    EXPECT_EQ(thrown.code(), errc::exhausted);
    EXPECT_STREQ(thrown.what(), "throwing: that is too much");
}

TEST_F(plugin_host_of, a_begin_that_makes_nothing_is_an_error) {
    install("throwing", "sink-throwing.so");
    const auto into = load("throwing")->make_sink({{"where", "null"}});
    const auto thrown = test::error_of([&] { begin(*into); });
    EXPECT_EQ(thrown.code(), errc::internal);
    EXPECT_STREQ(thrown.what(), "throwing: begin() made nothing");
}

// ---- Options ----

class plugin_options : public plugin_host_of {
protected:
    plugin_options() {
        install("options", "sink-options.so");
        install("plain", "sink-plain.so");
    }

    std::string answer(const option_values& values) const { return deliver(*load("options")->make_sink(values), ""); }

    error mistake(const option_values& values) const {
        const auto thrown = test::error_of([&] { load("options")->make_sink(values); });
        EXPECT_EQ(thrown.code(), errc::bad_input) << thrown.what();
        return thrown;
    }
};

TEST_F(plugin_options, defaults_arrive_in_canonical_form) {
    EXPECT_EQ(answer({{"token", "t"}}),
              "token=t\nnumber=5\nflag=false\nwait=2000\nsize=1048576\npath=some/where\nchoice=green\n"
              "home=/home/of/tests\n");
}

TEST_F(plugin_options, given_values_arrive_in_canonical_form) {
    EXPECT_EQ(answer({{"token", ""},
                      {"pin", "01234"},
                      {"number", "-10"},
                      {"flag", "on"},
                      {"wait", "1m"},
                      {"size", "2K"},
                      {"path", "/a b"},
                      {"choice", "red"},
                      {"free", "x=y\nz"}}),
              "token=\npin=1234\nnumber=-10\nflag=true\nwait=60000\nsize=2048\npath=/a b\nchoice=red\nfree=x=y\nz\n"
              "home=/home/of/tests\n");
}

TEST_F(plugin_options, a_required_one_is_asked_for) {
    EXPECT_STREQ(mistake({}).what(), "--options.token is required: who you are");
    EXPECT_TRUE(load("options")->options()[0].is_required);
}

TEST_F(plugin_options, a_bad_value_is_named_as_the_user_would_write_it) {
    EXPECT_STREQ(mistake({{"token", "t"}, {"number", "11"}}).what(),
                 "--options.number: '11' is not a whole number from -10 to 10");
    EXPECT_STREQ(mistake({{"token", "t"}, {"choice", "blue"}}).what(),
                 "--options.choice: 'blue' is not one of red, green");
}

TEST_F(plugin_options, a_bad_secret_is_not_repeated) {
    EXPECT_STREQ(mistake({{"token", "t"}, {"pin", "98765"}}).what(), "--options.pin: bad value");
    const auto loaded = load("options");
    const auto& pin = loaded->options()[1];
    EXPECT_TRUE(pin.is_secret);
    EXPECT_FALSE(pin.is_required);
}

TEST_F(plugin_options, an_unknown_one_is_named_as_the_user_would_write_it) {
    EXPECT_STREQ(mistake({{"token", "t"}, {"colour", "red"}}).what(),
                 "--options.colour: the sink options has no option 'colour'; see: wherry plugins options");
    EXPECT_STREQ(mistake({{"token", "t"}, {"pni", "1"}}).what(),
                 "--options.pni: the sink options has no option 'pni'; did you mean 'pin'?");
}

TEST_F(plugin_options, an_unknown_one_is_found_before_anything_is_made) {
    test::error_of([&] { load("plain")->make_sink({{"colour", "red"}}); });
    EXPECT_THAT(events(), ElementsAre());
}

TEST_F(plugin_options, the_host_asks_for_a_secret_on_behalf_of_a_plugin) {
    ask_secret_ = [](const std::string& prompt, std::span<char> into) {
        EXPECT_EQ(prompt, "the word for gate");
        std::ranges::copy(std::string_view("sesame"), into.begin());
        return std::size_t{6};
    };
    EXPECT_THAT(answer({{"token", "t"}, {"ask", "gate"}}), HasSubstr("asked=sesame\n"));
}

TEST_F(plugin_options, where_nobody_can_be_asked_the_plugin_is_told) {
    const auto thrown = test::error_of([&] { answer({{"token", "t"}, {"ask", "gate"}}); });
    EXPECT_EQ(thrown.code(), errc::unsupported);
    EXPECT_STREQ(thrown.what(), "options: there is no terminal to ask at");
}

TEST_F(plugin_options, the_host_shows_what_a_plugin_has_to_show) {
    std::string shown;
    show_ = [&](const std::string& lines) { shown += lines; };
    answer({{"token", "t"}, {"show", "two\nlines"}});
    EXPECT_EQ(shown, "two\nlines");
}

TEST_F(plugin_options, where_nothing_is_shown_the_plugin_is_told) {
    EXPECT_EQ(test::error_of([&] { answer({{"token", "t"}, {"show", "x"}}); }).code(), errc::unsupported);
    show_ = [](const std::string&) { throw error(errc::io, "nobody looks"); };
    const auto thrown = test::error_of([&] { answer({{"token", "t"}, {"show", "x"}}); });
    EXPECT_EQ(thrown.code(), errc::io);
    EXPECT_STREQ(thrown.what(), "options: nobody looks");
}

// ---- Destroyed once for each time it was created ----

class plugin_life : public plugin_host_of {};

TEST_F(plugin_life, destroyed_after_the_plugin_refuses_a_value) {
    install("plain", "sink-plain.so");
    const auto thrown = test::error_of([&] { load("plain")->make_sink({{"number", "13"}}); });
    EXPECT_EQ(thrown.code(), errc::bad_input);
    EXPECT_STREQ(thrown.what(), "plain: thirteen brings bad luck");
    EXPECT_THAT(events(), ElementsAre("create", "configure number=13", "destroy"));
}

TEST_F(plugin_life, destroyed_after_the_host_refuses_a_value) {
    install("plain", "sink-plain.so");
    test::error_of([&] { load("plain")->make_sink({{"size", "huge"}}); });
    const auto seen = events();
    EXPECT_EQ(std::ranges::count(seen, "create"), std::ranges::count(seen, "destroy"));
    EXPECT_THAT(seen, testing::Not(testing::Contains("configure_done")));
}

TEST_F(plugin_life, each_instance_has_its_own) {
    install("plain", "sink-plain.so");
    const auto plain = load("plain");
    auto first = plain->make_sink({});
    auto second = plain->make_sink({});
    events();
    first.reset();
    EXPECT_THAT(events(), ElementsAre("destroy"));
    EXPECT_EQ(deliver(*second, "abc"), "got 3 bytes");
    second.reset();
    EXPECT_THAT(events(), ElementsAre("begin item from the moon", "finish", "destroy"));
}

TEST_F(plugin_life, an_instance_lives_until_its_last_delivery_has_ended) {
    install("plain", "sink-plain.so");
    std::unique_ptr<plugin_host> host(new plugin_host(this->host()));
    auto plain = host->load(plugin_kind::sink, "plain");
    auto into = plain->make_sink({});
    auto going = begin(*into);
    events();
    into.reset();
    plain.reset();
    host.reset();
    EXPECT_THAT(events(), ElementsAre());
    going->write(as_bytes("abc"));
    kept_response answer;
    going->finish(answer);
    EXPECT_EQ(answer.text, "got 3 bytes");
    going.reset();
    EXPECT_THAT(events(), ElementsAre("finish", "destroy"));
}

bool is_loaded(const fs::path& file) {
    void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (handle != nullptr) ::dlclose(handle);
    return handle != nullptr;
}

TEST_F(plugin_life, the_library_stays_for_what_came_out_of_it_and_then_goes) {
    const auto file = install("lifetime", "transport-lifetime.so");
    std::unique_ptr<plugin_host> host(new plugin_host(this->host()));
    auto loaded = host->load(plugin_kind::transport, "lifetime");
    auto over = loaded->make_transport({});
    auto waiting = over->listen("");
    auto accepted = waiting->accept();
    auto link = over->connect("la la la");
    std::optional<error> kept = test::error_of([&] { over->connect(""); });
    over.reset();
    loaded.reset();
    host.reset();
    EXPECT_TRUE(is_loaded(file));

    EXPECT_EQ(waiting->address(), "stage");
    waiting.reset();
    std::array<std::byte, 64> room;
    EXPECT_EQ(as_text(std::span(room).first(accepted->read_some(room))), "accepted");
    accepted.reset();
    EXPECT_THAT(events(), ElementsAre()) << "a connection is left";
    EXPECT_EQ(link->peer_address(), "recital");
    EXPECT_EQ(link->record_bytes(), 12345U);
    EXPECT_EQ(as_text(std::span(room).first(link->read_some(room))), "la la la");
    const const_bytes many[] = {as_bytes("1"), as_bytes("2"), as_bytes("3"), as_bytes("4"), as_bytes("5"),
                                as_bytes("6"), as_bytes("7"), as_bytes("8"), as_bytes("9"), as_bytes("10")};
    link->write_all(many);
    EXPECT_EQ(as_text(std::span(room).first(link->read_some(room))), "12345678910") << "in order, however many";
    link.reset();
    EXPECT_THAT(events(), ElementsAre("transport destroyed"));
#ifndef WHERRY_SANITIZED
    EXPECT_FALSE(is_loaded(file));
#endif
    EXPECT_STREQ(kept->what(), "lifetime: nobody to connect to") << "an error outlives the library";
}

TEST_F(plugin_life, a_refused_library_does_not_stay) {
    const auto file = install("shapeshifter", "sink-shapeshifter.so");
    const variable shape("WHERRY_TEST_SHAPE", "magic");
    refusal("shapeshifter");
#ifndef WHERRY_SANITIZED
    EXPECT_FALSE(is_loaded(file));
#endif
}

TEST_F(plugin_life, discovery_tells_of_each_until_it_is_told_to_stop) {
    install("lifetime", "transport-lifetime.so");
    const auto over = load("lifetime", plugin_kind::transport)->make_transport({});
    words found;
    over->discover(1ms, [&](const discovered_peer& peer) {
        found.push_back(std::string(peer.address) + "/" + std::string(peer.name));
        return found.size() < 2;
    });
    EXPECT_THAT(found, ElementsAre("peer-1/Peer", "peer-2/Peer"));
}

TEST_F(plugin_life, discovery_tells_what_is_known_and_leaves_out_what_is_not) {
    install("lifetime", "transport-lifetime.so");
    const auto over = load("lifetime", plugin_kind::transport)->make_transport({});
    int last = 0;
    over->discover(1ms, [&](const discovered_peer& peer) {
        if (peer.address == "peer-4") {
            EXPECT_EQ(peer.signal_dbm, -40);
            EXPECT_EQ(peer.is_paired, true);
            EXPECT_EQ(peer.has_receiver, false);
            ++last;
        } else {
            EXPECT_FALSE(peer.signal_dbm || peer.is_paired || peer.has_receiver) << peer.address;
        }
        return true;
    });
    EXPECT_EQ(last, 1);
}

TEST_F(plugin_life, pairing_asks_the_person) {
    install("lifetime", "transport-lifetime.so");
    const auto over = load("lifetime", plugin_kind::transport)->make_transport({});
    recording_agent person;
    over->pair("123456", 1ms, person);
    EXPECT_THAT(person.heard, ElementsAre("show 0000", "confirm 123456", "enter", "show 42"));
    person.code = std::nullopt;
    person.heard.clear();
    over->pair("", 1ms, person);
    EXPECT_THAT(person.heard, ElementsAre("show 0000", "confirm ", "enter"));
    person.agrees = false;
    EXPECT_EQ(test::error_of([&] { over->pair("1", 1ms, person); }).code(), errc::refused);
}

TEST_F(plugin_life, what_is_thrown_at_a_discovery_comes_out_as_it_was) {
    install("lifetime", "transport-lifetime.so");
    const auto over = load("lifetime", plugin_kind::transport)->make_transport({});
    EXPECT_THROW(over->discover(1ms, [](const auto&) -> bool { throw std::out_of_range("mine"); }), std::out_of_range);
}

// ---- Threads ----

class plugin_threads : public plugin_host_of {
protected:
    plugin_threads() { install("threads", "sink-threads.so"); }

    // Every function of a sink, from four threads at once. "alone" if no call met another.
    static std::string busy(sink& into) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                begin(into)->abort(delivery::partial::drop);
                const auto going = begin(into);
                std::array<std::byte, 8> room;
                going->read_back(0, room);
                going->write(as_bytes("abc"));
                kept_response answer;
                going->finish(answer);
            });
        for (auto& thread : threads) thread.join();
        return deliver(into, "");
    }
};

TEST_F(plugin_threads, meet_in_a_parallel_plugin) {
    const variable parallel("WHERRY_TEST_PARALLEL", "1");
    EXPECT_EQ(busy(*load("threads")->make_sink({})), "met");
}

TEST_F(plugin_threads, never_meet_in_a_serial_plugin) { EXPECT_EQ(busy(*load("threads")->make_sink({})), "alone"); }

TEST_F(plugin_threads, may_use_the_host_together) {
    install("plain", "sink-plain.so");
    install("other-abi", "sink-bad.so");
    const auto host = this->host();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int round = 0; round < 5; ++round) {
                const auto plain = host.load(plugin_kind::sink, "plain");
                EXPECT_EQ(deliver(*plain->make_sink({}), "abc"), "got 3 bytes");
                EXPECT_EQ(host.list().size(), 3U);
            }
        });
    for (auto& thread : threads) thread.join();
    const auto seen = events();
    EXPECT_EQ(std::ranges::count(seen, "create"), 20);
    EXPECT_EQ(std::ranges::count(seen, "destroy"), 20);
}

// ---- The search ----

class plugin_search : public plugin_host_of {};

TEST_F(plugin_search, a_name_is_never_a_path) {
    install("plain", "sink-plain.so", root_ / "elsewhere");
    const auto host = this->host();
    for (const std::string name :
         {"", ".", "..", "/", "../elsewhere/sink-plain", "plain/", "a/b", "a\\b", "Plain", "PLAIN", "-plain",
          "plain.so", "plain plain", "pl_ain", "plä", "*", "pla\x1bin", "abcdefghijklmnopqrstuvwxyz0123456"}) {
        const auto thrown = test::error_of([&] { host.load(plugin_kind::sink, name); });
        EXPECT_EQ(thrown.code(), errc::bad_input) << name;
        EXPECT_THAT(thrown.what(), EndsWith("is no name of a sink; names are lower-case letters, digits and '-', and "
                                            "--plugin-dir names the folder"));
        EXPECT_THAT(thrown.what(), testing::Not(HasSubstr("\x1b")));
    }
    const auto cut = test::error_of([&] { host.load(plugin_kind::sink, std::string_view("plain\0.so", 9)); });
    EXPECT_EQ(cut.code(), errc::bad_input);
    EXPECT_FALSE(code_has_run());
}

TEST_F(plugin_search, says_what_there_is_instead) {
    install("plain", "sink-plain.so");
    install("throwing", "sink-throwing.so", root_ / "second");
    install("lifetime", "transport-lifetime.so");
    const auto host = host_for({folder(), root_ / "second"});
    const auto places = folder().string() + ", " + (root_ / "second").string();
    const auto sink_error = test::error_of([&] { host.load(plugin_kind::sink, "plane"); });
    EXPECT_EQ(sink_error.code(), errc::bad_input);
    EXPECT_EQ(sink_error.what(), "there is no sink 'plane'; there is: plain, throwing (looked in " + places + ")");
    EXPECT_EQ(test::error_of([&] { host.load(plugin_kind::cipher, "plain"); }).what(),
              "there is no cipher 'plain'; none was found (looked in " + places + ")");
}

TEST_F(plugin_search, does_not_mind_folders_that_are_absent) {
    install("plain", "sink-plain.so");
    std::ofstream(root_ / "a file") << "no folder";
    EXPECT_EQ(host_for({root_ / "absent", root_ / "a file", folder()}).load(plugin_kind::sink, "plain")->name(),
              "plain");
    EXPECT_TRUE(host_for({root_ / "absent"}).list().empty());
}

TEST_F(plugin_search, the_first_folder_wins) {
    const auto first = install("plain", "sink-plain.so");
    const auto second = install("plain", "sink-plain.so", root_ / "second");
    EXPECT_EQ(host_for({folder(), root_ / "second"}).load(plugin_kind::sink, "plain")->path(), first);
    EXPECT_EQ(host_for({root_ / "second", folder()}).load(plugin_kind::sink, "plain")->path(), second);
    const auto rows = host_for({root_ / "second", folder()}).list();
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].path, second);
}

TEST_F(plugin_search, makes_folders_absolute) {
    const auto before = fs::current_path();
    install("plain", "sink-plain.so");
    fs::current_path(root_.path());
    const auto host = host_for({"./nothing/../plugins"});
    fs::current_path(before);
    ASSERT_EQ(host.search_path().size(), 1U);
    EXPECT_TRUE(host.search_path()[0].is_absolute());
    EXPECT_EQ(host.load(plugin_kind::sink, "plain")->name(), "plain");
}

TEST_F(plugin_search, a_folder_without_a_name_is_a_mistake) {
    EXPECT_EQ(test::error_of([&] { host_for({""}); }).code(), errc::bad_input);
}

TEST_F(plugin_search, lists_what_is_named_like_a_plugin_and_nothing_else) {
    install("plain", "sink-plain.so");
    install("throwing", "sink-throwing.so");
    install("lifetime", "transport-lifetime.so");
    for (const auto* other : {"README", "sink-.so", "sink-Upper.so", "sink-a_b.so", "sink-plain.so.1", "libsink-x.so",
                              "source-x.so", "sinkplain.so", ".sink-x.so"})
        std::ofstream(folder() / other) << "x";
    words names;
    for (const auto& row : host().list()) {
        names.push_back(std::string(to_string(row.kind)) + " " + row.name);
        EXPECT_TRUE(row.loaded) << row.problem;
        EXPECT_EQ(row.problem, "");
        EXPECT_EQ(row.path, folder() / (std::string(to_string(row.kind)) + "-" + row.name + ".so"));
    }
    EXPECT_THAT(names, ElementsAre("transport lifetime", "sink plain", "sink throwing"));
}

TEST_F(plugin_search, lists_what_is_refused_with_the_reason) {
    install("plain", "sink-plain.so");
    install("other-abi", "sink-newer.so");
    install("plain", "sink-renamed.so");
    const auto open_to_all = install("plain", "cipher-open.so");
    fs::permissions(open_to_all, fs::perms(0666));
    fs::create_symlink("nowhere", folder() / "sink-dangling.so");
    const auto rows = host().list();
    std::vector<std::pair<std::string, std::string>> seen;
    for (const auto& row : rows) {
        EXPECT_EQ(row.loaded == nullptr, !row.problem.empty()) << row.name;
        EXPECT_TRUE(row.loaded || row.problem.find(row.path.filename().string()) != std::string::npos) << row.problem;
        seen.emplace_back(row.name, row.loaded ? "" : row.problem);
    }
    using testing::Pair;
    EXPECT_THAT(seen, ElementsAre(Pair("open", HasSubstr("can be written by other users")),
                                  Pair("dangling", HasSubstr("No such file or directory")),
                                  Pair("newer", HasSubstr("was built for another plugin ABI")), Pair("plain", ""),
                                  Pair("renamed", HasSubstr("holds the sink 'plain'"))));
}

TEST(default_search_path, is_flags_then_environment_then_configuration_then_program_then_installed) {
    const variable path("WHERRY_PLUGIN_PATH", "/env/one::/env/two:");
    const std::string dirs[] = {"/flag/one", "/flag/two"};
    const std::string configured[] = {"/file/one", "/file/two"};
    const auto folders = default_search_path(dirs, configured);
    ASSERT_GE(folders.size(), 8U);
    EXPECT_EQ(folders[0], "/flag/one");
    EXPECT_EQ(folders[1], "/flag/two");
    EXPECT_EQ(folders[2], "/env/one");
    EXPECT_EQ(folders[3], "/env/two");
    EXPECT_EQ(folders[4], "/file/one");
    EXPECT_EQ(folders[5], "/file/two");
    EXPECT_EQ(folders[6], fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib" / "wherry");
    // What the build was configured with: one folder where that is /usr/local and lib, else up to three.
    for (std::size_t i = 7; i < folders.size(); ++i) {
        EXPECT_TRUE(folders[i].is_absolute());
        EXPECT_EQ(folders[i].filename(), "wherry");
    }
    EXPECT_EQ(folders.back(), "/usr/local/lib/wherry");
}

TEST(default_search_path, names_a_folder_once) {
    const variable path("WHERRY_PLUGIN_PATH", "/b:/a:/b:/c");
    const std::string dirs[] = {"/a", "/a"};
    const auto folders = default_search_path(dirs);
    ASSERT_GE(folders.size(), 3U);
    EXPECT_THAT((std::vector(folders.begin(), folders.begin() + 3)),
                ElementsAre(fs::path("/a"), fs::path("/b"), fs::path("/c")));
    EXPECT_EQ(std::set(folders.begin(), folders.end()).size(), folders.size());
    EXPECT_LE(folders.size(), 7U);
}

TEST(default_search_path, does_without_the_variable) {
    ::unsetenv("WHERRY_PLUGIN_PATH");
    const auto folders = default_search_path({});
    ASSERT_GE(folders.size(), 2U);
    EXPECT_EQ(folders.front(), fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib" / "wherry");
    EXPECT_LE(folders.size(), 4U);
}

TEST_F(plugin_search, finds_what_the_environment_names) {
    install("plain", "sink-plain.so");
    const variable path("WHERRY_PLUGIN_PATH", folder().string());
    EXPECT_EQ(host_for(default_search_path({})).load(plugin_kind::sink, "plain")->path(), folder() / "sink-plain.so");
}

TEST(plugin_kind_name, begins_the_name_of_the_file) {
    EXPECT_EQ(to_string(plugin_kind::transport), "transport");
    EXPECT_EQ(to_string(plugin_kind::cipher), "cipher");
    EXPECT_EQ(to_string(plugin_kind::sink), "sink");
}

}  // namespace
}  // namespace wherry

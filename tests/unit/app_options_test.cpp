// SPDX-License-Identifier: BSD-2-Clause
#include "options.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "error_of.hpp"
#include "help.hpp"
#include "temporary_folder.hpp"
#include "wherry/error.hpp"
#include "wherry/suggestions.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::app {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// A plugin that is nothing but its options.
class paper_plugin final : public plugin {
public:
    paper_plugin(plugin_kind kind, std::string name, std::vector<plugin_option> options)
        : kind_(kind), name_(std::move(name)), options_(std::move(options)) {}

    plugin_kind kind() const noexcept override { return kind_; }
    const std::string& name() const noexcept override { return name_; }
    const std::string& version() const noexcept override { return version_; }
    const std::string& summary() const noexcept override { return summary_; }
    const fs::path& path() const noexcept override { return path_; }
    std::span<const plugin_option> options() const noexcept override { return options_; }
    std::unique_ptr<transport> make_transport(const option_values&) const override { return nullptr; }
    std::unique_ptr<cipher> make_cipher(const option_values&) const override { return nullptr; }
    std::unique_ptr<sink> make_sink(const option_values&) const override { return nullptr; }

private:
    const plugin_kind kind_;
    const std::string name_, version_ = "1", summary_ = "made of paper";
    const fs::path path_;
    const std::vector<plugin_option> options_;
};

plugin_option integer(std::string name, std::string default_value, std::int64_t minimum, std::int64_t maximum) {
    auto row = integer_option(std::move(name), "N", "a number", std::move(default_value), minimum, maximum).row;
    return row;
}

template <class Call>
std::string message_of(Call call) {
    const auto failure = test::error_of(call);
    EXPECT_EQ(failure.code(), errc::bad_input);
    return failure.what();
}

class options_test : public testing::Test {
protected:
    void SetUp() override {
        for (const auto* name : {"WHERRY_TCP_PORT", "WHERRY_LIMIT", "WHERRY_TRANSPORT", "WHERRY_PAPER_COLOUR",
                                 "WHERRY_LIMTI", "WHERRY_HOME", "XDG_CONFIG_HOME", "WHERRY_CONFIG"})
            ::unsetenv(name);
        tcp_ = std::make_shared<paper_plugin>(
            plugin_kind::transport, "tcp",
            std::vector<plugin_option>{integer("port", "9417", 0, 65535), flag("nodelay", "hurry").row});
        radio_ = std::make_shared<paper_plugin>(plugin_kind::transport, "radio",
                                                std::vector<plugin_option>{integer("channel", "1", 1, 30)});
        stone_ = std::make_shared<paper_plugin>(plugin_kind::sink, "stone",
                                                std::vector<plugin_option>{integer("weight", "7", 1, 100)});
        paper_ = std::make_shared<paper_plugin>(
            plugin_kind::sink, "paper",
            std::vector<plugin_option>{choice_option("colour", {"white", "grey"}, "white", "of it").row});
    }
    void TearDown() override {
        for (const auto& name : set_) ::unsetenv(name.c_str());
    }

    void set_variable(const std::string& name, const std::string& value) {
        ::setenv(name.c_str(), value.c_str(), 1);
        set_.push_back(name);
    }

    fs::path write_config(const std::string& text, const std::string& name = "config") {
        std::ofstream(home_ / name) << text;
        return home_ / name;
    }

    option_reader reader(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"--home", home_.native()});
        return option_reader(fetch_, all_, std::move(arguments));
    }

    effective_options read(std::vector<std::string> arguments) const {
        return reader(std::move(arguments)).read(fetch_.kinds, finder());
    }

    std::string failure(std::vector<std::string> arguments) const {
        return message_of([&] { read(std::move(arguments)); });
    }

    plugin_finder finder() const {
        return {[this](plugin_kind kind, std::string_view name) -> std::shared_ptr<const plugin> {
                    for (const auto& row : list())
                        if (row.kind == kind && row.name == name) return row.loaded;
                    throw error(errc::bad_input, "there is no such plugin");
                },
                [this] { return list(); }};
    }

    std::vector<plugin_listing> list() const {
        return {{plugin_kind::transport, "radio", {}, radio_, {}},
                {plugin_kind::transport, "tcp", {}, tcp_, {}},
                {plugin_kind::sink, "paper", {}, paper_, {}},
                {plugin_kind::sink, "stone", {}, stone_, {}}};
    }

    command_syntax fetch_{"fetch",
                          "[THING...]",
                          "Fetches.",
                          "",
                          {text_option("transport", "NAME", "how", "tcp"),
                           integer_option("limit", "N", "how much", "10", 1, 100), flag("fast", "no slower"),
                           repeatable(letter('n', command_line_only(text_option("note", "TEXT", "a remark"))))},
                          {plugin_kind::transport}};
    // Of which two sinks may be chosen.
    command_syntax sort_{"sort",
                         "",
                         "Sorts.",
                         "",
                         {text_option("sink", "NAME", "where to", "paper"), text_option("heavy-sink", "NAME", "heavy"),
                          text_option("light-sink", "NAME", "light")},
                         {plugin_kind::sink},
                         {{plugin_kind::sink, {"heavy-sink", "light-sink"}}}};
    command_syntax store_{"store", "", "Stores.", "", {flag("deep", "far down")}, {}};
    std::vector<const command_syntax*> all_{&fetch_, &sort_, &store_};
    std::shared_ptr<const plugin> tcp_, radio_, paper_, stone_;
    const test::temporary_folder made_;
    const fs::path home_ = made_.path();
    std::vector<std::string> set_;
};

TEST_F(options_test, defaults_where_nothing_is_given) {
    const auto options = read({});
    EXPECT_EQ(options.integer("limit"), 10);
    EXPECT_FALSE(options.boolean("fast"));
    EXPECT_EQ(options.chosen(plugin_kind::transport).name(), "tcp");
    EXPECT_EQ(options.plugin_value(plugin_kind::transport, "port"), "9417");
    EXPECT_EQ(options.plugin_value(plugin_kind::transport, "colour"), std::nullopt);
}

class parts_test : public options_test {
protected:
    option_reader reader(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"--home", home_.native()});
        return option_reader(sort_, all_, std::move(arguments));
    }
    effective_options read(std::vector<std::string> arguments) const {
        return reader(std::move(arguments)).read(sort_.kinds, finder());
    }
    std::vector<std::string> chosen(std::vector<std::string> arguments) const {
        const auto options = read(std::move(arguments));
        return {options.chosen_for("heavy-sink").name(), options.chosen_for("light-sink").name()};
    }
};

TEST_F(parts_test, a_part_without_a_choice_has_that_of_the_whole) {
    EXPECT_THAT(chosen({}), ElementsAre("paper", "paper"));
    EXPECT_THAT(chosen({"--sink", "stone"}), ElementsAre("stone", "stone"));
    EXPECT_THAT(chosen({"--heavy-sink", "stone"}), ElementsAre("stone", "paper"));
    EXPECT_THAT(chosen({"--sink=stone", "--light-sink=paper"}), ElementsAre("stone", "paper"));
    write_config("sink = stone\nlight-sink = paper\n");
    EXPECT_THAT(chosen({}), ElementsAre("stone", "paper"));
    EXPECT_THAT(chosen({"--light-sink", "stone"}), ElementsAre("stone", "stone"));
    EXPECT_THAT(chosen({"--sink", "paper", "--heavy-sink", "stone"}), ElementsAre("stone", "paper"));
}

TEST_F(parts_test, each_plugin_has_its_values) {
    const auto options = read({"--heavy-sink=stone", "--stone.weight=9", "--paper.colour=grey"});
    EXPECT_EQ(options.values_of(options.chosen_for("heavy-sink")), (option_values{{"weight", "9"}}));
    EXPECT_EQ(options.values_of(options.chosen_for("light-sink")), (option_values{{"colour", "grey"}}));
}

TEST_F(parts_test, only_plugins_that_are_used_may_be_configured_on_the_command_line) {
    EXPECT_THAT(message_of([&] {
                    read({"--heavy-sink=stone", "--light-sink=stone", "--paper.colour=grey"});
                }),
                HasSubstr("the sink paper, which is not used here"));
    EXPECT_THAT(message_of([&] {
                    read({"--heavy-sink=stone", "--stone.wieght=1"});
                }),
                HasSubstr("did you mean --stone.weight?"));
    EXPECT_THAT(message_of([&] { read({"--heavy-sink=clay"}); }), HasSubstr("--heavy-sink on the command line"));
}

TEST_F(parts_test, plugins_that_the_options_choose) {
    EXPECT_THAT(reader({}).chosen_names(plugin_kind::sink), ElementsAre("paper"));
    EXPECT_THAT(reader({"--sink=stone"}).chosen_names(plugin_kind::sink), ElementsAre("stone"));
    EXPECT_THAT(reader({"--heavy-sink=stone"}).chosen_names(plugin_kind::sink), ElementsAre("stone", "paper"));
    EXPECT_THAT(reader({}).chosen_names(plugin_kind::cipher), ElementsAre());
}

TEST_F(options_test, command_line_before_environment_before_configuration) {
    write_config("limit = 21\n[tcp]\nport = 1001 # taken\n");
    EXPECT_EQ(read({}).plugin_value(plugin_kind::transport, "port"), "1001");
    EXPECT_EQ(read({}).integer("limit"), 21);
    set_variable("WHERRY_TCP_PORT", "1002");
    set_variable("WHERRY_LIMIT", "22");
    EXPECT_EQ(read({}).plugin_value(plugin_kind::transport, "port"), "1002");
    EXPECT_EQ(read({}).integer("limit"), 22);
    EXPECT_EQ(read({"--tcp.port=1003", "--limit", "23"}).plugin_value(plugin_kind::transport, "port"), "1003");
    EXPECT_EQ(read({"--tcp.port", "1003", "--limit=23"}).integer("limit"), 23);
}

TEST_F(options_test, configuration_by_name_replaces_the_one_of_the_home) {
    write_config("limit = 22\n");
    const auto other = write_config("limit = 33\n", "other.ini");
    EXPECT_EQ(read({"--config", other.native()}).integer("limit"), 33);
    set_variable("WHERRY_CONFIG", other.native());
    EXPECT_EQ(read({}).integer("limit"), 33);
}

TEST_F(options_test, plugin_chosen_by_any_layer) {
    set_variable("WHERRY_TRANSPORT", "radio");
    EXPECT_EQ(read({"--radio.channel=7"}).plugin_value(plugin_kind::transport, "channel"), "7");
    EXPECT_EQ(read({"--transport", "tcp"}).chosen(plugin_kind::transport).name(), "tcp");
}

TEST_F(options_test, address_chooses_over_options) {
    auto given = reader({"--radio.channel=7"});
    given.choose(plugin_kind::transport, "radio");
    EXPECT_EQ(given.read(fetch_.kinds, finder()).plugin_value(plugin_kind::transport, "channel"), "7");
}

TEST_F(options_test, booleans_with_and_without_a_value) {
    EXPECT_TRUE(read({"--fast"}).boolean("fast"));
    EXPECT_TRUE(read({"--fast=yes"}).boolean("fast"));
    EXPECT_FALSE(read({"--fast=false"}).boolean("fast"));
    EXPECT_EQ(read({"--tcp.nodelay", "thing"}).arguments().front().value, "thing");
    EXPECT_TRUE(reader({"-q"}).early_flag("quiet"));
}

TEST_F(options_test, arguments_and_repeated_options_keep_their_order) {
    const auto options = read({"a", "-n", "first", "-", "--note=second", "--", "--limit", "--fast"});
    std::vector<std::string> seen;
    for (const auto& [option, value] : options.arguments()) seen.push_back(option + ":" + value);
    EXPECT_THAT(seen, ElementsAre(":a", "note:first", ":-", "note:second", ":--limit", ":--fast"));
}

TEST_F(options_test, values_that_look_like_options_are_values) {
    EXPECT_EQ(read({"--note", "--fast"}).arguments().front().value, "--fast");
    EXPECT_EQ(read({"-n", ""}).arguments().front().value, "");
}

TEST_F(options_test, missing_values_are_told) {
    EXPECT_THAT(failure({"--note="}), HasSubstr("--note '' for an empty one"));
    const auto no_value = message_of([this] { option_reader(fetch_, all_, {"--limit"}); });
    EXPECT_THAT(no_value, HasSubstr("--limit needs a value"));
}

TEST_F(options_test, bad_values_name_option_and_origin) {
    EXPECT_THAT(failure({"--limit=101"}), HasSubstr("--limit on the command line: '101' is not a whole number"));
    EXPECT_THAT(failure({"--tcp.port=x"}), HasSubstr("--tcp.port on the command line: 'x'"));
    set_variable("WHERRY_TCP_PORT", "70000");
    EXPECT_THAT(failure({}), HasSubstr("WHERRY_TCP_PORT in the environment: '70000'"));
    ::unsetenv("WHERRY_TCP_PORT");
    const auto file = write_config("[tcp]\nport = many\n");
    EXPECT_THAT(failure({}), HasSubstr("tcp.port in " + file.native() + ": 'many'"));
}

TEST_F(options_test, bad_values_are_told_even_if_another_layer_wins) {
    set_variable("WHERRY_LIMIT", "lots");
    EXPECT_THAT(failure({"--limit=5"}), HasSubstr("WHERRY_LIMIT"));
}

TEST_F(options_test, unknown_options_come_with_the_nearest) {
    EXPECT_THAT(failure({"--limti=3"}), HasSubstr("did you mean --limit?"));
    EXPECT_THAT(failure({"--tcp.prot=3"}),
                HasSubstr("the transport tcp has no option 'prot'; did you mean --tcp.port?"));
    EXPECT_THAT(failure({"--whatever"}), HasSubstr("see: wherry fetch --help"));
    EXPECT_THAT(failure({"--port=3"}), HasSubstr("did you mean --tcp.port?"));
}

TEST_F(options_test, no_option_is_guessed_from_its_beginning) {
    EXPECT_THAT(failure({"--lim=3"}), HasSubstr("--lim: there is no such option"));
}

TEST_F(options_test, option_of_a_plugin_that_is_not_used) {
    EXPECT_THAT(
        failure({"--radio.channel", "3"}),
        HasSubstr("--radio.channel belongs to the transport radio, which is not used here; add --transport radio"));
    EXPECT_THAT(failure({"--paper.colour=grey"}), HasSubstr("wherry fetch uses no sink"));
    EXPECT_THAT(failure({"--radio.chanel=3"}), HasSubstr("did you mean 'channel'?"));
}

TEST_F(options_test, other_layers_may_configure_plugins_that_are_not_used) {
    write_config("[radio]\nchannel = 3\n[paper]\ncolour = grey\n");
    EXPECT_EQ(read({}).chosen(plugin_kind::transport).name(), "tcp");
    set_variable("WHERRY_PAPER_COLOUR", "grey");
    EXPECT_EQ(read({}).chosen(plugin_kind::transport).name(), "tcp");
}

TEST_F(options_test, but_rightly) {
    set_variable("WHERRY_PAPER_COLOUR", "pink");
    EXPECT_THAT(failure({}), HasSubstr("WHERRY_PAPER_COLOUR in the environment: 'pink' is not one of"));
    ::unsetenv("WHERRY_PAPER_COLOUR");
    write_config("[radio]\nchannel = 99\n");
    EXPECT_THAT(failure({}), HasSubstr("radio.channel in "));
    write_config("[radio]\nchanel = 9\n");
    EXPECT_THAT(failure({}), HasSubstr("did you mean 'channel'?"));
}

TEST_F(options_test, configuration_may_hold_what_other_commands_take) {
    write_config("deep = true\n");
    EXPECT_NO_THROW(read({}));
    EXPECT_THAT(failure({"--deep"}), HasSubstr("--deep is an option of wherry store, not of wherry fetch"));
}

TEST_F(options_test, mistakes_in_the_configuration) {
    write_config("limti = 3\n");
    EXPECT_THAT(failure({}), HasSubstr("did you mean 'limit'?"));
    write_config("[tpc]\nport = 3\n");
    EXPECT_THAT(failure({}), HasSubstr("no plugin 'tpc' is found"));
    write_config("note = 3\n");
    EXPECT_THAT(failure({}), HasSubstr("on the command line only"));
    write_config("limit = 3\nlimit = 4\n");
    EXPECT_THAT(failure({}), HasSubstr("more than once"));
    write_config("what is this\n");
    EXPECT_THAT(failure({}), HasSubstr("line 1 is not understood"));
    EXPECT_THAT(failure({"--config", (home_ / "none").native()}), HasSubstr("cannot be read"));
}

TEST_F(options_test, configuration_that_everybody_can_write_is_not_used) {
    const auto file = write_config("limit = 3\n");
    ASSERT_EQ(::chmod(file.c_str(), 0666), 0);
    EXPECT_THAT(failure({}), HasSubstr("can be written by other users"));
}

TEST_F(options_test, configuration_with_a_byte_order_mark) {
    write_config("\xef\xbb\xbflimit = 3\n");
    EXPECT_EQ(read({}).integer("limit"), 3);
    write_config({"\xff\xfel\0=\0", 6});
    EXPECT_THAT(failure({}), HasSubstr("line 1 holds a NUL"));
}

TEST_F(options_test, no_configuration_at_all) {
    write_config("limit = 3\n");
    EXPECT_EQ(read({"--config", "/dev/null"}).integer("limit"), 10);
}

TEST_F(options_test, configuration_from_a_pipe) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const unique_fd reading(ends[0]);
    std::thread writer([writing = unique_fd(ends[1])] {
        // More than a pipe holds, so that the reader has to wait for the end.
        const auto text = std::string(100'000, '\n') + "limit = 3\n";
        EXPECT_EQ(::write(writing.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    });
    EXPECT_EQ(read({"--config", fmt::format("/dev/fd/{}", reading.get())}).integer("limit"), 3);
    writer.join();
}

TEST_F(options_test, configuration_that_is_no_file) {
    EXPECT_THAT(failure({"--config", home_.native()}), HasSubstr("neither a regular file nor a pipe"));
    EXPECT_THAT(failure({"--config", "/dev/zero"}), HasSubstr("neither a regular file nor a pipe"));
    write_config(std::string(1024 * 1024 + 1, '\n'));
    EXPECT_THAT(failure({}), HasSubstr("larger than"));
    const auto pipe = home_ / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    ASSERT_EQ(::chmod(pipe.c_str(), 0622), 0);
    const unique_fd writing(::open(pipe.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_THAT(failure({"--config", pipe.native()}), HasSubstr("can be written by other users"));
}

TEST_F(options_test, configuration_of_another_user_is_not_used) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give a file away";
    const auto file = write_config("limit = 3\n");
    ASSERT_EQ(::chown(file.c_str(), 65534, 0), 0);
    EXPECT_THAT(failure({}), HasSubstr("belongs to another user"));
}

TEST_F(options_test, options_given_twice) {
    EXPECT_THAT(failure({"--limit=3", "--limit=4"}), HasSubstr("--limit is given twice"));
    EXPECT_THAT(failure({"--tcp.port=3", "--tcp.port=4"}), HasSubstr("more than once"));
    EXPECT_NO_THROW(read({"--fast", "--fast"}));
}

TEST_F(options_test, variables_that_are_nearly_options_raise_a_doubt) {
    set_variable("WHERRY_LIMTI", "3");
    EXPECT_THAT(read({}).doubts(), ElementsAre(HasSubstr("did you mean WHERRY_LIMIT?")));
}

TEST_F(options_test, commands_without_plugins_do_not_look_at_them) {
    write_config("[tpc]\nport = 3\n");
    const plugin_finder none = {
        [](auto, auto) -> std::shared_ptr<const plugin> { throw error(errc::internal, "load"); },
        []() -> std::vector<plugin_listing> { throw error(errc::internal, "list"); }};
    option_reader given(store_, all_, {"--home", home_.native()});
    EXPECT_NO_THROW(given.read({}, none));
}

TEST_F(options_test, help_has_a_heading_for_each_plugin) {
    const auto text = help_text(fetch_, list(), 80);
    EXPECT_THAT(
        text,
        HasSubstr("\nOptions of tcp (transport): made of paper\n  --tcp.port N\n      a number (default: 9417)\n"));
    EXPECT_THAT(text, HasSubstr("Options of radio"));
    EXPECT_THAT(text, Not(HasSubstr("paper.colour")));
    EXPECT_THAT(text, HasSubstr("  -n, --note TEXT\n"));
    EXPECT_THAT(text, HasSubstr("  --fast\n"));
}

TEST(edit_distance, counts_slips) {
    EXPECT_EQ(edit_distance("", "abc"), 3u);
    EXPECT_EQ(edit_distance("port", "port"), 0u);
    EXPECT_EQ(edit_distance("prot", "port"), 1u);
    EXPECT_EQ(edit_distance("conections", "connections"), 1u);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(nearest, says_nothing_rather_than_anything) {
    const std::vector<std::string> known = {"transport", "cipher", "sink"};
    EXPECT_EQ(nearest("trasnport", known), "transport");
    EXPECT_EQ(nearest("ink", known), "sink");
    EXPECT_EQ(nearest("trans", known), "transport");
    EXPECT_EQ(nearest("wheelbarrow", known), "");
    EXPECT_EQ(nearest("x", known), "");
}

}  // namespace
}  // namespace wherry::app

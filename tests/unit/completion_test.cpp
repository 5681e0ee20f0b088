// SPDX-License-Identifier: BSD-2-Clause
#include "completion.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <utility>

#include "manual.hpp"

namespace wherry::app {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
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
    const std::filesystem::path& path() const noexcept override { return path_; }
    std::span<const plugin_option> options() const noexcept override { return options_; }
    std::unique_ptr<transport> make_transport(const option_values&) const override { return nullptr; }
    std::unique_ptr<cipher> make_cipher(const option_values&) const override { return nullptr; }
    std::unique_ptr<sink> make_sink(const option_values&) const override { return nullptr; }

private:
    const plugin_kind kind_;
    const std::string name_, version_ = "1", summary_ = "made of paper\x1b[31m";
    const std::filesystem::path path_;
    const std::vector<plugin_option> options_;
};

plugin_listing paper(plugin_kind kind, std::string name, std::vector<plugin_option> options = {}) {
    return {kind, name, "", std::make_shared<paper_plugin>(kind, name, std::move(options)), ""};
}

plugin_option path_option(std::string name) {
    plugin_option row;
    row.name = std::move(name);
    row.type = option_type::path;
    row.help = "a folder";
    return row;
}

std::vector<plugin_listing> some_plugins() {
    return {paper(plugin_kind::transport, "tcp"),
            paper(plugin_kind::sink, "chest",
                  {path_option("place"), choice_option("lid", {"open", "shut"}, "open", "how it is left").row}),
            paper(plugin_kind::sink, "vase", {flag("glazed", "make it shine").row}),
            {plugin_kind::sink, "broken", "", nullptr, "it is broken"}};
}

const command_syntax take = {
    "take",
    "[FILE | -]... --to ADDRESS",
    "Takes things.",
    "In two\n\nparagraphs, and\n  wherry take --as-is\n.nothing special",
    {text_option("to", "ADDRESS", "where to"), letter('m', text_option("message", "TEXT", "what to say")),
     text_option("sink", "NAME", "where it goes", "chest"), text_option("files-sink", "NAME", "where files go"),
     choice_option("colour", {"red", "blue"}, "red", "of what colour"), flag("twice", "do it again"),
     text_option("list", "FILE", "what to take"), text_option("into", "DIR", "where to put it")},
    {plugin_kind::sink}};
const command_syntax tell = {"tell", "morning | evening NAME", "Tells the time.", "", {}, {}};
const command_syntax* const commands[] = {&take, &tell};

completion completed(std::vector<std::string> words, std::vector<std::string>* dirs = nullptr) {
    completion_facts facts;
    facts.plugins = [=](std::span<const std::string> given) {
        if (dirs != nullptr) dirs->assign(given.begin(), given.end());
        return some_plugins();
    };
    facts.receivers = [](const std::optional<std::string>& home) {
        return std::vector<std::string>{"tcp://" + home.value_or("usual") + ":1"};
    };
    return complete(commands, words, facts);
}

std::vector<std::string> words(std::vector<std::string> typed) {
    const auto found = completed(std::move(typed));
    EXPECT_EQ(found.what, completion::word_kind::words);
    std::vector<std::string> all;
    for (const auto& candidate : found.candidates) all.push_back(candidate.word);
    return all;
}

completion::word_kind place(std::vector<std::string> typed) { return completed(std::move(typed)).what; }

TEST(completion_of_a_word, is_a_command_where_none_stands_yet) {
    EXPECT_THAT(words({""}), ElementsAre("take", "tell", "help", "version"));
    EXPECT_THAT(words({"ta"}), ElementsAre("take"));
    EXPECT_THAT(words({"--quiet", "ta"}), ElementsAre("take"));
    EXPECT_THAT(words({"--home", "take", "te"}), ElementsAre("tell"));
    EXPECT_THAT(words({"help", "te"}), ElementsAre("tell"));
    EXPECT_THAT(words({"help", "tell", ""}), IsEmpty());
    EXPECT_THAT(words({"unknown", ""}), IsEmpty());
    EXPECT_THAT(words({}), IsEmpty());
}

TEST(completion_of_a_word, is_an_option_of_the_command_or_of_its_plugins) {
    EXPECT_THAT(words({"--qu"}), ElementsAre("--quiet"));
    EXPECT_THAT(words({"take", "--t"}), ElementsAre("--to", "--twice"));
    EXPECT_THAT(words({"take", "--"}), AllOf(Contains("--chest.lid"), Contains("--vase.glazed"), Contains("--json")));
    EXPECT_THAT(words({"tell", "--"}), AllOf(Contains("--json"), Not(Contains("--chest.lid")), Not(Contains("--to"))));
    EXPECT_EQ(place({"take", "--", "--t"}), completion::word_kind::files);
}

TEST(completion_of_a_word, is_an_option_of_the_plugins_that_are_chosen) {
    EXPECT_THAT(words({"take", "--sink", "vase", "--c"}), ElementsAre("--colour", "--config"));
    EXPECT_THAT(words({"take", "--sink=vase", "--v"}), ElementsAre("--vase.glazed"));
    EXPECT_THAT(words({"take", "--files-sink", "vase", "--chest.l"}), ElementsAre("--chest.lid"));
    EXPECT_THAT(words({"take", "--sink", "chest", "--files-sink", "vase", "--v"}), ElementsAre("--vase.glazed"));
}

TEST(completion_of_a_word, is_the_value_of_the_option_before_it) {
    EXPECT_THAT(words({"take", "--colour", ""}), ElementsAre("red", "blue"));
    EXPECT_THAT(words({"take", "--colour=b"}), ElementsAre("--colour=blue"));
    EXPECT_THAT(words({"take", "--twice=t"}), ElementsAre("--twice=true"));
    EXPECT_THAT(words({"take", "--chest.lid", "s"}), ElementsAre("shut"));
    EXPECT_THAT(words({"take", "--chest.lid=s"}), ElementsAre("--chest.lid=shut"));
    EXPECT_THAT(words({"take", "--sink", ""}), ElementsAre("chest", "vase", "broken"));
    EXPECT_THAT(words({"take", "--files-sink", "v"}), ElementsAre("vase"));
    EXPECT_THAT(words({"take", "--to", ""}), ElementsAre("tcp://usual:1", "tcp://"));
    EXPECT_THAT(words({"--home", "mine", "take", "--to", "tcp://m"}), ElementsAre("tcp://mine:1"));
    EXPECT_THAT(words({"take", "-m", ""}), IsEmpty());
    EXPECT_THAT(words({"take", "--message", "--"}), IsEmpty());
    EXPECT_THAT(words({"take", "--unknown=x"}), IsEmpty());
}

TEST(completion_of_a_word, is_left_to_the_shell_where_a_file_or_a_folder_stands) {
    EXPECT_EQ(place({"take", ""}), completion::word_kind::files);
    EXPECT_EQ(place({"take", "--twice", "sk"}), completion::word_kind::files);
    EXPECT_EQ(place({"take", "--list", ""}), completion::word_kind::files);
    EXPECT_EQ(place({"take", "--into="}), completion::word_kind::folders);
    EXPECT_EQ(place({"take", "--chest.place", ""}), completion::word_kind::files);
    EXPECT_EQ(place({"--home", ""}), completion::word_kind::folders);
    EXPECT_THAT(words({"tell", "m"}), ElementsAre("morning"));
    EXPECT_THAT(words({"tell", "morning", ""}), IsEmpty());
}

TEST(completion_of_a_word, looks_for_plugins_where_the_line_says) {
    std::vector<std::string> dirs;
    completed({"--plugin-dir", "/a", "take", "--plugin-dir=/b", "--sink", ""}, &dirs);
    EXPECT_THAT(dirs, ElementsAre("/a", "/b"));
}

TEST(completion_of_a_word, has_help_that_is_one_line_fit_for_a_terminal) {
    EXPECT_EQ(to_lines(completed({"take", "--sink", "v"})), "words\nvase\tmade of paper\\x1B[31m");
    EXPECT_EQ(to_lines(completed({"take", ""})), "files");
}

TEST(manual_page, has_every_option_of_its_command) {
    const auto plugins = some_plugins();
    const auto pages = manual_pages(commands, plugins, "wherry 1.2.3", "2026-01-02");
    std::vector<std::string> names;
    for (const auto& [name, text] : pages) {
        names.push_back(name);
        EXPECT_TRUE(text.starts_with(".TH WHERRY")) << text;
        EXPECT_THAT(text, HasSubstr("2026-01-02 \"wherry 1.2.3\""));
    }
    EXPECT_THAT(names, ElementsAre("wherry-plugins.7", "wherry-take.1", "wherry-tell.1", "wherry.1"));
    for (const auto& option : take.options)
        EXPECT_THAT(pages.at("wherry-take.1"),
                    HasSubstr(option.row.name == "files-sink" ? "\\-\\-files\\-sink" : "\\-\\-" + option.row.name));
    EXPECT_THAT(pages.at("wherry-plugins.7"),
                HasSubstr("\\-\\-chest.lid\\fR \\fIWORD\\fR\nhow it is left (open|\\:shut;"));
}

TEST(manual_page, keeps_details_from_being_taken_for_macros) {
    const auto pages = manual_pages(commands, {}, "wherry 1", "2026-01-02");
    EXPECT_THAT(
        pages.at("wherry-take.1"),
        HasSubstr(
            "In two\n.PP\nparagraphs, and\n.PP\n.nf\n  wherry take \\-\\-as\\-is\n.fi\n.PP\n\\&.nothing special"));
}

}  // namespace
}  // namespace wherry::app

// SPDX-License-Identifier: BSD-2-Clause
#include "exec_sink.hpp"
#include "wherry/sdk.hpp"

namespace {

namespace defaults = wherry::exec::defaults;
using wherry::exec::input_style;

constexpr const char* word_of(input_style style) { return style == input_style::file ? "file" : "stdin"; }

wherry::exec::options read(const wherry::settings& given) {
    wherry::exec::options chosen;
    chosen.command = given.text("command");
    chosen.use_shell = given.boolean("shell");
    for (const auto style : {input_style::standard_input, input_style::file})
        if (given.text("input") == word_of(style)) chosen.input = style;
    chosen.parallel = static_cast<std::size_t>(given.integer("parallel"));
    chosen.timeout = given.duration("timeout");
    chosen.max_response = given.bytes("max-response");
    chosen.max_size = given.bytes("max-size");
    if (given.has("directory")) chosen.directory = given.text("directory");
    if (given.has("environment")) chosen.environment = given.text("environment");
    if (given.has("spool")) chosen.spool = given.text("spool");
    return chosen;
}

class exec_plugin final : public wherry::sink {
public:
    exec_plugin(const wherry::settings& given, const wherry::host_services& host)
        : inner_(read(given), [host](wherry::exec::log_level level, const std::string& text) {
              using host_level = wherry::host_services::level;
              host.log(level == wherry::exec::log_level::info ? host_level::info : host_level::warning, text);
          }) {}

    std::unique_ptr<wherry::delivery> begin(const wherry::offer& what, const wherry::offering_peer& peer) override {
        return inner_.begin(what, peer);
    }

    void interrupt() noexcept override { inner_.interrupt(); }

private:
    wherry::exec::sink inner_;
};

constexpr wherry_option options[] = {
    wherry::string_option("command", nullptr, "what to run for each delivery: a program and its words",
                          WHERRY_OPTION_REQUIRED),
    wherry::boolean_option("shell", wherry::yes_or_no(defaults::use_shell),
                           "run it by /bin/sh -c, instead of taking its words as they are"),
    wherry::choice_option("input", "stdin|file", word_of(defaults::input),
                          "how it gets the data: on standard input, or as a file, whose path is in WHERRY_FILE and in "
                          "place of {} in the words"),
    wherry::duration_option("timeout", wherry::in_minutes<defaults::timeout.count()>,
                            "end a command that takes longer; 0 never does", 0),
    wherry::integer_option("parallel", wherry::as_number<defaults::parallel>,
                           "commands that run at once, others wait; 0 for one each processor", 0, 10'000),
    wherry::size_option("max-response", wherry::in_kib<defaults::max_response>,
                        "most of its standard output that the sender gets; the rest is cut", 0, 1 << 20),
    wherry::size_option("max-size", wherry::in_gib<defaults::max_size>, "largest delivery to take; 0 for any"),
    wherry::path_option("directory", nullptr, "folder to run commands in; else that of the receiver"),
    wherry::string_option("environment", nullptr,
                          "variables that commands get besides HOME, LANG, PATH and other usual ones: NAME, PREFIX* or "
                          "NAME=VALUE, with blanks between; * for all of the receiver's"),
    wherry::path_option("spool", nullptr,
                        "folder in which deliveries wait for their command; else $TMPDIR, else /var/tmp"),
};

}  // namespace

WHERRY_PLUGIN(exec_plugin, "exec", "0.1.0", "runs a command for each delivery, and answers with what it says", options)

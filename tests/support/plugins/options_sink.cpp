// SPDX-License-Identifier: BSD-2-Clause
// An option of every type, in the response as the plugin got them.
#include <string>

#include "wherry/sdk.hpp"

namespace {

class answering_delivery final : public wherry::delivery {
public:
    explicit answering_delivery(std::string answer) : answer_(std::move(answer)) {}
    void write(wherry::const_bytes) override {}
    void finish(wherry::response& answer) override { answer.append(answer_); }
    void abort(partial) noexcept override {}

private:
    const std::string answer_;
};

class options_sink final : public wherry::sink {
public:
    options_sink(const wherry::settings& options, const wherry::host_services& host) {
        for (const auto* name : {"token", "pin", "number", "flag", "wait", "size", "path", "choice", "free"})
            if (options.has(name)) answer_ += std::string(name) + "=" + options.text(name) + "\n";
        if (options.has("ask")) {
            char room[64];
            const auto answer = host.ask_secret("the word for " + options.text("ask"), room);
            answer_ += "asked=" + std::string(answer.data(), answer.size()) + "\n";
        }
        if (options.has("show")) host.show(options.text("show"));
        answer_ += "home=" + host.home() + "\n";
    }

    std::unique_ptr<wherry::delivery> begin(const wherry::offer&, const wherry::offering_peer&) override {
        return std::make_unique<answering_delivery>(answer_);
    }

private:
    std::string answer_;
};

constexpr wherry_option options[] = {
    wherry::string_option("token", nullptr, "who you are", WHERRY_OPTION_REQUIRED),
    {"pin", WHERRY_OPTION_INTEGER, WHERRY_OPTION_SECRET, nullptr, "four digits", nullptr, 1000, 9999},
    wherry::integer_option("number", "5", "a number", -10, 10),
    wherry::boolean_option("flag", "no", "yes or no"),
    wherry::duration_option("wait", "2s", "how long", 0, 60'000),
    wherry::size_option("size", "1MiB", "how much"),
    wherry::path_option("path", "some/where", "where"),
    wherry::choice_option("choice", "red|green", "green", "which"),
    wherry::string_option("free", nullptr, "anything"),
    wherry::string_option("ask", nullptr, "ask for a secret with this name"),
    wherry::string_option("show", nullptr, "show this"),
};

}  // namespace

WHERRY_PLUGIN(options_sink, "options", "2", "answers with its options", options)

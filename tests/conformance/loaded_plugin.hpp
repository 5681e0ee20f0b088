#pragma once

#include <memory>
#include <string_view>

#include "error_of.hpp"
#include "wherry/plugin_host.hpp"

// The conformance suites run on plugins as programs have them: loaded from their file, through the host's adapters.
// A suite is a header with one subject type; a plugin's test makes a subject and instantiates the suite with it:
//
//     INSTANTIATE_TEST_SUITE_P(tcp, transport_conformance, testing::Values(transport_subject{...}));
//
// GoogleTest asks for the values when it starts, so a program that gets the plugin by its arguments can use
// testing::ValuesIn() with what it read from them.
namespace wherry::conformance {

inline std::shared_ptr<const plugin> load_plugin(plugin_kind kind, std::string_view name) {
    host_environment environment;
    environment.home = "/nonexistent";
    environment.log = [](host_environment::level, const std::string&) {};
    environment.ask_secret = [](const std::string&, std::span<char>) -> std::size_t {
        throw error(errc::unsupported, "there is no terminal");
    };
    environment.show = [](const std::string&) {};
    return plugin_host({WHERRY_TEST_PLUGIN_DIRECTORY, WHERRY_TEST_FIXTURE_DIRECTORY "/" + std::string(name)},
                       std::move(environment))
        .load(kind, name);
}

// What goes to a person must say something and do nothing to a terminal.
inline void expect_presentable(const error& failure) {
    const std::string_view text = failure.what();
    EXPECT_FALSE(text.empty());
    EXPECT_FALSE(text.ends_with('.')) << text;
    for (const unsigned char c : text) EXPECT_TRUE(c >= 0x20 && c != 0x7F) << "a control character in: " << text;
}

}  // namespace wherry::conformance

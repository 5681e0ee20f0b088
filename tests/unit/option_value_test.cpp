// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "error_of.hpp"
#include "wherry/plugin_host.hpp"
#include "wherry/sdk.hpp"

namespace wherry {
namespace {

plugin_option of_type(option_type type) {
    plugin_option option;
    option.name = "it";
    option.type = type;
    return option;
}

plugin_option limited(option_type type, std::int64_t minimum, std::int64_t maximum) {
    auto option = of_type(type);
    option.minimum = minimum;
    option.maximum = maximum;
    return option;
}

// The sentence that a value is refused with; it must be the user's fault.
std::string refusal(const plugin_option& option, std::string_view given) {
    const auto thrown = test::error_of([&] { canonical_value(option, given); });
    EXPECT_EQ(thrown.code(), errc::bad_input) << given;
    return thrown.what();
}

TEST(option_value, string_passes_as_given) {
    const auto option = of_type(option_type::string);
    for (const std::string given : {"", " padded ", "a=b:c", "Größe", "--x"})
        EXPECT_EQ(canonical_value(option, given), given);
}

TEST(option_value, path_passes_as_given_but_is_never_empty) {
    const auto option = of_type(option_type::path);
    EXPECT_EQ(canonical_value(option, "../some where/"), "../some where/");
    EXPECT_EQ(refusal(option, ""), "'' is not a path");
}

TEST(option_value, integer_is_whole_and_decimal) {
    const auto option = of_type(option_type::integer);
    const std::pair<const char*, const char*> good[] = {
        {"0", "0"},
        {"-0", "0"},
        {"007", "7"},
        {"-12", "-12"},
        {"42", "42"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
    };
    for (const auto& [given, canonical] : good) EXPECT_EQ(canonical_value(option, given), canonical) << given;
    for (const auto* bad : {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "1k", "one", "9223372036854775808",
                            "-9223372036854775809", "99999999999999999999999999"})
        EXPECT_EQ(refusal(option, bad), "'" + std::string(bad) + "' is not a whole number");
}

TEST(option_value, integer_keeps_to_its_limits) {
    const auto port = limited(option_type::integer, 1, 65535);
    EXPECT_EQ(canonical_value(port, "1"), "1");
    EXPECT_EQ(canonical_value(port, "65535"), "65535");
    for (const auto* bad : {"0", "65536", "-1", "x"})
        EXPECT_EQ(refusal(port, bad), "'" + std::string(bad) + "' is not a whole number from 1 to 65535");
}

TEST(option_value, a_limit_of_zero_counts_when_the_other_is_not_zero) {
    EXPECT_EQ(refusal(limited(option_type::integer, 0, 9), "-1"), "'-1' is not a whole number from 0 to 9");
    EXPECT_EQ(refusal(limited(option_type::integer, -9, 0), "1"), "'1' is not a whole number from -9 to 0");
    EXPECT_EQ(canonical_value(limited(option_type::integer, -9, 0), "-9"), "-9");
}

TEST(option_value, limits_at_the_ends_of_the_type_work) {
    const auto any = limited(option_type::integer, std::numeric_limits<std::int64_t>::min(),
                             std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(canonical_value(any, "-9223372036854775808"), "-9223372036854775808");
    EXPECT_EQ(canonical_value(any, "9223372036854775807"), "9223372036854775807");
}

TEST(option_value, boolean_has_four_words_for_each) {
    const auto option = of_type(option_type::boolean);
    for (const auto* yes : {"true", "yes", "on", "1"}) EXPECT_EQ(canonical_value(option, yes), "true");
    for (const auto* no : {"false", "no", "off", "0"}) EXPECT_EQ(canonical_value(option, no), "false");
    for (const auto* bad : {"", "True", "TRUE", "y", "2", "true ", "00"})
        EXPECT_EQ(refusal(option, bad), "'" + std::string(bad) + "' is not a yes or no; give true or false");
}

TEST(option_value, duration_becomes_milliseconds) {
    const auto option = of_type(option_type::duration);
    const std::pair<const char*, const char*> good[] = {
        {"0", "0"},       {"0ms", "0"},     {"1ms", "1"},      {"500ms", "500"},
        {"30s", "30000"}, {"2m", "120000"}, {"1h", "3600000"}, {"7d", "604800000"},
    };
    for (const auto& [given, canonical] : good) EXPECT_EQ(canonical_value(option, given), canonical) << given;
    for (const auto* bad : {"", "30", "1", "00", "ms", "s", "-1s", "1 s", "1.5s", "1S", "1min", "1h30m", "+1s", "1us"})
        EXPECT_EQ(refusal(option, bad), "'" + std::string(bad) + "' is not a duration such as 500ms, 30s, 2m or 1h");
}

TEST(option_value, duration_does_not_overflow) {
    const auto option = of_type(option_type::duration);
    // 2^63 - 1 ms is 106751991167 days and some.
    EXPECT_EQ(canonical_value(option, "106751991167d"), "9223372036828800000");
    refusal(option, "106751991168d");
    refusal(option, "9223372036854775807s");
    EXPECT_EQ(canonical_value(option, "9223372036854775807ms"), "9223372036854775807");
}

TEST(option_value, duration_limits_are_told_in_milliseconds) {
    const auto option = limited(option_type::duration, 100, 60'000);
    EXPECT_EQ(canonical_value(option, "100ms"), "100");
    EXPECT_EQ(canonical_value(option, "1m"), "60000");
    for (const auto* bad : {"99ms", "61s", "0", "2m"})
        EXPECT_EQ(refusal(option, bad),
                  "'" + std::string(bad) + "' is not a duration such as 500ms, 30s, 2m or 1h from 100 to 60000 ms");
}

TEST(option_value, size_becomes_bytes) {
    const auto option = of_type(option_type::size);
    const std::pair<const char*, const char*> good[] = {
        {"0", "0"},
        {"4096", "4096"},
        {"12B", "12"},
        {"1kB", "1000"},
        {"1KB", "1000"},
        {"2MB", "2000000"},
        {"3GB", "3000000000"},
        {"4TB", "4000000000000"},
        {"1K", "1024"},
        {"1M", "1048576"},
        {"1G", "1073741824"},
        {"64KiB", "65536"},
        {"1MiB", "1048576"},
        {"5GiB", "5368709120"},
        {"1TiB", "1099511627776"},
    };
    for (const auto& [given, canonical] : good) EXPECT_EQ(canonical_value(option, given), canonical) << given;
    for (const auto* bad : {"", "-1", "K", "1 K", "1k", "1mb", "1.5G", "1Kib", "1KiBs", "0x10", "many"})
        EXPECT_EQ(refusal(option, bad), "'" + std::string(bad) + "' is not a size such as 4096, 64KiB or 1MB");
}

TEST(option_value, size_does_not_overflow) {
    const auto option = of_type(option_type::size);
    EXPECT_EQ(canonical_value(option, "8388607TiB"), "9223370937343148032");
    refusal(option, "8388608TiB");   // 2^63
    refusal(option, "16777217TiB");  // more than 2^64: what wraps would look small
    refusal(option, "9223372036854775808");
}

TEST(option_value, size_limits_are_told_in_bytes) {
    const auto option = limited(option_type::size, 1024, 1 << 20);
    EXPECT_EQ(canonical_value(option, "1K"), "1024");
    EXPECT_EQ(canonical_value(option, "1MiB"), "1048576");
    EXPECT_EQ(refusal(option, "1023"), "'1023' is not a size such as 4096, 64KiB or 1MB from 1024 to 1048576 bytes");
    refusal(option, "1048577");
}

TEST(option_value, choice_is_one_of_the_list_letter_by_letter) {
    auto option = of_type(option_type::choice);
    option.choices = {"rename", "refuse", "overwrite"};
    for (const auto& choice : option.choices) EXPECT_EQ(canonical_value(option, choice), choice);
    for (const auto* bad : {"", "Rename", "ren", "rename|refuse", "rename "})
        EXPECT_EQ(refusal(option, bad), "'" + std::string(bad) + "' is not one of rename, refuse, overwrite");
}

TEST(option_value, choice_of_one_is_listed_without_a_comma) {
    auto option = of_type(option_type::choice);
    option.choices = {"only"};
    EXPECT_EQ(refusal(option, "other"), "'other' is not one of only");
}

TEST(option_value, an_unknown_type_is_our_own_mistake) {
    const auto option = of_type(static_cast<option_type>(99));
    EXPECT_EQ(test::error_of([&] { canonical_value(option, "x"); }).code(), errc::internal);
    EXPECT_EQ(to_string(option.type), "unknown");
}

// What configure() gets must itself be a value that the check lets through.
TEST(option_value, numbers_in_canonical_form_are_accepted_again) {
    EXPECT_EQ(canonical_value(of_type(option_type::integer), canonical_value(of_type(option_type::integer), "-07")),
              "-7");
    EXPECT_EQ(canonical_value(of_type(option_type::size), canonical_value(of_type(option_type::size), "64KiB")),
              "65536");
    EXPECT_EQ(canonical_value(of_type(option_type::boolean), canonical_value(of_type(option_type::boolean), "on")),
              "true");
}

// The default that a plugin writes by a constant is read back as that constant.
TEST(option_default, is_written_as_the_host_reads_it) {
    struct row {
        const char* text;
        const char* written;
        option_type type;
        const char* read;
    };
    const row all[] = {
        {as_number<0>, "0", option_type::integer, "0"},
        {as_number<9417>, "9417", option_type::integer, "9417"},
        {as_number<0>, "0", option_type::duration, "0"},
        {in_seconds<60'000>, "60s", option_type::duration, "60000"},
        {in_minutes<300'000>, "5m", option_type::duration, "300000"},
        {in_hours<604'800'000>, "168h", option_type::duration, "604800000"},
        {in_kib<262'144>, "256KiB", option_type::size, "262144"},
        {in_mib<10'485'760>, "10MiB", option_type::size, "10485760"},
        {in_gib<(std::int64_t{1} << 30)>, "1GiB", option_type::size, "1073741824"},
        {yes_or_no(true), "true", option_type::boolean, "true"},
        {yes_or_no(false), "false", option_type::boolean, "false"},
    };
    for (const auto& [text, written, type, read] : all) {
        EXPECT_STREQ(text, written);
        EXPECT_EQ(canonical_value(of_type(type), text), read);
    }
}

TEST(option_type_name, is_the_word_in_the_help) {
    const std::pair<option_type, const char*> all[] = {
        {option_type::string, "string"},     {option_type::integer, "integer"}, {option_type::boolean, "boolean"},
        {option_type::duration, "duration"}, {option_type::size, "size"},       {option_type::path, "path"},
        {option_type::choice, "choice"},
    };
    for (const auto& [type, word] : all) EXPECT_EQ(to_string(type), word);
}

}  // namespace
}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#include "log.hpp"

#include <spdlog/sinks/base_sink.h>

#include "wherry/text.hpp"

namespace wherry::app {

namespace {

class console_sink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    explicit console_sink(console& out) noexcept : out_(out) {}

protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t text;
        formatter_->format(message, text);
        std::string_view line(text.data(), text.size());
        while (line.ends_with('\n')) line.remove_suffix(1);
        out_.note(line);
    }
    void flush_() override {}

private:
    console& out_;
};

}  // namespace

std::shared_ptr<spdlog::logger> make_log(console& out, log_style style, const std::string& level) {
    auto log = std::make_shared<spdlog::logger>("wherry", std::make_shared<console_sink>(out));
    log->set_pattern(style == log_style::stamped ? "%Y-%m-%d %H:%M:%S %l: %v" : "%n: %l: %v");
    log->set_level(spdlog::level::from_str(level));
    return log;
}

spdlog::level::level_enum log_level_of(host_environment::level level) noexcept {
    constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                    spdlog::level::err};
    const auto index = static_cast<std::size_t>(level);
    return index < std::size(levels) ? levels[index] : spdlog::level::err;
}

std::function<void(host_environment::level, const std::string&)> log_for_plugins(std::shared_ptr<spdlog::logger> log) {
    return [log = std::move(log)](host_environment::level how, const std::string& text) {
        log->log(log_level_of(how), printable(text));
    };
}

}  // namespace wherry::app

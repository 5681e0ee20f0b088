// SPDX-License-Identifier: BSD-2-Clause
// Throws where it is told to (--throwing.where) what it is told to (--throwing.what).
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "wherry/sdk.hpp"

namespace {

void throw_it(const std::string& what) {
    if (what == "error") throw wherry::error(wherry::errc::exhausted, "the shelf is full", ENOSPC);
    if (what == "bad_alloc") throw std::bad_alloc();
    if (what == "system_error") throw std::system_error(EDQUOT, std::generic_category(), "writing");
    if (what == "exception") throw std::out_of_range("index 7");
    if (what == "number") throw 42;
    if (what == "long-text") throw wherry::error(wherry::errc::refused, std::string(5000, 'x'));
    if (what == "no-text") throw wherry::error(wherry::errc::refused, "");
}

struct plan {
    explicit plan(const wherry::settings& options) : where(options.text("where")), what(options.text("what")) {}
    void reached(const char* here) const {
        if (where == here) throw_it(what);
    }
    std::string where, what;
};

class throwing_delivery final : public wherry::delivery {
public:
    throwing_delivery(const plan& what_to_do, const wherry::host_services& host) : plan_(what_to_do), host_(host) {}
    ~throwing_delivery() override { host_.log(wherry::host_services::level::info, "delivery destroyed"); }

    std::size_t read_back(std::uint64_t, wherry::mutable_bytes) override {
        plan_.reached("read_back");
        return 0;
    }
    void write(wherry::const_bytes) override { plan_.reached("write"); }
    void finish(wherry::response& answer) override {
        plan_.reached("finish");
        if (plan_.where == "respond") answer.append(std::string(2 << 20, 'r'));
        answer.append("done");
    }
    void abort(partial) noexcept override { host_.log(wherry::host_services::level::info, "delivery aborted"); }

private:
    const plan plan_;
    const wherry::host_services host_;
};

class throwing_sink final : public wherry::sink {
public:
    throwing_sink(const wherry::settings& options, const wherry::host_services& host) : plan_(options), host_(host) {
        plan_.reached("constructor");
    }
    ~throwing_sink() override { host_.log(wherry::host_services::level::info, "sink destroyed"); }

    std::unique_ptr<wherry::delivery> begin(const wherry::offer&, const wherry::offering_peer&) override {
        plan_.reached("begin");
        if (plan_.where == "null") return nullptr;
        return std::make_unique<throwing_delivery>(plan_, host_);
    }

private:
    const plan plan_;
    const wherry::host_services host_;
};

constexpr wherry_option options[] = {
    wherry::string_option("where", "nowhere", "the function that throws"),
    wherry::choice_option("what", "error|bad_alloc|system_error|exception|number|long-text|no-text", "error",
                          "what it throws"),
};

}  // namespace

WHERRY_PLUGIN(throwing_sink, "throwing", "1", "throws", options)

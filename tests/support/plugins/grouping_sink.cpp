// SPDX-License-Identifier: BSD-2-Clause
// Finishes deliveries together, but for those whose names begin with "alone", and for those that are of its other
// group. Its names say what it does with one: "bad..." fails, "full..." answers too much.
#include <string>
#include <vector>

#include "wherry/sdk.hpp"

namespace {

class grouping_sink;

class grouped_delivery final : public wherry::delivery {
public:
    grouped_delivery(grouping_sink& of, std::string name, const wherry::host_services& host)
        : of_(of), name_(std::move(name)), host_(host) {}
    ~grouped_delivery() override { log("destroyed"); }

    void write(wherry::const_bytes) override {}
    void finish(wherry::response& answer) override {
        log("finished alone");
        end(answer);
    }
    wherry::group_commit* commits_with() noexcept override;
    void abort(partial) noexcept override { log("aborted"); }

    const std::string& name() const noexcept { return name_; }
    void end(wherry::response& answer) {
        if (name_.starts_with("full")) answer.append(std::string(2 << 20, 'r'));
        answer.append("done " + name_);
        answer.set_outcome("kept");
        if (name_.starts_with("bad")) throw wherry::error(wherry::errc::exhausted, "no room for " + name_, ENOSPC);
    }

private:
    void log(const std::string& what) { host_.log(wherry::host_services::level::info, name_ + " " + what); }

    grouping_sink& of_;
    const std::string name_;
    const wherry::host_services host_;
};

class grouping_sink final : public wherry::sink, public wherry::group_commit {
public:
    grouping_sink(const wherry::settings&, const wherry::host_services& host) : host_(host) {}

    std::unique_ptr<wherry::delivery> begin(const wherry::offer& what, const wherry::offering_peer&) override {
        return std::make_unique<grouped_delivery>(*this, what.name, host_);
    }
    void finish_group(std::span<wherry::ending> all) noexcept override {
        std::string names = "group of";
        for (auto& one : all) {
            auto& item = static_cast<grouped_delivery&>(*one.of);
            names += " " + item.name();
            try {
                item.end(*one.answer);
            } catch (const wherry::error& e) {
                one.failure = e;
            }
        }
        host_.log(wherry::host_services::level::info, names);
    }

    // Not what the SDK was told to finish with.
    struct : wherry::group_commit {
        void finish_group(std::span<wherry::ending>) noexcept override {}
    } other;

private:
    const wherry::host_services host_;
};

wherry::group_commit* grouped_delivery::commits_with() noexcept {
    if (name_.starts_with("alone")) return nullptr;
    if (name_.starts_with("other")) return &of_.other;
    return &of_;
}

}  // namespace

WHERRY_PLUGIN(grouping_sink, "grouping", "1", "finishes deliveries together", wherry::no_options)

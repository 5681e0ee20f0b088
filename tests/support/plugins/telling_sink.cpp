// SPDX-License-Identifier: BSD-2-Clause
// Tells of every call by a line of the log, so that a test sees which of them a wrapper passes on. Has 3 bytes of
// everything already; finishes in groups, and at once.
#include <string>

#include "wherry/sdk.hpp"

namespace {

class telling_sink;

class told_delivery final : public wherry::delivery {
public:
    told_delivery(telling_sink& of, const wherry::host_services& host) : of_(of), host_(host) {}

    std::uint64_t offset() const noexcept override { return 3; }
    bool already(wherry::response& answer) override {
        tell("already");
        end(answer);
        return true;
    }
    std::size_t read_back(std::uint64_t position, wherry::mutable_bytes into) override {
        tell("read_back " + std::to_string(position));
        into[0] = std::byte{'k'};
        return 1;
    }
    void write(wherry::const_bytes bytes) override { tell("write " + std::string(wherry::as_text(bytes))); }
    void finish(wherry::response& answer) override {
        tell("finish");
        end(answer);
    }
    bool finishes_at_once() const noexcept override {
        tell("finishes_at_once");
        return true;
    }
    wherry::group_commit* commits_with() noexcept override;
    void abort(partial what_came) noexcept override { tell(what_came == partial::keep ? "keep" : "drop"); }

    void end(wherry::response& answer) {
        answer.append("thanks");
        answer.set_outcome("told");
    }

private:
    void tell(const std::string& call) const { host_.log(wherry::host_services::level::info, call); }

    telling_sink& of_;
    const wherry::host_services host_;
};

class telling_sink final : public wherry::sink, public wherry::group_commit {
public:
    telling_sink(const wherry::settings&, const wherry::host_services& host) : host_(host) {}

    std::unique_ptr<wherry::delivery> begin(const wherry::offer& what, const wherry::offering_peer& from) override {
        const std::string id = what.id ? " with an id" : "";
        host_.log(wherry::host_services::level::info,
                  "begin " + what.name + id + " from " + std::string(from.address) + " " + from.who.fingerprint);
        return std::make_unique<told_delivery>(*this, host_);
    }
    void finish_group(std::span<wherry::ending> all) noexcept override {
        host_.log(wherry::host_services::level::info, "finish_group " + std::to_string(all.size()));
        for (auto& one : all) static_cast<told_delivery&>(*one.of).end(*one.answer);
    }
    void interrupt() noexcept override { host_.log(wherry::host_services::level::info, "interrupt"); }

private:
    const wherry::host_services host_;
};

wherry::group_commit* told_delivery::commits_with() noexcept { return &of_; }

}  // namespace

WHERRY_PLUGIN(telling_sink, "telling", "0.1.0", "tells of every call", wherry::no_options)

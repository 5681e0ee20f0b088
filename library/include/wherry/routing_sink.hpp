// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>

#include "wherry/sink.hpp"

namespace wherry {

// Hands each delivery to the sink for its kind: messages to one, files to another.
//
//     routing_sink into(filesystem);
//     into.route(item_kind::message, console);
//
// Thread-safety: as a sink, once all routes are set.
class routing_sink final : public sink {
public:
    // What has no route of its own goes here. Every sink outlives this.
    explicit routing_sink(sink& others) noexcept { by_kind_.fill(&others); }

    void route(item_kind kind, sink& to) noexcept { by_kind_[place_of(kind)] = &to; }

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& from) override {
        return by_kind_[place_of(what.kind)]->begin(what, from);
    }

    void interrupt() noexcept override {
        for (auto* const to : by_kind_) to->interrupt();
    }

private:
    // A kind that is not known goes where one without a route goes.
    static std::size_t place_of(item_kind kind) noexcept {
        const auto number = static_cast<std::size_t>(kind);
        return number <= WHERRY_FOLDER ? number : 0;
    }

    std::array<sink*, WHERRY_FOLDER + 1> by_kind_{};
};

}  // namespace wherry

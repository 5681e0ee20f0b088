// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <cstring>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "adapter_calls.hpp"
#include "plugin_adapters.hpp"

namespace wherry {

namespace {

// Holds the instance's lock where the plugin asked for one call at a time, and nothing elsewhere.
class turn {
public:
    explicit turn(const plugin_instance& instance) {
        if (instance.serial) lock_.emplace(*instance.serial);
    }

private:
    std::optional<mutex_lock> lock_;
};

// A sink's answer as the C table that a plugin writes to. Valid while `answer` is.
wherry_response as_c(response& answer) noexcept {
    return {
        .struct_size = sizeof(wherry_response),
        .context = &answer,
        .append =
            [](void* context, const void* data, std::size_t length, wherry_error* e) {
                return abi::guard(e, [&] {
                    static_cast<response*>(context)->append({static_cast<const std::byte*>(data), length});
                });
            },
        .set_outcome =
            [](void* context, const char* word, wherry_error* e) {
                return abi::guard(e, [&] { static_cast<response*>(context)->set_outcome(word); });
            },
    };
}

class adapted_delivery final : public delivery {
public:
    // `group` may be null.
    adapted_delivery(std::shared_ptr<plugin_instance> instance, void* handle, std::uint64_t offset, group_commit* group)
        : instance_(std::move(instance)), handle_(handle), offset_(offset), group_(group) {}
    ~adapted_delivery() override { abort(partial::drop); }

    std::uint64_t offset() const noexcept override { return offset_; }

    std::size_t read_back(std::uint64_t position, mutable_bytes buffer) override {
        if (!table_.read_back)
            throw error(errc::internal, fmt::format("{}: offers to resume but cannot read back", instance_->name));
        const turn mine(*instance_);
        std::size_t length = 0;
        checked(*instance_, plugin_function::read_back, [&](wherry_error* e) {
            return table_.read_back(handle_, position, buffer.data(), buffer.size(), &length, e);
        });
        if (length > buffer.size())
            throw error(errc::internal, fmt::format("{}: read more than it was given room for", instance_->name));
        return length;
    }

    void write(const_bytes bytes) override {
        const turn mine(*instance_);
        checked(*instance_, plugin_function::write,
                [&](wherry_error* e) { return table_.write(handle_, bytes.data(), bytes.size(), e); });
    }

    void finish(response& answer) override {
        const auto c_answer = as_c(answer);
        const turn mine(*instance_);
        has_ended_ = true;
        checked(*instance_, plugin_function::finish,
                [&](wherry_error* e) { return table_.finish(handle_, &c_answer, e); });
    }

    bool finishes_at_once() const noexcept override {
        if (!table_.finishes_at_once) return false;
        const turn mine(*instance_);
        return noted(*instance_, plugin_function::finishes_at_once,
                     [&] { return table_.finishes_at_once(handle_) != 0; });
    }

    bool already(response& answer) override {
        if (!table_.already) return false;
        const auto c_answer = as_c(answer);
        const turn mine(*instance_);
        return noted(*instance_, plugin_function::already, [&] { return table_.already(handle_, &c_answer) != 0; });
    }

    group_commit* commits_with() noexcept override { return group_; }

    // To be finished in a group, which ends it.
    void* give_away() noexcept {
        has_ended_ = true;
        return handle_;
    }

    void abort(partial what_came) noexcept override {
        if (std::exchange(has_ended_, true)) return;
        const turn mine(*instance_);
        noted(*instance_, plugin_function::delivery_abort,
              [&] { table_.abort(handle_, what_came == partial::keep ? 1 : 0); });
    }

private:
    const std::shared_ptr<plugin_instance> instance_;
    const wherry_sink_functions& table_ = std::get<wherry_sink_functions>(instance_->functions);
    void* const handle_;
    const std::uint64_t offset_;
    group_commit* const group_;
    bool has_ended_ = false;  // then the handle is used no more
};

class adapted_sink final : public sink, public group_commit {
public:
    explicit adapted_sink(std::shared_ptr<plugin_instance> instance) : instance_(std::move(instance)) {}

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) override {
        const std::string address(peer.address);
        const wherry_identity who{
            .struct_size = sizeof(wherry_identity),
            .algorithm = peer.who.algorithm.c_str(),
            .public_key = peer.who.public_key.c_str(),
            .fingerprint = peer.who.fingerprint.c_str(),
            .label = peer.who.label.c_str(),
        };
        wherry_offer c{};
        c.struct_size = sizeof c;
        c.kind = static_cast<std::uint32_t>(what.kind);
        c.name = what.name.c_str();
        c.name_bytes = what.name.size();
        if (what.size) c.flags |= WHERRY_OFFER_HAS_SIZE, c.size = *what.size;
        if (what.mode) c.flags |= WHERRY_OFFER_HAS_MODE, c.mode = *what.mode;
        if (what.mtime) {
            c.flags |= WHERRY_OFFER_HAS_MTIME;
            c.mtime_seconds = what.mtime->seconds;
            c.mtime_nanoseconds = what.mtime->nanoseconds;
        }
        if (what.wants_resume) c.flags |= WHERRY_OFFER_WANTS_RESUME;
        if (what.id) {
            c.flags |= WHERRY_OFFER_HAS_DELIVERY;
            std::memcpy(c.delivery_id, what.id->data(), sizeof c.delivery_id);
        }
        c.peer_address = address.c_str();
        c.peer = &who;

        void* handle = nullptr;
        std::uint64_t offset = 0;
        {
            const turn mine(*instance_);
            checked(*instance_, plugin_function::begin,
                    [&](wherry_error* e) { return table_.begin(instance_->handle, &c, &handle, &offset, e); });
        }
        return std::make_unique<adapted_delivery>(instance_, handle, offset, table_.finish_group ? this : nullptr);
    }

    void interrupt() noexcept override {
        if (table_.interrupt)
            noted(*instance_, plugin_function::interrupt, [&] { table_.interrupt(instance_->handle); });
    }

private:
    void finish_group(std::span<ending> all) noexcept override {
        struct row {
            wherry_response answer;
            wherry_ending ending;
        };
        std::vector<row> rows;
        std::vector<wherry_ending*> endings;
        try {
            rows.resize(all.size());
            endings.reserve(all.size());
        } catch (const std::bad_alloc&) {
            for (auto& one : all) one.failure = error(errc::exhausted, "the receiver is out of memory");
            return;
        }
        for (std::size_t i = 0; i < all.size(); ++i) {
            rows[i].answer = as_c(*all[i].answer);
            auto& to_end = rows[i].ending;
            to_end.struct_size = sizeof to_end;
            to_end.delivery = static_cast<adapted_delivery*>(all[i].of)->give_away();
            to_end.response = &rows[i].answer;
            // What the plugin forgets must not pass for delivered.
            to_end.status = WHERRY_INTERNAL;
            endings.push_back(&to_end);
        }
        {
            const turn mine(*instance_);
            try {
                noted(*instance_, plugin_function::finish_group,
                      [&] { table_.finish_group(instance_->handle, endings.data(), endings.size()); });
            } catch (...) {
                // As in checked(): those that it had not come to are the failures.
            }
        }
        for (std::size_t i = 0; i < all.size(); ++i) all[i].failure = failure_of(rows[i].ending);
    }

    std::optional<error> failure_of(wherry_ending& ended) const noexcept {
        try {
            abi::checked(instance_->name, [&](wherry_error* e) {
                if (ended.status == WHERRY_INTERNAL && ended.error.text[0] == '\0')
                    return abi::fill(*e, errc::internal, "did not say how a delivery of a group ended");
                if (ended.status != WHERRY_OK) *e = ended.error;
                return ended.status;
            });
            return std::nullopt;
        } catch (const error& e) {
            return e;
        }
    }

    const std::shared_ptr<plugin_instance> instance_;
    const wherry_sink_functions& table_ = std::get<wherry_sink_functions>(instance_->functions);
};

}  // namespace

std::unique_ptr<sink> adapt_sink(std::shared_ptr<plugin_instance> instance) {
    return std::make_unique<adapted_sink>(std::move(instance));
}

}  // namespace wherry

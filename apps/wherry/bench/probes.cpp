// SPDX-License-Identifier: BSD-2-Clause
#include "bench/probes.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>
#include <vector>

#include "wherry/limits.hpp"
#include "wherry/mutex.hpp"

namespace wherry::app::bench {

namespace {

// The meter of the connection that this thread has read from last. A receiver reads the peer's preface on the thread
// that then runs the handshake, which is how a channel finds the connection that it is for.
thread_local std::weak_ptr<stage_meter> last_read_from;

}  // namespace

// ---- The parts ----

std::size_t timed_connection::read_some(mutable_bytes buffer) {
    if (way_ == direction::sending) return forwarding_connection::read_some(buffer);
    last_read_from = meter_;
    const stage_timer timer(*meter_, stage::transport);
    return forwarding_connection::read_some(buffer);
}

void timed_connection::write_all(std::span<const const_bytes> pieces) {
    const stage_timer timer(*meter_, stage::transport);
    forwarding_connection::write_all(pieces);
}

void timed_session::seal(mutable_bytes record, std::size_t length) {
    const stage_timer timer(*meter_, stage::cipher);
    inner_->seal(record, length);
}

mutable_bytes timed_session::open(mutable_bytes record) {
    if (way_ == direction::sending) return inner_->open(record);
    const stage_timer timer(*meter_, stage::cipher);
    return inner_->open(record);
}

std::unique_ptr<cipher_session> timed_cipher::handshake(role side, const_bytes prologue, stream& link,
                                                        const peer_verifier& verify) {
    return std::make_unique<timed_session>(inner_->handshake(side, prologue, link, verify), meter_, direction::sending);
}

std::size_t timed_source::read(mutable_bytes buffer) {
    const stage_timer timer(meter_, stage::source);
    return inner_.read(buffer);
}

// ---- A receiver ----

namespace {

class connection_tally;

// Times what a sink finishes together. All of it is of one connection.
class timed_group final : public group_commit {
public:
    timed_group(group_commit& inner, connection_tally& tally) noexcept : inner_(inner), tally_(tally) {}
    void finish_group(std::span<ending> all) noexcept override;
    const group_commit& inner() const noexcept { return inner_; }

private:
    group_commit& inner_;
    connection_tally& tally_;
};

// What one connection of a receiver took, since the last report. Thread-safety: all functions from any thread.
class connection_tally {
public:
    explicit connection_tally(std::shared_ptr<stage_meter> meter) noexcept : meter_(std::move(meter)) {}

    stage_meter& meter() noexcept { return *meter_; }

    void began(std::string_view address) {
        const mutex_lock lock(mutex_);
        if (is_measuring_) return;
        is_measuring_ = true;
        address_ = address;
        began_ = ended_ = meter_->clock().wall();
        stages_at_begin_ = stages_at_end_ = sum();
        cpu_at_begin_ = process_time_now();
        items_ = bytes_ = 0;
    }

    void ended(std::uint64_t bytes) {
        const mutex_lock lock(mutex_);
        ++items_;
        bytes_ += bytes;
        ended_ = meter_->clock().wall();
        stages_at_end_ = sum();
    }

    // From now on a part of what this one measures comes over another connection.
    void join(const connection_tally& other) {
        const mutex_lock lock(mutex_);
        extra_.push_back({other.meter_, other.meter_->sum()});
    }

    // The same one for the same `inner`; null where there is no memory.
    group_commit* timed(group_commit& inner) noexcept {
        const mutex_lock lock(mutex_);
        for (const auto& group : groups_)
            if (&group->inner() == &inner) return group.get();
        try {
            return groups_.emplace_back(std::make_unique<timed_group>(inner, *this)).get();
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
    }

    // Nothing if nothing came since the last one.
    std::optional<received_report> take(const identity& peer) {
        const mutex_lock lock(mutex_);
        if (!std::exchange(is_measuring_, false)) return std::nullopt;
        received_report report{address_, peer, items_, bytes_, {}};
        auto& times = report.times;
        times.connections = 1;
        times.elapsed = times.longest = ended_ - began_;
        times.stages = difference(stages_at_end_, stages_at_begin_);
        // To ask at each end of a small message would cost too much; a sender asks for its report right behind the
        // last.
        const auto cpu = process_time_now();
        times.cpu = {cpu.user - cpu_at_begin_.user, cpu.system - cpu_at_begin_.system};
        return report;
    }

private:
    struct further_connection {
        std::shared_ptr<stage_meter> meter;
        stage_times before;
    };

    stage_times sum() const WHERRY_REQUIRES(mutex_) {
        auto all = meter_->sum();
        for (const auto& one : extra_) all = total(all, difference(one.meter->sum(), one.before));
        return all;
    }

    const std::shared_ptr<stage_meter> meter_;
    mutex mutex_;
    std::vector<further_connection> extra_ WHERRY_GUARDED_BY(mutex_);
    std::vector<std::unique_ptr<timed_group>> groups_ WHERRY_GUARDED_BY(mutex_);  // one for each sink that can do so
    bool is_measuring_ WHERRY_GUARDED_BY(mutex_) = false;
    std::string address_ WHERRY_GUARDED_BY(mutex_);
    nanoseconds began_ WHERRY_GUARDED_BY(mutex_){0}, ended_ WHERRY_GUARDED_BY(mutex_){0};
    stage_times stages_at_begin_ WHERRY_GUARDED_BY(mutex_){}, stages_at_end_ WHERRY_GUARDED_BY(mutex_){};
    process_time cpu_at_begin_ WHERRY_GUARDED_BY(mutex_);
    std::uint64_t items_ WHERRY_GUARDED_BY(mutex_) = 0, bytes_ WHERRY_GUARDED_BY(mutex_) = 0;
};

class timed_delivery final : public delivery {
public:
    timed_delivery(std::unique_ptr<delivery> inner, std::shared_ptr<connection_tally> tally) noexcept
        : inner_(std::move(inner)), tally_(std::move(tally)) {}

    std::uint64_t offset() const noexcept override { return inner_->offset(); }
    bool already(response& answer) override {
        const stage_timer timer(tally_->meter(), stage::sink);
        return inner_->already(answer);
    }
    std::size_t read_back(std::uint64_t position, mutable_bytes buffer) override {
        const stage_timer timer(tally_->meter(), stage::sink);
        return inner_->read_back(position, buffer);
    }
    void write(const_bytes bytes) override {
        const stage_timer timer(tally_->meter(), stage::sink);
        inner_->write(bytes);
        bytes_ += bytes.size();
    }
    void finish(response& answer) override {
        {
            const stage_timer timer(tally_->meter(), stage::sink);
            inner_->finish(answer);
        }
        tally_->ended(bytes_);
    }
    group_commit* commits_with() noexcept override {
        auto* const group = inner_->commits_with();
        return group != nullptr ? tally_->timed(*group) : nullptr;
    }
    bool finishes_at_once() const noexcept override { return inner_->finishes_at_once(); }
    void abort(partial what_came) noexcept override { inner_->abort(what_came); }

    delivery& inner() noexcept { return *inner_; }
    std::uint64_t bytes() const noexcept { return bytes_; }

private:
    const std::unique_ptr<delivery> inner_;
    const std::shared_ptr<connection_tally> tally_;
    std::uint64_t bytes_ = 0;
};

void timed_group::finish_group(std::span<ending> all) noexcept {
    // Without memory of its own, for that may be lacking.
    std::array<ending, limits::max_group_commit> rows{};
    const auto inner = std::span(rows).first(std::min(all.size(), rows.size()));
    for (std::size_t i = 0; i < inner.size(); ++i) {
        inner[i].of = &static_cast<timed_delivery*>(all[i].of)->inner();
        inner[i].answer = all[i].answer;
    }
    {
        const stage_timer timer(tally_.meter(), stage::sink);
        inner_.finish_group(inner);
    }
    for (std::size_t i = 0; i < inner.size(); ++i) {
        all[i].failure = std::move(inner[i].failure);
        if (!all[i].failure) tally_.ended(static_cast<timed_delivery*>(all[i].of)->bytes());
    }
}

}  // namespace

struct receiving_probe::implementation {
    implementation(cipher& inner, sink& store, std::function<void(const received_report&)> told)
        : tell(std::move(told)), protection(*this, inner), watched_store(*this, store) {}

    class watched_listener final : public listener {
    public:
        explicit watched_listener(std::unique_ptr<listener> inner) noexcept : inner_(std::move(inner)) {}
        std::unique_ptr<connection> accept() override {
            return std::make_unique<timed_connection>(inner_->accept(), std::make_shared<stage_meter>(),
                                                      direction::receiving);
        }
        std::string_view address() const noexcept override { return inner_->address(); }
        void abort() noexcept override { inner_->abort(); }

    private:
        const std::unique_ptr<listener> inner_;
    };

    class watching_cipher final : public cipher {
    public:
        watching_cipher(implementation& owner, cipher& inner) noexcept : owner_(owner), inner_(inner) {}
        std::unique_ptr<cipher_session> handshake(role side, const_bytes prologue, stream& link,
                                                  const peer_verifier& verify) override {
            auto opened = inner_.handshake(side, prologue, link, verify);
            auto meter = last_read_from.lock();
            if (!meter) throw error(errc::internal, "a handshake without a connection");
            // The core shows a sink the same object as the channel has.
            const auto* const peer = &opened->peer();
            owner_.add(peer, meter);
            return std::make_unique<timed_session>(std::move(opened), std::move(meter), direction::receiving,
                                                   [this, peer] { owner_.remove(peer); });
        }
        bool is_insecure() const noexcept override { return inner_.is_insecure(); }

    private:
        implementation& owner_;
        cipher& inner_;
    };

    // The answer to the question for a report.
    class report_delivery final : public delivery {
    public:
        report_delivery(implementation& owner, const identity& peer, std::shared_ptr<connection_tally> tally)
            : owner_(owner), peer_(peer), tally_(std::move(tally)) {}
        void write(const_bytes) override { throw error(errc::refused, "a question for a report has no content"); }
        void finish(response& answer) override {
            auto report = tally_->take(peer_);
            if (!report) report = received_report{{}, peer_, 0, 0, {}};
            json told = {{"wherry_bench", report_version}, {"items", report->items}, {"bytes", report->bytes}};
            told.update(to_json(report->times, bench_side::receiver));
            if (report->items > 0) owner_.tell(*report);
            answer.append(told.dump());
        }
        void abort(partial) noexcept override {}

    private:
        implementation& owner_;
        const identity peer_;
        const std::shared_ptr<connection_tally> tally_;
    };

    class watching_sink final : public sink {
    public:
        watching_sink(implementation& owner, sink& inner) noexcept : owner_(owner), inner_(inner) {}
        std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) override {
            auto tally = owner_.find(peer.who);
            if (what.kind == item_kind::data && what.name == report_name)
                return std::make_unique<report_delivery>(owner_, peer.who, std::move(tally));
            tally->began(peer.address);
            const stage_timer timer(tally->meter(), stage::sink);
            return std::make_unique<timed_delivery>(inner_.begin(what, peer), tally);
        }
        void interrupt() noexcept override { inner_.interrupt(); }

    private:
        implementation& owner_;
        sink& inner_;
    };

    void add(const identity* peer, const std::shared_ptr<stage_meter>& meter) {
        const mutex_lock lock(tallies_mutex);
        tallies[peer] = std::make_shared<connection_tally>(meter);
    }

    void remove(const identity* peer) {
        std::shared_ptr<connection_tally> tally;
        {
            const mutex_lock lock(tallies_mutex);
            const auto found = tallies.find(peer);
            if (found == tallies.end()) return;
            tally = std::move(found->second);
            tallies.erase(found);
        }
        const auto report = tally->take(*peer);
        if (report && report->items > 0) tell(*report);
    }

    void join(const identity* peer, const identity* other) {
        const mutex_lock lock(tallies_mutex);
        const auto part = tallies.find(peer), whole = tallies.find(other);
        if (part != tallies.end() && whole != tallies.end()) whole->second->join(*part->second);
    }

    std::shared_ptr<connection_tally> find(const identity& peer) {
        const mutex_lock lock(tallies_mutex);
        const auto found = tallies.find(&peer);
        if (found == tallies.end()) throw error(errc::internal, "an offer over a connection that is not measured");
        return found->second;
    }

    const std::function<void(const received_report&)> tell;
    watching_cipher protection;
    watching_sink watched_store;
    mutex tallies_mutex;
    std::map<const identity*, std::shared_ptr<connection_tally>> tallies WHERRY_GUARDED_BY(tallies_mutex);
};

receiving_probe::receiving_probe(cipher& protection, sink& store, std::function<void(const received_report&)> tell)
    : implementation_(std::make_unique<implementation>(protection, store, std::move(tell))) {}

receiving_probe::~receiving_probe() = default;

std::unique_ptr<listener> receiving_probe::watch(std::unique_ptr<listener> inner) {
    return std::make_unique<implementation::watched_listener>(std::move(inner));
}

cipher& receiving_probe::watched_cipher() noexcept { return implementation_->protection; }

sink& receiving_probe::watched_sink() noexcept { return implementation_->watched_store; }

void receiving_probe::joined(const identity* peer, const identity* other) { implementation_->join(peer, other); }

}  // namespace wherry::app::bench

// SPDX-License-Identifier: BSD-2-Clause
#include "receive_report.hpp"

#include <fmt/format.h>

#include <vector>

#include "serving.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

// `inside` stands behind the item.
std::string result_line(const offer& what, const std::string& inside, const delivery_result& result,
                        const std::string& peer, detail how) {
    auto line = result.ok() ? fmt::format("received {}{}", describe_item(what), inside)
                            : fmt::format("not received: {}", describe_item(what));
    if (!what.size && result.ok()) line += " (" + human_bytes(result.bytes) + ")";
    line += fmt::format(" from {}", peer);
    if (result.resumed_from > 0 && result.outcome != already_there)
        line += fmt::format(", gone on from {}", human_bytes(result.resumed_from));
    if (result.ended_by) line += fmt::format(", ended by {}", to_string(*result.ended_by));
    const auto answer = describe_answer(result.outcome, result.response, how);
    if (result.ok()) return line + answer;
    return result.is_remote ? fmt::format("{}: the sender says: {}{}", line, printable(result.text), answer)
                            : fmt::format("{}: {}{}", line, printable(result.text), answer);
}

// What a sink answers that has told the person of the delivery by itself: it is not told twice.
bool is_told_by_sink(std::string_view outcome) { return outcome == "shown" || outcome == "announced"; }

// A peer can offer without end what is refused.
constexpr std::size_t most_failures_told = 50;

}  // namespace

receive_report::receive_report(application& app, bool is_raw, detail how, std::function<void()> connection_over)
    : app_(app),
      is_raw_(is_raw),
      detail_(how),
      connection_over_(std::move(connection_over)),
      progress_(std::chrono::milliseconds(app.style == output::json ? 250 : 100),
                [this](const progress_state* state) { show_progress(state); }) {}

receive_report::~receive_report() { progress_.stop(); }

void receive_report::show_progress(const progress_state* state) {
    if (app_.style == output::json) {
        if (state != nullptr) app_.events.write("progress", progress_fields(*state));
    } else if (app_.style == output::lines) {
        app_.terminal.status(state == nullptr ? std::string() : render_progress(*state, app_.terminal.columns()));
    }
}

void receive_report::refused(const identity& peer) {
    std::optional<std::size_t> left_out;
    {
        const mutex_lock lock(mutex_);
        left_out = strangers_.take(line_budget::clock::now());
    }
    if (left_out && *left_out > 0)
        app_.log->warn("refused {} more senders with keys that are not authorised in the minutes before", *left_out);
    if (left_out)
        app_.log->warn("refused a sender with the key {}, which is not authorised; to let it in: {}", peer.fingerprint,
                       authorize_command(peer.public_key));
    if (app_.style != output::json) return;
    json fields;
    put_identity(fields, peer);
    app_.events.write("refused_peer", fields);
}

void receive_report::message(const delivered_message& message) {
    const auto& [sender, what, text, is_whole, outcome, response] = message;
    if (app_.style == output::json) {
        json fields;
        {
            const mutex_lock lock(mutex_);
            for (const auto& [id, peer] : peers_)
                if (peer.address == sender.address) fields["connection"] = id;
        }
        put_content(fields, "text", text);
        fields["truncated"] = !is_whole;
        put_identity(fields, sender.who);
        app_.events.write("message", fields);
    } else if (app_.style == output::lines && !is_told_by_sink(outcome)) {
        auto shown =
            fmt::format("received {} from {}{}", describe_item(what), describe_peer(sender.who, sender.address),
                        describe_answer(outcome, response, detail_));
        if (!text.empty()) shown += "\n" + indented(text);
        if (!is_whole) shown += "\n    (the rest is not shown)";
        app_.terminal.result(shown);
    }
}

void receive_report::must_wait(const error& why) {
    app_.log->warn("the next sender has to wait: {}", printable(why.what()));
}

void receive_report::connected(connection_id id, std::string_view address, const identity& peer,
                               std::string_view cipher) {
    {
        const mutex_lock lock(mutex_);
        peers_[id] = {std::string(address), peer};
    }
    app_.log->info("connection {} from {}: {} {}", id, printable(address), describe_peer(peer, "no key"), cipher);
    if (app_.style == output::json) app_.events.write("connected", connected_fields(id, address, peer, cipher));
}

void receive_report::joined(connection_id id, connection_id other) {
    {
        const mutex_lock lock(mutex_);
        peers_[id].has_joined_another = true;
    }
    app_.log->info("connection {} carries a part of connection {}", id, other);
    if (app_.style == output::json) app_.events.write("joined", {{"connection", id}, {"with", other}});
}

receive_report::peer_entry receive_report::entry(connection_id id) const {
    const mutex_lock lock(mutex_);
    const auto found = peers_.find(id);
    return found == peers_.end() ? peer_entry{} : found->second;
}

void receive_report::receiving(connection_id id, transfer_id transfer, const offer& what, std::uint64_t resumed_from) {
    {
        const mutex_lock lock(mutex_);
        if (const auto found = peers_.find(id); found != peers_.end()) found->second.has_offered = true;
    }
    progress_.begin({id, transfer}, what.name.empty() ? "message" : printable(what.name), what.size, resumed_from);
    if (app_.style != output::json) return;
    json fields;
    fields["connection"] = id;
    fields["transfer"] = transfer;
    put_offer(fields, what);
    fields["resumed_from"] = resumed_from;
    app_.events.write("offer", fields);
}

void receive_report::received_so_far(connection_id id, transfer_id transfer, std::uint64_t bytes) {
    progress_.advance({id, transfer}, bytes);
}

void receive_report::delivered(connection_id id, transfer_id transfer, const offer& what,
                               const delivery_result& result) {
    progress_.end({id, transfer});
    const auto peer = entry(id);
    {
        const mutex_lock lock(mutex_);
        if (result.ok()) {
            bytes_ += result.bytes;
            ++delivered_;
        } else {
            ++failed_;
            if (!first_cause_) {
                // What this side refused, it refused as a receiver.
                first_cause_ = exit_code_for(*result.failure, side::remote);
            }
        }
    }
    if (app_.style == output::json) {
        json fields;
        fields["connection"] = id;
        fields["transfer"] = transfer;
        put_offer(fields, what);
        put_result(fields, result);
        fields["fingerprint"] = peer.who.fingerprint;
        fields["label"] = as_utf8(peer.who.label);
        app_.events.write("result", fields);
    }
    if (result.ended_by)
        app_.log->info("delivery {} of connection {} was ended by {}", transfer, id, to_string(*result.ended_by));
    if (!result.ok()) {
        if (is_failure_told(id))
            app_.terminal.note(result_line(what, {}, result, describe_peer(peer.who, peer.address), detail_));
    } else if (app_.style == output::lines && what.kind != item_kind::message &&  // message() has told of those
               !is_told_by_sink(result.outcome)) {
        tell_received(id, what, result, peer);
    }
}

bool receive_report::is_failure_told(connection_id id) {
    const mutex_lock lock(mutex_);
    const auto found = peers_.find(id);
    return found == peers_.end() || ++found->second.failures <= most_failures_told || detail_ != detail::summary;
}

void receive_report::tell_received(connection_id id, const offer& what, const delivery_result& result,
                                   const peer_entry& peer) {
    std::string inside;
    {
        const mutex_lock lock(mutex_);
        auto& folders = folders_[id];
        if (folders.add(what, result) && detail_ == detail::summary) return;
        if (what.kind == item_kind::folder) inside = folders.take(what.name);
    }
    app_.terminal.result(result_line(what, inside, result, describe_peer(peer.who, peer.address), detail_));
}

void receive_report::disconnected(connection_id id, std::string_view address, const std::optional<error>& failure) {
    bool was_connected = false, is_one_of_several = false;
    std::vector<std::string> unfinished;
    std::size_t failures_not_told = 0;
    std::string who;
    {
        const mutex_lock lock(mutex_);
        const auto ended = peers_.extract(id);
        was_connected = !ended.empty();
        if (was_connected) who = describe_peer(ended.mapped().who, address);
        if (was_connected && detail_ == detail::summary && ended.mapped().failures > most_failures_told)
            failures_not_told = ended.mapped().failures - most_failures_told;
        if (auto folders = folders_.extract(id); !folders.empty()) unfinished = folders.mapped().take_rest();
        // One that was lost before it said a word, beside another, may have been about to join that.
        is_one_of_several = was_connected && (ended.mapped().has_joined_another ||
                                              (failure && !ended.mapped().has_offered && !peers_.empty()));
    }
    if (app_.style == output::lines)
        for (const auto& line : unfinished) app_.terminal.result(fmt::format("received {} from {}", line, who));
    if (failures_not_told > 0)
        app_.terminal.note(
            fmt::format("not received: {} more items from {}; --verbose tells of each", failures_not_told, who));
    if (failure)
        // A stranger that fails the handshake is no news; that this side lacks something is.
        app_.log->log(
            was_connected || is_raw_ || failure->code() == errc::exhausted ? spdlog::level::warn : spdlog::level::info,
            "connection {} from {} failed: {}", id, printable(address), printable(failure->what()));
    else
        app_.log->info("connection {} from {} has ended", id, printable(address));
    if (app_.style == output::json) app_.events.write("disconnected", disconnected_fields(id, address, failure));
    // How it ended is told of the connection that it had joined.
    if ((was_connected && !is_one_of_several) || is_raw_) {
        if (failure) {
            const mutex_lock lock(mutex_);
            if (!first_cause_) first_cause_ = exit_code_for(failure->code(), side::here);
        }
        connection_over_();
    }
}

void receive_report::finish(exit_code code) {
    progress_.stop();
    if (app_.style != output::json) return;
    const std::chrono::duration<double> took = progress_clock::now() - began_;
    const mutex_lock lock(mutex_);
    json fields;
    fields["delivered"] = delivered_;
    fields["failed"] = failed_;
    fields["bytes"] = bytes_;
    fields["seconds"] = took.count();
    fields["exit_code"] = to_status(code);
    app_.events.write("done", fields);
}

exit_code receive_report::outcome() const {
    const mutex_lock lock(mutex_);
    if (!first_cause_) return exit_code::delivered;
    return delivered_ > 0 ? exit_code::partly : *first_cause_;
}

}  // namespace wherry::app

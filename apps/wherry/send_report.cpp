// SPDX-License-Identifier: BSD-2-Clause
#include "send_report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "wherry/text.hpp"

namespace wherry::app {

namespace {

// Progress of a long transfer where there is no terminal to draw on.
constexpr std::chrono::seconds plain_line_interval{10};
constexpr std::size_t most_lines_cut_off = 10;

progress_meter::transfer_key key_of(transfer_id id) { return {0, id}; }

// "0.12 s" where minutes and seconds would say too little.
std::string precise_duration(std::chrono::duration<double> length) {
    if (length.count() >= 60) return human_duration(std::chrono::duration_cast<std::chrono::seconds>(length));
    char text[16];
    std::snprintf(text, sizeof text, length.count() < 10 ? "%.2f s" : "%.1f s", length.count());
    return text;
}

// Nothing where it hardly did.
std::string describe_shrinking(std::uint64_t bytes, std::uint64_t bytes_on_link) {
    return bytes_on_link < bytes - bytes / 20 ? fmt::format(", compressed to {}", human_bytes(bytes_on_link)) : "";
}

std::string name_of(const offer& what) { return what.name.empty() ? "message" : printable(what.name); }

}  // namespace

send_report::send_report(application& app, const sending_plan& plan, detail how, kind which)
    : app_(app),
      plan_(plan),
      detail_(how),
      kind_(which),
      progress_(std::chrono::milliseconds(app.style == output::json ? 250 : 100),
                [this](const progress_state* state) { show_progress(state); }) {
    if (kind_ == kind::talk) return;
    std::optional<std::uint64_t> total = 0;
    for (const auto& item : plan.items)
        if (item.kind == item_kind::data)
            total.reset();
        else if (total)
            *total += item.size;
    progress_.expect(plan.items.size(), total);
}

send_report::~send_report() { progress_.stop(); }

void send_report::show_progress(const progress_state* state) {
    switch (app_.style) {
        case output::json:
            if (state != nullptr) app_.events.write("progress", progress_fields(*state));
            return;
        case output::nothing: return;
        case output::lines: break;
    }
    if (app_.terminal.shows_status()) {
        app_.terminal.status(state == nullptr ? std::string() : render_progress(*state, app_.terminal.columns()));
    } else if (state != nullptr && progress_clock::now() - last_plain_line_ >= plain_line_interval) {
        last_plain_line_ = progress_clock::now();
        app_.terminal.note(describe_progress(*state));
    }
}

void send_report::tell_skipped(std::size_t first) {
    for (auto i = first; i < plan_.skipped.size(); ++i) {
        const auto& [path, why] = plan_.skipped[i];
        if (app_.style == output::json) {
            json fields;
            put_name(fields, "path", path.native());
            fields["why"] = why;
            app_.events.write("skipped", fields);
        }
        app_.note(fmt::format("skipped: {}: {}", printable(path.native()), why));
    }
}

void send_report::reading_pipe(std::size_t) {
    if (::isatty(STDIN_FILENO) != 0) app_.note("reading from the terminal; Ctrl-D at the beginning of a line ends it");
}

void send_report::sending(std::size_t item, transfer_id id, const offer& what, std::uint64_t resumed_from) {
    {
        const mutex_lock lock(mutex_);
        if (!began_) began_ = progress_clock::now();
    }
    progress_.begin(key_of(id), name_of(what), what.size, resumed_from);
    if (app_.style != output::json) return;
    json fields;
    fields["item"] = item + 1;
    fields["transfer"] = id;
    put_offer(fields, what);
    fields["resumed_from"] = resumed_from;
    app_.events.write("offer", fields);
}

void send_report::sent_so_far(transfer_id id, std::uint64_t bytes) { progress_.advance(key_of(id), bytes); }

void send_report::withdrawn(transfer_id id) { progress_.withdraw(key_of(id)); }

void send_report::streams(std::size_t joined, std::size_t wanted, const std::string& why_fewer) {
    if (joined < wanted)
        app_.note(fmt::format("sending over {} of {} connections: {}", joined, wanted, printable(why_fewer)));
    else
        app_.log->info("sending over {} of {} connections", joined, wanted);
    if (app_.style != output::json) return;
    json fields;
    fields["streams"] = joined;
    fields["wanted"] = wanted;
    if (joined < wanted) fields["why"] = as_utf8(why_fewer);
    app_.events.write("streams", fields);
}

void send_report::retrying(const error& why, const next_attempt& next) {
    progress_.withdraw_all();
    app_.terminal.status({});
    std::string_view cause = why.what();
    if (constexpr std::string_view advice = "; try again"; cause.ends_with(advice)) cause.remove_suffix(advice.size());
    if (next.wait.count() == 0)
        app_.note(fmt::format("{}; connecting again", printable(cause)));
    else
        app_.note(fmt::format("{}; trying again in {} ({} of {})", printable(cause), precise_duration(next.wait),
                              next.number, next.total));
    if (app_.style != output::json) return;
    json fields;
    fields["status"] = to_string(why.code());
    fields["error"] = as_utf8(why.what());
    fields["attempt"] = next.number;
    fields["of"] = next.total;
    fields["seconds"] = std::chrono::duration<double>(next.wait).count();
    app_.events.write("retry", fields);
}

void send_report::ended(const ended_item& item, const delivery_result& result) {
    const auto& what = item.what;
    if (!item.transfer)
        progress_.skip(plan_.items[item.index].size);
    else if (!progress_.end(key_of(*item.transfer)))
        progress_.skip(what.size.value_or(0));
    {
        const mutex_lock lock(mutex_);
        if (result.ok()) {
            counts_.bytes += result.bytes;
            counts_.bytes_on_link += result.bytes_on_link;
            ++counts_.delivered;
            if (result.outcome == already_there) ++counts_.already_there;
        } else {
            ++counts_.failed;
            if (!first_cause_)
                first_cause_ = exit_code_for(*result.failure, result.is_remote ? side::remote : side::here);
        }
    }
    if (app_.style == output::json) {
        json fields;
        fields["item"] = item.index + 1;
        if (item.transfer) fields["transfer"] = *item.transfer;
        put_offer(fields, what);
        put_result(fields, result);
        app_.events.write("result", fields);
    }
    if (!result.ok()) {
        auto line = result.is_uncertain ? fmt::format(
                                              "perhaps not sent: {}, which had been sent whole when the link was lost; "
                                              "look whether it is there",
                                              describe_item(what))
                                        : fmt::format("not sent: {}", describe_item(what));
        if (item.scope == failure_scope::connection) {
            const mutex_lock lock(mutex_);
            cut_off_.push_back(line);
        } else {
            const auto answer = describe_answer(result.outcome, result.response, detail_);
            line += result.is_remote ? fmt::format(": the receiver says: {}{}", printable(result.text), answer)
                                     : fmt::format(": {}{}", printable(result.text), answer);
            app_.terminal.note(line);
        }
    } else if (app_.style == output::lines && kind_ == kind::talk && what.kind == item_kind::message) {
        auto answer = describe_answer(result.outcome, result.response, detail_);
        answer.erase(0, answer.starts_with(':') ? 2 : 1);  // what ties it to what was sent
        // Set in, so that nothing that a receiver says can be taken for one of our own lines.
        app_.terminal.result(answer.empty() ? "delivered" : answer.starts_with("    ") ? answer : "    " + answer);
    } else if (app_.style == output::lines) {
        tell_sent(what, result);
    }
}

void send_report::tell_sent(const offer& what, const delivery_result& result) {
    std::string inside;
    {
        const mutex_lock lock(mutex_);
        if (folders_.add(what, result) && detail_ == detail::summary) return;
        if (what.kind == item_kind::folder) inside = folders_.take(what.name);
    }
    auto line = fmt::format("sent {}{}", describe_item(what), inside);
    if (!what.size && what.kind == item_kind::data) line += " (" + human_bytes(result.bytes) + ")";
    if (result.resumed_from > 0 && result.outcome != already_there)
        line += fmt::format(", gone on from {}", human_bytes(result.resumed_from));
    line += describe_shrinking(result.bytes, result.bytes_on_link);
    app_.terminal.result(line + describe_answer(result.outcome, result.response, detail_));
}

void send_report::end_progress() {
    progress_.stop();
    tell_cut_off();
}

void send_report::tell_cut_off() {
    const mutex_lock lock(mutex_);
    for (std::size_t i = 0; i < cut_off_.size() && i < most_lines_cut_off; ++i) app_.terminal.note(cut_off_[i]);
    if (cut_off_.size() > most_lines_cut_off)
        app_.terminal.note(fmt::format("not sent: {} more", cut_off_.size() - most_lines_cut_off));
    cut_off_.clear();
}

void send_report::finish(exit_code code) {
    end_progress();
    const mutex_lock lock(mutex_);
    // Folders that were not answered for themselves.
    for (const auto& line : folders_.take_rest()) app_.terminal.result("sent " + line);
    const std::chrono::duration<double> took = began_ ? progress_clock::now() - *began_ : progress_clock::duration();
    if (app_.style == output::json) {
        json fields;
        fields["delivered"] = counts_.delivered;
        fields["already_there"] = counts_.already_there;
        fields["failed"] = counts_.failed;
        fields["skipped"] = plan_.skipped.size();
        fields["bytes"] = counts_.bytes;
        fields["bytes_on_link"] = counts_.bytes_on_link;
        fields["seconds"] = took.count();
        fields["exit_code"] = to_status(code);
        app_.events.write("done", fields);
    } else if (app_.style == output::lines && kind_ == kind::transfer && plan_.items.size() > 1) {
        auto line = counts_.already_there > 0 ? fmt::format("{} sent, {} of them already there, {} failed",
                                                            counts_.delivered, counts_.already_there, counts_.failed)
                                              : fmt::format("{} sent, {} failed", counts_.delivered, counts_.failed);
        if (counts_.delivered > 0 && took.count() > 0)
            line += fmt::format("; {} in {} ({}/s){}", human_bytes(counts_.bytes), precise_duration(took),
                                human_bytes(static_cast<std::uint64_t>(double(counts_.bytes) / took.count())),
                                describe_shrinking(counts_.bytes, counts_.bytes_on_link));
        app_.terminal.result(line);
    }
}

exit_code send_report::outcome() const {
    const mutex_lock lock(mutex_);
    if (counts_.failed == 0) return exit_code::delivered;
    if (counts_.delivered > 0) return exit_code::partly;
    return first_cause_.value_or(exit_code::internal);
}

}  // namespace wherry::app

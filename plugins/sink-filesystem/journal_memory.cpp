// SPDX-License-Identifier: BSD-2-Clause
#include "journal_memory.hpp"

#include <algorithm>
#include <set>

#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry::filesystem {

namespace {

// What the files that are remembered by their names may take in the journal, all keys together: some 60,000 files with
// names of 50 bytes. Memory holds about twice as much.
constexpr std::size_t most_remembered_bytes = std::size_t{16} << 20;

bool is_outdated(const journal_entry& entry, std::chrono::milliseconds lifetime) {
    return seconds_now() - entry.written >= std::chrono::ceil<std::chrono::seconds>(lifetime).count();
}

// Only of a file are name, size and time its sender's.
bool is_known_by_path(const journal_entry& entry) {
    return entry.kind == item_kind::file && entry.offered_size && entry.offered_time;
}

bool is_of_offer(const journal_entry& entry, const offer& what) {
    return entry.kind == what.kind && entry.offered_size == what.size && entry.offered_time == what.mtime &&
           (what.kind == item_kind::message || entry.path == what.name);
}

}  // namespace

void journal_memory::remember(const entry_pointer& entry) {
    const auto& content = entry->content;
    auto& peer = peers_[content.fingerprint];
    if (!entry->number) unplaced_[entry->reference] = entry;
    if (content.id && !is_outdated(content, clocks::result_lifetime)) {
        if (peer.by_id.insert_or_assign(*content.id, entry).second) peer.ids.push_back(*content.id);
        if (peer.ids.size() > limits::max_remembered_results) {
            peer.by_id.erase(peer.ids.front());
            peer.ids.pop_front();
        }
    }
    if (!is_known_by_path(content) || is_outdated(content, name_lifetime_)) return;
    forget_path(peer, content.path);
    peer.by_path.emplace(content.path, entry);
    path_bytes_ += record_bytes(content);
    bound_paths();
}

void journal_memory::apply(const placed_mark& mark) {
    const auto found = unplaced_.find(mark.entry);
    if (found == unplaced_.end()) return;
    const auto entry = found->second.lock();
    unplaced_.erase(found);
    if (!entry) return;
    if (mark.number != placed_mark::withdrawn) {
        entry->number = mark.number;
        return;
    }
    auto& peer = peers_[entry->content.fingerprint];
    const auto path = peer.by_path.find(entry->content.path);
    if (path != peer.by_path.end() && path->second == entry) forget_path(peer, entry->content.path);
    if (!entry->content.id) return;
    const auto id = peer.by_id.find(*entry->content.id);
    if (id == peer.by_id.end() || id->second != entry) return;
    std::erase(peer.ids, id->first);
    peer.by_id.erase(id);
}

void journal_memory::forget_file(std::string_view path, const std::string& fingerprint) {
    const auto peer = peers_.find(fingerprint);
    if (peer != peers_.end()) forget_path(peer->second, path);
}

void journal_memory::forget_path(known_peer& peer, std::string_view path) {
    const auto found = peer.by_path.find(path);
    if (found == peer.by_path.end()) return;
    path_bytes_ -= record_bytes(found->second->content);
    peer.by_path.erase(found);
}

void journal_memory::clear() {
    peers_.clear();
    unplaced_.clear();
    path_bytes_ = 0;
}

journal_memory::entry_pointer journal_memory::find_delivery(const offer& what, const std::string& fingerprint) const {
    const auto peer = peers_.find(fingerprint);
    if (!what.id || peer == peers_.end()) return nullptr;
    const auto found = peer->second.by_id.find(*what.id);
    if (found == peer->second.by_id.end()) return nullptr;
    const auto& content = found->second->content;
    return is_of_offer(content, what) && !is_outdated(content, clocks::result_lifetime) ? found->second : nullptr;
}

journal_memory::entry_pointer journal_memory::find_file(const offer& what, const std::string& fingerprint) const {
    const auto peer = peers_.find(fingerprint);
    if (!what.size || !what.mtime || peer == peers_.end()) return nullptr;
    const auto found = peer->second.by_path.find(what.name);
    if (found == peer->second.by_path.end()) return nullptr;
    const auto& content = found->second->content;
    return is_of_offer(content, what) && !is_outdated(content, name_lifetime_) ? found->second : nullptr;
}

// Forgets the oldest quarter of the files that are known by their names, as long as they take too much.
void journal_memory::bound_paths() {
    while (path_bytes_ > most_remembered_bytes) {
        std::vector<entry_pointer> all;
        for (const auto& peer : peers_)
            for (const auto& one : peer.second.by_path) all.push_back(one.second);
        if (all.empty()) return;
        const auto quarter = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 4);
        std::nth_element(all.begin(), quarter, all.end(), is_older);
        for (auto entry = all.begin(); entry <= quarter; ++entry)
            forget_file((*entry)->content.path, (*entry)->content.fingerprint);
    }
}

std::vector<journal_memory::entry_pointer> journal_memory::tidy() {
    std::set<entry_pointer> all;
    std::size_t path_bytes = 0;
    for (auto next = peers_.begin(); next != peers_.end();) {
        auto& peer = next->second;
        std::erase_if(peer.by_id,
                      [](const auto& one) { return is_outdated(one.second->content, clocks::result_lifetime); });
        std::erase_if(peer.ids, [&](const auto& id) { return !peer.by_id.contains(id); });
        std::erase_if(peer.by_path, [&](const auto& one) { return is_outdated(one.second->content, name_lifetime_); });
        for (const auto& one : peer.by_id) all.insert(one.second);
        for (const auto& one : peer.by_path) {
            all.insert(one.second);
            path_bytes += record_bytes(one.second->content);
        }
        next = peer.by_id.empty() && peer.by_path.empty() ? peers_.erase(next) : std::next(next);
    }
    path_bytes_ = path_bytes;
    std::erase_if(unplaced_, [](const auto& one) { return one.second.expired(); });
    std::vector<entry_pointer> sorted(all.begin(), all.end());
    std::stable_sort(sorted.begin(), sorted.end(), is_older);
    return sorted;
}

bool journal_memory::is_older(const entry_pointer& one, const entry_pointer& other) noexcept {
    return one->content.written < other->content.written;
}

std::uint64_t journal_memory::bytes_of(std::span<const entry_pointer> entries) noexcept {
    std::uint64_t bytes = journal_header_bytes;
    for (const auto& entry : entries) bytes += record_bytes(entry->content);
    return bytes;
}

}  // namespace wherry::filesystem

// SPDX-License-Identifier: BSD-2-Clause
#include "journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "item_name.hpp"
#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry::filesystem {

namespace {

constexpr const char* journal_name = "journal";
constexpr const char* new_journal_name = "journal-new";
constexpr mode_t own_mode = 0600;
// The files that are remembered by their names, of all keys together; some 30 MiB.
constexpr std::size_t most_paths = 65'536;
// A journal is written anew when it has doubled, but not a small one.
constexpr std::uint64_t least_to_rewrite = std::uint64_t{1} << 20;
// So much may wait for the next append.
constexpr std::size_t most_pending_bytes = std::size_t{64} << 10;

std::int64_t seconds_now() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

bool is_outdated(const journal_entry& entry, std::chrono::milliseconds lifetime) {
    return seconds_now() - entry.written >= std::chrono::ceil<std::chrono::seconds>(lifetime).count();
}

std::vector<std::string> split(const std::string& path) {
    std::vector<std::string> components(1);
    for (const char c : path)
        if (c == '/')
            components.emplace_back();
        else
            components.back() += c;
    return components;
}

std::string with_number(const std::string& wanted, std::uint32_t number) {
    return number == 0 ? wanted : numbered(wanted, number);
}

// Returns the number that makes `name` of `wanted`; none where there is none.
std::optional<std::uint32_t> number_in(const std::string& name, const std::string& wanted) {
    const auto open = name.rfind(" (");
    if (open == name.npos) return std::nullopt;
    std::uint32_t number = 0;
    const auto [end, failure] = std::from_chars(name.data() + open + 2, name.data() + name.size(), number);
    if (failure != std::errc() || number == 0 || name != numbered(wanted, number)) return std::nullopt;
    return number;
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

journal_entry make_entry(const offer& what, const std::string& fingerprint, std::string path, const file_mark& file) {
    return {
        .fingerprint = fingerprint,
        .id = what.id,
        .kind = what.kind,
        .offered_size = what.size,
        .offered_time = what.mtime,
        .path = std::move(path),
        .file = file,
        .written = seconds_now(),
    };
}

// Keeps other receivers from writing.
class journal::write_lock {
public:
    explicit write_lock(std::shared_ptr<const unique_fd> file) noexcept : file_(std::move(file)) {}
    write_lock(const write_lock&) = delete;
    write_lock& operator=(const write_lock&) = delete;
    ~write_lock() { ::flock(file_->get(), LOCK_UN); }

private:
    const std::shared_ptr<const unique_fd> file_;
};

journal::journal(const folder_tree& tree, partial_area& area, std::chrono::milliseconds name_lifetime,
                 std::function<void(const std::string&)> warn)
    : tree_(tree), area_(area), name_lifetime_(name_lifetime), warn_(std::move(warn)) {
    const mutex_lock lock(mutex_);
    try {
        refresh();
    } catch (const error& e) {
        throw error(e.code(), fmt::format("the journal {}/{}: {}", partial_area_name, journal_name, e.what()),
                    e.system_error());
    }
    rewrite_at_ = std::max(least_to_rewrite, 2 * read_);
    // Now, before people move what a killed receiver has stored.
    std::vector<known> undecided;
    for (const auto& [reference, entry] : unplaced_)
        if (auto one = entry.lock()) undecided.push_back(std::move(one));
    for (const auto& one : undecided) is_stored(*one);
}

journal::~journal() {
    try {
        const mutex_lock lock(mutex_);
        end();
    } catch (const std::exception& e) {
        warn_(e.what());
    }
}

bool journal::wants(const offer& what, const std::string& fingerprint) const noexcept {
    // A record that the reader refuses would hide all behind it.
    if (fingerprint.size() > most_fingerprint_bytes) return false;
    const bool is_known_by_path = what.kind == item_kind::file && what.size && what.mtime;
    return what.id || (is_known_by_path && name_lifetime_.count() > 0);
}

// ---- What is known ----

std::optional<journal::stored_file> journal::find_delivery(const offer& what, const std::string& fingerprint) noexcept {
    if (!what.id) return std::nullopt;
    try {
        const mutex_lock lock(mutex_);
        refresh();
        const auto peer = peers_.find(fingerprint);
        if (peer == peers_.end()) return std::nullopt;
        const auto found = peer->second.by_id.find(*what.id);
        if (found == peer->second.by_id.end()) return std::nullopt;
        auto& one = *found->second;
        if (is_outdated(one.entry, clocks::result_lifetime) || !is_of_offer(one.entry, what) || !is_stored(one))
            return std::nullopt;
        return place_of(one);
    } catch (const std::exception& e) {
        warn_(fmt::format("the journal cannot be read, so a delivery may be stored twice: {}", e.what()));
        return std::nullopt;
    }
}

std::optional<journal::stored_file> journal::find_file(const offer& what, const std::string& fingerprint) noexcept {
    if (what.kind != item_kind::file || !what.size || !what.mtime) return std::nullopt;
    try {
        const mutex_lock lock(mutex_);
        refresh();
        const auto peer = peers_.find(fingerprint);
        if (peer == peers_.end()) return std::nullopt;
        const auto found = peer->second.by_path.find(what.name);
        if (found == peer->second.by_path.end()) return std::nullopt;
        auto& one = *found->second;
        if (is_outdated(one.entry, name_lifetime_) || !is_of_offer(one.entry, what) || !is_stored(one))
            return std::nullopt;
        return place_of(one);
    } catch (const std::exception& e) {
        warn_(fmt::format("the journal cannot be read, so a file may be sent again: {}", e.what()));
        return std::nullopt;
    }
}

void journal::forget_file(const std::string& path, const std::string& fingerprint) noexcept {
    const mutex_lock lock(mutex_);
    const auto peer = peers_.find(fingerprint);
    if (peer != peers_.end()) path_count_ -= peer->second.by_path.erase(path);
}

// A file of an earlier receiver, or of another that runs, is looked for; one of this process is told of.
bool journal::is_stored(known_entry& one) {
    if (one.number) return true;
    if (one.is_in_flight) return false;
    one.number = find_number(one.entry);
    if (!one.number) return false;
    put(pending_, placed_mark{one.reference, *one.number});
    unplaced_.erase(one.reference);
    return true;
}

// Returns the number under which the entry's file stands, which is durable then.
std::optional<std::uint32_t> journal::find_number(const journal_entry& entry) const {
    try {
        const auto components = split(entry.path);
        const auto& wanted = components.back();
        const auto folder = tree_.open_folder(parents_of(components), folder_tree::missing::tell);
        if (!folder.is_open()) return std::nullopt;
        // The receiver may have been killed between the renaming and this.
        tree_.sync(folder.get(), {});
        const auto is_there = [&](int parent, const std::string& name) {
            const auto found = mark_of(parent, name);
            return found && is_same_file(*found, entry.file);
        };
        if (is_there(folder.get(), wanted)) return 0;
        std::optional<std::uint32_t> number;
        for_each_entry(folder.get(), ".", [&](int parent, const std::string& name) {
            if (number) return;
            const auto candidate = number_in(name, wanted);
            if (candidate && is_there(parent, name)) number = candidate;
        });
        return number;
    } catch (const error&) {
        // Stored twice is better than answered wrongly.
        return std::nullopt;
    }
}

journal::stored_file journal::place_of(const known_entry& one) {
    stored_file place{split(one.entry.path), *one.number, one.entry.file};
    place.components.back() = with_number(place.components.back(), *one.number);
    return place;
}

void journal::remember(known one) {
    const auto& entry = one->entry;
    auto& peer = peers_[entry.fingerprint];
    if (!one->number) unplaced_[one->reference] = one;
    if (entry.id && !is_outdated(entry, clocks::result_lifetime)) {
        if (peer.by_id.insert_or_assign(*entry.id, one).second) peer.ids.push_back(*entry.id);
        if (peer.ids.size() > limits::max_remembered_results) {
            peer.by_id.erase(peer.ids.front());
            peer.ids.pop_front();
        }
    }
    if (!is_known_by_path(entry) || is_outdated(entry, name_lifetime_)) return;
    if (peer.by_path.insert_or_assign(entry.path, one).second) ++path_count_;
    bound_paths();
}

void journal::apply(const placed_mark& mark) {
    const auto found = unplaced_.find(mark.entry);
    if (found == unplaced_.end()) return;
    if (const auto one = found->second.lock()) {
        one->number = mark.number;
        one->is_in_flight = false;
    }
    unplaced_.erase(found);
}

// Forgets the oldest quarter of the files that are known by their names, if there are too many.
void journal::bound_paths() {
    if (path_count_ <= most_paths) return;
    std::vector<std::int64_t> ages;
    ages.reserve(path_count_);
    for (const auto& [fingerprint, peer] : peers_)
        for (const auto& [path, one] : peer.by_path) ages.push_back(one->entry.written);
    const auto limit = ages.begin() + static_cast<std::ptrdiff_t>(ages.size() / 4);
    std::nth_element(ages.begin(), limit, ages.end());
    auto surplus = ages.size() / 4;
    for (auto& [fingerprint, peer] : peers_)
        surplus -= std::erase_if(peer.by_path, [&, left = surplus](const auto& entry) mutable {
            if (left == 0 || entry.second->entry.written > *limit) return false;
            --left;
            return true;
        });
    path_count_ = ages.size() - (ages.size() / 4 - surplus);
}

std::vector<journal::known> journal::tidy() {
    std::set<known> all;
    path_count_ = 0;
    for (auto peer = peers_.begin(); peer != peers_.end();) {
        auto& [by_id, ids, by_path] = peer->second;
        std::erase_if(by_id,
                      [](const auto& entry) { return is_outdated(entry.second->entry, clocks::result_lifetime); });
        std::erase_if(ids, [&](const auto& id) { return !by_id.contains(id); });
        std::erase_if(by_path, [&](const auto& entry) { return is_outdated(entry.second->entry, name_lifetime_); });
        for (const auto& [id, one] : by_id) all.insert(one);
        for (const auto& [path, one] : by_path) all.insert(one);
        path_count_ += by_path.size();
        peer = by_id.empty() && by_path.empty() ? peers_.erase(peer) : std::next(peer);
    }
    std::erase_if(unplaced_, [](const auto& entry) { return entry.second.expired(); });
    std::vector<known> sorted(all.begin(), all.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const known& one, const known& other) { return one->entry.written < other->entry.written; });
    return sorted;
}

// ---- What is written ----

std::vector<entry_reference> journal::append(std::span<const journal_entry> entries) noexcept {
    std::vector<entry_reference> references;
    try {
        std::shared_ptr<const unique_fd> file, folder;
        bool is_name_durable = false;
        {
            const mutex_lock lock(mutex_);
            write_pending_and(entries, references);
            file = file_;
            folder = folder_;
            is_name_durable = is_name_durable_;
        }
        // A lost entry of a delivery that nobody can ask for costs no more than sending it again.
        if (std::ranges::none_of(entries, [](const auto& entry) { return entry.id.has_value(); })) return references;
        if (uninterrupted([&] { return ::fdatasync(file->get()); }) != 0) tree_.fail("cannot sync the journal", errno);
        if (is_name_durable) return references;
        tree_.sync(folder->get(), "cannot sync the journal");
        tree_.sync(tree_.root(), "cannot sync the journal");
        const mutex_lock lock(mutex_);
        if (file_ == file) is_name_durable_ = true;
    } catch (const std::exception& e) {
        warn_(fmt::format("if this receiver is killed, what it stores now may be stored twice: {}", e.what()));
    }
    return references;
}

void journal::mark_placed(entry_reference entry, std::uint32_t number) noexcept {
    try {
        const mutex_lock lock(mutex_);
        apply({entry, number});
        put(pending_, placed_mark{entry, number});
    } catch (const std::exception&) {
        // Out of memory: the next receiver looks for the file itself.
    }
}

void journal::add_placed(const journal_entry& entry, std::uint32_t number) noexcept {
    try {
        const mutex_lock lock(mutex_);
        const auto reference = put(pending_, entry);
        put(pending_, placed_mark{reference, number});
        remember(std::make_shared<known_entry>(known_entry{entry, reference, number, false}));
        if (pending_.size() < most_pending_bytes) return;
        try {
            std::vector<entry_reference> none;
            write_pending_and({}, none);
        } catch (const error&) {
            pending_.clear();  // memory is not the place for what the disk does not take
            throw;
        }
    } catch (const std::exception& e) {
        warn_(fmt::format("a file that is stored already may be sent again: {}", e.what()));
    }
}

// Takes the lock of the file that has the journal's name by then.
std::shared_ptr<const unique_fd> journal::lock_file() {
    for (;;) {
        if (!file_ && !open(O_CREAT)) tree_.fail("cannot write the journal", errno);
        const auto locked = file_;
        if (uninterrupted([&] { return ::flock(locked->get(), LOCK_EX); }) != 0)
            tree_.fail("cannot lock the journal", errno);
        refresh();
        if (file_ == locked) return locked;
    }
}

void journal::write_pending_and(std::span<const journal_entry> entries, std::vector<entry_reference>& references) {
    const write_lock lock(lock_file());
    struct stat now {};
    if (::fstat(file_->get(), &now) != 0) tree_.fail("cannot look at the journal", errno);
    auto size = static_cast<std::uint64_t>(now.st_size);
    // What a killed receiver has begun to write.
    if (size > read_ && ::ftruncate(file_->get(), static_cast<off_t>(size = read_)) != 0)
        tree_.fail("cannot write the journal", errno);
    std::vector<std::byte> records;
    if (size == 0) records = journal_header();
    records.insert(records.end(), pending_.begin(), pending_.end());
    std::vector<known> added;
    for (const auto& entry : entries) {
        references.push_back(put(records, entry));
        added.push_back(std::make_shared<known_entry>(known_entry{entry, references.back(), std::nullopt, true}));
    }
    try {
        write(*file_, records);
    } catch (...) {
        references.clear();
        // If that fails, too, the next one to write does it.
        [[maybe_unused]] const int undone = ::ftruncate(file_->get(), static_cast<off_t>(size));
        throw;
    }
    read_ = size + records.size();
    pending_.clear();
    for (auto& one : added) remember(std::move(one));
    if (read_ > rewrite_at_) rewrite();
}

// Writes anew what is still to be remembered. The lock is held, and the new file's is taken before anybody can see it.
void journal::rewrite() {
    const auto all = tidy();
    std::vector<std::byte> records = journal_header();
    for (const auto& one : all) {
        put(records, one->entry);
        if (one->number) put(records, placed_mark{one->reference, *one->number});
    }
    const auto folder = folder_->get();
    const auto file = std::make_shared<const unique_fd>(uninterrupted([&] {
        return ::openat(folder, new_journal_name, O_CREAT | O_TRUNC | O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
                        own_mode);
    }));
    // Tried again when it has grown further.
    rewrite_at_ = 2 * read_;
    if (!file->is_open() || ::flock(file->get(), LOCK_EX | LOCK_NB) != 0) return;
    const write_lock lock(file);
    try {
        write(*file, records);
        if (uninterrupted([&] { return ::fsync(file->get()); }) != 0) return;
        if (::renameat(folder, new_journal_name, folder, journal_name) != 0) return;
        tree_.sync(folder, {});
    } catch (const error&) {
        static_cast<void>(::unlinkat(folder, new_journal_name, 0));
        return;
    }
    file_ = file;
    read_ = records.size();
    rewrite_at_ = std::max(least_to_rewrite, 2 * read_);
    is_name_durable_ = true;
    pending_.clear();
}

void journal::write(const unique_fd& file, const_bytes bytes) const {
    while (!bytes.empty()) {
        const auto written = uninterrupted([&] { return ::write(file.get(), bytes.data(), bytes.size()); });
        if (written < 0) tree_.fail("cannot write the journal", errno);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
}

// Returns false, with errno set, if it is not there or cannot be opened.
bool journal::open(int flags) {
    for (bool retried = false;; retried = true) {
        folder_ = area_.folder();
        unique_fd file(uninterrupted([&] {
            return ::openat(folder_->get(), journal_name, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC | flags, own_mode);
        }));
        if (file.is_open()) {
            is_name_durable_ = false;
            file_ = std::make_shared<const unique_fd>(std::move(file));
            read_ = 0;
            return true;
        }
        if (errno != ENOENT || (flags & O_CREAT) == 0 || retried) return false;
        area_.forget(folder_);
    }
}

void journal::refresh() {
    if (file_) {
        struct stat now {};
        if (::fstat(file_->get(), &now) != 0) tree_.fail("cannot look at the journal", errno);
        const auto size = static_cast<std::uint64_t>(now.st_size);
        if (now.st_nlink != 0 && size == read_) return;
        if (now.st_nlink == 0 || size < read_) {
            // Another receiver has written it anew, or a person has removed it.
            std::set<entry_reference> in_flight;
            for (const auto& [reference, entry] : unplaced_)
                if (const auto one = entry.lock(); one && one->is_in_flight) in_flight.insert(reference);
            peers_.clear();
            unplaced_.clear();
            path_count_ = 0;
            file_.reset();
            if (!open(0)) return;
            read_new_records();
            for (const auto reference : in_flight) {
                const auto found = unplaced_.find(reference);
                if (found == unplaced_.end()) continue;
                if (const auto one = found->second.lock()) one->is_in_flight = true;
            }
            return;
        }
    } else if (!open(0)) {
        return;
    }
    read_new_records();
}

void journal::read_new_records() {
    struct stat now {};
    if (::fstat(file_->get(), &now) != 0) tree_.fail("cannot look at the journal", errno);
    const auto size = static_cast<std::uint64_t>(now.st_size);
    if (size <= read_) return;
    std::vector<std::byte> bytes(size - read_);
    std::size_t got = 0;
    while (got < bytes.size()) {
        const auto part = uninterrupted([&] {
            return ::pread(file_->get(), bytes.data() + got, bytes.size() - got, static_cast<off_t>(read_ + got));
        });
        if (part < 0) tree_.fail("cannot read the journal", errno);
        if (part == 0) break;
        got += static_cast<std::size_t>(part);
    }
    auto records = const_bytes(bytes).first(got);
    if (read_ == 0) {
        // Its maker was killed before the header was whole.
        if (records.size() < journal_header_bytes) return;
        require_known_header(records);
        records = records.subspan(journal_header_bytes);
        read_ = journal_header_bytes;
    }
    read_ += read_records(
        records,
        [this](journal_entry entry, entry_reference reference) WHERRY_REQUIRES(mutex_) {
            remember(std::make_shared<known_entry>(known_entry{std::move(entry), reference, std::nullopt, false}));
        },
        [this](const placed_mark& mark) WHERRY_REQUIRES(mutex_) { apply(mark); });
}

void journal::end() {
    refresh();
    if (tidy().empty()) {
        if (!file_) return;
        const write_lock lock(lock_file());
        if (!tidy().empty()) return;
        ::unlinkat(folder_->get(), new_journal_name, 0);
        ::unlinkat(folder_->get(), journal_name, 0);
    } else if (!pending_.empty()) {
        std::vector<entry_reference> none;
        write_pending_and({}, none);
    }
}

}  // namespace wherry::filesystem

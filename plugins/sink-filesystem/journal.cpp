// SPDX-License-Identifier: BSD-2-Clause
#include "journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "entry_place.hpp"
#include "item_name.hpp"

namespace wherry::filesystem {

namespace {

constexpr const char* journal_name = "journal";
constexpr const char* new_journal_name = "journal-new";
constexpr mode_t journal_mode = 0600;
// A journal is written anew when half of it is outdated, but not a small one.
constexpr std::uint64_t least_to_rewrite = std::uint64_t{1} << 20;
// So much may wait for the next write.
constexpr std::size_t most_pending_bytes = std::size_t{64} << 10;

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

// Keeps other receivers from writing, or from doing so in the middle of a reading.
class journal::write_lock {
public:
    // Throws error.
    write_lock(std::shared_ptr<const unique_fd> file, int how, const folder_tree& tree) : file_(std::move(file)) {
        if (uninterrupted([&] { return ::flock(file_->get(), how); }) != 0) tree.fail("cannot lock the journal", errno);
    }
    write_lock(const write_lock&) = delete;
    write_lock& operator=(const write_lock&) = delete;
    ~write_lock() { ::flock(file_->get(), LOCK_UN); }

private:
    const std::shared_ptr<const unique_fd> file_;
};

journal::journal(const folder_tree& tree, partial_area& area, std::chrono::milliseconds name_lifetime,
                 std::function<void(const std::string&)> warn)
    : tree_(tree), area_(area), name_lifetime_(name_lifetime), warn_(std::move(warn)), known_(name_lifetime) {
    const mutex_lock lock(mutex_);
    try {
        refresh();
    } catch (const error& e) {
        throw error(e.code(),
                    fmt::format("the journal {}/{} in {}: {}", area_.name(), journal_name, tree_.shown(), e.what()),
                    e.system_error());
    }
    const auto all = known_.tidy();
    rewrite_at_ = std::max(least_to_rewrite, 2 * journal_memory::bytes_of(all));
    // Now, before people move what a killed receiver has stored.
    for (const auto& entry : all) is_stored(*entry);
    write_found();
}

journal::~journal() {
    try {
        const mutex_lock lock(mutex_);
        end();
    } catch (const std::exception& e) {
        warn("the journal was not ended", e);
    }
}

void journal::warn(const char* consequence, const std::exception& why) const noexcept {
    try {
        warn_(fmt::format("{}: {}", consequence, why.what()));
    } catch (const std::exception&) {
        // Out of memory: what matters is told by what fails.
    }
}

bool journal::is_worth_noting(const offer& what, const std::string& fingerprint) const noexcept {
    // Its record would be refused by the reader.
    if (fingerprint.size() > most_fingerprint_bytes) return false;
    const bool is_known_by_path = what.kind == item_kind::file && what.size && what.mtime;
    return what.id || (is_known_by_path && name_lifetime_.count() > 0);
}

// ---- What is known ----

template <class Find>
std::optional<journal::stored_file> journal::find(Find&& find) {
    try {
        const mutex_lock lock(mutex_);
        refresh();
        const auto entry = find(known_);
        if (!entry || !is_stored(*entry)) return std::nullopt;
        write_found();
        return stored_file{components_of(entry->content, *entry->number), *entry->number, entry->content.file};
    } catch (const std::exception& e) {
        // The host waits for descriptors, and asks again.
        if (const auto* const known = dynamic_cast<const error*>(&e); known && is_out_of_descriptors(*known)) throw;
        warn("the journal cannot be read, so something may be sent or stored again", e);
        return std::nullopt;
    }
}

std::optional<journal::stored_file> journal::find_delivery(const offer& what, const std::string& fingerprint) {
    return find([&](const journal_memory& known) { return known.find_delivery(what, fingerprint); });
}

std::optional<journal::stored_file> journal::find_file(const offer& what, const std::string& fingerprint) {
    return find([&](const journal_memory& known) { return known.find_file(what, fingerprint); });
}

void journal::forget_file(const std::string& path, const std::string& fingerprint) noexcept {
    const mutex_lock lock(mutex_);
    known_.forget_file(path, fingerprint);
}

bool journal::is_stored(known_entry& entry) {
    if (entry.number) return true;
    const auto number = find_place(tree_, entry.content);
    if (!number) return false;
    known_.apply({entry.reference, *number});
    entry.number = number;
    put(pending_, placed_mark{entry.reference, *number});
    has_found_ = true;
    return true;
}

std::size_t journal::read(const_bytes records) {
    return read_records(
        records,
        [this](journal_entry content, entry_reference reference) WHERRY_REQUIRES(mutex_) {
            known_.remember(std::make_shared<known_entry>(known_entry{std::move(content), reference, std::nullopt}));
        },
        [this](const placed_mark& mark) WHERRY_REQUIRES(mutex_) { known_.apply(mark); });
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
        if (uninterrupted([&] { return ::fdatasync(file->get()); }) != 0) {
            const int code = errno;
            const mutex_lock lock(mutex_);
            has_hole_ = true;
            tree_.fail("cannot sync the journal", code);
        }
        if (is_name_durable) return references;
        tree_.sync(folder->get(), "cannot sync the journal");
        tree_.sync(tree_.root(), "cannot sync the journal");
        const mutex_lock lock(mutex_);
        if (file_ == file) is_name_durable_ = true;
    } catch (const std::exception& e) {
        warn("if this receiver is killed, what it stores now may be stored twice", e);
    }
    return references;
}

void journal::mark_placed(entry_reference entry, std::uint32_t number) noexcept {
    try {
        const mutex_lock lock(mutex_);
        known_.apply({entry, number});
        put(pending_, placed_mark{entry, number});
    } catch (const std::exception&) {
        // Out of memory: the next receiver looks for the file itself.
    }
}

void journal::withdraw(entry_reference entry) noexcept { mark_placed(entry, placed_mark::withdrawn); }

void journal::write_marks() noexcept {
    try {
        const mutex_lock lock(mutex_);
        if (!pending_.empty()) write_pending();
    } catch (const std::exception& e) {
        warn("if this receiver is killed, what it stored may be stored twice", e);
    }
}

void journal::add_placed(const journal_entry& entry, std::uint32_t number) noexcept {
    try {
        const mutex_lock lock(mutex_);
        auto content = entry;
        // Of this delivery the content is compared again, if it is offered again: its outcome is not in the record.
        content.id.reset();
        const auto before = pending_.size();
        const auto reference = put(pending_, content);
        put(pending_, placed_mark{reference, number});
        known_.remember(std::make_shared<known_entry>(known_entry{std::move(content), reference, number}));
        if (pending_.size() < most_pending_bytes) return;
        try {
            write_pending();
        } catch (const error&) {
            // Memory is not the place for what the disk does not take.
            if (pending_.size() > before) pending_.resize(before);
            throw;
        }
    } catch (const std::exception& e) {
        warn("a file that is stored already may be sent again", e);
    }
}

// Takes the lock of the file that has the journal's name by then, and reads what others have written.
std::unique_ptr<journal::write_lock> journal::lock_file() {
    for (;;) {
        if (!file_ && !open(O_CREAT)) tree_.fail("cannot write the journal", errno);
        auto lock = std::make_unique<write_lock>(file_, LOCK_EX, tree_);
        struct stat now {};
        if (::fstat(file_->get(), &now) != 0) tree_.fail("cannot look at the journal", errno);
        if (now.st_nlink == 0) {
            file_.reset();
            forget_all();
            continue;
        }
        read_new_records();
        relearn_pending();
        return lock;
    }
}

void journal::write_pending_and(std::span<const journal_entry> entries, std::vector<entry_reference>& references) {
    const auto lock = lock_file();
    struct stat now {};
    if (::fstat(file_->get(), &now) != 0) tree_.fail("cannot look at the journal", errno);
    auto size = static_cast<std::uint64_t>(now.st_size);
    // All of it once more, for a person may have emptied it meanwhile, so that read_ is in the middle of a record.
    if (size > read_) {
        forget_all();
        read_new_records();
        relearn_pending();
    }
    if (size > read_) {
        warn_("the end of the journal was not written whole, and is cut off");
        if (::ftruncate(file_->get(), static_cast<off_t>(size = read_)) != 0)
            tree_.fail("cannot write the journal", errno);
    }
    std::vector<std::byte> records;
    if (size == 0) records = journal_header();
    records.insert(records.end(), pending_.begin(), pending_.end());
    std::vector<entry_pointer> added;
    for (const auto& content : entries) {
        references.push_back(put(records, content));
        added.push_back(std::make_shared<known_entry>(known_entry{content, references.back(), std::nullopt}));
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
    for (const auto& entry : added) known_.remember(entry);
    if (has_hole_ || read_ > rewrite_at_) rewrite(known_.tidy());
}

void journal::write_pending() {
    std::vector<entry_reference> none;
    write_pending_and({}, none);
}

// Writes what is_stored() has found, so that it stays found.
void journal::write_found() noexcept {
    if (!std::exchange(has_found_, false)) return;
    try {
        write_pending();
    } catch (const std::exception& e) {
        warn("if this receiver is killed, what it found may be stored twice", e);
    }
}

// Writes the journal anew with these entries. The lock is held, and the new file's is taken before anybody can see it.
void journal::rewrite(std::span<const entry_pointer> all) {
    std::vector<std::byte> records = journal_header();
    for (const auto& entry : all) {
        put(records, entry->content);
        if (entry->number) put(records, placed_mark{entry->reference, *entry->number});
    }
    const auto folder = folder_->get();
    const auto file = std::make_shared<const unique_fd>(uninterrupted([&] {
        return ::openat(folder, new_journal_name, O_CREAT | O_TRUNC | O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
                        journal_mode);
    }));
    // Tried again when it has grown further.
    rewrite_at_ = 2 * read_;
    if (!file->is_open()) return;
    const write_lock lock(file, LOCK_EX, tree_);
    try {
        write(*file, records);
        tree_.sync(file->get(), "cannot write the journal");
        if (::renameat(folder, new_journal_name, folder, journal_name) != 0)
            tree_.fail("cannot write the journal", errno);
        tree_.sync(folder, {});
    } catch (const error&) {
        static_cast<void>(::unlinkat(folder, new_journal_name, 0));
        return;
    }
    file_ = file;
    read_ = records.size();
    rewrite_at_ = std::max(least_to_rewrite, 2 * read_);
    is_name_durable_ = true;
    has_hole_ = false;
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
        const int folder = folder_->get();
        unique_fd file(uninterrupted([&] {
            return ::openat(folder, journal_name, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC | flags, journal_mode);
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
        if (now.st_nlink != 0 && static_cast<std::uint64_t>(now.st_size) == read_) return;
        // Another receiver has written it anew, or a person has removed it.
        if (now.st_nlink == 0) {
            file_.reset();
            forget_all();
        }
    }
    if (!file_ && !open(0)) {
        if (errno != ENOENT) tree_.fail("cannot open it", errno);
        return relearn_pending();
    }
    // So that nothing is read that is taken back when the disk is full.
    const write_lock lock(file_, LOCK_SH, tree_);
    read_new_records();
    relearn_pending();
}

void journal::read_new_records() {
    struct stat now {};
    if (::fstat(file_->get(), &now) != 0) tree_.fail("cannot look at the journal", errno);
    const auto size = static_cast<std::uint64_t>(now.st_size);
    if (size < read_) {
        forget_all();
    }
    if (size == read_) return;
    const bool is_all = read_ == 0;
    std::vector<std::byte> bytes(size - read_);
    std::size_t got = 0;
    while (got < bytes.size()) {
        const int file = file_->get();
        const auto position = static_cast<off_t>(read_ + got);
        const auto part =
            uninterrupted([&] { return ::pread(file, bytes.data() + got, bytes.size() - got, position); });
        if (part < 0) tree_.fail("cannot read the journal", errno);
        if (part == 0) break;
        got += static_cast<std::size_t>(part);
    }
    auto records = const_bytes(bytes).first(got);
    if (is_all) {
        // Its maker was killed before the header was whole.
        if (records.size() < journal_header_bytes) return;
        require_known_header(records);
        records = records.subspan(journal_header_bytes);
        read_ = journal_header_bytes;
    }
    read_ += read(records);
}

// What this process is still to write belongs to what is known, behind what is in the file.
void journal::relearn_pending() {
    if (is_pending_known_) return;
    read(pending_);
    is_pending_known_ = true;
}

void journal::forget_all() {
    known_.clear();
    is_pending_known_ = false;
    read_ = 0;
}

void journal::end() {
    refresh();
    if (known_.tidy().empty()) {
        if (!file_) return;
        const auto lock = lock_file();
        if (!known_.tidy().empty()) return;
        ::unlinkat(folder_->get(), new_journal_name, 0);
        ::unlinkat(folder_->get(), journal_name, 0);
        return;
    }
    if (!pending_.empty()) write_pending();
    if (!file_ || read_ < least_to_rewrite) return;
    const auto lock = lock_file();
    const auto all = known_.tidy();
    if (2 * journal_memory::bytes_of(all) < read_) rewrite(all);
}

}  // namespace wherry::filesystem

// SPDX-License-Identifier: BSD-2-Clause
#include "file_delivery.hpp"

#include <botan/hash.h>
#include <botan/hex.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "attributes.hpp"
#include "item_name.hpp"
#include "stored_delivery.hpp"
#include "wherry/system_calls.hpp"
#include "wherry/text.hpp"

namespace wherry::filesystem {

namespace {

constexpr unsigned most_numbers = 1u << 20;
constexpr int most_tries = 100;
constexpr std::size_t compared_at_once = std::size_t{128} << 10;

// The same for the same item of the same peer, and for no other.
std::string resume_key(const offer& what, const identity& peer) {
    byte_writer all;
    const auto time = what.mtime.value_or(file_time{});
    all.sized<std::uint32_t>(as_bytes(peer.fingerprint)).sized<std::uint32_t>(as_bytes(what.name));
    all.integer(*what.size).integer(static_cast<std::uint64_t>(time.seconds)).integer(time.nanoseconds);
    const auto bytes = all.view();
    const auto hash = Botan::HashFunction::create_or_throw("SHA-256");
    hash->update(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    const auto digest = hash->final();
    return Botan::hex_encode(digest.data(), digest.size(), false);
}

}  // namespace

file_delivery::file_delivery(store& shared, group_commit& group, const offer& what, std::vector<std::string> components,
                             existing_policy policy, const identity& peer)
    : store_(shared),
      group_(group),
      what_(what),
      components_(std::move(components)),
      policy_(policy),
      fingerprint_(peer.fingerprint),
      attempt_(fmt::format("cannot store {}", in_quotes(joined(components_)))) {
    const auto limit = store_.settings.max_size;
    if (limit != 0 && what_.size && *what_.size > limit)
        throw error(errc::refused,
                    fmt::format("{} has {}, and files over {} are not taken", in_quotes(joined(components_)),
                                human_bytes(*what_.size), human_bytes(limit)));
    check_place();
    const bool resumable = what_.wants_resume && what_.size && *what_.size >= store_.settings.least_kept &&
                           what_.kind != item_kind::message;
    partial_ = resumable ? store_.partials.open_kept(resume_key(what_, peer), *what_.size) : store_.partials.make_new();
    offset_ = position_ = pushed_ = partial_.present;
    try {
        const auto stored_before = offset_ != 0 ? std::optional(offset_) : std::nullopt;
        share_.emplace(store_.ledger.reserve(what_.size.value_or(0), partial_.name, stored_before));
        reserve_folders();
        expect_room();
    } catch (...) {
        // What was kept before stays for a better time.
        if (offset_ == 0)
            partial_.remove();
        else if (share_)
            share_->store(offset_);
        throw;
    }
}

file_delivery::~file_delivery() { discard(); }

// What comes whole must not be refused at its end for want of room for its folders.
void file_delivery::reserve_folders() {
    if (!store_.ledger.has_quota()) return;
    const auto parents = parents_of(components_);
    std::size_t present = 0;
    while (present < parents.size() && store_.tree.open_folder(parents.first(present + 1)).is_open()) ++present;
    if (present < parents.size()) folders_share_.emplace(store_.ledger.reserve_folders(parents.size() - present));
}

std::size_t file_delivery::read_back(std::uint64_t position, mutable_bytes buffer) {
    if (failure_) throw *failure_;
    if (position >= offset_) return 0;
    const auto wanted = std::min<std::uint64_t>(buffer.size(), offset_ - position);
    const auto got =
        uninterrupted([&] { return ::pread(partial_.fd.get(), buffer.data(), wanted, static_cast<off_t>(position)); });
    if (got < 0)
        store_.tree.fail(fmt::format("cannot read back what came of {}", in_quotes(joined(components_))), errno);
    return static_cast<std::size_t>(got);
}

void file_delivery::write(const_bytes bytes) {
    if (failure_) throw *failure_;
    try {
        check_size(bytes.size());
        share_->grow_to(position_ + bytes.size());
        while (!bytes.empty()) {
            const auto written = uninterrupted(
                [&] { return ::pwrite(partial_.fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(position_)); });
            if (written < 0) store_.tree.fail(attempt_, errno);
            position_ += static_cast<std::uint64_t>(written);
            expect_less(static_cast<std::uint64_t>(written));
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        }
        push_to_disk();
    } catch (const error& e) {
        failure_ = e;
        discard();
        throw;
    }
}

void file_delivery::finish(response& answer) {
    ending one{this, &answer, std::nullopt};
    finish_group({&one, 1});
    if (one.failure) throw *one.failure;
}

void file_delivery::abort(partial what_came) noexcept {
    if (what_came == partial::keep) keep_if_possible();
    discard();
}

void file_delivery::check_complete() const {
    if (failure_) throw *failure_;
    if (what_.size && position_ != *what_.size)
        throw error(errc::protocol, fmt::format("{}: only {} of {} bytes came", attempt_, position_, *what_.size));
}

std::optional<file_delivery::existing_file> file_delivery::find_equal() const {
    if (!what_.mtime || what_.kind == item_kind::message) return std::nullopt;
    if (auto found = find_equal_at(components_, 0)) return found;
    if (!store_.journal || policy_ != existing_policy::rename) return std::nullopt;
    // Where this key's file of that name was stored, if the name was taken then.
    std::optional<journal::stored_file> stored;
    when_descriptors_are_free([&]() -> unique_fd {
        stored = store_.journal->find_file(what_, fingerprint_);
        return {};
    });
    if (!stored || stored->number == 0) return std::nullopt;
    return find_equal_at(stored->components, stored->number);
}

std::optional<file_delivery::existing_file> file_delivery::find_equal_at(const std::vector<std::string>& components,
                                                                         std::uint32_t number) const {
    existing_file found{components, number, {}, {}};
    found.fd = when_descriptors_are_free([&] { return store_.tree.open_file(components); });
    if (!found.fd.is_open()) return std::nullopt;
    // In a folder that is shared, another user's file is not this one's to rely on: it may be gone tomorrow.
    struct stat theirs {
    }, ours{};
    if (::fstat(found.fd.get(), &theirs) != 0 || ::fstat(partial_.fd.get(), &ours) != 0 || theirs.st_uid != ours.st_uid)
        return std::nullopt;
    const auto mark = mark_of(found.fd.get());
    if (!mark || mark->size != position_ || mark->modified != *what_.mtime || !has_content_of(found.fd.get()))
        return std::nullopt;
    found.mark = *mark;
    return found;
}

bool file_delivery::has_content_of(int existing) const {
    const auto piece_bytes = static_cast<std::size_t>(std::min<std::uint64_t>(compared_at_once, position_));
    std::vector<std::byte> ours(piece_bytes), theirs(piece_bytes);
    for (std::uint64_t position = 0; position < position_;) {
        if (store_.is_interrupted) throw error(errc::cancelled, fmt::format("{}: the receiver is ending", attempt_));
        const auto wanted = std::min<std::uint64_t>(piece_bytes, position_ - position);
        const auto read = [&](int file, std::vector<std::byte>& piece) {
            return uninterrupted([&] { return ::pread(file, piece.data(), wanted, static_cast<off_t>(position)); });
        };
        const auto got = read(partial_.fd.get(), ours);
        // What came cannot be read, and must not be stored as if it could.
        if (got < 0) store_.tree.fail(attempt_, errno);
        if (got == 0) throw error(errc::io, fmt::format("{}: what came has become shorter", attempt_));
        if (read(existing, theirs) != got ||
            std::memcmp(ours.data(), theirs.data(), static_cast<std::size_t>(got)) != 0)
            return false;
        position += static_cast<std::uint64_t>(got);
    }
    return true;
}

bool file_delivery::confirm_existing(const existing_file& existing, response& answer) {
    const auto folder =
        when_descriptors_are_free([&] { return store_.tree.open_folder(parents_of(existing.components)); });
    if (!folder.is_open()) return false;
    store_.tree.sync(existing.fd.get(), attempt_);
    store_.tree.sync(folder.get(), attempt_);
    // A delivery holds the lock of its file as long as it may take it back; and the comparison may have taken long.
    const bool is_locked = ::flock(existing.fd.get(), LOCK_SH | LOCK_NB) != 0 && !is_lack_of_locks(errno);
    if (is_locked || mark_of(folder.get(), existing.components.back()) != existing.mark) return false;
    answer.append(fmt::format("stored as {}", joined(existing.components)));
    answer.set_outcome(already_there);
    if (is_noted()) store_.journal->add_placed(entry_of(existing.mark), existing.number);
    discard();
    return true;
}

bool file_delivery::is_noted() const noexcept {
    return store_.journal && store_.journal->is_worth_noting(what_, fingerprint_);
}

journal_entry file_delivery::entry_of(const file_mark& file) const {
    return make_entry(what_, fingerprint_, joined(components_), file);
}

void file_delivery::sync_kept_content() const {
    if (partial_.may_be_kept) store_.tree.sync(partial_.fd.get(), attempt_);
}

void file_delivery::confirm(response& answer) {
    answer.append(fmt::format("stored as {}", joined(components_)));
    if (!is_time_kept_) answer.append("; the file system there cannot hold its time");
    if (entry_) store_.journal->mark_placed(*entry_, number_);
    if (displaces_) partial_.remove();
    partial_.fd.reset();
    share_->store(position_);
}

void file_delivery::check_place() {
    const auto& tree = store_.tree;
    const auto folder = tree.open_folder(parents_of(components_));
    if (!folder.is_open() || policy_ == existing_policy::rename) return;
    const auto existing = tree.look_at(folder.get(), components_.back());
    if (!existing) return;
    // It may be the same file, which is seen at the end.
    const bool may_be_equal = what_.mtime && S_ISREG(existing->st_mode) && what_.size &&
                              static_cast<std::uint64_t>(existing->st_size) == *what_.size &&
                              existing->st_mtim.tv_sec == what_.mtime->seconds &&
                              existing->st_mtim.tv_nsec == what_.mtime->nanoseconds;
    if (policy_ == existing_policy::refuse && !may_be_equal) refuse_existing();
    if (S_ISDIR(existing->st_mode)) refuse_folder();
}

void file_delivery::refuse_existing() const {
    throw error(errc::refused, fmt::format("{} exists already, and is not replaced", in_quotes(joined(components_))),
                EEXIST);
}

void file_delivery::refuse_folder() const {
    throw error(errc::refused, fmt::format("{} is a folder here, and is not replaced", in_quotes(joined(components_))),
                EISDIR);
}

void file_delivery::refuse_anothers(int folder, int code) const {
    const auto parents = parents_of(components_);
    struct stat above {};
    const auto existing = store_.tree.look_at(folder, components_.back());
    // In a folder with the sticky bit, as /tmp, a file can be replaced by its owner only, or by the folder's.
    if (existing && existing->st_uid != ::geteuid() && ::fstat(folder, &above) == 0 && (above.st_mode & S_ISVTX) != 0)
        throw error(errc::refused,
                    fmt::format("{} belongs to another user here, and is not replaced", in_quotes(joined(components_))),
                    code);
    store_.tree.fail_in(parents, folder, attempt_, code);
}

void file_delivery::expect_room() {
    if (!what_.size) return;
    const auto needed = *what_.size - offset_;
    const auto free = store_.free_bytes_for(needed);
    auto others = store_.expected.load();
    do {
        const auto left = free - std::min(free, others);
        if (needed > left)
            throw error(errc::exhausted,
                        fmt::format("needs {} but only {} is free in {}; make space there", human_bytes(needed),
                                    human_bytes(left), store_.tree.shown()),
                        ENOSPC);
    } while (!store_.expected.compare_exchange_weak(others, others + needed));
    still_expected_ = needed;
}

void file_delivery::push_to_disk(std::uint64_t least) noexcept {
    const auto waiting = position_ - pushed_;
    if (store_.settings.sync == durability::lazy || waiting < least) return;
    ::sync_file_range(partial_.fd.get(), static_cast<off_t>(pushed_), static_cast<off_t>(waiting),
                      SYNC_FILE_RANGE_WRITE);
    pushed_ = position_;
}

void file_delivery::expect_less(std::uint64_t bytes) noexcept {
    const auto fewer = std::min(bytes, still_expected_);
    still_expected_ -= fewer;
    store_.expected.fetch_sub(fewer);
}

void file_delivery::check_size(std::size_t more) const {
    if (what_.size && more > *what_.size - position_)
        throw error(errc::protocol, fmt::format("{}: more came than the {} bytes announced", attempt_, *what_.size));
    const auto limit = store_.settings.max_size;
    if (limit != 0 && (position_ > limit || more > limit - position_))
        throw error(errc::refused, fmt::format("{}: files over {} are not taken", attempt_, human_bytes(limit)));
}

void file_delivery::place(int folder) {
    auto& name = components_.back();
    if (policy_ == existing_policy::overwrite) {
        if (replace(folder, name)) return;
        const int code = errno;
        if (code == EISDIR || code == EEXIST || code == ENOTEMPTY) refuse_folder();
        if (code == EACCES || code == EPERM) refuse_anothers(folder, code);
        store_.tree.fail_in(parents_of(components_), folder, attempt_, code);
    }
    if (try_place(folder, name)) return;
    if (policy_ == existing_policy::refuse) refuse_existing();
    const auto wanted = name;
    for (number_ = first_free_number(folder, wanted); number_ <= most_numbers; ++number_) {
        name = numbered(wanted, number_);
        if (try_place(folder, name)) return;
    }
    name = wanted;
    throw error(errc::exhausted, fmt::format("{}: there are too many of that name; move some away", attempt_));
}

bool file_delivery::replace(int folder, const std::string& name) {
    const int own_folder = partial_.folder->get();
    for (int tries = 0; tries < most_tries; ++tries) {
        const auto existing = store_.tree.look_at(folder, name);
        if (existing && S_ISDIR(existing->st_mode)) {
            errno = EISDIR;
            return false;
        }
        // The old file gets the partial file's name, so that name must not be one that a resume opens.
        if (existing) store_.partials.detach(partial_);
        const int result =
            existing ? rename_in_mode(own_folder, partial_.name.c_str(), folder, name.c_str(), rename_mode::exchange)
                     : rename_new(folder, name);
        displaces_ = existing && result == 0;
        struct stat old {};
        if (displaces_ && ::fstatat(own_folder, partial_.name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(old.st_mode)) {
            // A folder has taken the name meanwhile: it goes back, because its content must not be lost.
            displaces_ = false;
            rename_in_mode(own_folder, partial_.name.c_str(), folder, name.c_str(), rename_mode::exchange);
            errno = EISDIR;
            return false;
        }
        if (result == 0) return true;
        // Another delivery has just made the file, or the old one has just been removed: try again.
        if (errno != (existing ? ENOENT : EEXIST)) break;
    }
    if (is_beyond_file_system(errno) && errno != EPERM) store_.tell_no_exchange();
    is_all_there_is_ = true;
    return ::renameat(own_folder, partial_.name.c_str(), folder, name.c_str()) == 0;
}

error file_delivery::taken_back(int folder, const error& why) noexcept {
    if (take_back(folder)) return why;
    try {
        return error(why.code(),
                     fmt::format("{}; the new file cannot be taken back, and a power cut may lose it", why.what()),
                     why.system_error());
    } catch (const std::bad_alloc&) {
        return why;
    }
}

bool file_delivery::take_back(int folder) noexcept {
    const auto& name = components_.back();
    struct stat ours {
    }, existing{};
    bool is_away = false;
    if (::fstatat(folder, name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) != 0)
        is_away = errno == ENOENT;
    else if (::fstat(partial_.fd.get(), &ours) == 0 &&
             (ours.st_ino != existing.st_ino || ours.st_dev != existing.st_dev))
        is_away = true;
    else if (displaces_) {
        // The new file is the partial one again, and is removed as such.
        if (rename_in_mode(partial_.folder->get(), partial_.name.c_str(), folder, name.c_str(),
                           rename_mode::exchange) == 0)
            return true;
    } else if (!is_all_there_is_)
        is_away = ::unlinkat(folder, name.c_str(), 0) == 0;
    // Keeps the partial file's name from being removed: the old file has it, or another delivery may have it.
    partial_.fd.reset();
    return is_away;
}

int file_delivery::rename_new(int folder, const std::string& name) {
    bool is_exclusive = false;
    const int result = rename_exclusively(partial_.folder->get(), partial_.name, folder, name, is_exclusive);
    const int code = errno;
    if (!is_exclusive) store_.tell_no_exclusive_rename();
    errno = code;
    return result;
}

bool file_delivery::try_place(int folder, const std::string& name) {
    if (rename_new(folder, name) == 0) return true;
    if (errno == EEXIST) return false;
    const int code = errno;
    struct stat ours {};
    // Somebody has removed the partial file.
    if (code == ENOENT && ::fstat(partial_.fd.get(), &ours) == 0 && ours.st_nlink == 0)
        store_.tree.fail(attempt_, code);
    store_.tree.fail_in(parents_of(components_), folder, attempt_, code);
}

unsigned file_delivery::first_free_number(int folder, const std::string& wanted) const {
    const auto taken = [&](unsigned number) {
        return store_.tree.look_at(folder, numbered(wanted, number)).has_value();
    };
    unsigned free = 1;
    while (free < most_numbers && taken(free)) free *= 2;
    unsigned in_use = free / 2;  // 0 stands for the name itself
    while (in_use + 1 < free) {
        const auto middle = in_use + (free - in_use) / 2;
        (taken(middle) ? in_use : free) = middle;
    }
    return free;
}

void file_delivery::keep_if_possible() noexcept {
    if (!partial_.may_be_kept || !partial_.fd.is_open() || position_ == 0) return;
    const int fd = partial_.fd.get();
    struct stat now {};
    if (::fstat(fd, &now) != 0) return;
    // What a write that failed half-way left behind its last good byte was never acknowledged to anyone. Only then,
    // for it counts as a write, and the lifetime of what is kept runs from the last one.
    if (static_cast<std::uint64_t>(now.st_size) != position_ && ::ftruncate(fd, static_cast<off_t>(position_)) != 0)
        return;
    if (store_.settings.sync == durability::synced) ::fdatasync(fd);
    // In this order: whoever gets the lock next must find it stored.
    share_->store(position_);
    partial_.fd.reset();
}

void file_delivery::discard() noexcept {
    partial_.remove();
    share_.reset();
    folders_share_.reset();
    expect_less(still_expected_);
}

}  // namespace wherry::filesystem

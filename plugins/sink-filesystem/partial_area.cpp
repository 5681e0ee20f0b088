// SPDX-License-Identifier: BSD-2-Clause
#include "partial_area.hpp"

#include <botan/hex.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <exception>
#include <string_view>
#include <utility>
#include <vector>

#include "item_name.hpp"
#include "space_ledger.hpp"
#include "wherry/file_format.hpp"
#include "wherry/text.hpp"

namespace wherry::filesystem {

namespace {

constexpr std::string_view new_prefix = "new-";
constexpr std::string_view kept_prefix = "keep-";
constexpr mode_t partial_mode = 0600;
constexpr const char* format_name = "format";
constexpr mode_t private_mode = 0700;
constexpr std::chrono::milliseconds clear_at_most_every = std::chrono::seconds(1);
constexpr std::chrono::milliseconds clear_at_least_every = std::chrono::hours(1);

std::string random_digits() {
    std::array<unsigned char, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw error(errc::internal, "the system gives no random bytes", errno);
    constexpr bool lower_case = false;
    return Botan::hex_encode(bytes.data(), bytes.size(), lower_case);
}

// Whether the file still has that name: another holder of the lock may have renamed or removed it before we had it.
bool is_at(int folder, const std::string& name, const struct stat& file) noexcept {
    struct stat named {};
    return ::fstatat(folder, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == file.st_ino &&
           named.st_dev == file.st_dev;
}

// Whether the entry itself makes open() fail, by its type or mode, and not a lack of resources.
bool is_due_to_entry(int code) noexcept {
    return code == EACCES || code == EPERM || code == ELOOP || code == EISDIR || code == ENXIO || code == ETXTBSY;
}

// Whether a delivery can ever resume it. A file with a second name is stored already.
bool is_usable(const struct stat& file, uid_t owner) noexcept {
    return S_ISREG(file.st_mode) && file.st_nlink == 1 && file.st_uid == owner;
}

std::chrono::system_clock::duration age_of(const struct stat& file) {
    // The change time, because the sender sets the time of the last write.
    return std::chrono::system_clock::now() - std::chrono::system_clock::from_time_t(file.st_ctime);
}

// Whether a killed delivery left it with another mode, or the clock was set back, so that its age must start anew.
bool is_to_be_mended(const struct stat& file, uid_t owner) {
    return is_usable(file, owner) && ((file.st_mode & 07777) != partial_mode || age_of(file).count() < 0);
}

unique_fd open_to_lock(int folder, const std::string& name) noexcept {
    return unique_fd(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
}

// Whether a delivery holds the file's own lock.
bool is_locked(int folder, const std::string& name) noexcept {
    const auto file = open_to_lock(folder, name);
    return file.is_open() && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0;
}

// Takes the area's own lock, on a new descriptor. If that fails, the result is not open and errno is set.
unique_fd lock_area(int area, int how) noexcept {
    unique_fd own(uninterrupted([&] { return ::openat(area, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (own.is_open() && uninterrupted([&] { return ::flock(own.get(), how); }) != 0) own.reset();
    return own;
}

constexpr auto format_text = [] {
    std::array<char, format_line.size() + 1> text{};
    std::copy(format_line.begin(), format_line.end(), text.begin());
    text.back() = '\n';
    return text;
}();

// No delivery fails for want of it: without a line the format is 1.
void write_format(int area) noexcept {
    constexpr auto flags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
    const unique_fd file(uninterrupted([&] { return ::openat(area, format_name, flags, partial_mode); }));
    if (!file.is_open()) return;
    ::fchmod(file.get(), partial_mode);  // the umask may have taken bits of the user's own
    const auto written = uninterrupted([&] { return ::write(file.get(), format_text.data(), format_text.size()); });
    // The disk is full, say. Whoever opens the area next writes it.
    if (written != static_cast<ssize_t>(format_text.size())) ::unlinkat(area, format_name, 0);
}

}  // namespace

void partial_file::remove() noexcept {
    if (!fd.is_open()) return;
    ::unlinkat(folder->get(), name.c_str(), 0);
    fd.reset();
}

partial_area::partial_area(const folder_tree& tree, std::chrono::milliseconds lifetime)
    : partial_area(tree, lifetime, std::clamp(lifetime / 10, clear_at_most_every, clear_at_least_every)) {}

partial_area::partial_area(const folder_tree& tree, std::chrono::milliseconds lifetime,
                           std::chrono::milliseconds clear_every)
    : tree_(tree),
      lifetime_(lifetime),
      new_names_(std::string(new_prefix) + random_digits() + "-"),
      owner_(::geteuid()) {
    clear();
    has_locks_ = lock_area(folder()->get(), LOCK_SH).is_open() || !is_lack_of_locks(errno);
    clearing_ = std::jthread([this, clear_every] { clear_now_and_then(clear_every); });
}

partial_area::~partial_area() {
    {
        const mutex_lock lock(waiting_);
        is_stopped_ = true;
        stopped_.notify_one();
    }
    clearing_.join();
    if (!folder_) return;
    bool is_empty = true;
    try {
        for_each_entry(folder_->get(), ".", [&](int, const std::string& name) { is_empty &= name == format_name; });
    } catch (const std::exception&) {
        return;
    }
    if (!is_empty) return;
    ::unlinkat(folder_->get(), format_name, 0);
    // Another receiver may have begun a file meanwhile.
    if (::unlinkat(tree_.root(), name_.c_str(), AT_REMOVEDIR) != 0) write_format(folder_->get());
}

// Has an area without a format name it.
void partial_area::require_known_format(int folder, const std::string& name) const {
    const unique_fd file(
        uninterrupted([&] { return ::openat(folder, format_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); }));
    if (!file.is_open() && errno == ENOENT) return write_format(folder);
    std::array<char, 64> bytes;
    const auto count =
        file.is_open() ? uninterrupted([&] { return ::read(file.get(), bytes.data(), bytes.size()); }) : -1;
    if (count < 0) tree_.fail(fmt::format("cannot read {}/{}/{}", tree_.shown(), name, format_name), errno);
    if (count == 0) {  // its writer was killed, or the disk failed
        ::unlinkat(folder, format_name, 0);
        return write_format(folder);
    }
    const std::string_view text(bytes.data(), static_cast<std::size_t>(count));
    if (const auto other = unknown_format(text.substr(0, text.find('\n'))))
        throw error(
            errc::unsupported,
            fmt::format(
                "the partial area {0} in {1} was left by a newer wherry (format {2}); receive with that one, or "
                "remove {0}: cut files then begin anew, and a repeated delivery is stored again",
                name, tree_.shown(), printable(*other)));
}

// Whether nobody else can have put anything into the folder. A file system without owners or modes shows its own for
// all there is; a file that this process makes shows which.
bool partial_area::is_own(int folder) {
    struct stat area {};
    if (::fstat(folder, &area) != 0) return false;
    const bool is_private = (area.st_mode & 0777) == private_mode;
    if (area.st_uid == ::geteuid() && is_private) {
        owner_ = area.st_uid;
        return true;
    }
    const auto name = new_name();
    const unique_fd file(uninterrupted([&] {
        return ::openat(folder, name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, partial_mode);
    }));
    if (!file.is_open()) return false;
    ::unlinkat(folder, name.c_str(), 0);
    struct stat made {};
    if (::fstat(file.get(), &made) != 0 || made.st_uid != area.st_uid) return false;
    const bool has_modes = (made.st_mode & 0077) == 0;
    if (has_modes && !is_private) return false;
    owner_ = made.st_uid;
    return true;
}

unique_fd partial_area::open_area() {
    const int root = tree_.root();
    const auto user = ::geteuid();
    const auto require_means = [&](const std::string& name) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EIO)
            tree_.fail(fmt::format("cannot prepare {}/{}", tree_.shown(), name), errno);
    };
    // One from before has parts and the journal. Names before it may be free only because those of others are gone.
    for (unsigned attempts = 0; attempts < most_partial_area_names; ++attempts) {
        auto name = partial_area_name_for(user, attempts);
        auto folder = open_component(root, name);
        if (!folder.is_open()) {
            require_means(name);
        } else if (is_own(folder.get())) {
            require_known_format(folder.get(), name);
            name_ = std::move(name);
            return folder;
        }
    }
    for (unsigned attempts = 0; attempts < most_partial_area_names; ++attempts) {
        auto name = partial_area_name_for(user, attempts);
        const auto attempt = fmt::format("cannot prepare {}/{}", tree_.shown(), name);
        const bool is_made = ::mkdirat(root, name.c_str(), private_mode) == 0;
        if (!is_made && errno != EEXIST) tree_.fail(attempt, errno);
        auto folder = open_component(root, name);
        struct stat made {};
        // The umask may have taken bits of the user's own.
        if (is_made && folder.is_open() && ::fstat(folder.get(), &made) == 0 && (made.st_mode & 0777) != private_mode)
            ::fchmod(folder.get(), private_mode | (made.st_mode & S_ISGID));
        if (folder.is_open() && is_own(folder.get())) {
            require_known_format(folder.get(), name);
            name_ = std::move(name);
            return folder;
        }
        if (!folder.is_open()) require_means(name);
        if (!is_made) continue;
        ::unlinkat(root, name.c_str(), AT_REMOVEDIR);
        throw error(
            errc::io,
            fmt::format("{}: it was made, and is not this user's with mode 0700; choose another folder", attempt));
    }
    throw error(errc::io, fmt::format("cannot prepare {}/{}: others have that name and all that are tried instead; "
                                      "remove what begins with it",
                                      tree_.shown(), partial_area_name));
}

std::shared_ptr<const unique_fd> partial_area::folder() {
    const mutex_lock lock(mutex_);
    if (!folder_) folder_ = std::make_shared<const unique_fd>(open_area());
    return folder_;
}

std::string partial_area::name() const {
    const mutex_lock lock(mutex_);
    return name_;
}

void partial_area::forget(const std::shared_ptr<const unique_fd>& gone) {
    const mutex_lock lock(mutex_);
    if (folder_ == gone) folder_.reset();
}

std::string partial_area::new_name() { return new_names_ + std::to_string(++last_new_); }

// Of one folder, which may be removed by hand and made again while it is held.
class partial_area::held_lock {
public:
    held_lock(std::shared_ptr<const unique_fd> area, unique_fd own) noexcept
        : area_(std::move(area)), own_(std::move(own)) {}

    bool is_of(const std::shared_ptr<const unique_fd>& area) const noexcept { return area_ == area; }

private:
    const std::shared_ptr<const unique_fd> area_;
    const unique_fd own_;
};

std::shared_ptr<const partial_area::held_lock> partial_area::hold() {
    const auto area = folder();
    std::shared_ptr<const held_lock> held;
    when_descriptors_are_free([&]() -> unique_fd {
        const mutex_lock lock(holding_);
        held = held_.lock();
        if (held && held->is_of(area)) return {};
        auto own = lock_area(area->get(), LOCK_SH);
        if (!own.is_open() && (has_locks_ || !is_lack_of_locks(errno)))
            tree_.fail(fmt::format("cannot store in {}", tree_.shown()), errno);
        held_ = held = std::make_shared<const held_lock>(area, std::move(own));
        return {};
    });
    return held;
}

// Opens and locks. The descriptor is not open where another has the lock or the name changed hands meanwhile.
partial_file partial_area::open_file(const std::string& name, int flags) {
    const auto attempt = fmt::format("cannot store in {}", tree_.shown());
    for (bool retried = false;; retried = true) {
        partial_file file{folder(), name, {}};
        file.fd = unique_fd(uninterrupted([&] {
            return ::openat(file.folder->get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags,
                            partial_mode);
        }));
        if (!file.fd.is_open()) {
            // The area was removed by hand, or by another receiver that ended.
            if (errno == ENOENT && !retried) {
                forget(file.folder);
                continue;
            }
            tree_.fail(attempt, errno);
        }
        const bool is_new = (flags & O_EXCL) != 0;
        struct stat now {};
        int code = 0;
        if (uninterrupted([&] { return ::flock(file.fd.get(), LOCK_EX | LOCK_NB); }) != 0) code = errno;
        if (is_new && !has_locks_ && is_lack_of_locks(code)) code = 0;
        if (code == 0 && ::fstat(file.fd.get(), &now) != 0) code = errno;
        // A part that cannot be had now may be had later.
        if (code != 0 && !is_new) return {};
        if (code != 0) {
            if (code == EWOULDBLOCK) return {};  // another receiver is just clearing it away
            file.remove();
            tree_.fail(attempt, code);
        }
        // A new file's name is not compared: others may remove the file, but do not rename it.
        if (now.st_nlink == 0 || (!is_new && !is_at(file.folder->get(), name, now))) return {};
        file.present = static_cast<std::uint64_t>(now.st_size);
        return file;
    }
}

partial_file partial_area::make_new() {
    // More than once only when another receiver clears the area just between the making and the locking.
    for (int tries = 0; tries < 100; ++tries) {
        auto file = open_file(new_name(), O_CREAT | O_EXCL);
        if (file.fd.is_open()) return file;
    }
    throw error(errc::internal, fmt::format("cannot make a partial file in {}", tree_.shown()));
}

// Renames an entry that has a kept file's name and can never be used.
bool partial_area::set_aside(int folder, const std::string& name) {
    return ::renameat(folder, name.c_str(), folder, new_name().c_str()) == 0;
}

// Gives an entry that cannot be opened the mode of a partial file again, or else sets it aside. Returns false while a
// delivery is ending, because the file may be its own.
bool partial_area::make_openable(const std::string& name) {
    const auto area = folder();
    const auto exclusive = lock_area(area->get(), LOCK_EX | LOCK_NB);
    if (!exclusive.is_open()) return false;
    struct stat found {};
    if (::fstatat(area->get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT;
    if (is_to_be_mended(found, owner_) && ::fchmodat(area->get(), name.c_str(), partial_mode, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    return set_aside(area->get(), name);
}

// Opens, locks and mends a kept file. The result is not open if another delivery has the file, or may have it.
partial_file partial_area::open_usable(const std::string& name, int flags) {
    // At most three times: an entry that cannot be opened is mended, one that still cannot is set aside.
    for (int tries = 0; tries < 3; ++tries) try {
            auto file = open_file(name, flags);
            struct stat now {};
            if (!file.fd.is_open() || ::fstat(file.fd.get(), &now) != 0) return {};
            if (is_usable(now, owner_)) {
                // A failure is ignored: the file could be opened, and its file system may have no permission bits.
                if (is_to_be_mended(now, owner_)) ::fchmod(file.fd.get(), partial_mode);
                return file;
            }
            if (!set_aside(file.folder->get(), name)) return {};
        } catch (const error& e) {
            if (!is_due_to_entry(e.system_error())) throw;
            if (!make_openable(name)) return {};
        }
    return {};
}

partial_file partial_area::open_kept(const std::string& key, std::uint64_t limit) {
    if (lifetime_.count() == 0 || !has_locks_) return make_new();
    auto file = open_usable(std::string(kept_prefix) + key, O_CREAT);
    if (!file.fd.is_open()) return make_new();
    file.may_be_kept = true;
    if (file.present > limit) {
        if (::ftruncate(file.fd.get(), 0) != 0) tree_.fail(fmt::format("cannot store in {}", tree_.shown()), errno);
        file.present = 0;
    }
    return file;
}

void partial_area::detach(partial_file& file) {
    if (!file.may_be_kept) return;
    auto name = new_name();
    if (::renameat(file.folder->get(), file.name.c_str(), file.folder->get(), name.c_str()) != 0)
        tree_.fail(fmt::format("cannot store in {}", tree_.shown()), errno);
    file.name = std::move(name);
    file.may_be_kept = false;
}

std::uint64_t partial_area::kept_bytes(const std::multiset<std::string>& except) {
    const auto area = folder();
    std::uint64_t total = 0;
    for_each_entry(area->get(), ".", [&](int, const std::string& name) {
        struct stat now {};
        if (!name.starts_with(kept_prefix) || except.contains(name)) return;
        if (::fstatat(area->get(), name.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(now.st_mode))
            total += static_cast<std::uint64_t>(now.st_size) + entry_bytes;
    });
    return total;
}

void partial_area::clear_now_and_then(std::chrono::milliseconds every) {
    mutex_lock lock(waiting_);
    while (!stopped_.wait_for(lock, every, [&]() WHERRY_REQUIRES(waiting_) { return is_stopped_; })) {
        try {
            clear();
        } catch (const std::exception&) {
            // The disk or the folder is in trouble, of which deliveries tell. Next time, perhaps.
        }
    }
}

bool partial_area::may_stay(const std::string& name, const struct stat& file) const {
    if (!name.starts_with(kept_prefix)) return false;
    // In milliseconds, for a long lifetime does not fit the clock's nanoseconds.
    return lifetime_.count() > 0 && std::chrono::duration_cast<std::chrono::milliseconds>(age_of(file)) < lifetime_;
}

// Removes an entry that no delivery works on. `is_alone`: this thread has the area's lock alone.
void partial_area::remove_abandoned(int folder, const std::string& name, const struct stat& found,
                                    bool is_alone) const {
    // A kept file's own lock shows that no delivery works on it. A "new-..." file may be an old one that a delivery has
    // replaced and may restore; an entry that cannot be opened may have got its mode from a delivery. Only the area's
    // lock protects these.
    if (!is_alone && !name.starts_with(kept_prefix)) return;
    const auto file = open_to_lock(folder, name);
    if (file.is_open() ? ::flock(file.get(), LOCK_EX | LOCK_NB) != 0 : !is_alone || !is_due_to_entry(errno)) return;
    struct stat now {};
    if (!is_at(folder, name, found) || ::fstatat(folder, name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (may_stay(name, now)) return;
    ::unlinkat(folder, name.c_str(), S_ISDIR(now.st_mode) ? AT_REMOVEDIR : 0);
}

void partial_area::clear() {
    const auto area = folder();
    struct leftover {
        std::string name;
        struct stat found;
    };
    std::vector<leftover> leftovers;
    std::vector<std::string> to_be_mended;
    for_each_entry(area->get(), ".", [&](int, const std::string& name) {
        if (!name.starts_with(kept_prefix) && !name.starts_with(new_prefix)) return;
        // Checked before it is locked, too: a sender that comes back just now must not find its part locked.
        struct stat found {};
        if (::fstatat(area->get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) return;
        if (may_stay(name, found)) {
            if (is_to_be_mended(found, owner_)) to_be_mended.push_back(name);
        } else if (!is_locked(area->get(), name)) {
            leftovers.push_back({name, found});
        }
    });
    for (const auto& name : to_be_mended) try {
            open_usable(name, 0);
        } catch (const error&) {
            // It has been removed meanwhile, or the delivery that needs it will fail with the reason.
        }
    // An old file is removed only after the one that replaced it is synced.
    if (leftovers.empty() || !tree_.sync_disk()) return;
    const auto exclusive = lock_area(area->get(), LOCK_EX | LOCK_NB);
    for (const auto& [name, found] : leftovers) remove_abandoned(area->get(), name, found, exclusive.is_open());
}

}  // namespace wherry::filesystem

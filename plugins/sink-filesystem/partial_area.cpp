#include "partial_area.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string_view>

#include "item_name.hpp"

namespace wherry::filesystem {

namespace {

constexpr std::string_view new_prefix = "new-";
constexpr std::string_view kept_prefix = "keep-";
constexpr std::chrono::milliseconds clear_at_most_every = std::chrono::seconds(1);
constexpr std::chrono::milliseconds clear_at_least_every = std::chrono::hours(1);

std::string random_digits() {
    std::array<unsigned char, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw error(errc::internal, "the system gives no random bytes", errno);
    std::string text;
    std::array<char, 3> digits{};
    for (const auto byte : bytes) {
        std::snprintf(digits.data(), digits.size(), "%02x", byte);
        text += digits.data();
    }
    return text;
}

// Whether the file still has that name: another holder of the lock may have renamed or removed it before we had it.
bool is_at(int folder, const std::string& name, const struct stat& file) noexcept {
    struct stat named {};
    return ::fstatat(folder, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == file.st_ino &&
           named.st_dev == file.st_dev;
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
    : tree_(tree), lifetime_(lifetime), new_names_(std::string(new_prefix) + random_digits() + "-") {
    clear();
    clearing_ =
        std::jthread([this, clear_every](const std::stop_token& stop) { clear_now_and_then(stop, clear_every); });
}

partial_area::~partial_area() {
    clearing_.request_stop();
    clearing_.join();
    if (folder_) ::unlinkat(tree_.root(), std::string(partial_area_name).c_str(), AT_REMOVEDIR);
}

unique_fd partial_area::open_area() {
    const std::string name(partial_area_name);
    const auto attempt = "cannot prepare " + tree_.shown() + "/" + name;
    if (::mkdirat(tree_.root(), name.c_str(), 0700) != 0 && errno != EEXIST) tree_.fail(attempt, errno);
    auto folder = open_component(tree_.root(), name);
    struct stat now {};
    if (!folder.is_open() || ::fstat(folder.get(), &now) != 0) {
        const int code = errno;
        if (code == ENOTDIR || code == ELOOP)
            throw error(errc::io, attempt + ": something else has that name; remove it", code);
        tree_.fail(attempt, code);
    }
    // Someone else who can write there could swap files between their writing and their renaming.
    if (now.st_uid != ::geteuid()) throw error(errc::io, attempt + ": it belongs to another user; remove it");
    if ((now.st_mode & 07777) != 0700 && ::fchmod(folder.get(), 0700) != 0) tree_.fail(attempt, errno);
    return folder;
}

std::shared_ptr<const unique_fd> partial_area::folder() {
    const std::lock_guard lock(mutex_);
    if (!folder_) folder_ = std::make_shared<const unique_fd>(open_area());
    return folder_;
}

void partial_area::forget(const std::shared_ptr<const unique_fd>& gone) {
    const std::lock_guard lock(mutex_);
    if (folder_ == gone) folder_.reset();
}

// Opens and locks. The descriptor is not open where another has the lock or the name changed hands meanwhile.
partial_file partial_area::open_file(const std::string& name, int flags) {
    const auto attempt = "cannot store in " + tree_.shown();
    for (bool retried = false;; retried = true) {
        partial_file file{folder(), name, {}};
        file.fd = unique_fd(uninterrupted([&] {
            return ::openat(file.folder->get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags,
                            0600);
        }));
        if (!file.fd.is_open()) {
            // The area was removed by hand, or by another receiver that ended.
            if (errno == ENOENT && !retried) {
                forget(file.folder);
                continue;
            }
            tree_.fail(attempt, errno);
        }
        if (uninterrupted([&] { return ::flock(file.fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
            if (errno != EWOULDBLOCK) tree_.fail(attempt, errno);
            return {};
        }
        struct stat now {};
        if (::fstat(file.fd.get(), &now) != 0) tree_.fail(attempt, errno);
        if (!S_ISREG(now.st_mode) || now.st_nlink != 1) return {};
        // What nobody else knows the name of is not renamed.
        if ((flags & O_EXCL) == 0 && !is_at(file.folder->get(), name, now)) return {};
        file.present = static_cast<std::uint64_t>(now.st_size);
        return file;
    }
}

partial_file partial_area::make_new() {
    // More than once only when another receiver clears the area just between the making and the locking.
    for (int tries = 0; tries < 100; ++tries) {
        auto file = open_file(new_names_ + std::to_string(++last_new_), O_CREAT | O_EXCL);
        if (file.fd.is_open()) return file;
    }
    throw error(errc::internal, "cannot make a partial file in " + tree_.shown());
}

partial_file partial_area::open_kept(const std::string& key, std::uint64_t limit) {
    if (lifetime_.count() == 0) return make_new();
    auto file = open_file(std::string(kept_prefix) + key, O_CREAT);
    if (!file.fd.is_open()) return make_new();
    file.may_be_kept = true;
    if (file.present > limit) {
        if (::ftruncate(file.fd.get(), 0) != 0) tree_.fail("cannot store in " + tree_.shown(), errno);
        file.present = 0;
    }
    return file;
}

std::uint64_t partial_area::kept_bytes(const std::set<std::string>& except) {
    const auto area = folder();
    std::uint64_t total = 0;
    for_each_entry(area->get(), ".", [&](int, const std::string& name) {
        struct stat now {};
        if (!name.starts_with(kept_prefix) || except.contains(name)) return;
        if (::fstatat(area->get(), name.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(now.st_mode))
            total += static_cast<std::uint64_t>(now.st_size);
    });
    return total;
}

void partial_area::clear_now_and_then(const std::stop_token& stop, std::chrono::milliseconds every) {
    std::unique_lock lock(waiting_);
    for (;;) {
        stopped_.wait_for(lock, stop, every, [] { return false; });
        if (stop.stop_requested()) return;
        try {
            clear();
        } catch (const std::exception&) {
            // The disk or the folder is in trouble, of which deliveries tell. Next time, perhaps.
        }
    }
}

bool partial_area::may_stay(const std::string& name, const struct stat& file) const {
    if (!name.starts_with(kept_prefix)) return false;
    const auto age = std::chrono::system_clock::now() - std::chrono::system_clock::from_time_t(file.st_mtime);
    // In milliseconds, for a long lifetime does not fit the clock's nanoseconds.
    return lifetime_.count() > 0 && std::chrono::duration_cast<std::chrono::milliseconds>(age) < lifetime_;
}

void partial_area::clear() {
    const auto area = folder();
    for_each_entry(area->get(), ".", [&](int, const std::string& name) {
        if (!name.starts_with(kept_prefix) && !name.starts_with(new_prefix)) return;
        // Looked at before it is locked, too: a sender that comes back just now must not find locked what it began.
        struct stat found {};
        if (::fstatat(area->get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0 || may_stay(name, found)) return;
        const unique_fd file(::openat(area->get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (!file.is_open() || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return;
        if (::fstat(file.get(), &found) != 0 || !is_at(area->get(), name, found) || may_stay(name, found)) return;
        ::unlinkat(area->get(), name.c_str(), 0);
    });
}

}  // namespace wherry::filesystem

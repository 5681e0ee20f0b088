// SPDX-License-Identifier: BSD-2-Clause
#include "folder_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "item_name.hpp"
#include "space_ledger.hpp"
#include "wherry/system_calls.hpp"
#include "wherry/text.hpp"

namespace wherry::filesystem {

namespace {

constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr mode_t private_folder = 0700;
constexpr std::size_t most_remembered = 100'000;
constexpr unsigned most_numbers_of_folder = 1000;
// A delivery that has come whole waits so long for descriptors, and retries at this interval.
constexpr std::chrono::seconds descriptor_timeout{10};
constexpr std::chrono::milliseconds descriptor_retry_interval{10};
constexpr int most_lock_tries = 100;
constexpr std::chrono::milliseconds lock_retry_interval{10};

// umask() itself can only be read by changing it, which other threads would feel.
mode_t current_umask() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("Umask:")) return static_cast<mode_t>(std::stoul(line.substr(6), nullptr, 8));
    return 077;
}

bool was_removed(int fd) noexcept {
    struct stat now {};
    return ::fstat(fd, &now) == 0 && now.st_nlink == 0;
}

// Returns the code that a failure to give a name means. FAT says EINVAL of one that it does not take, and exFAT ENOENT.
int name_code(int folder, int code) noexcept {
    return code == EINVAL || (code == ENOENT && !was_removed(folder)) ? EILSEQ : code;
}

}  // namespace

folder_tree::folder_tree(const std::string& path, durability how)
    : shown_(printable(path)), how_(how), is_root_(::geteuid() == 0), masked_(current_umask()) {
    if (path.empty()) throw error(errc::bad_input, "the folder to store in has no name");
    const bool made = ::mkdir(path.c_str(), private_folder) == 0;
    const int make_code = errno;
    // The folder itself is the user's choice; here, and only here, a symbolic link is followed.
    root_ = unique_fd(uninterrupted([&] { return ::open(path.c_str(), folder_flags); }));
    if (!root_.is_open()) {
        const int code = errno;
        if (code == ENOENT && make_code == ENOENT)
            throw error(errc::bad_input,
                        fmt::format("the folder {} cannot be made, for the folder above it is missing", shown_), code);
        if (code == ENOENT) fail(fmt::format("cannot make the folder {}", shown_), make_code);
        if (code == ENOTDIR)
            throw error(
                errc::bad_input,
                fmt::format("{} is not a folder ({}); choose another", shown_, std::generic_category().message(code)),
                code);
        fail(fmt::format("cannot open the folder {}", shown_), code);
    }
    struct stat now {};
    if (::fstat(root_.get(), &now) != 0) fail(fmt::format("cannot look at the folder {}", shown_), errno);
    device_ = now.st_dev;
    root_number_ = now.st_ino;
    // Told now and not with the first delivery, while someone is watching.
    if (::faccessat(root_.get(), ".", W_OK | X_OK, AT_EACCESS) != 0)
        fail(fmt::format("cannot store in {}", shown_), errno);
    if (made) {
        const unique_fd parent(::openat(root_.get(), "..", folder_flags));
        if (parent.is_open()) sync(parent.get(), fmt::format("cannot store in {}", shown_));
    }
    // From here on, messages are for senders.
    shown_ = "the receiver's folder";
}

bool folder_tree::take_made(const struct stat& folder) const {
    const mutex_lock lock(making_);
    return made_.erase({folder.st_dev, folder.st_ino}) != 0;
}

void folder_tree::set_mode(int folder, mode_t mode, std::string_view attempt) const {
    struct stat now {};
    const mutex_lock lock(writing_);
    if (::fstat(folder, &now) != 0) fail(attempt, errno);
    const auto written = written_.find({now.st_dev, now.st_ino});
    const bool is_lent = written != written_.end() && (mode & S_IWUSR) == 0;
    if (::fchmod(folder, is_lent ? mode | S_IWUSR : mode) != 0 && !is_beyond_file_system(errno)) fail(attempt, errno);
    if (written != written_.end()) written->second.lent_from = is_lent ? std::optional(mode) : std::nullopt;
}

folder_writing::folder_writing(const folder_tree& tree, int folder) : tree_(&tree), folder_(folder) {
    struct stat now {};
    if (::fstat(folder, &now) != 0) tree.fail("cannot look at a folder", errno);
    id_ = {now.st_dev, now.st_ino};
    {
        const mutex_lock lock(tree.writing_);
        ++tree.written_[id_].writings;
    }
    lend();
}

folder_writing::folder_writing(folder_writing&& other) noexcept
    : tree_(std::exchange(other.tree_, nullptr)), folder_(other.folder_), id_(other.id_) {}

bool folder_writing::lend() noexcept {
    const int before = errno;
    struct stat now {};
    const mutex_lock lock(tree_->writing_);
    // The root's mode is the person's who named it. Root itself can write anywhere.
    bool has_right = ::fstat(folder_, &now) == 0 && now.st_uid == ::geteuid() && !tree_->is_root_ &&
                     now.st_ino != tree_->root_number_;
    if (has_right && (now.st_mode & S_IWUSR) == 0) {
        const auto mode = now.st_mode & 07777;
        has_right = ::fchmod(folder_, mode | S_IWUSR) == 0;
        if (has_right) tree_->written_.find(id_)->second.lent_from = mode;
    }
    errno = before;
    return has_right;
}

folder_writing::~folder_writing() {
    if (tree_ == nullptr) return;
    const mutex_lock lock(tree_->writing_);
    const auto written = tree_->written_.find(id_);
    if (--written->second.writings != 0) return;
    struct stat now {};
    // A person may have changed the mode meanwhile.
    if (const auto mode = written->second.lent_from;
        mode && ::fstat(folder_, &now) == 0 && (now.st_mode & 0777) == ((*mode | S_IWUSR) & 0777))
        ::fchmod(folder_, *mode);
    tree_->written_.erase(written);
}

unique_fd open_component(int parent, const std::string& component) noexcept {
    return unique_fd(uninterrupted([&] { return ::openat(parent, component.c_str(), folder_flags | O_NOFOLLOW); }));
}

unique_fd folder_tree::open_at_once(std::span<const std::string> components, int flags) const {
    if (components.empty() || !is_surely_not_reserved(components[0])) return {};
    const auto path = joined({components.begin(), components.end()});
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    unique_fd opened(static_cast<int>(
        uninterrupted([&] { return ::syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how); })));
    // A subvolume is another file system, too, though no mount leads there.
    struct stat now {};
    if (opened.is_open() && (::fstat(opened.get(), &now) != 0 || now.st_dev != device_)) return {};
    return opened;
}

void folder_tree::await_making() const {
    if (being_made_.load() != 0) {
        const mutex_lock wait_until_made(making_);
    }
}

unique_fd folder_tree::open_folder(std::span<const std::string> components) const { return walk(components, nullptr); }

unique_fd folder_tree::make_folders(std::span<const std::string> components, space_ledger& ledger) const {
    return walk(components, &ledger);
}

unique_fd folder_tree::walk(std::span<const std::string> components, space_ledger* making) const {
    if (auto folder = open_at_once(components, folder_flags); folder.is_open()) {
        await_making();
        return folder;
    }
    // Whatever stood in the way, going step by step finds out, or gets there all the same.
    unique_fd current(::fcntl(root_.get(), F_DUPFD_CLOEXEC, 0));
    if (!current.is_open()) fail(fmt::format("cannot open {}", shown_), errno);
    for (std::size_t i = 0; i < components.size(); ++i) {
        auto next = open_component(current.get(), components[i]);
        if (!next.is_open() && errno == ENOENT) {
            if (making == nullptr) return {};
            next = make_folder(current.get(), components[i], *making);
        }
        if (!next.is_open()) fail_component(current.get(), components, i, errno);
        struct stat now {};
        if (::fstat(next.get(), &now) != 0) fail_component(current.get(), components, i, errno);
        if (now.st_dev != device_) fail_component(current.get(), components, i, EXDEV);
        // split_name() refused the name as it is written; a file system that folds letters may know it by others.
        if (i == 0 && !is_surely_not_reserved(components[0]) && is_partial_area(now))
            throw error(errc::refused,
                        fmt::format("the name {} is one of the receiver's own", in_quotes(components[0])));
        current = std::move(next);
    }
    await_making();
    return current;
}

// Whether the folder, which is in the root, is its owner's partial area or this user's.
bool folder_tree::is_partial_area(const struct stat& folder) const {
    for (const auto user : {folder.st_uid, ::geteuid()})
        for (unsigned attempts = 0; attempts < most_partial_area_names; ++attempts) {
            const auto area = look_at(root_.get(), partial_area_name_for(user, attempts));
            if (area && area->st_ino == folder.st_ino && area->st_dev == folder.st_dev) return true;
        }
    return false;
}

std::vector<std::string> folder_tree::beside_files(std::vector<std::string> components, std::size_t folders) const {
    for (std::size_t i = 0; i < folders; ++i) {
        const auto folder = open_folder(std::span(components).first(i));
        if (!folder.is_open()) return components;
        const auto wanted = components[i];
        const auto is_free = [&](const std::string& name) {
            const auto entry = look_at(folder.get(), name);
            // A symbolic link is told, not avoided.
            return !entry || S_ISDIR(entry->st_mode) || S_ISLNK(entry->st_mode);
        };
        for (unsigned number = 1; !is_free(components[i]) && number <= most_numbers_of_folder; ++number)
            components[i] = numbered(wanted, number);
    }
    return components;
}

unique_fd folder_tree::make_folders_at_finish(std::span<const std::string> components, space_ledger& ledger) const {
    return when_descriptors_are_free([&] { return make_folders(components, ledger); });
}

std::optional<gid_t> folder_tree::group_given_by(std::span<const std::string> components) const {
    unique_fd folder;
    while (!components.empty() && !(folder = open_folder(components)).is_open())
        components = components.first(components.size() - 1);
    struct stat now {};
    if (::fstat(components.empty() ? root_.get() : folder.get(), &now) != 0 || (now.st_mode & S_ISGID) == 0)
        return std::nullopt;
    return now.st_gid;
}

unique_fd when_descriptors_are_free(const std::function<unique_fd()>& open) {
    for (const auto until = std::chrono::steady_clock::now() + descriptor_timeout;;) {
        try {
            return open();
        } catch (const error& e) {
            if (!is_out_of_descriptors(e) || std::chrono::steady_clock::now() >= until) throw;
        }
        std::this_thread::sleep_for(descriptor_retry_interval);
    }
}

bool is_out_of_descriptors(const error& e) noexcept { return e.system_error() == EMFILE || e.system_error() == ENFILE; }

unique_fd folder_tree::make_folder(int parent, const std::string& name, space_ledger& ledger) const {
    const mutex_lock one_at_a_time(making_);
    struct count {
        std::atomic<int>& value;
        explicit count(std::atomic<int>& v) : value(v) { ++value; }
        ~count() { --value; }
    } const counted(being_made_);
    // Another thread may have made it while this one waited. It must not be refused for want of room then.
    if (auto folder = open_component(parent, name); folder.is_open() || errno != ENOENT) return folder;
    auto share = ledger.reserve_folders(1);
    folder_writing writing(*this, parent);
    const bool made = writing.lending([&] { return ::mkdirat(parent, name.c_str(), private_folder) == 0; });
    if (!made && errno != EEXIST) return {};
    auto folder = open_component(parent, name);
    if (!made) return folder;
    if (!folder.is_open()) {
        const int code = errno;
        ::unlinkat(parent, name.c_str(), AT_REMOVEDIR);  // as below
        errno = code;
        return folder;
    }
    try {
        sync(parent, fmt::format("cannot store in {}", shown_));
    } catch (const error&) {
        // Whoever finds it next would take it for durable.
        ::unlinkat(parent, name.c_str(), AT_REMOVEDIR);
        throw;
    }
    share.store(0);
    struct stat now {};
    if (::fstat(folder.get(), &now) == 0) {
        // A folder whose own item never comes need not be remembered for ever.
        if (made_.size() >= most_remembered) made_.clear();
        made_.insert({now.st_dev, now.st_ino});
    }
    return folder;
}

void folder_tree::fail_component(int parent, std::span<const std::string> components, std::size_t index,
                                 int code) const {
    const auto name =
        in_quotes(joined({components.begin(), components.begin() + static_cast<std::ptrdiff_t>(index) + 1}));
    if (code == ENOTDIR || code == ELOOP) {
        const auto entry = look_at(parent, components[index]);
        if (entry && S_ISLNK(entry->st_mode))
            throw error(errc::refused, fmt::format("{} is a symbolic link in {}, and none is followed", name, shown_),
                        code);
        throw error(errc::refused, fmt::format("{} is in {} already, and is not a folder", name, shown_), code);
    }
    code = name_code(parent, code);
    if (code == EXDEV)
        throw error(errc::unsupported,
                    fmt::format("{} is on another file system than {}; receive into that folder itself", name, shown_),
                    code);
    fail(fmt::format("cannot open the folder {}", name), code);
}

unique_fd folder_tree::open_file(const std::vector<std::string>& components) const {
    // Neither a pipe nor a terminal that has the name shall keep this waiting.
    constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    errno = 0;  // it may stay so, where open_at_once() does not try
    auto file = open_at_once(components, flags);
    if (!file.is_open() && errno != ENOENT) {
        const auto folder = open_folder(parents_of(components));
        if (!folder.is_open()) return {};
        file = unique_fd(uninterrupted([&] { return ::openat(folder.get(), components.back().c_str(), flags); }));
    }
    if (!file.is_open() && (errno == EMFILE || errno == ENFILE)) fail("cannot look at what is there already", errno);
    return file;
}

std::optional<struct stat> folder_tree::look_at(int folder, const std::string& name) const {
    struct stat now {};
    if (::fstatat(folder, name.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0) return now;
    if (errno == ENOENT) return std::nullopt;
    fail(fmt::format("cannot look at {}", in_quotes(name)), errno == EINVAL ? EILSEQ : errno);
}

void folder_tree::sync(int fd, std::string_view attempt) const {
    if (how_ == durability::lazy) return;
    // A file system may be without the notion, for folders mostly.
    if (uninterrupted([&] { return ::fsync(fd); }) != 0 && (errno == EPERM || !is_beyond_file_system(errno)))
        fail(attempt, errno);
}

bool folder_tree::sync_disk() const noexcept { return how_ == durability::lazy || ::syncfs(root_.get()) == 0; }

std::optional<std::uint64_t> folder_tree::free_bytes() const noexcept {
    struct statvfs now {};
    if (::fstatvfs(root_.get(), &now) != 0 || now.f_blocks == 0) return std::nullopt;
    const auto blocks = is_root_ ? now.f_bfree : now.f_bavail;
    return std::uint64_t{blocks} * now.f_frsize;
}

bool folder_tree::is_out_of_inodes() const noexcept {
    struct statvfs now {};
    // A file system without a number of them says 0 of 0.
    return ::fstatvfs(root_.get(), &now) == 0 && now.f_files != 0 && (is_root_ ? now.f_ffree : now.f_favail) == 0;
}

folder_tree::reason folder_tree::explain(int code) const {
    switch (code) {
        case ENOSPC:
            if (is_out_of_inodes())
                return {errc::exhausted,
                        fmt::format("the disk that holds {} has room for no further file, whatever its size; remove "
                                    "files there",
                                    shown_)};
            return {errc::exhausted, fmt::format("the disk that holds {} is full; make space there", shown_)};
        case EDQUOT:
            return {errc::exhausted,
                    fmt::format("the disk quota for {}, of bytes or of files, is used up; remove files there", shown_)};
        case EFBIG:
            return {
                errc::exhausted,
                fmt::format("the file system of {}, or the receiver's own limit (ulimit -f), takes no file that large",
                            shown_)};
        case EMFILE:
        case ENFILE: return {errc::exhausted, "too many files are open; try again later"};
        case ENOMEM: return {errc::exhausted, "the system is out of memory; try again later"};
        case EROFS: return {errc::io, fmt::format("{} is on a file system that can only be read", shown_)};
        case EACCES:
        case EPERM: return {errc::io, fmt::format("there is no permission to write in {}", shown_)};
        case ENAMETOOLONG: return {errc::refused, fmt::format("the file system of {} takes no name that long", shown_)};
        case EILSEQ:
            return {errc::refused,
                    fmt::format("the file system of {} takes no such name; send it under another", shown_)};
        case EXDEV: return {errc::unsupported, fmt::format("it would lie on another file system than {}", shown_)};
        case ENOENT:
            if (root_.is_open() && was_removed(root_.get()))
                return {errc::io, fmt::format("{} was removed; make it again and restart the receiver", shown_)};
            return {errc::io, fmt::format("something in {} was removed meanwhile", shown_)};
        default: return {errc::io, std::generic_category().message(code)};
    }
}

void folder_tree::fail(std::string_view attempt, int code) const {
    const auto [what, why] = explain(code);
    throw error(what, fmt::format("{}: {}", attempt, why), code);
}

void folder_tree::fail_in(std::span<const std::string> folder, int fd, std::string_view attempt, int code) const {
    code = name_code(fd, code);
    if (folder.empty() || (code != EACCES && code != EPERM)) fail(attempt, code);
    throw error(errc::io,
                fmt::format("{}: there is no permission to write in {}", attempt,
                            in_quotes(joined({folder.begin(), folder.end()}))),
                code);
}

bool is_beyond_file_system(int code) noexcept {
    return code == EPERM || code == EOPNOTSUPP || code == EINVAL || code == ENOSYS || code == ENOTTY;
}

bool is_lack_of_locks(int code) noexcept { return code == ENOLCK || (code != EPERM && is_beyond_file_system(code)); }

namespace {

int rename_if_free(int from_folder, const std::string& from_name, int to_folder, const std::string& to_name) noexcept {
    // Receivers keep each other out by a lock of the folder; where there is none, this process its own deliveries.
    static mutex placing;
    const mutex_lock one_at_a_time(placing);
    const unique_fd own(uninterrupted([&] { return ::openat(to_folder, ".", folder_flags); }));
    if (!own.is_open()) return -1;
    // Not for ever, for any program that can read the folder can hold its lock.
    for (int tries = 1; tries < most_lock_tries && ::flock(own.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
        if (is_lack_of_locks(errno)) break;
        if (errno != EWOULDBLOCK && errno != EINTR) return -1;
        std::this_thread::sleep_for(lock_retry_interval);
    }
    struct stat taken {};
    if (::fstatat(to_folder, to_name.c_str(), &taken, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    if (errno != ENOENT) return -1;
    return ::renameat(from_folder, from_name.c_str(), to_folder, to_name.c_str());
}

}  // namespace

int rename_exclusively(int from_folder, const std::string& from_name, int to_folder, const std::string& to_name,
                       bool& is_exclusive) noexcept {
    is_exclusive = true;
    const int result =
        rename_in_mode(from_folder, from_name.c_str(), to_folder, to_name.c_str(), rename_mode::exclusive);
    if (result == 0 || errno == EPERM || !is_beyond_file_system(errno)) return result;
    const int linked = link_exclusively(from_folder, from_name, to_folder, to_name);
    if (linked == 0 || !is_beyond_file_system(errno)) return linked;
    const int renamed = rename_if_free(from_folder, from_name, to_folder, to_name);
    is_exclusive = renamed != 0;
    return renamed;
}

int link_exclusively(int from_folder, const std::string& from_name, int to_folder,
                     const std::string& to_name) noexcept {
    if (::linkat(from_folder, from_name.c_str(), to_folder, to_name.c_str(), 0) != 0) return -1;
    // The file is in its place; what is left of the partial one is cleared away at the next start.
    ::unlinkat(from_folder, from_name.c_str(), 0);
    return 0;
}

void for_each_entry(int parent, const std::string& path, const std::function<void(int, const std::string&)>& visit) {
    unique_fd fd(uninterrupted([&] { return ::openat(parent, path.c_str(), folder_flags | O_NOFOLLOW); }));
    const auto require_means = [] {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            throw error(errc::exhausted,
                        fmt::format("a folder cannot be read: {}", std::generic_category().message(errno)), errno);
    };
    if (!fd.is_open()) return require_means();
    struct closer {
        void operator()(DIR* entries) const noexcept { ::closedir(entries); }
    };
    const std::unique_ptr<DIR, closer> entries(::fdopendir(fd.get()));
    if (!entries) return require_means();
    const int folder = fd.release();
    while (const auto* entry = ::readdir(entries.get())) {
        const std::string name(entry->d_name);
        if (name != "." && name != "..") visit(folder, name);
    }
}

}  // namespace wherry::filesystem

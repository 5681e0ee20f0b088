// SPDX-License-Identifier: BSD-2-Clause
#include "files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "wherry/error.hpp"
#include "wherry/system_calls.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::keys {

namespace fs = std::filesystem;

namespace {

// Descriptors and memory may be free again in a moment, so their lack has its own code.
[[noreturn]] void fail(errc code, const std::string& what, int number) {
    if (number == EMFILE || number == ENFILE || number == ENOMEM) code = errc::exhausted;
    throw error(code, fmt::format("{}: {}", what, std::generic_category().message(number)), number);
}

std::string text_of(const fs::path& path) { return path.string(); }

fs::path folder_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

// What a chain of symbolic links ends at, so that the file behind it is changed and not the link.
fs::path behind_links(const fs::path& path) {
    std::error_code ignored;
    if (!fs::is_symlink(path, ignored)) return path;
    const auto target = fs::canonical(path, ignored);
    return ignored ? path : target;
}

void check_mode(const fs::path& path, const struct stat& status, mode_t forbidden, std::string_view what,
                const char* remedy) {
    if ((status.st_mode & forbidden) == 0) return;
    throw error(errc::bad_input, fmt::format("the {0} {1} is open to other users; close it with: chmod {2} {1}", what,
                                             text_of(path), remedy));
}

void check_owner(const fs::path& path, const struct stat& status, std::string_view what) {
    if (status.st_uid == ::geteuid() || status.st_uid == 0) return;
    throw error(errc::bad_input,
                fmt::format("the {} {} belongs to another user, so it is not trusted; make one of your own, or have it "
                            "given to you or to root with chown",
                            what, text_of(path)));
}

// Whoever can write the folder can put something else in the place of what is in it; where the sticky bit is set, that
// is its owner alone.
void check_one_folder(const fs::path& folder) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) fail(errc::io, fmt::format("cannot look at {}", text_of(folder)), errno);
    check_owner(folder, status, "folder");
    if (status.st_mode & S_ISVTX) return;
    check_mode(folder, status, S_IWGRP | S_IWOTH, "folder", "go-w");
}

// Where the user's own folders begin; empty if that is not known.
fs::path user_folder() {
    const char* const home = std::getenv("HOME");
    std::error_code code;
    auto folder = home != nullptr ? fs::canonical(home, code) : fs::path();
    return code ? fs::path() : folder;
}

// As StrictModes of sshd: judges the folder and those that lead to it, up to the user's own one, or to the root.
void check_way_to(const fs::path& folder) {
    std::error_code code;
    auto one = fs::canonical(folder, code);
    if (code) fail(errc::io, fmt::format("cannot look at {}", text_of(folder)), code.value());
    for (const auto top = user_folder();; one = one.parent_path()) {
        check_one_folder(one);
        if (one == top || !one.has_relative_path()) return;
    }
}

void check_folders(const fs::path& file) {
    check_way_to(folder_of(file));
    const auto target = behind_links(file);
    if (target != file) check_way_to(folder_of(target));
}

// As ssh: a file that root lends to this user, mostly through its group, is root's to close. Root itself may use the
// key of another user, but only one that is closed.
void check_reading(const fs::path& path, const struct stat& status, std::string_view what) {
    const auto self = ::geteuid();
    if (self != 0) check_owner(path, status, what);
    if (self == 0 || status.st_uid == self) check_mode(path, status, S_IRWXG | S_IRWXO, what, "600");
}

void check_access(const fs::path& path, const struct stat& status, const file_rules& rules) {
    // As `<(...)` gives one. A pipe with a name of its own may be another user's, who keeps its reader waiting.
    const auto is_descriptor = [&] {
        const auto& name = path.native();
        return name == "/dev/stdin" || name.starts_with("/dev/fd/") || name.starts_with("/proc/self/fd/");
    };
    const bool may_be_pipe = rules.access == file_access::any && is_descriptor();
    if (!S_ISREG(status.st_mode) && !(may_be_pipe && S_ISFIFO(status.st_mode)))
        throw error(errc::bad_input, fmt::format("the {} {} is not a regular file", rules.what, text_of(path)));
    if (rules.access == file_access::any) return;
    if (rules.access == file_access::closed_reading) {
        check_reading(path, status, rules.what);
    } else {
        check_owner(path, status, rules.what);
        check_mode(path, status, S_IWGRP | S_IWOTH, rules.what, "go-w");
        check_folders(path);
    }
}

secret_text read_all(int fd, std::uint64_t expected, const fs::path& path, const file_rules& rules) {
    // One byte more than there should be, to see that this is all. Not for the most that there may be: every connection
    // reads such files, and secret memory is cleared when it is taken and when it is given back.
    const std::size_t most = rules.max_bytes + 1;
    secret_text content(static_cast<std::size_t>(std::min<std::uint64_t>(most, expected + 1)));
    std::size_t length = 0;
    for (;;) {
        if (length == content.size()) {
            if (length == most) break;
            content.resize(std::min(most, 2 * length + 1024));  // it has grown meanwhile
        }
        const auto count = uninterrupted([&] { return ::read(fd, content.data() + length, content.size() - length); });
        if (count < 0) fail(errc::io, fmt::format("cannot read {}", text_of(path)), errno);
        if (count == 0) break;
        length += static_cast<std::size_t>(count);
    }
    if (length > rules.max_bytes)
        throw error(errc::bad_input, fmt::format("the {} {} is larger than {} bytes: it is not one", rules.what,
                                                 text_of(path), rules.max_bytes));
    content.resize(length);
    return content;
}

void make_folder(const fs::path& folder) {
    std::error_code ignored;  // whatever it is, mkdir will say so
    if (folder.empty() || fs::is_directory(folder, ignored)) return;
    if (folder.has_parent_path() && folder.parent_path() != folder) make_folder(folder.parent_path());
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        fail(errc::io, fmt::format("cannot make the folder {}", text_of(folder)), errno);
}

// A file under a passing name, gone again unless it was moved to its place.
class temporary_file {
public:
    explicit temporary_file(const fs::path& target)
        : name_(target.string() + ".XXXXXX"), fd_(::mkostemp(name_.data(), O_CLOEXEC)) {
        if (fd_.get() < 0) fail(errc::io, fmt::format("cannot make a file in {}", text_of(folder_of(target))), errno);
    }
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;
    ~temporary_file() {
        if (!moved_) ::unlink(name_.c_str());
    }

    void fill(std::string_view content, const file_rules& rules, mode_t mode) {
        set_mode(rules, mode);
        while (!content.empty()) {
            const auto count = uninterrupted([&] { return ::write(fd_.get(), content.data(), content.size()); });
            if (count < 0)
                fail(errno == ENOSPC || errno == EDQUOT ? errc::exhausted : errc::io,
                     fmt::format("cannot write {}", name_), errno);
            content.remove_prefix(static_cast<std::size_t>(count));
        }
        if (::fsync(fd_.get()) != 0) fail(errc::io, fmt::format("cannot write {} to the disk", name_), errno);
    }

    void move_over(const fs::path& target) {
        if (::rename(name_.c_str(), target.c_str()) != 0)
            fail(errc::io, fmt::format("cannot replace {}", text_of(target)), errno);
        moved_ = true;
    }

    // False if there is such a file. Decided by the file system, not by looking first.
    bool move_to_new(const fs::path& target) {
        if (rename_in_mode(AT_FDCWD, name_.c_str(), AT_FDCWD, target.c_str(), rename_mode::exclusive) == 0) {
            moved_ = true;
            return true;
        }
        if (errno == EEXIST) return false;
        // File systems without that flag (NFS) have links.
        if (::link(name_.c_str(), target.c_str()) == 0) return true;
        if (errno == EEXIST) return false;
        fail(errc::io, fmt::format("cannot make {}", text_of(target)), errno);
    }

private:
    // Throws if the file would be refused when it is read: FAT keeps neither modes nor owners.
    void set_mode(const file_rules& rules, mode_t mode) {
        const bool keeps_modes = ::fchmod(fd_.get(), mode) == 0;
        if (!keeps_modes && errno != EPERM && errno != ENOSYS && errno != EOPNOTSUPP)
            fail(errc::io, fmt::format("cannot set the mode of {}", name_), errno);
        struct stat status {};
        if (::fstat(fd_.get(), &status) != 0) fail(errc::io, fmt::format("cannot look at {}", name_), errno);
        const mode_t forbidden = rules.access == file_access::closed_reading   ? S_IRWXG | S_IRWXO
                                 : rules.access == file_access::closed_writing ? S_IWGRP | S_IWOTH
                                                                               : 0;
        const bool is_foreign = rules.access != file_access::any && status.st_uid != ::geteuid();
        if ((status.st_mode & forbidden) == 0 && !is_foreign) return;
        throw error(
            errc::bad_input,
            fmt::format("the file system of {} keeps no modes or owners, so the {} would be open to other users; "
                        "choose a folder on another file system with --home",
                        text_of(folder_of(name_)), rules.what));
    }

    std::string name_;
    unique_fd fd_;
    bool moved_ = false;
};

void sync_folder(const fs::path& folder) {
    const unique_fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Some file systems cannot sync a folder, and say so by EINVAL.
    if (fd.get() < 0 || (::fsync(fd.get()) != 0 && errno != EINVAL))
        fail(errc::io, fmt::format("cannot write the folder {} to the disk", text_of(folder)), errno);
}

// Held by one thread of one process. The lock's file stays: to remove it would let two hold "the" lock.
class file_lock {
public:
    explicit file_lock(const fs::path& locked)
        : fd_(::open((locked.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {
        if (fd_.get() < 0) fail(errc::io, fmt::format("cannot lock {}", text_of(locked)), errno);
        if (uninterrupted([&] { return ::flock(fd_.get(), LOCK_EX); }) != 0)
            fail(errc::io, fmt::format("cannot lock {}", text_of(locked)), errno);
    }

private:
    unique_fd fd_;
};

mode_t mode_for(file_access access) noexcept { return access == file_access::any ? 0644 : 0600; }

void write_with_mode(const fs::path& path, std::string_view content, const file_rules& rules, if_exists existing,
                     mode_t mode) {
    const auto target = behind_links(path);
    make_folder(folder_of(target));
    temporary_file fresh(target);
    fresh.fill(content, rules, mode);
    if (existing == if_exists::replace) {
        fresh.move_over(target);
    } else if (!fresh.move_to_new(target)) {
        throw error(errc::bad_input, fmt::format("{} exists already and is left as it is", text_of(path)), EEXIST);
    }
    sync_folder(folder_of(target));
}

}  // namespace

std::optional<secret_text> read_file(const fs::path& path, const file_rules& rules) {
    // Without O_NONBLOCK a pipe of that name without a writer would hold us for ever.
    const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (fd.get() < 0) {
        const auto why = errno;
        std::error_code ignored;
        // A dangling link is an error: its target may be on a disk that is not mounted.
        if ((why == ENOENT || why == ENOTDIR) && !fs::is_symlink(path, ignored)) return std::nullopt;
        fail(errc::io, fmt::format("cannot open the {} {}", rules.what, text_of(path)), why);
    }
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) fail(errc::io, fmt::format("cannot look at {}", text_of(path)), errno);
    check_access(path, status, rules);
    // The writer of a pipe that was given as `<(...)` may not have begun yet.
    if (S_ISFIFO(status.st_mode) && ::fcntl(fd.get(), F_SETFL, 0) != 0)
        fail(errc::io, fmt::format("cannot read {}", text_of(path)), errno);
    return read_all(fd.get(), static_cast<std::uint64_t>(status.st_size), path, rules);
}

void write_file(const fs::path& path, std::string_view content, const file_rules& rules, if_exists existing) {
    write_with_mode(path, content, rules, existing, mode_for(rules.access));
}

void edit_file(const fs::path& path, const file_rules& rules,
               const std::function<std::optional<std::string>(std::string_view content)>& edit) {
    const auto target = behind_links(path);
    make_folder(folder_of(target));
    if (rules.access == file_access::closed_writing) check_folders(path);
    const file_lock lock(target);
    const auto content = read_file(target, rules);
    const auto changed = edit(content ? std::string_view(content->data(), content->size()) : std::string_view{});
    if (!changed) return;
    // Others who could read a list of keys still can.
    auto mode = mode_for(rules.access);
    struct stat status {};
    if (rules.access == file_access::closed_writing && ::stat(target.c_str(), &status) == 0)
        mode |= status.st_mode & (S_IRGRP | S_IROTH);
    write_with_mode(target, *changed, rules, if_exists::replace, mode);
}

}  // namespace wherry::keys

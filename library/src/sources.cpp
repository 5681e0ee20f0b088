// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/sources.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <system_error>

#include "quick_digest.hpp"
#include "wherry/limits.hpp"
#include "wherry/text.hpp"

namespace wherry {

namespace fs = std::filesystem;

namespace {

// The system reads that much ahead by itself.
constexpr std::uint64_t least_read_ahead_bytes = std::uint64_t{128} << 10;
// A file whose inode changes again and again is not read more often than that.
constexpr int most_readings_again = 3;
constexpr std::size_t read_again_bytes = std::size_t{256} << 10;

[[noreturn]] void fail_reading(const fs::path& path, int code) {
    throw error(errc::io,
                fmt::format("{} cannot be read: {}", in_quotes(path.native()), std::generic_category().message(code)),
                code);
}

const char* describe_kind(mode_t mode) {
    if (S_ISSOCK(mode)) return "socket";
    if (S_ISFIFO(mode)) return "named pipe";
    if (S_ISCHR(mode) || S_ISBLK(mode)) return "device";
    if (S_ISLNK(mode)) return "symbolic link";
    return "special file";
}

// A folder by what it is, however it was reached.
struct folder_id {
    dev_t device;
    ino_t inode;
    bool operator==(const folder_id&) const = default;
};

// Walks one folder that was given, depth first, in the order of names.
class folder_walk {
public:
    folder_walk(sending_plan& plan, symlinks links) noexcept : plan_(plan), links_(links) {}

    void folder(const fs::path& path, const std::string& name, const struct stat& found) {
        above_.push_back({found.st_dev, found.st_ino});
        auto problem = entries(path, name);
        above_.pop_back();
        plan_.items.push_back({item_kind::folder, name, path, {}, 0, std::move(problem)});
    }

private:
    std::optional<error> entries(const fs::path& path, const std::string& name) {
        std::vector<std::string> names;
        std::error_code failure;
        for (fs::directory_iterator entry(path, failure), end; !failure && entry != end; entry.increment(failure))
            names.push_back(entry->path().filename().native());
        if (failure)
            return error(errc::io,
                         fmt::format("the folder {} cannot be read: {}", in_quotes(path.native()), failure.message()),
                         failure.value());
        std::sort(names.begin(), names.end());
        for (const auto& entry : names) one(path / entry, name + '/' + entry);
        return std::nullopt;
    }

    void one(const fs::path& path, const std::string& name) {
        struct stat found {};
        if (::lstat(path.c_str(), &found) != 0) return fail(path, name, errno);
        if (S_ISLNK(found.st_mode)) {
            if (links_ == symlinks::skip) {
                plan_.skipped.push_back({path, "a symbolic link (--follow sends what it points to)"});
                return;
            }
            if (::stat(path.c_str(), &found) != 0) return fail(path, name, errno);
        }
        if (S_ISREG(found.st_mode)) {
            plan_.items.push_back(
                {item_kind::file, name, path, {}, static_cast<std::uint64_t>(found.st_size), std::nullopt, links_});
        } else if (S_ISDIR(found.st_mode)) {
            const folder_id here{found.st_dev, found.st_ino};
            if (std::find(above_.begin(), above_.end(), here) != above_.end())
                plan_.skipped.push_back({path, "a symbolic link to a folder that it is in"});
            else
                folder(path, name, found);
        } else {
            plan_.skipped.push_back({path, fmt::format("a {}", describe_kind(found.st_mode))});
        }
    }

    void fail(const fs::path& path, const std::string& name, int code) {
        plan_.items.push_back({item_kind::file,
                               name,
                               path,
                               {},
                               0,
                               error(errc::io,
                                     fmt::format("{} cannot be read: {}", in_quotes(path.native()),
                                                 std::generic_category().message(code)),
                                     code)});
    }

    sending_plan& plan_;
    const symlinks links_;
    std::vector<folder_id> above_;
};

fs::path without_trailing_slashes(const fs::path& given) {
    std::string text = given.native();
    while (text.size() > 1 && text.back() == '/') text.pop_back();
    return text;
}

// Whether both stand for one file or one folder on the disk.
bool is_same_entry(const planned_item& a, const planned_item& b) {
    const auto is_on_disk = [](const planned_item& one) {
        return !one.open && (one.kind == item_kind::file || one.kind == item_kind::folder);
    };
    struct stat found_a {
    }, found_b{};
    return is_on_disk(a) && is_on_disk(b) && ::stat(a.path.c_str(), &found_a) == 0 &&
           ::stat(b.path.c_str(), &found_b) == 0 && found_a.st_dev == found_b.st_dev &&
           found_a.st_ino == found_b.st_ino;
}

std::string origin_of(const planned_item& one) {
    if (one.open) return "data";
    return one.kind == item_kind::data ? std::string("standard input") : in_quotes(one.path.native());
}

file_time time_of(const timespec& time) noexcept { return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec)}; }

offer describe(item_kind kind, std::string name, const struct stat& found) {
    offer what;
    what.kind = kind;
    what.name = std::move(name);
    what.mode = found.st_mode & 07777;
    what.mtime = time_of(found.st_mtim);
    return what;
}

}  // namespace

std::string name_to_send(const fs::path& given) {
    auto path = without_trailing_slashes(given);
    auto last = path.filename();
    if (last == "." || last == "..") {
        std::error_code failure;
        path = fs::canonical(path, failure);
        if (failure) fail_reading(given, failure.value());
        last = path.filename();
    }
    if (last.empty() || last == "/")
        throw error(errc::bad_input, fmt::format("{} has no name to send it under; name what is in it instead",
                                                 in_quotes(given.native())));
    return last.native();
}

void sending_plan::add_message(std::string text) {
    const auto size = text.size();
    items.push_back({item_kind::message, {}, {}, std::move(text), size, std::nullopt});
}

void sending_plan::add_stdin(std::string name) {
    items.push_back({item_kind::data, std::move(name), {}, {}, 0, std::nullopt});
}

void sending_plan::add_path(const fs::path& given, symlinks links) {
    std::string name;
    try {
        struct stat found {};
        name = given.native();
        if (::stat(given.c_str(), &found) != 0) fail_reading(given, errno);
        name = name_to_send(given);
        if (S_ISREG(found.st_mode)) {
            items.push_back(
                {item_kind::file, name, given, {}, static_cast<std::uint64_t>(found.st_size), std::nullopt});
        } else if (S_ISDIR(found.st_mode)) {
            folder_walk(*this, links).folder(without_trailing_slashes(given), name, found);
        } else {
            throw error(errc::io, fmt::format("{} is a {}, neither a file nor a folder; to send what comes out of it, "
                                              "pipe it in and give '-'",
                                              in_quotes(given.native()), describe_kind(found.st_mode)));
        }
    } catch (const error& e) {
        items.push_back({item_kind::file, name, given, {}, 0, e});
    }
}

void sending_plan::settle_names() {
    std::map<std::pair<bool, std::string>, const planned_item*> seen;
    std::vector<planned_item> distinct;
    distinct.reserve(items.size());  // `seen` points into it
    for (auto& item : items) {
        const bool is_folder = item.kind == item_kind::folder;
        if (item.problem || item.kind == item_kind::message) {
            distinct.push_back(std::move(item));
            continue;
        }
        const auto known = seen.find({is_folder, item.name});
        if (known != seen.end() && is_same_entry(*known->second, item)) {
            // What is in a folder that is given twice goes without a note.
            if (item.name.find('/') == item.name.npos)
                skipped.push_back({item.path, "it is given twice, and sent once"});
            continue;
        }
        if (known != seen.end() && !is_folder)
            throw error(
                errc::bad_input,
                fmt::format("{} and {} would both arrive as '{}'; send one of them by itself, or the folder above",
                            origin_of(*known->second), origin_of(item), printable(item.name)));
        distinct.push_back(std::move(item));
        seen.try_emplace({is_folder, distinct.back().name}, &distinct.back());
    }
    items = std::move(distinct);
}

std::unique_ptr<source> open_item(const planned_item& item, resuming resume) {
    if (item.problem) throw error(*item.problem);
    if (item.name.size() > limits::max_item_name_bytes)
        throw error(errc::bad_input, fmt::format("the name is longer than {} bytes", limits::max_item_name_bytes));
    if (item.open) return item.open();
    switch (item.kind) {
        case item_kind::message: {
            offer what;
            what.kind = item_kind::message;
            what.size = item.text.size();
            return std::make_unique<text_source>(std::move(what), item.text);
        }
        case item_kind::data: return std::make_unique<pipe_source>(STDIN_FILENO, item.name);
        case item_kind::folder: {
            struct stat found {};
            if (::stat(item.path.c_str(), &found) != 0) fail_reading(item.path, errno);
            if (!S_ISDIR(found.st_mode))
                throw error(errc::io, fmt::format("{} is no folder any more", in_quotes(item.path.native())));
            auto what = describe(item_kind::folder, item.name, found);
            what.size = 0;
            return std::make_unique<text_source>(std::move(what), std::string());
        }
        case item_kind::file: break;
    }
    return std::make_unique<file_source>(item.path, item.name, resume, item.links);
}

std::size_t text_source::read(mutable_bytes buffer) {
    const auto count = std::min(buffer.size(), text_.size() - position_);
    if (count > 0) std::memcpy(buffer.data(), text_.data() + position_, count);
    position_ += count;
    return count;
}

void text_source::seek(std::uint64_t position) {
    if (position > text_.size()) throw error(errc::internal, "a source was asked to go on beyond its end");
    position_ = static_cast<std::size_t>(position);
}

file_source::file_source(const fs::path& path, std::string name, resuming resume, symlinks links)
    : read_(std::make_unique<quick_digest>()) {
    // Not blocking, lest a pipe that took the file's place makes this wait for ever; it does nothing to a file.
    const int follow = links == symlinks::skip ? O_NOFOLLOW : 0;
    fd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | follow));
    if (!fd_.is_open()) fail_reading(path, errno);
    struct stat found {};
    if (::fstat(fd_.get(), &found) != 0) fail_reading(path, errno);
    if (!S_ISREG(found.st_mode))
        throw error(errc::io, fmt::format("{} is no regular file any more", in_quotes(path.native())));
    what_ = describe(item_kind::file, std::move(name), found);
    what_.size = static_cast<std::uint64_t>(found.st_size);
    changed_ = time_of(found.st_ctim);
    what_.wants_resume = resume == resuming::wanted;
    if (*what_.size >= least_read_ahead_bytes) ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
}

file_source::~file_source() = default;

void file_source::fail_changed() const {
    throw error(errc::io, fmt::format("'{}' changed while it was being sent; send it again when nobody writes to it",
                                      printable(what_.name)));
}

// Returns when the inode changed last. Throws error if the file has another size or time of modification.
file_time file_source::look() {
    struct stat now {};
    if (::fstat(fd_.get(), &now) != 0 || static_cast<std::uint64_t>(now.st_size) != *what_.size ||
        time_of(now.st_mtim) != *what_.mtime)
        fail_changed();
    return time_of(now.st_ctim);
}

// Reads again what was read, and tells whether it is the same.
bool file_source::is_as_read() {
    quick_digest again;
    std::vector<std::byte> piece(read_again_bytes);
    for (auto position = read_from_; position < position_;) {
        const auto wanted = std::min<std::uint64_t>(piece.size(), position_ - position);
        const auto got = read_at(position, mutable_bytes(piece).first(static_cast<std::size_t>(wanted)));
        if (got == 0) return false;
        again.update(const_bytes(piece).first(got));
        position += got;
    }
    return again.value() == read_->value();
}

void file_source::check_unchanged() {
    // A link, another mode or another name moves the inode's time as a write does that is dated back.
    auto before = changed_;
    for (int tries = 0;; ++tries) {
        const auto now = look();
        if (now == before) break;
        if (tries == most_readings_again || !is_as_read()) fail_changed();
        before = now;
    }
    is_checked_ = true;
}

std::size_t file_source::read_at(std::uint64_t position, mutable_bytes buffer) {
    ssize_t got = 0;
    do {
        got = ::pread(fd_.get(), buffer.data(), buffer.size(), static_cast<off_t>(position));
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        throw error(
            errc::io,
            fmt::format("'{}' cannot be read: {}", printable(what_.name), std::generic_category().message(errno)),
            errno);
    return static_cast<std::size_t>(got);
}

std::size_t file_source::read(mutable_bytes buffer) {
    const auto left = *what_.size - position_;
    if (left == 0 && is_checked_) return 0;
    // One byte more than there should be tells whether there is more.
    const auto got = read_at(position_, buffer.first(std::min<std::uint64_t>(buffer.size(), left + 1)));
    if (got > left) fail_changed();
    read_->update(const_bytes(buffer).first(got));
    position_ += got;
    // Before the last bytes are given away, so that a changed file is never complete at the other end.
    if (got == 0 || got == left) {
        std::byte beyond{};
        if (got > 0 && got == buffer.size() && read_at(position_, {&beyond, 1}) != 0) fail_changed();
        check_unchanged();
    }
    if (got == 0 && left > 0) throw error(errc::io, fmt::format("'{}' ended before its size", printable(what_.name)));
    return got;
}

void file_source::seek(std::uint64_t position) {
    if (position > *what_.size) throw error(errc::internal, "a source was asked to go on beyond its end");
    is_checked_ = false;
    if (position == position_) return;
    position_ = read_from_ = position;
    read_->restart();
}

pipe_source::pipe_source(int fd, std::string name) : fd_(fd), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!stop_.is_open()) throw error(errc::exhausted, "no descriptor is left to read standard input with", errno);
    what_.kind = item_kind::data;
    what_.name = std::move(name);
}

std::size_t pipe_source::read(mutable_bytes buffer) {
    for (;;) {
        std::array<pollfd, 2> wanted{{{fd_, POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
        if (::poll(wanted.data(), wanted.size(), -1) < 0) {
            if (errno == EINTR) continue;
            throw error(errc::io,
                        fmt::format("standard input cannot be waited for: {}", std::generic_category().message(errno)),
                        errno);
        }
        if (wanted[1].revents != 0) throw error(stopped_by_, "reading standard input was stopped");
        const auto got = ::read(fd_, buffer.data(), buffer.size());
        if (got >= 0) has_begun_ = true;
        if (got >= 0) return static_cast<std::size_t>(got);
        if (errno == EINTR || errno == EAGAIN) continue;
        throw error(errc::io, fmt::format("standard input cannot be read: {}", std::generic_category().message(errno)),
                    errno);
    }
}

void pipe_source::stop(errc why) noexcept {
    errc none{};
    stopped_by_.compare_exchange_strong(none, why);
    const std::uint64_t once = 1;
    [[maybe_unused]] const auto ignored = ::write(stop_.get(), &once, sizeof once);
}

}  // namespace wherry

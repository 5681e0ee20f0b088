// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/transfer.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry {

enum class symlinks { skip, follow };
enum class resuming { no, wanted };

// One thing to send, found but not yet opened.
struct planned_item {
    item_kind kind = item_kind::file;
    std::string name;                   // that it is sent under
    std::filesystem::path path;         // of a file or a folder
    std::string text;                   // of a message
    std::uint64_t size = 0;             // as it was found; 0 if not known
    std::optional<error> problem;       // it was asked for, but cannot be sent
    symlinks links = symlinks::follow;  // what to do if a link is there by the time it is opened
    // Of something else that is in no file: opens it, once for each attempt. For the other fields it is data.
    std::function<std::unique_ptr<source>()> open = nullptr;
};

// What was found on the way but is not sent, though nothing is wrong: "socket", "symbolic link", ...
struct skipped_entry {
    std::filesystem::path path;
    std::string why;
};

// Everything to send, in order.
struct sending_plan {
    std::vector<planned_item> items;
    std::vector<skipped_entry> skipped;

    void add_message(std::string text);
    void add_stdin(std::string name);
    // A file, or a folder with all that is in it; the folder itself comes behind its contents. A symbolic link that is
    // named here is followed; those inside folders are as `links` says. What cannot be read becomes an item with a
    // problem.
    void add_path(const std::filesystem::path& given, symlinks links);

    // Drops a file or a folder that was given before, and notes that in `skipped`. A receiver may be told to overwrite:
    // of two other items with one name, one would then be lost, and both told as sent.
    // Throws error(errc::bad_input) if there are two; the plan is then of no use.
    void settle_names();
};

// The name that `given` is sent under: its last component, which for ".", ".." and "/.." is looked up on the disk.
// Throws error(errc::bad_input) for one that has none, as "/".
std::string name_to_send(const std::filesystem::path& given);

// Opens an item. Throws error(errc::io) if that cannot be done, and what the item's problem is, if it has one.
std::unique_ptr<source> open_item(const planned_item& item, resuming resume);

// Text that is already here.
class text_source final : public source {
public:
    text_source(offer what, std::string text) noexcept : what_(std::move(what)), text_(std::move(text)) {}

    const offer& what() const noexcept override { return what_; }
    std::size_t read(mutable_bytes buffer) override;
    void seek(std::uint64_t position) override;

private:
    offer what_;
    std::string text_;
    std::size_t position_ = 0;
};

class quick_digest;

// A regular file. One whose content changes while it is read fails with errc::io: its size or time of modification
// tells, or, where only the time of the inode's change has moved, as by a new link, a second reading.
class file_source final : public source {
public:
    // Throws error(errc::io) if it cannot be opened or is no regular file.
    file_source(const std::filesystem::path& path, std::string name, resuming resume, symlinks links);
    ~file_source() override;

    const offer& what() const noexcept override { return what_; }
    std::size_t read(mutable_bytes buffer) override;
    void seek(std::uint64_t position) override;

    // When anything about the file last changed: who writes can put the other time back, but not this one.
    const file_time& changed() const noexcept { return changed_; }

private:
    void check_unchanged();
    file_time look();
    bool is_as_read();
    [[noreturn]] void fail_changed() const;
    std::size_t read_at(std::uint64_t position, mutable_bytes buffer);

    offer what_;
    unique_fd fd_;
    file_time changed_;
    std::uint64_t position_ = 0;
    bool is_checked_ = false;  // that nothing has changed, behind the last byte
    std::uint64_t read_from_ = 0;
    std::unique_ptr<quick_digest> read_;  // of what was read from there on
};

// A pipe, a terminal, or whatever standard input is.
class pipe_source final : public source {
public:
    // `fd` is borrowed.
    pipe_source(int fd, std::string name);

    const offer& what() const noexcept override { return what_; }
    std::size_t read(mutable_bytes buffer) override;
    bool may_wait() const noexcept override { return true; }

    // True once something was taken out of it, which nobody can read again. From any thread.
    bool has_begun() const noexcept { return has_begun_; }

    // Makes a read that waits, and later ones, throw an error with this code. From any thread; the first call counts.
    void stop(errc why) noexcept;

private:
    offer what_;
    int fd_;
    std::atomic<bool> has_begun_{false};
    std::atomic<errc> stopped_by_{};
    unique_fd stop_;
};

}  // namespace wherry

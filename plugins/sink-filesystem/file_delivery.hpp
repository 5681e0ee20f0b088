// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "partial_area.hpp"
#include "space_ledger.hpp"
#include "store.hpp"
#include "wherry/sink.hpp"

namespace wherry::filesystem {

// Stores a file, a message or data: in a partial file first, which finish() puts into its place.
class file_delivery final : public delivery {
public:
    // The path has these components. `shared` and `group` outlive it; `group` finishes several by finish_group().
    file_delivery(store& shared, group_commit& group, const offer& what, std::vector<std::string> components,
                  existing_policy policy, const identity& peer);
    ~file_delivery() override;

    std::uint64_t offset() const noexcept override { return offset_; }
    std::size_t read_back(std::uint64_t position, mutable_bytes buffer) override;
    void write(const_bytes bytes) override;
    void finish(response& answer) override;
    group_commit* commits_with() noexcept override { return &group_; }
    void abort(partial what_came) noexcept override;

    // As group_commit::finish_group(). REQUIRES: each is a file_delivery of the same store.
    static void finish_group(std::span<ending> all) noexcept;

private:
    friend class file_group;

    static constexpr std::uint64_t push_every = 8 * 1024 * 1024;

    // ---- Before and while content comes ----

    // Refuses before anything has come. The folder may change until the end, so that place() looks again.
    void check_place();
    [[noreturn]] void refuse_existing() const;
    [[noreturn]] void refuse_folder() const;
    [[noreturn]] void refuse_anothers(int folder, int code) const;
    void reserve_folders();
    void expect_room();
    void expect_less(std::uint64_t bytes) noexcept;
    void check_size(std::size_t more) const;
    // Starts to write to the disk what has come, so that the sync of a large file at its end does not keep the sender
    // waiting for minutes.
    void push_to_disk(std::uint64_t least = push_every) noexcept;

    // ---- The steps of finish() ----

    void check_complete() const;
    struct existing_file {
        std::vector<std::string> components;
        std::uint32_t number;  // that makes the name of the wanted one
        unique_fd fd;
        file_mark mark;
    };
    // Finds the file that has the offer's time and the content that came: under the wanted name, or where the journal
    // says that this key's was stored. Throws error: cancelled if the program ends; io if what came cannot be read.
    std::optional<existing_file> find_equal() const;
    std::optional<existing_file> find_equal_at(const std::vector<std::string>& components, std::uint32_t number) const;
    bool has_content_of(int existing) const;
    // Answers that this file is already there, once it is durable, and drops the one that came. Returns false if it
    // stands there no more, or was changed.
    bool confirm_existing(const existing_file& existing, response& answer);
    // Whether the journal remembers this delivery.
    bool is_noted() const noexcept;
    journal_entry entry_of(const file_mark& file) const;
    // Syncs the content before the attributes are set, if a resume may need the file. The partial file then has the
    // sender's attributes only for a short time. Other files are of no use after a cut, and are synced once.
    void sync_kept_content() const;
    // Renames into the folder; components_ then ends with the name that it got.
    void place(int folder);
    // Puts the new file in the place of an old one, which waits in the partial area until the new one is durable.
    bool replace(int folder, const std::string& name);
    // As rename_exclusively().
    int rename_new(int folder, const std::string& name);
    // Renames into the folder; returns false where the name is taken.
    bool try_place(int folder, const std::string& name);
    // Returns a number that is free now while the one before it is not. It does not try them all: the last of ten
    // thousand items of one name must not need ten thousand looks.
    unsigned first_free_number(int folder, const std::string& wanted) const;
    // Tells that the file is in its place for good.
    void confirm(response& answer);
    // Takes the new file back, because a delivery that failed must not look stored. Returns what to tell the sender.
    error taken_back(int folder, const error& why) noexcept;
    // Undoes place(), unless another file has the name meanwhile. Returns false if the new file may still be there.
    bool take_back(int folder) noexcept;

    // ---- The end without finish() ----

    // Leaves the partial file for a resume.
    void keep_if_possible() noexcept;
    // Removes the partial file, if there still is one. Idempotent.
    void discard() noexcept;

    store& store_;
    group_commit& group_;
    const offer what_;
    std::vector<std::string> components_;
    const existing_policy policy_;
    const std::string fingerprint_;
    const std::string attempt_;
    partial_file partial_;
    std::optional<space_ledger::share> share_;
    std::optional<space_ledger::share> folders_share_;  // of those that are missing, until they are made
    std::uint64_t offset_ = 0;
    std::uint64_t position_ = 0;
    std::uint64_t pushed_ = 0;
    std::uint64_t still_expected_ = 0;
    std::optional<entry_reference> entry_;  // in the journal
    std::uint32_t number_ = 0;              // of the name that it got; 0: the wanted one
    bool is_all_there_is_ = false;          // the old file is gone already, and the new one stays whatever happens
    bool is_time_kept_ = true;              // by the file system
    bool displaces_ = false;                // the partial file's name is that of the file that was replaced
    std::optional<error> failure_;
};

}  // namespace wherry::filesystem

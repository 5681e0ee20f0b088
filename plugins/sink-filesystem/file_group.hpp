// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "file_delivery.hpp"
#include "journal.hpp"

namespace wherry::filesystem {

// Finishes one or more file deliveries. The disk is asked once for many: all content is on its way before the first
// sync waits for its own, the journal is synced once, and a folder is synced once for all that was renamed into it. The
// partial area is held from the first attribute to the end. Each step is done for all files before the next, and a file
// that fails takes part in no further one.
class file_group {
public:
    // REQUIRES: each is a file_delivery of the same store.
    explicit file_group(std::span<ending> all);

    // Ends each delivery; stores the failure of one with that one.
    void finish() noexcept;

private:
    struct filled_folder {
        const file_delivery* first;  // that went there
        unique_fd fd;
        folder_writing writing;
    };
    struct file_state {
        filled_folder* folder = nullptr;  // where it was put and is not confirmed
        bool is_answered = false;         // no step is left
    };

    template <class Step>
    void each(Step&& step) noexcept;
    template <class Open>
    auto waiting_once(Open&& open);

    void answer_what_is_there() noexcept;
    std::optional<gid_t> group_for(const file_delivery& file);
    void note() noexcept;
    void place(file_delivery& file, std::size_t index);
    unique_fd open_next(const file_delivery& file);
    void end_placing() noexcept;
    void tell_journal() noexcept;

    const std::span<ending> all_;
    std::vector<file_state> files_;  // as all_
    std::vector<filled_folder> folders_;
    std::vector<journal_entry> entries_;
    std::optional<error> lack_;               // of descriptors
    const file_delivery* grouped_ = nullptr;  // whose folder group_for() looked at last
    std::optional<gid_t> group_;              // which that folder gives
};

}  // namespace wherry::filesystem

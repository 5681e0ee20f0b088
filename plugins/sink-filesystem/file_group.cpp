// SPDX-License-Identifier: BSD-2-Clause
#include "file_group.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <iterator>
#include <new>
#include <optional>
#include <utility>

#include "attributes.hpp"
#include "item_name.hpp"
#include "wherry/as_error.hpp"

namespace wherry::filesystem {

void file_delivery::finish_group(std::span<ending> all) noexcept {
    try {
        file_group(all).finish();
    } catch (const std::exception& e) {
        for (auto& one : all)
            if (!one.failure) one.failure = as_error(e, "the receiver is out of memory");
    }
}

file_group::file_group(std::span<ending> all) : all_(all), files_(all.size()) {
    folders_.reserve(all.size());
    entries_.reserve(all.size());
}

template <class Step>
void file_group::each(Step&& step) noexcept {
    for (std::size_t i = 0; i < all_.size(); ++i) {
        if (all_[i].failure || files_[i].is_answered) continue;
        try {
            step(static_cast<file_delivery&>(*all_[i].of), i);
        } catch (const std::exception& e) {
            all_[i].failure = as_error(e, "the receiver is out of memory");
        }
    }
}

// Calls `open`, which itself waits for descriptors. Once that was in vain, later calls of this group fail at once.
template <class Open>
auto file_group::waiting_once(Open&& open) {
    if (lack_) throw error(*lack_);
    try {
        return open();
    } catch (const error& e) {
        if (is_out_of_descriptors(e)) lack_ = e;
        throw;
    }
}

void file_group::finish() noexcept {
    each([](file_delivery& file, std::size_t) { file.check_complete(); });
    answer_what_is_there();
    each([](file_delivery& file, std::size_t) { file.push_to_disk(1); });
    each([](file_delivery& file, std::size_t) { file.sync_kept_content(); });
    std::shared_ptr<const partial_area::held_lock> held;
    each([&](file_delivery& file, std::size_t) {
        if (!held) held = waiting_once([&] { return file.store_.partials.hold(); });
        if (const auto group = group_for(file))
            set_group(file.store_.tree, file.partial_.fd.get(), *group, file.attempt_);
        file.is_time_kept_ = set_attributes(file.store_.tree, file.partial_.fd.get(), file.what_, file.attempt_);
    });
    each([](file_delivery& file, std::size_t) { file.store_.tree.sync(file.partial_.fd.get(), file.attempt_); });
    note();
    each([&](file_delivery& file, std::size_t i) { place(file, i); });
    end_placing();
}

void file_group::answer_what_is_there() noexcept {
    each([&](file_delivery& file, std::size_t i) {
        if (!file.what_.mtime) return;
        try {
            waiting_once([&] {
                const auto existing = file.find_equal();
                files_[i].is_answered = existing && file.confirm_existing(*existing, *all_[i].answer);
            });
        } catch (const error& e) {
            if (e.code() == errc::cancelled || is_out_of_descriptors(e)) file.keep_if_possible();
            throw;
        }
    });
}

// The file was made in the partial area, so the kernel has not given it the group of its folder.
std::optional<gid_t> file_group::group_for(const file_delivery& file) {
    const auto parents = parents_of(file.components_);
    if (grouped_ == nullptr || !std::ranges::equal(parents_of(grouped_->components_), parents)) {
        group_ = waiting_once([&] {
            std::optional<gid_t> group;
            when_descriptors_are_free([&]() -> unique_fd {
                group = file.store_.tree.group_given_by(parents);
                return {};
            });
            return group;
        });
        grouped_ = &file;
        // Beneath a folder with the bit the partial area has it, too, and has given its own.
        struct stat area {};
        if (!group_ && ::fstat(file.partial_.folder->get(), &area) == 0 && (area.st_mode & S_ISGID) != 0)
            group_ = ::getegid();
    }
    return group_;
}

// Behind the sync of the content, and before the names.
void file_group::note() noexcept {
    std::vector<file_delivery*> noted;
    try {
        noted.reserve(all_.size());
    } catch (const std::bad_alloc&) {
        return;
    }
    each([&](file_delivery& file, std::size_t) {
        if (!file.is_noted()) return;
        const auto mark = mark_of(file.partial_.fd.get());
        if (!mark) return;
        try {
            entries_.push_back(file.entry_of(*mark));
            noted.push_back(&file);
        } catch (const std::bad_alloc&) {
            // No delivery fails for want of a journal.
        }
    });
    if (noted.empty()) return;
    const auto references = noted.front()->store_.journal->append(entries_);
    for (std::size_t i = 0; i < references.size() && i < noted.size(); ++i) noted[i]->entry_ = references[i];
}

void file_group::place(file_delivery& file, std::size_t index) {
    const auto parents = parents_of(file.components_);
    file.folders_share_.reset();  // they take their own now
    auto target = std::find_if(folders_.begin(), folders_.end(), [&](const auto& known) {
        return std::ranges::equal(parents_of(known.first->components_), parents);
    });
    if (target == folders_.end()) {
        auto fd = open_next(file);
        folder_writing writing(file.store_.tree, fd.get());
        folders_.push_back({&file, std::move(fd), std::move(writing)});
        target = std::prev(folders_.end());
    }
    const auto wanted = file.components_.back();
    std::optional<error> why;
    const bool is_placed = target->writing.lending([&] {
        file.components_.back() = wanted;
        file.number_ = 0;
        try {
            file.place(target->fd.get());
            return true;
        } catch (const error& e) {
            why = e;
            errno = e.system_error();
            return false;
        }
    });
    if (!is_placed) throw *why;
    files_[index].folder = &*target;
}

unique_fd file_group::open_next(const file_delivery& file) {
    const auto& tree = file.store_.tree;
    const auto parents = parents_of(file.components_);
    if (!folders_.empty() || lack_) try {
            return tree.make_folders(parents, file.store_.ledger);
        } catch (const error& e) {
            if (!is_out_of_descriptors(e) || lack_) throw;
            // Releases this group's folders before it waits, so that no two groups wait for each other.
            end_placing();
        }
    return waiting_once([&] { return tree.make_folders_at_finish(parents, file.store_.ledger); });
}

// Syncs all folders into which files were placed so far, and closes them.
void file_group::end_placing() noexcept {
    for (const auto& folder : folders_) {
        int code = 0;
        try {
            folder.first->store_.tree.sync(folder.fd.get(), {});
            continue;
        } catch (const error& e) {
            code = e.system_error();
        }
        each([&](file_delivery& file, std::size_t i) {
            if (files_[i].folder == &folder) file.store_.tree.fail(file.attempt_, code);
        });
    }
    each([&](file_delivery& file, std::size_t i) {
        if (files_[i].folder) file.confirm(*all_[i].answer);
    });
    // In reverse order, because a file may have replaced an earlier one.
    for (std::size_t i = all_.size(); i-- > 0;)
        if (all_[i].failure && files_[i].folder) {
            files_[i].folder->writing.lend();  // another receiver may have taken the right away meanwhile
            all_[i].failure =
                static_cast<file_delivery&>(*all_[i].of).taken_back(files_[i].folder->fd.get(), *all_[i].failure);
        }
    for (auto& file : files_) file.folder = nullptr;
    folders_.clear();
    tell_journal();
}

// An entry of a delivery that failed must not count, whatever is found later.
void file_group::tell_journal() noexcept {
    journal* told = nullptr;
    for (auto& one : all_) {
        auto& file = static_cast<file_delivery&>(*one.of);
        if (!file.entry_) continue;
        told = &*file.store_.journal;
        if (one.failure) told->withdraw(*std::exchange(file.entry_, std::nullopt));
    }
    if (told != nullptr) told->write_marks();
}

}  // namespace wherry::filesystem

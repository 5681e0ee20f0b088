// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "attributes.hpp"
#include "file_delivery.hpp"
#include "item_name.hpp"
#include "wherry/as_error.hpp"

namespace wherry::filesystem {

// The disk is asked once for many: all content is on its way before the first sync waits for its own, and a folder is
// synced once for all that was renamed into it. The partial area is held from the first attribute to the end. Each step
// is done for all files before the next, and a file that fails takes part in no further one.
void file_delivery::finish_group(std::span<ending> all) noexcept {
    const auto each = [&](auto&& step) {
        for (auto& one : all) {
            if (one.failure) continue;
            try {
                step(static_cast<file_delivery&>(*one.of), one);
            } catch (const std::exception& e) {
                one.failure = as_error(e, "the receiver is out of memory");
            }
        }
    };
    struct filled_folder {
        const ending* first;  // that went there
        unique_fd fd;
    };
    std::vector<filled_folder> folders;
    // Where each was put; null: nowhere.
    std::vector<const filled_folder*> places;
    try {
        folders.reserve(all.size());
        places.resize(all.size());
    } catch (const std::bad_alloc&) {
        for (auto& one : all) one.failure = error(errc::exhausted, "the receiver is out of memory");
        return;
    }
    const auto parents = [](const ending& one) { return parents_of(static_cast<file_delivery&>(*one.of).components_); };

    each([](file_delivery& file, ending&) {
        file.check_complete();
        file.push_to_disk(1);
    });
    each([](file_delivery& file, ending&) { file.sync_kept_content(); });
    // A group waits for descriptors once: not each of its files, one after the other, where nobody gives any back.
    std::optional<error> lack;
    const auto waiting_once = [&](auto&& open) {
        try {
            return open();
        } catch (const error& e) {
            if (is_out_of_descriptors(e)) lack = e;
            throw;
        }
    };
    std::shared_ptr<const partial_area::held_lock> held;
    each([&](file_delivery& file, ending&) {
        if (lack) throw error(*lack);
        if (!held) held = waiting_once([&] { return file.store_.partials.hold(); });
        set_attributes(file.store_.tree, file.partial_.fd.get(), file.what_, 0, file.attempt_);
    });
    each([](file_delivery& file, ending&) { file.store_.tree.sync(file.partial_.fd.get(), file.attempt_); });
    const auto place_of = [&](const ending& one) -> auto& {
        return places[static_cast<std::size_t>(&one - all.data())];
    };
    // Syncs all folders into which files were placed so far, and closes them.
    const auto end_placing = [&] {
        for (const auto& folder : folders) {
            int code = 0;
            try {
                static_cast<file_delivery&>(*folder.first->of).store_.tree.sync(folder.fd.get(), {});
                continue;
            } catch (const error& e) {
                code = e.system_error();
            }
            each([&](file_delivery& file, ending& one) {
                if (place_of(one) == &folder) file.store_.tree.fail(file.attempt_, code);
            });
        }
        each([&](file_delivery& file, ending& one) {
            if (place_of(one)) file.confirm(*one.answer);
        });
        // In reverse order, because a file may have replaced an earlier one.
        for (std::size_t i = all.size(); i-- > 0;)
            if (all[i].failure && places[i])
                all[i].failure =
                    static_cast<file_delivery&>(*all[i].of).taken_back(places[i]->fd.get(), *all[i].failure);
        std::fill(places.begin(), places.end(), nullptr);
        folders.clear();
    };
    const auto open_next = [&](const folder_tree& tree, const ending& one) {
        if (!folders.empty() || lack) try {
                return tree.open_folder(parents(one), folder_tree::missing::make);
            } catch (const error& e) {
                if (!is_out_of_descriptors(e) || lack) throw;
                // Releases this group's folders before it waits, so that no two groups wait for each other.
                end_placing();
            }
        return waiting_once([&] { return tree.make_folder_at_finish(parents(one)); });
    };
    each([&](file_delivery& file, ending& one) {
        auto target = std::find_if(folders.begin(), folders.end(), [&](const auto& known) {
            return std::ranges::equal(parents(*known.first), parents(one));
        });
        if (target == folders.end()) {
            auto fd = open_next(file.store_.tree, one);
            target = folders.insert(folders.end(), {&one, std::move(fd)});
        }
        file.place(target->fd.get());
        place_of(one) = &*target;
    });
    end_placing();
}

}  // namespace wherry::filesystem

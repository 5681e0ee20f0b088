// SPDX-License-Identifier: BSD-2-Clause
#include "folder_delivery.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "attributes.hpp"
#include "item_name.hpp"
#include "wherry/text.hpp"

namespace wherry::filesystem {

folder_delivery::folder_delivery(store& shared, const offer& what, std::vector<std::string> components)
    : store_(shared),
      what_(what),
      components_(std::move(components)),
      attempt_(fmt::format("cannot store the folder {}", in_quotes(joined(components_)))) {
    if (what_.size.value_or(0) != 0) fail_content();
    store_.tree.open_folder(components_);
}

void folder_delivery::write(const_bytes bytes) {
    if (!bytes.empty()) fail_content();
}

void folder_delivery::finish(response& answer) {
    const auto& tree = store_.tree;
    const auto parent = tree.make_folders_at_finish(parents_of(components_), store_.ledger);
    const auto folder = tree.make_folders_at_finish(components_, store_.ledger);
    struct stat now {};
    if (::fstat(folder.get(), &now) != 0) tree.fail(attempt_, errno);
    // A folder that was there before keeps its attributes: others may have theirs in it. A new one can be read by this
    // side in any case, which compares what is there, and it hands its group on where the one above says so.
    if (tree.take_made(now)) {
        const auto always = S_IRUSR | S_IXUSR | (now.st_mode & (S_ISGID | S_ISVTX));
        if (what_.mode) tree.set_mode(folder.get(), mode_for(tree, *what_.mode) | always, attempt_);
        set_time(tree, folder.get(), what_, attempt_);
    }
    tree.sync(folder.get(), attempt_);
    tree.sync(parent.get(), attempt_);
    answer.append(fmt::format("stored as {}", joined(components_)));
}

void folder_delivery::fail_content() const {
    throw error(errc::protocol, fmt::format("{}: a folder has no content", attempt_));
}

}  // namespace wherry::filesystem

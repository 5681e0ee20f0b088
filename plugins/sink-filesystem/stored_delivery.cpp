// SPDX-License-Identifier: BSD-2-Clause
#include "stored_delivery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "item_name.hpp"
#include "wherry/text.hpp"

namespace wherry::filesystem {

// ---- stored_delivery ----

stored_delivery::stored_delivery(journal::stored_file where) : where_(std::move(where)) {}

bool stored_delivery::already(response& answer) {
    answer.append(fmt::format("stored as {}", joined(where_.components)));
    return true;
}

void stored_delivery::finish(response& answer) { already(answer); }

// ---- unchanged_delivery ----

std::unique_ptr<delivery> unchanged_delivery::open(store& shared, const offer& what, const identity& peer,
                                                   const journal::stored_file& where) {
    auto file = shared.tree.open_file(where.components);
    if (!file.is_open() || mark_of(file.get()) != where.file) return nullptr;
    return std::make_unique<unchanged_delivery>(shared, make_entry(what, peer.fingerprint, what.name, where.file),
                                                where, std::move(file));
}

unchanged_delivery::unchanged_delivery(store& shared, journal_entry entry, journal::stored_file where, unique_fd file)
    : store_(shared), entry_(std::move(entry)), where_(std::move(where)), file_(std::move(file)) {}

std::size_t unchanged_delivery::read_back(std::uint64_t position, mutable_bytes buffer) {
    if (position >= where_.file.size) return 0;
    const auto wanted = std::min<std::uint64_t>(buffer.size(), where_.file.size - position);
    const auto got =
        uninterrupted([&] { return ::pread(file_.get(), buffer.data(), wanted, static_cast<off_t>(position)); });
    if (got < 0) store_.tree.fail(fmt::format("cannot read {}", in_quotes(joined(where_.components))), errno);
    return static_cast<std::size_t>(got);
}

void unchanged_delivery::write(const_bytes bytes) {
    if (!bytes.empty())
        throw error(errc::protocol, fmt::format("{}: more came than the {} bytes announced",
                                                in_quotes(joined(where_.components)), where_.file.size));
}

void unchanged_delivery::finish(response& answer) {
    const auto attempt = fmt::format("cannot confirm {}", in_quotes(joined(where_.components)));
    const auto folder =
        when_descriptors_are_free([&] { return store_.tree.open_folder(parents_of(where_.components)); });
    // A person may have moved it away and back.
    store_.tree.sync(file_.get(), attempt);
    if (folder.is_open()) store_.tree.sync(folder.get(), attempt);
    if (!folder.is_open() || mark_of(folder.get(), where_.components.back()) != where_.file)
        throw error(errc::io, fmt::format("{}: it was changed while it was compared; send it again", attempt));
    answer.append(fmt::format("stored as {}", joined(where_.components)));
    answer.set_outcome(already_there);
    store_.journal->add_placed(entry_, where_.number);
}

void unchanged_delivery::abort(partial what_came) noexcept {
    if (what_came == partial::drop) store_.journal->forget_file(entry_.path, entry_.fingerprint);
}

}  // namespace wherry::filesystem

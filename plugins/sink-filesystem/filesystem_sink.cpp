// SPDX-License-Identifier: BSD-2-Clause
#include "filesystem_sink.hpp"

#include <cerrno>
#include <ctime>
#include <utility>
#include <vector>

#include "file_delivery.hpp"
#include "folder_delivery.hpp"
#include "item_name.hpp"
#include "stored_delivery.hpp"

namespace wherry::filesystem {

sink::sink(const options& chosen, std::function<void(const std::string&)> warn) : store_(chosen, std::move(warn)) {}

void sink::finish_group(std::span<ending> all) noexcept { file_delivery::finish_group(all); }

std::unique_ptr<delivery> sink::begin_with_stored(const offer& what, const identity& peer) {
    if (!store_.journal) return nullptr;
    if (auto stored = store_.journal->find_delivery(what, peer.fingerprint))
        return std::make_unique<stored_delivery>(std::move(*stored));
    if (what.wants_resume && what.size != 0)
        if (const auto stored = store_.journal->find_file(what, peer.fingerprint);
            stored && (stored->number == 0 || store_.settings.existing == existing_policy::rename))
            return unchanged_delivery::open(store_, what, peer, *stored);
    return nullptr;
}

std::unique_ptr<delivery> sink::begin(const offer& what, const offering_peer& peer) {
    try {
        return begin_as_named(what, peer);
    } catch (const error& e) {
        if (e.system_error() != ENOTDIR || store_.settings.existing != existing_policy::rename) throw;
        // A file has the name of a folder. It stays, and the folder gets another name, as a file would.
        const auto components = split_name(what.name);
        const auto folders = what.kind == item_kind::folder ? components.size() : components.size() - 1;
        auto renamed = what;
        renamed.name = joined(store_.tree.beside_files(components, folders));
        if (renamed.name == what.name) throw;
        return begin_as_named(renamed, peer);
    }
}

std::unique_ptr<delivery> sink::begin_as_named(const offer& what, const offering_peer& peer) {
    if (auto stored = begin_with_stored(what, peer.who)) return stored;
    switch (what.kind) {
        case item_kind::message:
            if (!what.name.empty()) throw error(errc::refused, "a message has no name");
            return std::make_unique<file_delivery>(store_, *this, what, std::vector{message_name(std::time(nullptr))},
                                                   existing_policy::rename, peer.who);
        case item_kind::file:
        case item_kind::data:
            return std::make_unique<file_delivery>(store_, *this, what, split_name(what.name), store_.settings.existing,
                                                   peer.who);
        case item_kind::folder: return std::make_unique<folder_delivery>(store_, what, split_name(what.name));
    }
    throw error(errc::unsupported, "the receiver does not know this kind of item");
}

}  // namespace wherry::filesystem

// SPDX-License-Identifier: BSD-2-Clause
#include "entry_place.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <charconv>
#include <utility>

#include "item_name.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::filesystem {

namespace {

std::vector<std::string> split(const std::string& path) {
    std::vector<std::string> components(1);
    for (const char c : path)
        if (c == '/')
            components.emplace_back();
        else
            components.back() += c;
    return components;
}

std::string with_number(const std::string& wanted, std::uint32_t number) {
    return number == 0 ? wanted : numbered(wanted, number);
}

// Returns the number that makes `name` of `wanted`; none where there is none.
std::optional<std::uint32_t> number_in(const std::string& name, const std::string& wanted) {
    const auto open = name.rfind(" (");
    if (open == name.npos) return std::nullopt;
    std::uint32_t number = 0;
    const auto [end, failure] = std::from_chars(name.data() + open + 2, name.data() + name.size(), number);
    if (failure != std::errc() || number == 0 || name != numbered(wanted, number)) return std::nullopt;
    return number;
}

}  // namespace

std::vector<std::string> components_of(const journal_entry& entry, std::uint32_t number) {
    auto components = split(entry.path);
    components.back() = with_number(components.back(), number);
    return components;
}

std::optional<std::uint32_t> find_place(const folder_tree& tree, const journal_entry& entry) {
    try {
        const auto components = split(entry.path);
        const auto& wanted = components.back();
        const auto folder = tree.open_folder(parents_of(components));
        if (!folder.is_open()) return std::nullopt;
        const auto is_there = [&](int parent, const std::string& name) {
            const auto found = mark_of(parent, name);
            if (!found || !is_same_file(*found, entry.file)) return false;
            const unique_fd file(uninterrupted([&] {
                return ::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
            }));
            if (!file.is_open() && (errno == EMFILE || errno == ENFILE))
                tree.fail("cannot look at what is there", errno);
            const auto opened = mark_of(file.get());
            // A delivery holds the lock of its file until that is confirmed, or taken back.
            return file.is_open() && opened && is_same_file(*opened, entry.file) &&
                   ::flock(file.get(), LOCK_SH | LOCK_NB) == 0;
        };
        std::optional<std::uint32_t> number;
        if (is_there(folder.get(), wanted)) number = 0;
        if (!number)
            for_each_entry(folder.get(), ".", [&](int parent, const std::string& name) {
                if (number) return;
                const auto candidate = number_in(name, wanted);
                if (candidate && is_there(parent, name)) number = candidate;
            });
        if (!number) return std::nullopt;
        // The receiver may have been killed between the renaming and this.
        tree.sync(folder.get(), {});
        return is_there(folder.get(), with_number(wanted, *number)) ? number : std::nullopt;
    } catch (const error& e) {
        if (is_out_of_descriptors(e)) throw;
        return std::nullopt;
    }
}

}  // namespace wherry::filesystem

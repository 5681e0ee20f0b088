// SPDX-License-Identifier: BSD-2-Clause
#include "filesystem_sink.hpp"

#include <botan/hash.h>
#include <botan/hex.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "item_name.hpp"
#include "wherry/as_error.hpp"
#include "wherry/text.hpp"

namespace wherry::filesystem {

namespace {

constexpr mode_t mode_mask = 0777;  // no set-user-id, set-group-id or sticky bit from a peer
constexpr std::uint64_t push_every = 8 * 1024 * 1024;
constexpr unsigned most_numbers = 1u << 20;
constexpr int most_tries = 100;

// For a delivery of little, a disk that had plenty a moment ago is not asked again: what comes in that time is less.
constexpr std::uint64_t little = std::uint64_t{1} << 20;
constexpr std::uint64_t plenty = std::uint64_t{1} << 30;
constexpr std::chrono::milliseconds asked_again_after{50};

// The same for the same item of the same peer, and for no other.
std::string resume_key(const offer& what, const identity& peer) {
    byte_writer all;
    const auto time = what.mtime.value_or(file_time{});
    all.sized<std::uint32_t>(as_bytes(peer.fingerprint)).sized<std::uint32_t>(as_bytes(what.name));
    all.integer(*what.size).integer(static_cast<std::uint64_t>(time.seconds)).integer(time.nanoseconds);
    const auto bytes = all.view();
    const auto hash = Botan::HashFunction::create_or_throw("SHA-256");
    hash->update(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    const auto digest = hash->final();
    return Botan::hex_encode(digest.data(), digest.size(), false);
}

std::span<const std::string> parents_of(const std::vector<std::string>& components) {
    return std::span(components).first(components.size() - 1);
}

// Some file systems have no permission bits or times to set; what was sent is stored nevertheless.
bool is_beyond_file_system(int code) noexcept { return code == EPERM || code == EOPNOTSUPP || code == EINVAL; }

// `always` are bits that the mode has in any case.
void set_attributes(const folder_tree& tree, int fd, const offer& what, mode_t always, const std::string& attempt) {
    if (what.mode && ::fchmod(fd, (*what.mode & mode_mask & ~tree.masked()) | always) != 0 &&
        !is_beyond_file_system(errno))
        tree.fail(attempt, errno);
    if (!what.mtime) return;
    const timespec written{static_cast<time_t>(what.mtime->seconds), static_cast<long>(what.mtime->nanoseconds)};
    const std::array<timespec, 2> times = {{{0, UTIME_OMIT}, written}};
    if (::futimens(fd, times.data()) != 0 && !is_beyond_file_system(errno)) tree.fail(attempt, errno);
}

// Adds up the sizes of the files beneath, but for the partial area. Folders are opened by their path, one at a time,
// for a peer decides how deep they lie.
std::uint64_t bytes_beneath(int root) {
    std::uint64_t total = 0;
    std::vector<std::string> left = {"."};
    while (!left.empty()) {
        const auto path = std::move(left.back());
        left.pop_back();
        for_each_entry(root, path, [&](int folder, const std::string& name) {
            if (path == "." && name == partial_area_name) return;
            struct stat now {};
            if (::fstatat(folder, name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) return;
            if (S_ISDIR(now.st_mode)) left.push_back(path == "." ? name : path + "/" + name);
            if (S_ISREG(now.st_mode)) total += static_cast<std::uint64_t>(now.st_size);
        });
    }
    return total;
}

}  // namespace

// ---- Files, messages and data ----

class file_delivery final : public delivery {
public:
    // A group that is being finished.
    static void finish_group(std::span<ending> all) noexcept;

    file_delivery(sink& owner, const offer& what, std::vector<std::string> components, existing_policy policy,
                  const identity& peer)
        : sink_(owner),
          what_(what),
          components_(std::move(components)),
          policy_(policy),
          attempt_("cannot store " + quoted(joined(components_))) {
        const auto limit = sink_.options_.max_size;
        if (limit != 0 && what_.size && *what_.size > limit)
            throw error(errc::refused, quoted(joined(components_)) + " has " + human_bytes(*what_.size) +
                                           ", and files over " + human_bytes(limit) + " are not taken");
        check_place();
        const bool resumable = what_.wants_resume && what_.size && what_.kind != item_kind::message;
        partial_ =
            resumable ? sink_.partials_.open_kept(resume_key(what_, peer), *what_.size) : sink_.partials_.make_new();
        offset_ = position_ = pushed_ = partial_.present;
        try {
            share_.emplace(sink_.ledger_.reserve(what_.size.value_or(0), partial_.name, offset_));
            expect_room();
        } catch (...) {
            // What was kept before stays for a better time.
            if (offset_ == 0) partial_.remove();
            if (share_) share_->store(offset_);
            throw;
        }
    }

    ~file_delivery() override { discard(); }

    std::uint64_t offset() const noexcept override { return offset_; }

    std::size_t read_back(std::uint64_t position, mutable_bytes buffer) override {
        if (failure_) throw *failure_;
        if (position >= offset_) return 0;
        const auto wanted = std::min<std::uint64_t>(buffer.size(), offset_ - position);
        const auto got = uninterrupted(
            [&] { return ::pread(partial_.fd.get(), buffer.data(), wanted, static_cast<off_t>(position)); });
        if (got < 0) sink_.tree_.fail("cannot read back what came of " + quoted(joined(components_)), errno);
        return static_cast<std::size_t>(got);
    }

    void write(const_bytes bytes) override {
        if (failure_) throw *failure_;
        try {
            check_size(bytes.size());
            share_->grow_to(position_ + bytes.size());
            while (!bytes.empty()) {
                const auto written = uninterrupted([&] {
                    return ::pwrite(partial_.fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(position_));
                });
                if (written < 0) sink_.tree_.fail(attempt_, errno);
                position_ += static_cast<std::uint64_t>(written);
                expect_less(static_cast<std::uint64_t>(written));
                bytes = bytes.subspan(static_cast<std::size_t>(written));
            }
            push_to_disk();
        } catch (const error& e) {
            failure_ = e;
            discard();
            throw;
        }
    }

    void finish(response& answer) override {
        check_complete();
        sync_kept_content();
        const auto held = sink_.partials_.hold();
        set_attributes(sink_.tree_, partial_.fd.get(), what_, 0, attempt_);
        sink_.tree_.sync(partial_.fd.get(), attempt_);
        const auto folder = sink_.tree_.make_folder_at_finish(parents_of(components_));
        place(folder.get());
        try {
            sink_.tree_.sync(folder.get(), attempt_);
            confirm(answer);
        } catch (const error& e) {
            throw taken_back(folder.get(), e);
        } catch (...) {
            take_back(folder.get());
            throw;
        }
    }

    group_commit* commits_with() noexcept override { return &sink_; }

    void abort(partial what_came) noexcept override {
        if (what_came == partial::keep && partial_.may_be_kept && partial_.fd.is_open() && position_ > 0) keep();
        discard();
    }

private:
    // ---- The steps of finish() ----

    void check_complete() const {
        if (failure_) throw *failure_;
        if (what_.size && position_ != *what_.size)
            throw error(errc::protocol, attempt_ + ": only " + std::to_string(position_) + " of " +
                                            std::to_string(*what_.size) + " bytes came");
    }

    // Syncs the content before the attributes are set, if a resume may need the file. The partial file then has the
    // sender's attributes only for a short time. Other files are of no use after a cut, and are synced once.
    void sync_kept_content() const {
        if (partial_.may_be_kept) sink_.tree_.sync(partial_.fd.get(), attempt_);
    }

    // It is in its place for good.
    void confirm(response& answer) {
        answer.append("stored as " + joined(components_));
        if (displaces_) partial_.remove();
        partial_.fd.reset();
        share_->store(position_);
    }

    // What can be said before anything has come. It may be otherwise at the end, and is looked at again then.
    void check_place() {
        const auto& tree = sink_.tree_;
        const auto folder = tree.open_folder(parents_of(components_), folder_tree::missing::tell);
        if (!folder.is_open() || policy_ == existing_policy::rename) return;
        const auto existing = tree.look_at(folder.get(), components_.back());
        if (!existing) return;
        if (policy_ == existing_policy::refuse) refuse_existing();
        if (S_ISDIR(existing->st_mode)) refuse_folder();
    }

    [[noreturn]] void refuse_existing() const {
        throw error(errc::refused, quoted(joined(components_)) + " exists already, and is not replaced", EEXIST);
    }

    [[noreturn]] void refuse_folder() const {
        throw error(errc::refused, quoted(joined(components_)) + " is a folder here, and is not replaced", EISDIR);
    }

    void expect_room() {
        if (!what_.size) return;
        const auto needed = *what_.size - offset_;
        const auto free = sink_.free_bytes_for(needed);
        auto others = sink_.expected_.load();
        do {
            const auto left = free - std::min(free, others);
            if (needed > left)
                throw error(errc::exhausted,
                            "needs " + human_bytes(needed) + " but only " + human_bytes(left) + " is free in " +
                                sink_.tree_.shown() + "; make space there",
                            ENOSPC);
        } while (!sink_.expected_.compare_exchange_weak(others, others + needed));
        still_expected_ = needed;
    }

    // Starts to write to the disk what has come, so that the sync of a large file at its end does not keep the sender
    // waiting for minutes.
    void push_to_disk(std::uint64_t least = push_every) noexcept {
        const auto waiting = position_ - pushed_;
        if (sink_.options_.sync == durability::lazy || waiting < least) return;
        ::sync_file_range(partial_.fd.get(), static_cast<off_t>(pushed_), static_cast<off_t>(waiting),
                          SYNC_FILE_RANGE_WRITE);
        pushed_ = position_;
    }

    void expect_less(std::uint64_t bytes) noexcept {
        const auto fewer = std::min(bytes, still_expected_);
        still_expected_ -= fewer;
        sink_.expected_.fetch_sub(fewer);
    }

    void check_size(std::size_t more) const {
        if (what_.size && more > *what_.size - position_)
            throw error(errc::protocol,
                        attempt_ + ": more came than the " + std::to_string(*what_.size) + " bytes announced");
        const auto limit = sink_.options_.max_size;
        if (limit != 0 && (position_ > limit || more > limit - position_))
            throw error(errc::refused, attempt_ + ": files over " + human_bytes(limit) + " are not taken");
    }

    // Renames into the folder; components_ then ends with the name that it got.
    void place(int folder) {
        auto& name = components_.back();
        if (policy_ == existing_policy::overwrite) {
            if (replace(folder, name)) return;
            if (errno == EISDIR || errno == EEXIST || errno == ENOTEMPTY) refuse_folder();
            sink_.tree_.fail(attempt_, errno);
        }
        if (try_place(folder, name)) return;
        if (policy_ == existing_policy::refuse) refuse_existing();
        const auto wanted = name;
        for (auto number = first_free_number(folder, wanted); number <= most_numbers; ++number) {
            name = numbered(wanted, number);
            if (try_place(folder, name)) return;
        }
        name = wanted;
        throw error(errc::exhausted, attempt_ + ": there are too many of that name; move some away");
    }

    // Puts the new file in the place of an old one, which waits in the partial area until the new one is durable.
    bool replace(int folder, const std::string& name) {
        const int own_folder = partial_.folder->get();
        for (int tries = 0; tries < most_tries; ++tries) {
            const auto existing = sink_.tree_.look_at(folder, name);
            if (existing && S_ISDIR(existing->st_mode)) {
                errno = EISDIR;
                return false;
            }
            // The old file gets the partial file's name, so that name must not be one that a resume opens.
            if (existing) sink_.partials_.detach(partial_);
            const int result =
                existing ? ::renameat2(own_folder, partial_.name.c_str(), folder, name.c_str(), RENAME_EXCHANGE)
                         : rename_exclusively(own_folder, partial_.name, folder, name);
            displaces_ = existing && result == 0;
            struct stat old {};
            if (displaces_ && ::fstatat(own_folder, partial_.name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISDIR(old.st_mode)) {
                // A folder has taken the name meanwhile: it goes back, because its content must not be lost.
                displaces_ = false;
                ::renameat2(own_folder, partial_.name.c_str(), folder, name.c_str(), RENAME_EXCHANGE);
                errno = EISDIR;
                return false;
            }
            if (result == 0) return true;
            // Another delivery has just made the file, or the old one has just been removed: try again.
            if (errno != (existing ? ENOENT : EEXIST)) break;
        }
        // The file system cannot exchange.
        is_all_there_is_ = true;
        return ::renameat(own_folder, partial_.name.c_str(), folder, name.c_str()) == 0;
    }

    // Takes the new file back, because a delivery that failed must not look stored. Returns what to tell the sender.
    error taken_back(int folder, const error& why) noexcept {
        if (take_back(folder)) return why;
        try {
            return error(why.code(),
                         std::string(why.what()) + "; the new file cannot be taken back, and a power cut may lose it",
                         why.system_error());
        } catch (const std::bad_alloc&) {
            return why;
        }
    }

    // Undoes place(), unless another file has the name meanwhile. Returns false if the new file may still be there.
    bool take_back(int folder) noexcept {
        const auto& name = components_.back();
        struct stat ours {
        }, existing{};
        bool is_away = false;
        if (::fstatat(folder, name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) != 0)
            is_away = errno == ENOENT;
        else if (::fstat(partial_.fd.get(), &ours) == 0 &&
                 (ours.st_ino != existing.st_ino || ours.st_dev != existing.st_dev))
            is_away = true;
        else if (displaces_) {
            // The new file is the partial one again, and is removed as such.
            if (::renameat2(partial_.folder->get(), partial_.name.c_str(), folder, name.c_str(), RENAME_EXCHANGE) == 0)
                return true;
        } else if (!is_all_there_is_)
            is_away = ::unlinkat(folder, name.c_str(), 0) == 0;
        // Keeps the partial file's name from being removed: the old file has it, or another delivery may have it.
        partial_.fd.reset();
        return is_away;
    }

    // False where the name is taken.
    bool try_place(int folder, const std::string& name) {
        if (rename_exclusively(partial_.folder->get(), partial_.name, folder, name) == 0) return true;
        if (errno == EEXIST) return false;
        sink_.tree_.fail(attempt_, errno);
    }

    // A number that is free now while the one before it is not, found without trying them all: of ten thousand items of
    // one name the last must not need ten thousand looks.
    unsigned first_free_number(int folder, const std::string& wanted) const {
        const auto taken = [&](unsigned number) {
            return sink_.tree_.look_at(folder, numbered(wanted, number)).has_value();
        };
        unsigned free = 1;
        while (free < most_numbers && taken(free)) free *= 2;
        unsigned in_use = free / 2;  // 0 stands for the name itself
        while (in_use + 1 < free) {
            const auto middle = in_use + (free - in_use) / 2;
            (taken(middle) ? in_use : free) = middle;
        }
        return free;
    }

    void keep() noexcept {
        const int fd = partial_.fd.get();
        struct stat now {};
        if (::fstat(fd, &now) != 0) return;
        // What a write that failed half-way left behind its last good byte was never acknowledged to anyone. Only then,
        // for it counts as a write, and the lifetime of what is kept runs from the last one.
        if (static_cast<std::uint64_t>(now.st_size) != position_ && ::ftruncate(fd, static_cast<off_t>(position_)) != 0)
            return;
        if (sink_.options_.sync == durability::synced) ::fdatasync(fd);
        // In this order: whoever gets the lock next must find it stored.
        share_->store(position_);
        partial_.fd.reset();
    }

    // Idempotent; nothing is left of the partial file, if there still is one.
    void discard() noexcept {
        partial_.remove();
        share_.reset();
        expect_less(still_expected_);
    }

    sink& sink_;
    const offer what_;
    std::vector<std::string> components_;
    const existing_policy policy_;
    const std::string attempt_;
    partial_file partial_;
    std::optional<space_ledger::share> share_;
    std::uint64_t offset_ = 0;
    std::uint64_t position_ = 0;
    std::uint64_t pushed_ = 0;
    std::uint64_t still_expected_ = 0;
    bool is_all_there_is_ = false;  // the old file is gone already, and the new one stays whatever happens
    bool displaces_ = false;        // the partial file's name is that of the file that was replaced
    std::optional<error> failure_;
};

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
        if (!held) held = waiting_once([&] { return file.sink_.partials_.hold(); });
        set_attributes(file.sink_.tree_, file.partial_.fd.get(), file.what_, 0, file.attempt_);
    });
    each([](file_delivery& file, ending&) { file.sink_.tree_.sync(file.partial_.fd.get(), file.attempt_); });
    const auto place_of = [&](const ending& one) -> auto& {
        return places[static_cast<std::size_t>(&one - all.data())];
    };
    // Syncs all folders into which files were placed so far, and closes them.
    const auto end_placing = [&] {
        for (const auto& folder : folders) {
            int code = 0;
            try {
                static_cast<file_delivery&>(*folder.first->of).sink_.tree_.sync(folder.fd.get(), {});
                continue;
            } catch (const error& e) {
                code = e.system_error();
            }
            each([&](file_delivery& file, ending& one) {
                if (place_of(one) == &folder) file.sink_.tree_.fail(file.attempt_, code);
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
            auto fd = open_next(file.sink_.tree_, one);
            target = folders.insert(folders.end(), {&one, std::move(fd)});
        }
        file.place(target->fd.get());
        place_of(one) = &*target;
    });
    end_placing();
}

// ---- Folders ----

class folder_delivery final : public delivery {
public:
    folder_delivery(const folder_tree& tree, const offer& what, std::vector<std::string> components)
        : tree_(tree),
          what_(what),
          components_(std::move(components)),
          attempt_("cannot store the folder " + quoted(joined(components_))) {
        if (what_.size.value_or(0) != 0) fail_content();
        tree_.open_folder(components_, folder_tree::missing::tell);
    }

    void write(const_bytes bytes) override {
        if (!bytes.empty()) fail_content();
    }

    void finish(response& answer) override {
        const auto parent = tree_.make_folder_at_finish(parents_of(components_));
        const auto folder = tree_.make_folder_at_finish(components_);
        struct stat now {};
        if (::fstat(folder.get(), &now) != 0) tree_.fail(attempt_, errno);
        // A folder that was there before keeps its attributes: others may have theirs in it. In a new one this side
        // must be able to go on, and it hands its group on where the one above says so.
        if (tree_.take_made(now))
            set_attributes(tree_, folder.get(), what_, S_IRWXU | (now.st_mode & (S_ISGID | S_ISVTX)), attempt_);
        tree_.sync(folder.get(), attempt_);
        tree_.sync(parent.get(), attempt_);
        answer.append("stored as " + joined(components_));
    }

    void abort(partial) noexcept override {}

private:
    [[noreturn]] void fail_content() const { throw error(errc::protocol, attempt_ + ": a folder has no content"); }

    const folder_tree& tree_;
    const offer what_;
    const std::vector<std::string> components_;
    const std::string attempt_;
};

// ---- The sink ----

sink::sink(const options& chosen)
    : options_(chosen),
      tree_(chosen.directory, chosen.sync),
      partials_(tree_, chosen.partial_lifetime),
      ledger_(chosen.quota, tree_.shown(), [this](const auto& under_way) { return stored_bytes(under_way); }) {}

std::uint64_t sink::free_bytes_for(std::uint64_t needed) {
    const auto now = std::chrono::steady_clock::now();
    if (needed <= little && now < free_until_.load()) return free_;
    const auto free = tree_.free_bytes().value_or(std::numeric_limits<std::int64_t>::max());
    const bool is_plenty = free / 2 >= plenty + expected_;
    free_ = free;
    free_until_ = is_plenty ? now + asked_again_after : now;
    return free;
}

std::uint64_t sink::stored_bytes(const std::multiset<std::string>& under_way) {
    return bytes_beneath(tree_.root()) + partials_.kept_bytes(under_way);
}

void sink::finish_group(std::span<ending> all) noexcept { file_delivery::finish_group(all); }

std::unique_ptr<delivery> sink::begin(const offer& what, const offering_peer& peer) {
    switch (what.kind) {
        case item_kind::message:
            if (!what.name.empty()) throw error(errc::refused, "a message has no name");
            return std::make_unique<file_delivery>(*this, what, std::vector{message_name(std::time(nullptr))},
                                                   existing_policy::rename, peer.who);
        case item_kind::file:
        case item_kind::data:
            return std::make_unique<file_delivery>(*this, what, split_name(what.name), options_.existing, peer.who);
        case item_kind::folder: return std::make_unique<folder_delivery>(tree_, what, split_name(what.name));
    }
    throw error(errc::unsupported, "the receiver does not know this kind of item");
}

}  // namespace wherry::filesystem

// SPDX-License-Identifier: BSD-2-Clause
#include "lent_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "wherry/error.hpp"

namespace wherry::conformance {

namespace {

// What was taken away last stays reserved, so that nothing else comes to be there meanwhile.
struct region {
    std::atomic<std::uintptr_t> begin{0}, end{0};
};
std::array<region, 1024> taken_away;
std::atomic<std::size_t> next{0};

// What is lent now, and the pages behind it; as many as have room. `end` is that of what is lent.
std::array<region, 1024> lent_now;

std::size_t page_bytes() noexcept {
    static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return bytes;
}

}  // namespace

lent_memory::lent_memory(std::size_t size) : size_(size) {
    const auto page = page_bytes();
    mapped_ = (std::max<std::size_t>(size, 1) + page - 1) / page * page + page;
    void* const got = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) throw error(errc::exhausted, "there is no memory left to lend to the plugin", errno);
    base_ = static_cast<std::byte*>(got);
    ::mprotect(base_ + mapped_ - page, page, PROT_NONE);
    data_ = base_ + mapped_ - page - size;
    for (place_ = 0; place_ < lent_now.size(); ++place_) {
        std::uintptr_t nobody = 0;
        auto& place = lent_now[place_];
        if (!place.end.compare_exchange_strong(nobody, reinterpret_cast<std::uintptr_t>(base_ + mapped_ - page)))
            continue;
        place.begin = reinterpret_cast<std::uintptr_t>(base_);
        break;
    }
}

lent_memory::lent_memory(const_bytes content, lent_for what) : lent_memory(content.size()) {
    if (!content.empty()) std::memcpy(data_, content.data(), content.size());
    if (what == lent_for::reading) protect();
}

void lent_memory::protect() const noexcept { ::mprotect(base_, mapped_ - page_bytes(), PROT_READ); }

lent_memory::~lent_memory() {
    const int before = errno;
    if (place_ < lent_now.size()) lent_now[place_].end = 0;
    ::mmap(base_, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    auto& place = taken_away[next++ % taken_away.size()];
    const auto begin = reinterpret_cast<std::uintptr_t>(base_);
    const auto old_end = place.end.exchange(begin + mapped_);
    const auto old_begin = place.begin.exchange(begin);
    if (old_begin != 0) ::munmap(reinterpret_cast<void*>(old_begin), old_end - old_begin);
    errno = before;
}

lending lending_of(const void* address) noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    for (const auto& place : taken_away)
        if (at >= place.begin && at < place.end) return lending::taken_away;
    for (const auto& place : lent_now) {
        const std::uintptr_t end = place.end;
        if (end == 0) continue;
        if (at >= end && at < end + page_bytes()) return lending::behind_the_end;
        // What can be written does not crash.
        if (at >= place.begin && at < end) return lending::only_to_read;
    }
    return lending::none;
}

}  // namespace wherry::conformance

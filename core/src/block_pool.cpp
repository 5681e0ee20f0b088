#include "block_pool.hpp"

#include <sys/mman.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <new>

namespace wherry {

namespace {

// Kept for those to come; what is idle beyond that goes back to the system.
constexpr std::size_t most_idle_chunks = 2;

}  // namespace

block_pool::~block_pool() { unmap(with_room_); }

void block_pool::unmap(const std::list<chunk>& chunks) noexcept {
    for (const auto& one : chunks) ::munmap(one.memory, chunk_bytes);
}

std::size_t block_pool::chunks() const {
    const std::lock_guard lock(mutex_);
    return with_room_.size() + full_.size();
}

// At a multiple of its size, as large pages want it.
std::byte* block_pool::map(pages of) {
    constexpr auto twice = 2 * chunk_bytes;
    void* const mapped = ::mmap(nullptr, twice, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    auto* const begin = static_cast<std::byte*>(mapped);
    const auto before = -std::bit_cast<std::uintptr_t>(begin) % chunk_bytes;
    auto* const memory = begin + before;
    if (before > 0) ::munmap(begin, before);
    ::munmap(memory + chunk_bytes, twice - before - chunk_bytes);
    if (of == pages::large) ::madvise(memory, chunk_bytes, MADV_HUGEPAGE);  // refused, they are small
    return memory;
}

block_pool::block block_pool::take() {
    std::list<chunk> surplus;
    const auto taken = take_or_add(surplus);
    unmap(surplus);
    return taken;
}

block_pool::block block_pool::take_or_add(std::list<chunk>& surplus) {
    std::unique_lock lock(mutex_);
    if (with_room_.empty()) {
        // Whoever has but a few connections touches little of it, and may keep its memory small.
        const auto of = full_.empty() ? pages::small : pages::large;
        std::list<chunk> fresh(1, chunk(nullptr));
        lock.unlock();
        fresh.front().memory = map(of);
        lock.lock();
        // Another may have added one meanwhile.
        if (with_room_.empty()) {
            with_room_.splice(with_room_.end(), fresh);
            ++idle_chunks_;
        } else {
            surplus.splice(surplus.end(), fresh);
        }
    }
    const auto from = with_room_.begin();
    if (from->in_use++ == 0) --idle_chunks_;
    auto* memory = from->free;
    if (memory != nullptr)
        std::memcpy(&from->free, memory, sizeof from->free);
    else
        memory = from->memory + from->carved++ * block_bytes_;
    if (from->in_use == blocks_of_chunk()) full_.splice(full_.begin(), with_room_, from);
    return {memory, from};
}

void block_pool::give_back(block one) noexcept {
    std::list<chunk> surplus;
    put_back(one, surplus);
    unmap(surplus);
}

void block_pool::put_back(block one, std::list<chunk>& surplus) noexcept {
    const std::lock_guard lock(mutex_);
    const auto to = one.of_;
    // The last that was used is the first to be used again.
    with_room_.splice(with_room_.begin(), to->in_use == blocks_of_chunk() ? full_ : with_room_, to);
    std::memcpy(one.data_, &to->free, sizeof to->free);
    to->free = one.data_;
    if (--to->in_use > 0) return;
    if (idle_chunks_ >= most_idle_chunks) {
        surplus.splice(surplus.end(), with_room_, to);
    } else {
        // Others are filled up before it is begun again.
        ++idle_chunks_;
        with_room_.splice(with_room_.end(), with_room_, to);
    }
}

}  // namespace wherry

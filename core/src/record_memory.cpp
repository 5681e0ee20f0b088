#include "record_memory.hpp"

#include <algorithm>
#include <array>

namespace wherry {

namespace {

// Seven of the one fill a chunk, 31 of the other; they hold the records of TCP, and what a reader begins with, and some
// bytes that it reads ahead.
constexpr std::size_t large_bytes = std::size_t{292} << 10, small_bytes = std::size_t{66} << 10;
// Smaller ones are nothing to the allocator.
constexpr std::size_t least_pooled_bytes = std::size_t{32} << 10;

block_pool* pool_for([[maybe_unused]] std::size_t bytes) {
#ifndef WHERRY_SANITIZED
    // Never destroyed, for threads may still use them when the program ends.
    static auto* const pools = new std::array<block_pool, 2>{block_pool(small_bytes), block_pool(large_bytes)};
    if (bytes >= least_pooled_bytes)
        for (auto& pool : *pools)
            if (bytes <= pool.block_bytes()) return &pool;
#endif
    // A sanitizer sees more of memory of its own.
    return nullptr;
}

}  // namespace

record_memory::record_memory(std::size_t bytes) : capacity_(bytes), pool_(pool_for(bytes)) {
    if (pool_ != nullptr) {
        block_ = pool_->take();
        data_ = block_.data();
    } else {
        own_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
        data_ = own_.get();
    }
}

void record_memory::release() noexcept {
    if (pool_ != nullptr) pool_->give_back(block_);
    own_.reset();
    pool_ = nullptr;
    data_ = nullptr;
    capacity_ = 0;
}

}  // namespace wherry

#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "block_pool.hpp"

namespace wherry {

// What records are put into and read into. Of the sizes that connections have, it is used again by the next of them.
// Used by one thread at a time.
class record_memory {
public:
    record_memory() noexcept = default;
    // What is in it is not defined. Throws std::bad_alloc.
    explicit record_memory(std::size_t bytes);
    ~record_memory() { release(); }
    record_memory(record_memory&& other) noexcept { swap(other); }
    record_memory& operator=(record_memory&& other) noexcept {
        swap(other);
        return *this;
    }

    std::byte* get() const noexcept { return data_; }
    std::size_t capacity() const noexcept { return capacity_; }
    explicit operator bool() const noexcept { return data_ != nullptr; }

    void release() noexcept;

private:
    void swap(record_memory& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(capacity_, other.capacity_);
        std::swap(own_, other.own_);
        std::swap(block_, other.block_);
        std::swap(pool_, other.pool_);
    }

    std::byte* data_ = nullptr;
    std::size_t capacity_ = 0;
    std::unique_ptr<std::byte[]> own_;
    block_pool::block block_;
    block_pool* pool_ = nullptr;
};

}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace wherry {

// What records are put into and read into. Used by one thread at a time.
class record_memory {
public:
    record_memory() noexcept = default;
    // What is in it is not defined. Throws std::bad_alloc.
    explicit record_memory(std::size_t bytes)
        : bytes_(std::make_unique_for_overwrite<std::byte[]>(bytes)), capacity_(bytes) {}
    record_memory(record_memory&& other) noexcept
        : bytes_(std::move(other.bytes_)), capacity_(std::exchange(other.capacity_, 0)) {}
    record_memory& operator=(record_memory&& other) noexcept {
        bytes_ = std::move(other.bytes_);
        capacity_ = std::exchange(other.capacity_, 0);
        return *this;
    }

    std::byte* get() const noexcept { return bytes_.get(); }
    std::size_t capacity() const noexcept { return capacity_; }
    explicit operator bool() const noexcept { return bytes_ != nullptr; }

    void release() noexcept { *this = record_memory(); }

private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t capacity_ = 0;
};

}  // namespace wherry

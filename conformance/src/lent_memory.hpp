// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "wherry/bytes.hpp"

namespace wherry::conformance {

// Memory that is lent to the plugin for one call. It ends where a page does, so that whoever reads or writes beyond it
// crashes, and it is taken away when this goes, so that whoever uses it later does, too. Copies are what is lent, so
// that nothing of the kit's own is in danger. What is lent as const can only be read.
enum class lent_for { reading, writing };
class lent_memory {
public:
    explicit lent_memory(std::size_t size);
    explicit lent_memory(const_bytes content, lent_for what = lent_for::reading);
    ~lent_memory();
    lent_memory(const lent_memory&) = delete;
    lent_memory& operator=(const lent_memory&) = delete;

    std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    mutable_bytes bytes() const noexcept { return {data_, size_}; }
    // From now on whoever writes crashes.
    void protect() const noexcept;

private:
    std::byte* base_ = nullptr;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0, mapped_ = 0;
    std::size_t place_ = 0;
};

// With the NUL.
class lent_text {
public:
    explicit lent_text(std::string_view text) : memory_(as_bytes(std::string(text) + '\0')) {}
    const char* c_str() const noexcept { return reinterpret_cast<const char*>(memory_.data()); }

private:
    lent_memory memory_;
};

// A structure of plugin.h, const or not. Its end is that of the memory, up to alignment.
template <class Struct>
class lent {
public:
    explicit lent(const Struct& value)
        : memory_(const_bytes(reinterpret_cast<const std::byte*>(&value), sizeof value),
                  std::is_const_v<Struct> ? lent_for::reading : lent_for::writing) {}
    Struct* get() const noexcept { return reinterpret_cast<Struct*>(memory_.data()); }
    Struct* operator->() const noexcept { return get(); }

private:
    static_assert(sizeof(Struct) % alignof(Struct) == 0);
    lent_memory memory_;
};

// What an address belongs to. For handlers of signals.
enum class lending { none, taken_away, behind_the_end, only_to_read };
lending lending_of(const void* address) noexcept;

}  // namespace wherry::conformance

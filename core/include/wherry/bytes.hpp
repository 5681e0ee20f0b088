// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/error.hpp"

namespace wherry {

using const_bytes = std::span<const std::byte>;
using mutable_bytes = std::span<std::byte>;

inline const_bytes as_bytes(std::string_view text) noexcept {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline std::string_view as_text(const_bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Writes `value` big-endian to the first sizeof(Integer) bytes of `bytes`. REQUIRES: `bytes` is that long.
template <std::unsigned_integral Integer>
void store_big_endian(mutable_bytes bytes, Integer value) noexcept {
    for (std::size_t i = 0; i < sizeof(Integer); ++i)
        bytes[i] = static_cast<std::byte>(value >> (8 * (sizeof(Integer) - 1 - i)));
}

// Reads what store_big_endian wrote. REQUIRES: in holds sizeof(Integer) bytes.
template <std::unsigned_integral Integer>
Integer load_big_endian(const_bytes bytes) noexcept {
    Integer value = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i)
        value = static_cast<Integer>((sizeof(Integer) > 1 ? value << 8 : 0) | std::to_integer<Integer>(bytes[i]));
    return value;
}

// Takes a message apart, in order. Every read is checked against what is left; throws error(errc::protocol) naming
// `what` if there is too little, or if finish() finds something left over. Borrows the bytes.
class byte_reader {
public:
    byte_reader(const_bytes bytes, std::string_view what) noexcept : rest_(bytes), what_(what) {}

    template <std::unsigned_integral Integer>
    Integer integer() {
        return load_big_endian<Integer>(bytes(sizeof(Integer)));
    }

    const_bytes bytes(std::size_t count) {
        if (count > rest_.size()) fail("is cut short");
        const auto taken = rest_.first(count);
        rest_ = rest_.subspan(count);
        return taken;
    }

    // A length of type Length, then that many bytes; more than `maximum` is refused before anything else is done.
    template <std::unsigned_integral Length>
    const_bytes sized(std::size_t maximum) {
        const auto length = integer<Length>();
        if (length > maximum) fail("has a length out of bounds");
        return bytes(length);
    }

    const_bytes rest() noexcept {
        const auto all = rest_;
        rest_ = {};
        return all;
    }

    std::size_t remaining() const noexcept { return rest_.size(); }

    void finish() const {
        if (!rest_.empty()) fail("has bytes left over");
    }

    [[noreturn]] void fail(std::string_view why) const {
        throw error(errc::protocol, std::string(what_) + " " + std::string(why));
    }

private:
    const_bytes rest_;
    std::string_view what_;
};

// Puts a message together, in order.
class byte_writer {
public:
    template <std::unsigned_integral Integer>
    byte_writer& integer(Integer value) {
        const auto offset = bytes_.size();
        bytes_.resize(offset + sizeof(Integer));
        store_big_endian(mutable_bytes(bytes_).subspan(offset), value);
        return *this;
    }

    byte_writer& bytes(const_bytes value) {
        bytes_.insert(bytes_.end(), value.begin(), value.end());
        return *this;
    }

    // A length of type Length, then the bytes. REQUIRES: the size fits Length.
    template <std::unsigned_integral Length>
    byte_writer& sized(const_bytes value) {
        return integer(static_cast<Length>(value.size())).bytes(value);
    }

    const_bytes view() const noexcept { return bytes_; }
    std::vector<std::byte> take() noexcept { return std::move(bytes_); }

private:
    std::vector<std::byte> bytes_;
};

}  // namespace wherry

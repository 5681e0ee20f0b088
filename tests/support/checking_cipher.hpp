// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wherry/cipher.hpp"

namespace wherry::test {

// No secret, but the manners of a cipher: it hides the plaintext, numbers the records, and finds out each that was
// changed, moved or repeated.
class checking_session final : public cipher_session {
public:
    explicit checking_session(std::size_t overhead = 8) noexcept : overhead_(overhead) {}

    void finish_handshake(stream&) override {}
    std::size_t overhead() const noexcept override { return overhead_; }

    void seal(mutable_bytes record, std::size_t length) override {
        if (record.size() != length + overhead_) throw error(errc::internal, "sealed with the wrong room");
        const auto sum = checksum(record.first(length), sealed_++);
        for (auto& byte : record.first(length)) byte ^= mask;
        // Zeros pad what the checksum leaves of the overhead.
        for (std::size_t i = 0; i < overhead_; ++i)
            record[length + i] = i < sizeof sum ? static_cast<std::byte>(sum >> (8 * i)) : std::byte{0};
    }

    mutable_bytes open(mutable_bytes record) override {
        const auto plain = record.first(record.size() - overhead_);
        for (auto& byte : plain) byte ^= mask;
        const auto sum = checksum(plain, opened_++);
        for (std::size_t i = 0; i < overhead_; ++i) {
            const auto expected = i < sizeof sum ? static_cast<std::byte>(sum >> (8 * i)) : std::byte{0};
            if (record[plain.size() + i] != expected) {
                for (auto& byte : plain) byte = std::byte{0};
                throw error(errc::integrity, "a record was altered on the way");
            }
        }
        return plain;
    }

    const identity& peer() const noexcept override { return nobody_; }
    std::string_view describe() const noexcept override { return "checksums"; }

private:
    static constexpr std::byte mask{0xA5};

    // FNV-1a, the number of the record first.
    static std::uint64_t checksum(const_bytes bytes, std::uint64_t number) noexcept {
        std::uint64_t sum = (14695981039346656037U ^ number) * 1099511628211U;
        for (const auto byte : bytes) sum = (sum ^ std::to_integer<std::uint64_t>(byte)) * 1099511628211U;
        return sum;
    }

    const std::size_t overhead_;
    std::uint64_t sealed_ = 0, opened_ = 0;
    identity nobody_;
};

}  // namespace wherry::test

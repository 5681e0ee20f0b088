// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <botan/hash.h>
#include <botan/rng.h>
#include <botan/version.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <string>

namespace wherry::test {

// Bytes that anyone can make again: SHA-256(seed ‖ u64 counter), counter from 0. For test vectors only.
class seeded_rng final : public Botan::RandomNumberGenerator {
public:
    explicit seeded_rng(std::string seed) : seed_(std::move(seed)) {}

    std::string name() const override { return "seeded for a test"; }
    bool accepts_input() const override { return false; }
    bool is_seeded() const override { return true; }
    void clear() override {}

#if BOTAN_VERSION_MAJOR >= 3
private:
    void fill_bytes_with_input(std::span<std::uint8_t> out, std::span<const std::uint8_t>) override { fill(out); }
#else
    void add_entropy(const std::uint8_t[], std::size_t) override {}
    void randomize(std::uint8_t out[], std::size_t length) override { fill({out, length}); }
#endif

private:
    void fill(std::span<std::uint8_t> out) {
        for (auto& byte : out) {
            if (ready_.empty()) next_block();
            byte = ready_.front();
            ready_.pop_front();
        }
    }

    void next_block() {
        const auto hash = Botan::HashFunction::create_or_throw("SHA-256");
        hash->update(seed_);
        hash->update_be(counter_++);
        const auto block = hash->final();
        ready_.assign(block.begin(), block.end());
    }

    std::string seed_;
    std::uint64_t counter_ = 0;
    std::deque<std::uint8_t> ready_;
};

}  // namespace wherry::test

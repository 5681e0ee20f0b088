#include "block_pool.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <latch>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "record_memory.hpp"

namespace wherry {
namespace {

constexpr std::size_t block_bytes = block_pool::chunk_bytes / 4;

TEST(block_pool, blocks_are_apart_from_one_another_and_hold_what_is_put_in) {
    block_pool pool(block_bytes);
    std::vector<block_pool::block> blocks;
    for (int i = 0; i < 9; ++i) {
        blocks.push_back(pool.take());
        std::memset(blocks.back().data(), i, block_bytes);
    }
    for (int i = 0; i < 9; ++i) {
        const auto* const begin = blocks[static_cast<std::size_t>(i)].data();
        EXPECT_TRUE(std::all_of(begin, begin + block_bytes, [&](std::byte byte) { return byte == std::byte(i); })) << i;
    }
    EXPECT_EQ(pool.chunks(), 3u);
    for (const auto& one : blocks) pool.give_back(one);
}

TEST(block_pool, what_was_given_back_is_used_before_there_is_more_memory) {
    block_pool pool(block_bytes);
    std::vector<block_pool::block> blocks;
    std::set<std::byte*> known;
    for (int i = 0; i < 8; ++i) {
        blocks.push_back(pool.take());
        known.insert(blocks.back().data());
    }
    for (int round = 0; round < 3; ++round) {
        for (const std::size_t i : {6u, 1u, 4u}) pool.give_back(blocks[i]);
        for (const std::size_t i : {1u, 4u, 6u}) {
            blocks[i] = pool.take();
            EXPECT_TRUE(known.contains(blocks[i].data()));
        }
        std::set<std::byte*> now;
        for (const auto& one : blocks) now.insert(one.data());
        EXPECT_EQ(now, known);
    }
    EXPECT_EQ(pool.chunks(), 2u);
    for (const auto& one : blocks) pool.give_back(one);
}

TEST(block_pool, memory_that_nobody_uses_goes_back_but_for_a_little) {
    block_pool pool(block_bytes);
    std::vector<block_pool::block> blocks;
    for (int i = 0; i < 40; ++i) blocks.push_back(pool.take());
    EXPECT_EQ(pool.chunks(), 10u);
    for (const auto& one : blocks) pool.give_back(one);
    EXPECT_EQ(pool.chunks(), 2u);
    // What is left is as good as new.
    blocks.clear();
    for (int i = 0; i < 9; ++i) blocks.push_back(pool.take());
    EXPECT_EQ(pool.chunks(), 3u);
    for (const auto& one : blocks) std::memset(one.data(), 1, block_bytes);
    for (const auto& one : blocks) pool.give_back(one);
}

TEST(block_pool, a_rush_leaves_no_more_behind_than_anything_else) {
    block_pool pool(block_bytes);
    for (int round = 0; round < 20; ++round) {
        constexpr std::size_t many = 16;
        std::latch all_are_there(many);
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < many; ++i)
            threads.emplace_back([&] {
                all_are_there.arrive_and_wait();
                const auto one = pool.take();
                one.data()[0] = std::byte{1};
                pool.give_back(one);
            });
        for (auto& thread : threads) thread.join();
        EXPECT_LE(pool.chunks(), 2u);
    }
}

TEST(block_pool, a_block_may_be_as_large_as_a_chunk) {
    block_pool pool(block_pool::chunk_bytes);
    const auto one = pool.take(), other = pool.take();
    std::memset(one.data(), 1, block_pool::chunk_bytes);
    std::memset(other.data(), 2, block_pool::chunk_bytes);
    EXPECT_EQ(one.data()[block_pool::chunk_bytes - 1], std::byte{1});
    pool.give_back(one);
    pool.give_back(other);
}

TEST(block_pool, many_threads_never_have_the_same_block) {
    block_pool pool(block_bytes);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&pool, mark = std::byte(i + 1)] {
            std::minstd_rand random(std::to_integer<unsigned>(mark));
            std::vector<block_pool::block> held;
            for (int step = 0; step < 2000; ++step) {
                if (held.size() < 12 && random() % 2 == 0) {
                    held.push_back(pool.take());
                    held.back().data()[0] = held.back().data()[block_bytes - 1] = mark;
                } else if (!held.empty()) {
                    std::swap(held[random() % held.size()], held.back());
                    EXPECT_EQ(held.back().data()[0], mark);
                    EXPECT_EQ(held.back().data()[block_bytes - 1], mark);
                    pool.give_back(held.back());
                    held.pop_back();
                }
            }
            for (const auto& one : held) pool.give_back(one);
        });
    for (auto& thread : threads) thread.join();
    EXPECT_LE(pool.chunks(), 2u);
}

TEST(record_memory, has_what_was_asked_for_and_gives_it_up_once) {
    for (const std::size_t bytes : {16u, 8192u, 65536u, 70000u, 262144u, 266244u, 299008u, 299009u, 1048576u}) {
        record_memory one(bytes);
        ASSERT_TRUE(one);
        EXPECT_EQ(one.capacity(), bytes);
        std::memset(one.get(), 7, bytes);
        auto* const at = one.get();
        record_memory other = std::move(one);
        EXPECT_EQ(other.get(), at);
        EXPECT_EQ(other.get()[bytes - 1], std::byte{7});
        one = record_memory(bytes);
        EXPECT_NE(one.get(), other.get());
        other.release();
        EXPECT_FALSE(other);
        EXPECT_EQ(other.capacity(), 0u);
        other.release();
    }
}

}  // namespace
}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#include "record_memory.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace wherry {
namespace {

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

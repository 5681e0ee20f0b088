// SPDX-License-Identifier: BSD-2-Clause
#include "descriptor_reserve.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

namespace wherry {
namespace {

std::size_t next_number() {
    const unique_fd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return static_cast<std::size_t>(next.get());
}

// Calls take_few() several times, because it does not check each time.
bool is_touched(const descriptor_reserve& reserve) {
    for (int i = 0; i < 32; ++i)
        if (!reserve.take_few()) return true;
    return false;
}

class descriptor_reserve_test : public testing::Test {
protected:
    void open_until_numbered(std::size_t last) {
        do opened_.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        while (static_cast<std::size_t>(opened_.back().get()) < last);
    }

    std::vector<unique_fd> opened_;
};

TEST_F(descriptor_reserve_test, is_touched_only_when_nothing_else_is_free) {
    const descriptor_reserve reserve(320);  // 40 of them are the reserve
    EXPECT_FALSE(is_touched(reserve));
    open_until_numbered(200);
    EXPECT_FALSE(is_touched(reserve));
    EXPECT_GT(reserve.free_beyond_reserve(), 0u);
    open_until_numbered(279);
    EXPECT_EQ(reserve.free_beyond_reserve(), 0u);
    EXPECT_TRUE(is_touched(reserve));
    EXPECT_TRUE(reserve.is_half_free());
    open_until_numbered(300);
    EXPECT_FALSE(reserve.is_half_free());
    opened_.clear();
    EXPECT_FALSE(is_touched(reserve));
    EXPECT_TRUE(reserve.is_half_free());
}

TEST_F(descriptor_reserve_test, counts_callers_that_are_about_to_open_some) {
    const descriptor_reserve reserve(320);
    EXPECT_TRUE(reserve.take_few());  // the reserve opens its own descriptor
    const auto free = 320 - 40 - next_number();
    std::vector<descriptor_reserve::taking> taking;
    while (auto one = reserve.take_few()) taking.push_back(std::move(*one));
    EXPECT_LE(3 * taking.size(), free);
    // A share of the free ones may be taken before a check.
    EXPECT_GE(3 * taking.size() + 6, free);
    EXPECT_FALSE(reserve.take_few());
    taking.pop_back();
    EXPECT_TRUE(reserve.take_few());
}

TEST_F(descriptor_reserve_test, a_low_limit_is_half_reserve) {
    const descriptor_reserve reserve(64);
    open_until_numbered(31);
    EXPECT_FALSE(reserve.take_few());
    EXPECT_TRUE(reserve.is_half_free());
}

TEST_F(descriptor_reserve_test, goes_by_the_limit_of_the_process) {
    const descriptor_reserve reserve;
    EXPECT_GT(reserve.limit(), next_number());
    EXPECT_TRUE(reserve.take_few());
}

TEST_F(descriptor_reserve_test, failures_that_lack_descriptors) {
    EXPECT_TRUE(is_out_of_descriptors(error(errc::exhausted, "", EMFILE)));
    EXPECT_TRUE(is_out_of_descriptors(error(errc::exhausted, "", ENFILE)));
    EXPECT_FALSE(is_out_of_descriptors(error(errc::exhausted, "", ENOSPC)));
    EXPECT_FALSE(is_out_of_descriptors(error(errc::io, "", EMFILE)));
}

}  // namespace
}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#include "faulty_connection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <vector>

namespace wherry::faulty {
namespace {

using namespace std::chrono_literals;

// What a connection has seen; lives longer than it.
struct record {
    std::vector<std::byte> written;
    std::vector<std::size_t> reads;  // the room that each was given
    std::atomic<bool> is_aborted = false;
    bool is_shut = false;
};

// Reads zeros without end, keeps what is written.
class endless final : public connection {
public:
    explicit endless(record& seen) : seen_(seen) {}

    std::size_t read_some(mutable_bytes into) override {
        if (seen_.is_aborted) throw error(errc::disconnected, "aborted");
        seen_.reads.push_back(into.size());
        std::fill(into.begin(), into.end(), std::byte{0});
        return into.size();
    }
    void write_all(std::span<const const_bytes> pieces) override {
        if (seen_.is_aborted) throw error(errc::disconnected, "aborted");
        for (const auto piece : pieces) seen_.written.insert(seen_.written.end(), piece.begin(), piece.end());
    }
    void shutdown_write() override { seen_.is_shut = true; }
    void set_read_timeout(std::chrono::milliseconds) noexcept override {}
    void set_write_timeout(std::chrono::milliseconds) noexcept override {}
    void abort() noexcept override { seen_.is_aborted = true; }
    std::string_view peer_address() const noexcept override { return "nowhere"; }
    std::size_t record_bytes() const noexcept override { return 8192; }

private:
    record& seen_;
};

class faulty_connection_test : public testing::Test {
protected:
    std::unique_ptr<faulty_connection> make(const faults& wanted, std::uint64_t number = 1) {
        seen_ = std::make_unique<record>();
        return std::make_unique<faulty_connection>(std::make_unique<endless>(*seen_), wanted, number,
                                                   [this](const std::string& what) { told_.push_back(what); });
    }

    // Writes `size` zeros in pieces of 1, 2, 3, ... bytes, three a call.
    static void write_zeros(connection& to, std::size_t size) {
        const std::vector<std::byte> zeros(size);
        const_bytes rest(zeros);
        std::size_t step = 0;
        while (!rest.empty()) {
            const_bytes pieces[3];
            for (auto& piece : pieces) {
                piece = rest.first(std::min(++step, rest.size()));
                rest = rest.subspan(piece.size());
            }
            to.write_all(std::span<const const_bytes>(pieces));
        }
    }

    // Offset and bit of each that is set.
    static std::vector<std::pair<std::size_t, int>> flipped(const_bytes bytes) {
        std::vector<std::pair<std::size_t, int>> found;
        for (std::size_t i = 0; i < bytes.size(); ++i)
            for (int bit = 0; bit < 8; ++bit)
                if ((bytes[i] & (std::byte{1} << bit)) != std::byte{0}) found.emplace_back(i, bit);
        return found;
    }

    static std::vector<std::byte> read(connection& from, std::size_t size) {
        std::vector<std::byte> got(size);
        for (mutable_bytes rest(got); !rest.empty();) rest = rest.subspan(from.read_some(rest));
        return got;
    }

    std::unique_ptr<record> seen_;
    std::vector<std::string> told_;
};

template <class Call>
void expect_cut(Call&& call) {
    try {
        call();
        ADD_FAILURE() << "nothing was thrown";
    } catch (const error& e) {
        EXPECT_EQ(e.code(), errc::disconnected);
        EXPECT_NE(std::string_view(e.what()).find("cut on purpose"), std::string_view::npos) << e.what();
    }
}

TEST_F(faulty_connection_test, flips_one_bit_of_the_byte_at_the_offset_each_way) {
    for (const std::uint64_t offset : {0, 1, 2, 3, 99, 500, 999}) {
        faults wanted;
        wanted.corrupt_after = offset;
        const auto under_test = make(wanted);
        write_zeros(*under_test, 1000);
        ASSERT_EQ(seen_->written.size(), 1000u);
        const auto out = flipped(seen_->written);
        ASSERT_EQ(out.size(), 1u) << offset;
        EXPECT_EQ(out[0].first, offset);
        const auto in = flipped(read(*under_test, 1000));
        ASSERT_EQ(in.size(), 1u) << offset;
        EXPECT_EQ(in[0].first, offset);
    }
    EXPECT_EQ(told_.size(), 14u);
}

TEST_F(faulty_connection_test, seed_and_number_choose_the_bit) {
    faults wanted;
    wanted.corrupt_after = 10;
    const auto bits = [&](std::uint64_t seed, std::uint64_t first_number) {
        std::vector<int> chosen;
        wanted.seed = seed;
        for (std::uint64_t number = first_number; number < first_number + 32; ++number) {
            write_zeros(*make(wanted, number), 100);
            chosen.push_back(flipped(seen_->written).at(0).second);
        }
        return chosen;
    };
    EXPECT_EQ(bits(1, 1), bits(1, 1));
    EXPECT_NE(bits(1, 1), bits(2, 1));
    EXPECT_NE(bits(1, 1), bits(1, 33));
}

TEST_F(faulty_connection_test, chances_repeat_with_the_seed) {
    faults wanted;
    wanted.corrupt_chance = 200'000;
    const auto run = [&](std::uint64_t seed) {
        wanted.seed = seed;
        write_zeros(*make(wanted), 50'000);
        return flipped(seen_->written);
    };
    const auto once = run(7);
    EXPECT_FALSE(once.empty());
    EXPECT_LT(once.size(), 100u);  // of about 105 calls
    EXPECT_EQ(run(7), once);
    EXPECT_NE(run(8), once);
}

TEST_F(faulty_connection_test, a_direction_keeps_the_other_one_whole) {
    faults wanted;
    wanted.corrupt_after = 10;
    wanted.concern_reads = false;
    const auto under_test = make(wanted);
    write_zeros(*under_test, 100);
    EXPECT_EQ(flipped(seen_->written).size(), 1u);
    EXPECT_TRUE(flipped(read(*under_test, 100)).empty());
}

TEST_F(faulty_connection_test, cuts_writes_at_the_byte) {
    for (const std::uint64_t offset : {0, 1, 2, 6, 7, 500, 999, 1000}) {
        faults wanted;
        wanted.cut_after = offset;
        const auto under_test = make(wanted);
        expect_cut([&] { write_zeros(*under_test, 1000); });
        EXPECT_EQ(seen_->written.size(), offset);
        EXPECT_TRUE(seen_->is_aborted);
        std::byte one[1];
        expect_cut([&] { under_test->read_some(one); });
        expect_cut([&] { under_test->shutdown_write(); });
        EXPECT_FALSE(seen_->is_shut);
    }
    EXPECT_EQ(told_.size(), 8u);
}

TEST_F(faulty_connection_test, cuts_reads_at_the_byte) {
    for (const std::uint64_t offset : {0, 1, 2, 500}) {
        faults wanted;
        wanted.cut_after = offset;
        const auto under_test = make(wanted);
        EXPECT_EQ(offset == 0 ? 0 : read(*under_test, offset).size(), offset);
        expect_cut([&] { read(*under_test, 1); });
        EXPECT_TRUE(seen_->is_aborted);
        expect_cut([&] { write_zeros(*under_test, 1); });
    }
}

TEST_F(faulty_connection_test, is_cut_by_chance) {
    faults wanted;
    wanted.cut_chance = 1'000'000;
    const auto under_test = make(wanted);
    expect_cut([&] { read(*under_test, 1); });
    EXPECT_TRUE(seen_->reads.empty());
}

TEST_F(faulty_connection_test, short_reads_are_of_many_lengths_and_lose_nothing) {
    faults wanted;
    wanted.has_short_reads = true;
    const auto under_test = make(wanted);
    EXPECT_EQ(read(*under_test, 200'000).size(), 200'000u);
    EXPECT_GT(seen_->reads.size(), 20u);
    EXPECT_EQ(*std::min_element(seen_->reads.begin(), seen_->reads.end()), 1u);
    EXPECT_GT(*std::max_element(seen_->reads.begin(), seen_->reads.end()), 1000u);
}

TEST_F(faulty_connection_test, rate_holds_back_what_is_written) {
    faults wanted;
    wanted.rate = 100'000;
    const auto under_test = make(wanted);
    const auto begin = std::chrono::steady_clock::now();
    write_zeros(*under_test, 2'000);
    // The one bound that no load of the machine breaks.
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
    EXPECT_EQ(seen_->written.size(), 2'000u);
}

TEST_F(faulty_connection_test, abort_wakes_what_waits) {
    for (const bool is_rate : {false, true}) {
        faults wanted;
        if (is_rate)
            wanted.rate = 1;
        else
            wanted.delay = 1h;
        const auto under_test = make(wanted);
        auto writing = std::async(std::launch::async, [&] { write_zeros(*under_test, 10'000); });
        // Before or during the wait: both must end.
        under_test->abort();
        EXPECT_THROW(writing.get(), error);
        EXPECT_TRUE(seen_->is_aborted);
    }
}

}  // namespace
}  // namespace wherry::faulty

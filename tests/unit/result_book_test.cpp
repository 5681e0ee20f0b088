// SPDX-License-Identifier: BSD-2-Clause
#include "result_book.hpp"

#include <gtest/gtest.h>

namespace wherry {
namespace {

delivery_result failed_as(errc code, bool is_remote, bool is_uncertain) {
    delivery_result result;
    result.failure = code;
    result.text = "no";
    result.is_remote = is_remote;
    result.is_uncertain = is_uncertain;
    return result;
}

// A sender that forgot it would take the answer of the attempt after next for a broken protocol.
TEST(result_book, what_may_have_arrived_stays_so_through_later_attempts) {
    sending_plan plan;
    plan.add_message("hello");
    send_observer nobody;
    result_book book(plan, nobody, {}, result_book::attempts::several, nullptr);
    book.plan_has_grown();
    const offer what;

    book.bind(1, 0, nullptr);
    book.answered(1, what, failed_as(errc::disconnected, false, true));
    EXPECT_TRUE(book.may_have_arrived(0));
    for (const auto code : {errc::disconnected, errc::exhausted}) {
        book.begin_again();
        book.bind(1, 0, nullptr);
        book.answered(1, what, failed_as(code, true, false));
        EXPECT_TRUE(book.may_have_arrived(0));
        EXPECT_FALSE(book.has_result(0));
    }
}

TEST(result_book, what_may_have_arrived_is_told_with_the_last_attempts_failure) {
    sending_plan plan;
    plan.add_message("hello");
    struct listener final : send_observer {
        void ended(const ended_item&, const delivery_result& result) override { is_uncertain = result.is_uncertain; }
        bool is_uncertain = false;
    } told;
    result_book book(plan, told, {}, result_book::attempts::several, nullptr);
    book.plan_has_grown();
    book.bind(1, 0, nullptr);
    book.answered(1, {}, failed_as(errc::disconnected, false, true));
    book.begin_again();
    book.bind(1, 0, nullptr);
    book.answered(1, {}, failed_as(errc::refused, true, false));
    EXPECT_TRUE(book.has_result(0));
    EXPECT_TRUE(told.is_uncertain);
}

TEST(result_book, what_cannot_have_arrived_is_not_said_to) {
    sending_plan plan;
    plan.add_message("hello");
    send_observer nobody;
    result_book book(plan, nobody, {}, result_book::attempts::several, nullptr);
    book.plan_has_grown();
    book.bind(1, 0, nullptr);
    book.answered(1, {}, failed_as(errc::disconnected, false, false));
    EXPECT_FALSE(book.may_have_arrived(0));
}

TEST(result_book, what_is_damaged_is_held_back_for_another_attempt) {
    sending_plan plan;
    plan.add_message("hello");
    send_observer nobody;
    result_book book(plan, nobody, {}, result_book::attempts::several, nullptr);
    book.plan_has_grown();
    book.bind(1, 0, nullptr);
    book.answered(1, {}, failed_as(errc::integrity, true, false));
    EXPECT_FALSE(book.has_result(0)) << "the link may have damaged it";
    ASSERT_TRUE(book.first_cut());
    EXPECT_EQ(book.first_cut()->code(), errc::integrity);
}

}  // namespace
}  // namespace wherry

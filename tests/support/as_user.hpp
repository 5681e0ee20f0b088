// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

namespace wherry::test {

// Runs `body` in a child process of that user, whose group has the same number; what fails in there fails the test.
// REQUIRES: this process is root's.
template <class Body>
void as_user(uid_t user, Body&& body) {
    ::fflush(nullptr);
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0)
            ADD_FAILURE() << "cannot become user " << user;
        try {
            body();
        } catch (const std::exception& e) {
            ADD_FAILURE() << "in the child: " << e.what();
        }
        ::fflush(nullptr);
        ::_exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the child failed; see above";
}

}  // namespace wherry::test

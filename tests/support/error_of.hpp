// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <utility>

#include "wherry/error.hpp"

namespace wherry::test {

// The error that a call throws; a failed test if it throws none, or something else.
template <class Call>
error error_of(Call&& call) {
    try {
        std::forward<Call>(call)();
    } catch (const error& e) {
        return e;
    } catch (const std::exception& e) {
        ADD_FAILURE() << "threw something else: " << e.what();
        return error(errc::internal, "something else was thrown");
    }
    ADD_FAILURE() << "nothing was thrown";
    return error(errc::internal, "nothing was thrown");
}

}  // namespace wherry::test

// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>

namespace wherry::test {

// For users who are not root: in a user name space of its own a process is.
inline bool become_root_of_own_namespace() {
    const auto user = std::to_string(::getuid()), group = std::to_string(::getgid());
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    std::ofstream("/proc/self/setgroups") << "deny";
    return static_cast<bool>(std::ofstream("/proc/self/uid_map") << "0 " + user + " 1" << std::flush) &&
           static_cast<bool>(std::ofstream("/proc/self/gid_map") << "0 " + group + " 1" << std::flush);
}

// Runs `body` in a child process that may mount what it likes without anyone else seeing it; what fails in there fails
// the test. Returns the reason if the system does not permit that; the test should then be skipped.
template <class Body>
std::string in_private_mounts(Body&& body) {
    constexpr int not_permitted = 77;
    ::fflush(nullptr);
    const auto child = ::fork();
    if (child < 0) return "cannot fork";
    if (child == 0) {
        const bool own = ::unshare(CLONE_NEWNS) == 0 || become_root_of_own_namespace();
        if (!own || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(not_permitted);
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
    if (WIFEXITED(status) && WEXITSTATUS(status) == not_permitted)
        return "mounting in a private namespace is not permitted here";
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the child failed; see above";
    return {};
}

// Only in the body of in_private_mounts().
inline void mount_small_disk(const std::string& where, const std::string& options) {
    if (::mount("tmpfs", where.c_str(), "tmpfs", 0, options.c_str()) != 0) ::_exit(77);
}

}  // namespace wherry::test

// SPDX-License-Identifier: BSD-2-Clause
// Makes a test program an ordinary user's before any test begins, if root runs it with WHERRY_TEST_AS_USER set. The
// program does so itself, because the build's folder may be one that only root can enter.
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace {

constexpr uid_t nobody = 65534;

bool become_ordinary_user() {
    if (std::getenv("WHERRY_TEST_AS_USER") == nullptr) return true;
    if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
                             ::setresuid(nobody, nobody, nobody) != 0 || ::prctl(PR_SET_DUMPABLE, 1) != 0)) {
        std::perror("this test cannot become an ordinary user's");
        ::_exit(1);
    }
    return true;
}

[[maybe_unused]] const bool is_done = become_ordinary_user();

}  // namespace

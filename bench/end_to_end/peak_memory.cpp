// SPDX-License-Identifier: BSD-2-Clause
// peak_memory FILE COMMAND [ARGUMENT]...: runs the command, and writes the most memory that it ever had resident, in
// bytes, into FILE. The exit code is the command's.
//
// What a shell or Python would be told of a child counts the pages that the child had of its parent before it became
// the command; this program is small enough not to show.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: peak_memory FILE COMMAND [ARGUMENT]...\n");
        return 2;
    }
    const auto child = ::fork();
    if (child == 0) {
        ::execv(argv[2], argv + 2);
        std::fprintf(stderr, "peak_memory: %s: %s\n", argv[2], std::strerror(errno));
        ::_exit(127);
    }
    int status = 0;
    rusage used{};
    while (child > 0 && ::wait4(child, &status, 0, &used) != child)
        if (errno != EINTR) break;
    std::FILE* const file = child > 0 ? std::fopen(argv[1], "w") : nullptr;
    if (file == nullptr || std::fprintf(file, "%ld\n", used.ru_maxrss * 1024) < 0 || std::fclose(file) != 0) {
        std::fprintf(stderr, "peak_memory: %s: %s\n", argv[1], std::strerror(errno));
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

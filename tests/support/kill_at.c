/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kills the program just before the call that WHERRY_TEST_KILL names; loaded with LD_PRELOAD. "file:2" is the second
 * fsync of a partial file, "folder:1" the first fsync of a folder, "place:1" the first rename to a new name,
 * "exchange:1" the first exchange of two files, "removal:1" the first unlinkat, "journal:1" the first fdatasync.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static void count_call(const char* call) {
    static atomic_int count;
    const char* const wanted = getenv("WHERRY_TEST_KILL");
    const size_t length = strlen(call);
    if (wanted == NULL || strncmp(wanted, call, length) != 0 || wanted[length] != ':') return;
    if (atomic_fetch_add(&count, 1) + 1 == atoi(wanted + length + 1)) raise(SIGKILL);
}

PUBLIC int fsync(int fd) {
    struct stat what;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = '\0';
    if (fstat(fd, &what) == 0 && S_ISDIR(what.st_mode)) count_call("folder");
    if (strstr(path, "/.wherry-partial/") != NULL) count_call("file");
    return (int)syscall(SYS_fsync, fd);
}

PUBLIC int fdatasync(int fd) {
    count_call("journal");
    return (int)syscall(SYS_fdatasync, fd);
}

PUBLIC int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned how) {
    count_call(how == RENAME_EXCHANGE ? "exchange" : "place");
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, how);
}

PUBLIC int unlinkat(int folder, const char* name, int flags) {
    count_call("removal");
    return (int)syscall(SYS_unlinkat, folder, name, flags);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes the lookup of a name hang, as where no name server answers; loaded with LD_PRELOAD. Numbers are read as ever.
 * Makes the file that WHERRY_TEST_LOOKUP names, when a lookup begins.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((visibility("default"))) int getaddrinfo(const char* host, const char* service,
                                                       const struct addrinfo* hints, struct addrinfo** found) {
    typedef int lookup(const char*, const char*, const struct addrinfo*, struct addrinfo**);
    lookup* const real = (lookup*)dlsym(RTLD_NEXT, "getaddrinfo");
    if (hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0) return real(host, service, hints, found);
    close(open(getenv("WHERRY_TEST_LOOKUP"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    for (;;) pause();
}

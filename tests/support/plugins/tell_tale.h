/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes a plugin leave a mark when it is loaded: it creates the file that WHERRY_TEST_TELL_TALE names. So a test sees
 * whether code of a file has run that should not have.
 */
#ifndef WHERRY_TEST_TELL_TALE_H
#define WHERRY_TEST_TELL_TALE_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void tell_tale(void) {
    const char* const mark = getenv("WHERRY_TEST_TELL_TALE");
    if (mark == NULL) return;
    const int file = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) close(file);
}

#endif

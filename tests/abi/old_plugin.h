/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the plugins here share. They are written against what the first plugin.h had, and compile with each one since;
 * WHERRY_PLUGIN_H_OF_ITS_TIME is the file of that header.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include WHERRY_PLUGIN_H_OF_ITS_TIME

#define EXPORTED __attribute__((visibility("default")))

static wherry_status fail(wherry_error* error, wherry_status status, const char* text) {
    error->status = status;
    error->system_error = 0;
    snprintf(error->text, sizeof error->text, "%s", text);
    return status;
}

static wherry_status fail_by_system(wherry_error* error, wherry_status status, const char* what) {
    const int why = errno;
    fail(error, status, what);
    error->system_error = why;
    return status;
}

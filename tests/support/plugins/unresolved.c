/* SPDX-License-Identifier: BSD-2-Clause */
/* A plugin whose own library is missing. */
#include "tell_tale.h"

extern int wherry_test_function_of_a_missing_library(void);

__attribute__((visibility("default"))) int (*const wherry_plugin_v1[16])(void) = {
    wherry_test_function_of_a_missing_library};

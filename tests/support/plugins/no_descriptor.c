/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A shared object that is no plugin. What looks like the descriptor is hidden, and stays inside; what begins like its
 * name is imported, not exported.
 */
#include "tell_tale.h"

__attribute__((visibility("hidden"), used)) const unsigned wherry_plugin_v1[64] = {1};

extern const unsigned wherry_plugin_v9 __attribute__((weak));

__attribute__((visibility("default"))) const unsigned* something_else(void);
const unsigned* something_else(void) { return wherry_plugin_v1[0] == 1 ? &wherry_plugin_v9 : wherry_plugin_v1; }

/* SPDX-License-Identifier: BSD-2-Clause */
/* A plugin for the next major version of the ABI, of which this wherry knows nothing but the name of its symbol. */
#include "tell_tale.h"

__attribute__((visibility("default"))) const unsigned wherry_plugin_v2[64] = {1};

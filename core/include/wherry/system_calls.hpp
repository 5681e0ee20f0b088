// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <spawn.h>

namespace wherry {

// Calls that not every C library has. Where it lacks one, the function of the same name in system_calls_fallback does
// the same without it; both are always compiled, so that a test reaches both.

// "SEGV" for SIGSEGV; null for a number that has no name.
const char* signal_abbreviation(int number) noexcept;

enum class rename_mode { exclusive, exchange };

// As renameat(), but never replaces a file (fails with EEXIST), or exchanges two of them. Fails with ENOSYS or EINVAL
// where the system or the file system cannot.
int rename_in_mode(int from_folder, const char* from, int to_folder, const char* to, rename_mode mode) noexcept;

// Has the spawned process close all descriptors from `first` on, as the actions before this one left them. Returns 0 or
// an error code. What a thread opens without O_CLOEXEC while the process is spawned may escape the fallback.
int add_close_from(posix_spawn_file_actions_t* actions, int first) noexcept;

namespace system_calls_fallback {

const char* signal_abbreviation(int number) noexcept;
int rename_in_mode(int from_folder, const char* from, int to_folder, const char* to, rename_mode mode) noexcept;
int add_close_from(posix_spawn_file_actions_t* actions, int first) noexcept;

}  // namespace system_calls_fallback

}  // namespace wherry

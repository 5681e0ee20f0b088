#pragma once

#include <string>

namespace wherry::app {

// Opens each of the descriptors 0, 1 and 2 that is closed on /dev/null, in the way that it is not used: reading or
// writing still fails, but nothing else that is opened gets its number. First of all in main(). False if one could not
// be opened.
bool open_closed_standard_streams() noexcept;

// Throws error(errc::io) if standard input cannot be read: it was closed, or is open only for writing. `purpose` is
// what it is wanted for: "for '-'".
void require_readable_input(const std::string& purpose);

}  // namespace wherry::app

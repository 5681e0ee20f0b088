// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/sink.hpp"
#include "wherry/transfer.hpp"

namespace wherry::app {

// Sums up what lies in folders, so that a folder of thousands of files is told in one line.
class folder_tally {
public:
    // Counts a delivery. True if it needs no line of its own: it lies in a folder, was delivered, and was stored under
    // the name that it was offered with, if the sink says a name. Of more folders than it counts, everything does.
    bool add(const offer& what, const delivery_result& result);

    // What was counted in the folder of that name, to stand behind it: " (20000 files, 1.2 GiB)"; forgets it. Empty for
    // a name that is no folder's.
    std::string take(std::string_view folder);

    // What is left, whose folders themselves were not delivered, or earlier: "12 files, 3 MiB, of the folder photos".
    std::vector<std::string> take_rest();

private:
    struct sum {
        std::size_t files = 0, already_there = 0, answers = 0;
        std::uint64_t bytes = 0;
    };
    static std::string describe(const sum& counted);

    std::map<std::string, sum, std::less<>> sums_;  // by the outermost folder
};

}  // namespace wherry::app

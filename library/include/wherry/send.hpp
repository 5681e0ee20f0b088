// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wherry/bytes.hpp"
#include "wherry/endpoint.hpp"
#include "wherry/send_options.hpp"
#include "wherry/sources.hpp"

namespace wherry {

// Something to send: made by the functions below. What is wrong with it is told in its result.
class item {
public:
    explicit item(std::function<void(sending_plan&)> plan) : plan_(std::move(plan)) {}
    // Adds what it stands for.
    void plan(sending_plan& all) const { plan_(all); }

private:
    std::function<void(sending_plan&)> plan_;
};

item message(std::string text);
// A regular file, read when its turn comes; it arrives under the last component of its path, or as `name`.
item file(std::filesystem::path path, std::string name = {});
// A folder with all that is in it; each file and folder has a result of its own.
item folder(std::filesystem::path path, symlinks links = symlinks::skip);
// What is in memory, to arrive under this name as if it had been piped in.
item data(std::string name, std::string_view content);
item data(std::string name, const_bytes content);
// Whatever `open` gives. It is called once for each attempt, on the thread of send(), and gives all of it each time, or
// throws. `name` is what the source's offer says.
item from(std::string name, std::function<std::unique_ptr<source>()> open);

// Sends items to the receiver at `destination`, "tcp://host:9417", over one connection or several, and waits for each
// one's result. Returns when all have one; that some have failed is told there. The observer is told each result, also
// before it throws. Throws error where nothing was
// delivered, nor may have been, for a reason that is none of the items': bad_input for a destination, a plugin or a key
// that will not do; auth_failed for a receiver whose key is not known or has changed, or who does not let this side in;
// disconnected, timed_out; cancelled after a stop.
// Thread-safety: any number at once, also with one endpoint.
send_result send(const endpoint& here, std::string_view destination, const std::vector<item>& items,
                 const send_options& options = {});
// The same for a plan. REQUIRES: it has an item.
send_result send(const endpoint& here, std::string_view destination, const sending_plan& plan,
                 const send_options& options = {});

}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "options.hpp"
#include "store.hpp"
#include "wherry/sink.hpp"

namespace wherry::filesystem {

// Stores what comes beneath one folder. See folder_tree for what it does about symbolic links and item_name for what
// it does about names.
class sink : public wherry::sink, public group_commit {
public:
    // `warn` is called from any thread.
    explicit sink(
        const options& chosen, std::function<void(const std::string&)> warn = [](const std::string&) {});

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) override;

    void finish_group(std::span<ending> all) noexcept override;
    void interrupt() noexcept override { store_.is_interrupted = true; }

private:
    std::unique_ptr<delivery> begin_as_named(const offer& what, const offering_peer& peer);
    // The delivery of what is stored already; null where nothing is known of it.
    std::unique_ptr<delivery> begin_with_stored(const offer& what, const identity& peer);

    store store_;
};

}  // namespace wherry::filesystem

// SPDX-License-Identifier: BSD-2-Clause
#pragma once

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
    explicit sink(const options& chosen);

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) override;

    void finish_group(std::span<ending> all) noexcept override;

private:
    store store_;
};

}  // namespace wherry::filesystem

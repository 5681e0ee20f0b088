// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <vector>

#include "store.hpp"
#include "wherry/sink.hpp"

namespace wherry::filesystem {

// Makes a folder, which has no content.
class folder_delivery final : public delivery {
public:
    // `shared` outlives it. Throws error if the folder cannot be there.
    folder_delivery(store& shared, const offer& what, std::vector<std::string> components);

    void write(const_bytes bytes) override;
    void finish(response& answer) override;
    void abort(partial) noexcept override {}

private:
    [[noreturn]] void fail_content() const;

    store& store_;
    const offer what_;
    const std::vector<std::string> components_;
    const std::string attempt_;
};

}  // namespace wherry::filesystem

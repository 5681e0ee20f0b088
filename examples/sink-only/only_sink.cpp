// SPDX-License-Identifier: BSD-2-Clause
// A filter: a sink that wraps another. Files pass on to it if their name ends as it should; the rest is refused.
#include <memory>
#include <string>

#include "wherry/sdk.hpp"
#include "wherry/wrapped_plugin.hpp"

namespace {

using namespace wherry;

class only_sink final : public sink {
public:
    only_sink(const settings& given, const host_services& host)
        : ending_(given.text("ending")), inner_(wrapping::make_sink("only", given, host)) {}

    // The delivery is the inner sink's own. So all that it can do, such as to resume, works as it does without a
    // filter.
    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& from) override {
        if (what.kind == item_kind::file && !what.name.ends_with(ending_))
            throw error(errc::refused, "only files whose name ends with '" + ending_ + "' are taken here");
        return inner_->begin(what, from);
    }

    void interrupt() noexcept override { inner_->interrupt(); }

private:
    const std::string ending_;
    const std::unique_ptr<sink> inner_;
};

constexpr wherry_option options[] = {
    string_option("ending", nullptr, "how the name of a file has to end", WHERRY_OPTION_REQUIRED),
    string_option("sink", "filesystem", "the sink that gets what is taken"),
    wrapping::values_option("sink-options"),
    wrapping::folder_option("plugin-dir"),
};

}  // namespace

WHERRY_PLUGIN(only_sink, "only", "1.0.0", "another sink, which gets only files of one ending", options)

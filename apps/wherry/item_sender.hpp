#pragma once

#include "options.hpp"
#include "send_report.hpp"
#include "wherry/item_sender.hpp"

namespace wherry::app {

// The library's, as the command's options say.
class item_sender : public wherry::item_sender {
public:
    item_sender(const effective_options& options, const sending_plan& plan, send_report& report, repeats repeat)
        : wherry::item_sender(
              plan, report,
              options.boolean("resume") && !options.boolean("no-resume") ? resuming::wanted : resuming::no, repeat) {}
};

}  // namespace wherry::app

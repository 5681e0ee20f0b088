// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/send.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "wherry/sending.hpp"
#include "wherry/text.hpp"

namespace wherry {

item message(std::string text) {
    return item([text = std::move(text)](sending_plan& plan) { plan.add_message(text); });
}

item file(std::filesystem::path path, std::string name) {
    return item([path = std::move(path), name = std::move(name)](sending_plan& plan) {
        std::error_code none;
        if (std::filesystem::is_directory(path, none)) {
            plan.items.push_back({item_kind::file,
                                  path.native(),
                                  path,
                                  {},
                                  0,
                                  error(errc::bad_input, fmt::format("'{}' is a folder, and was to be sent as a file",
                                                                     printable(path.native())))});
            return;
        }
        plan.add_path(path, symlinks::skip);
        if (!name.empty()) plan.items.back().name = name;
    });
}

item folder(std::filesystem::path path, symlinks links) {
    return item([path = std::move(path), links](sending_plan& plan) { plan.add_path(path, links); });
}

item data(std::string name, std::string_view content) {
    offer what;
    what.kind = item_kind::data;
    what.name = name;
    what.size = content.size();
    return from(std::move(name), [what = std::move(what), content = std::string(content)] {
        return std::make_unique<text_source>(what, content);
    });
}

item data(std::string name, const_bytes content) { return data(std::move(name), as_text(content)); }

item from(std::string name, std::function<std::unique_ptr<source>()> open) {
    return item([name = std::move(name), open = std::move(open)](sending_plan& plan) {
        planned_item one;
        one.kind = item_kind::data;
        one.name = name;
        one.open = [open]() -> std::unique_ptr<source> {
            try {
                if (auto opened = open()) return opened;
            } catch (const error&) {
                throw;
            } catch (const std::exception& e) {
                throw error(errc::io, e.what());
            }
            throw error(errc::bad_input, "there is no source to send");
        };
        plan.items.push_back(std::move(one));
    });
}

send_result send(const endpoint& here, std::string_view destination, const std::vector<item>& items,
                 const send_options& options) {
    sending_plan plan;
    for (const auto& one : items) one.plan(plan);
    plan.settle_names();
    if (plan.items.empty() && plan.skipped.empty()) throw error(errc::bad_input, "there is nothing to send");
    return send(here, destination, plan, options);
}

send_result send(const endpoint& here, std::string_view destination, const sending_plan& plan,
                 const send_options& options) {
    send_result result;
    result.skipped = plan.skipped;
    sending all(here, destination, plan, options, link_use::once, &result.failures);
    result.ended_by = all.deliver_all();
    if (result.ended_by && !all.has_any_answer()) throw *result.ended_by;
    static_cast<send_counts&>(result) = all.counts();
    std::sort(result.failures.begin(), result.failures.end(),
              [](const item_result& a, const item_result& b) { return a.index < b.index; });
    return result;
}

}  // namespace wherry

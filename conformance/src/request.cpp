// SPDX-License-Identifier: BSD-2-Clause
#include "request.hpp"

#include <nlohmann/json.hpp>

namespace wherry::conformance {

namespace {

using json = nlohmann::json;

// Paths, options and names may be any bytes, which JSON's strings are not.
json bytes_of(std::string_view text) { return json::binary(std::vector<std::uint8_t>(text.begin(), text.end())); }

std::string text_of(const json& from) {
    const auto& bytes = from.get_binary();
    return {bytes.begin(), bytes.end()};
}

}  // namespace

std::string to_text(const request& from) {
    const auto& what = from.what;
    json all;
    all["case"] = from.name;
    all["file"] = bytes_of(what.file.native());
    all["kind"] = static_cast<std::uint32_t>(what.kind);
    all["name"] = what.name;
    all["options"] = json::array();
    for (const auto& [name, value] : what.options) all["options"].push_back({name, bytes_of(value)});
    all["homes"] = json::array();
    for (const auto& home : what.homes) all["homes"].push_back(bytes_of(home.native()));
    all["promises"] = what.promises;
    all["call_limit_ms"] = what.call_limit.count();
    if (what.offer_kind) all["offer_kind"] = static_cast<int>(*what.offer_kind);
    all["offer_name"] = bytes_of(what.offer_name);
    if (what.content) all["content"] = bytes_of(what.content->native());
    if (what.read_back) all["read_back"] = bytes_of(*what.read_back);
    if (what.address) all["address"] = bytes_of(*what.address);
    all["bad_addresses"] = json::array();
    for (const auto& address : what.bad_addresses) all["bad_addresses"].push_back(bytes_of(address));
    all["connections"] = what.connections;
    const auto packed = json::to_cbor(all);
    return {packed.begin(), packed.end()};
}

request request_from(std::string_view text) {
    const auto all = json::from_cbor(text.begin(), text.end());
    request to;
    auto& what = to.what;
    to.name = all.at("case");
    what.file = text_of(all.at("file"));
    what.kind = static_cast<plugin_kind>(all.at("kind").get<std::uint32_t>());
    what.name = all.at("name");
    for (const auto& row : all.at("options")) what.options[row.at(0)] = text_of(row.at(1));
    for (const auto& home : all.at("homes")) what.homes.emplace_back(text_of(home));
    what.promises = all.at("promises").get<std::set<std::string>>();
    what.call_limit = std::chrono::milliseconds(all.at("call_limit_ms").get<std::int64_t>());
    if (all.contains("offer_kind")) what.offer_kind = static_cast<item_kind>(all.at("offer_kind").get<int>());
    what.offer_name = text_of(all.at("offer_name"));
    if (all.contains("content")) what.content = text_of(all.at("content"));
    if (all.contains("read_back")) what.read_back = text_of(all.at("read_back"));
    if (all.contains("address")) what.address = text_of(all.at("address"));
    for (const auto& address : all.at("bad_addresses")) what.bad_addresses.push_back(text_of(address));
    what.connections = all.at("connections");
    return to;
}

}  // namespace wherry::conformance

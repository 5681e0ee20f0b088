// SPDX-License-Identifier: BSD-2-Clause
// A transport that finds and pairs what a file says, so that the program's part in that can be seen without a radio.
// A line each, its parts with tabs between them:
//   found ADDRESS NAME SIGNAL|- PAIRED RECEIVER   of discover(); yes, no or ? for the last two
//   wait                                          of discover(): until it is stopped
//   confirm CODE, enter CODE, show CODE           of pair(); enter is what has to be typed
//   fail TEXT                                     of both
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "wherry/sdk.hpp"

namespace {

using namespace std::chrono_literals;

std::vector<std::string> parts_of(const std::string& line) {
    std::vector<std::string> parts(1);
    for (const char c : line)
        if (c == '\t')
            parts.emplace_back();
        else
            parts.back() += c;
    parts.resize(6);
    return parts;
}

std::optional<bool> answer(const std::string& word) {
    if (word == "?") return std::nullopt;
    return word == "yes";
}

class stage_transport final : public wherry::transport {
public:
    stage_transport(const wherry::settings& given, const wherry::host_services&) : scene_(given.text("scene")) {}

    std::unique_ptr<wherry::connection> connect(const std::string&) override { fail("it is a stage only"); }
    std::unique_ptr<wherry::listener> listen(const std::string&) override { fail("it is a stage only"); }

    void discover(std::chrono::milliseconds limit,
                  const std::function<bool(const wherry::discovered_peer&)>& found) override {
        const auto end = std::chrono::steady_clock::now() + limit;
        for (const auto& line : lines()) {
            const auto parts = parts_of(line);
            if (parts[0] == "fail") fail(parts[1]);
            while (parts[0] == "wait" && std::chrono::steady_clock::now() < end) {
                if (!found({})) return;
                std::this_thread::sleep_for(5ms);
            }
            if (parts[0] != "found") continue;
            wherry::discovered_peer peer{parts[1], parts[2]};
            if (parts[3] != "-") peer.signal_dbm = std::stoi(parts[3]);
            peer.is_paired = answer(parts[4]);
            peer.has_receiver = answer(parts[5]);
            if (!found(peer)) return;
        }
    }

    void pair(const std::string&, std::chrono::milliseconds, wherry::pairing_agent& person) override {
        for (const auto& line : lines()) {
            const auto parts = parts_of(line);
            if (parts[0] == "fail") fail(parts[1]);
            if (parts[0] == "show") person.show(parts[1]);
            if (parts[0] == "confirm" && !person.confirm(parts[1]))
                throw wherry::error(wherry::errc::refused, "it was declined");
            if (parts[0] == "enter") {
                const auto typed = person.enter();
                if (!typed) throw wherry::error(wherry::errc::refused, "nothing was typed");
                if (*typed != parts[1]) throw wherry::error(wherry::errc::auth_failed, "'" + *typed + "' is wrong");
            }
        }
    }

private:
    [[noreturn]] static void fail(const std::string& why) { throw wherry::error(wherry::errc::io, why); }

    std::vector<std::string> lines() const {
        std::vector<std::string> all;
        std::ifstream in(scene_);
        for (std::string line; std::getline(in, line);) all.push_back(line);
        return all;
    }

    const std::string scene_;
};

constexpr wherry_option options[] = {wherry::string_option("scene", "", "the file that says what happens")};

}  // namespace

WHERRY_PLUGIN(stage_transport, "stage", "1", "a scene of devices", options)

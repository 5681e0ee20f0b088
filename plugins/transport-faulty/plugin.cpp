// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <memory>
#include <random>
#include <string>

#include "faulty_transport.hpp"
#include "wherry/sdk.hpp"
#include "wherry/wrapped_plugin.hpp"

namespace {

constexpr std::int64_t largest_seed = std::int64_t{1} << 53;

std::uint64_t any_seed() {
    std::random_device device;
    // Short enough to be typed again.
    return 1 + device() % 999'999'999;
}

wherry::faulty::faults::call call_of(const std::string& word) {
    using call = wherry::faulty::faults::call;
    if (word == "connect") return call::connect;
    if (word == "accept") return call::accept;
    if (word == "listener_abort") return call::stop_accepting;
    if (word == "read_some") return call::read;
    if (word == "write_all") return call::write;
    return word == "abort" ? call::abort : call::none;
}

wherry::faulty::faults read(const wherry::settings& given) {
    wherry::faulty::faults wanted;
    wanted.delay = given.duration("delay");
    wanted.rate = given.bytes("rate");
    if (given.has("cut-after")) wanted.cut_after = given.bytes("cut-after");
    if (given.has("corrupt-after")) wanted.corrupt_after = given.bytes("corrupt-after");
    wanted.cut_chance = given.bytes("cut-chance");
    wanted.corrupt_chance = given.bytes("corrupt-chance");
    wanted.has_short_reads = given.boolean("short-reads");
    wanted.concern_reads = given.text("direction") != "write";
    wanted.concern_writes = given.text("direction") != "read";
    wanted.hang = call_of(given.text("hang"));
    wanted.connections = given.bytes("connections");
    wanted.seed = given.bytes("seed");
    if (wanted.seed == 0) wanted.seed = any_seed();
    return wanted;
}

class faulty_plugin final : public wherry::transport {
public:
    faulty_plugin(const wherry::settings& given, const wherry::host_services& host)
        : wanted_(read(given)),
          inner_(wherry::wrapping::make_transport("faulty", given, host), wanted_, [host](const std::string& what) {
              host.log(wherry::host_services::level::info, fmt::format("faulty: {}", what));
          }) {
        // Who has faults on by mistake is to notice.
        if (wanted_.any())
            host.log(wherry::host_services::level::warning,
                     fmt::format("faulty: the link has faults on purpose, from seed {0}; --faulty.seed {0} with the "
                                 "same options repeats them",
                                 wanted_.seed));
        else
            host.log(wherry::host_services::level::info,
                     fmt::format("faulty: the link has no faults, for no option asks for any (seed {})", wanted_.seed));
    }

    std::unique_ptr<wherry::connection> connect(const std::string& address) override { return inner_.connect(address); }
    void connect_abort() noexcept override { inner_.connect_abort(); }
    std::unique_ptr<wherry::listener> listen(const std::string& address) override { return inner_.listen(address); }
    void discover(std::chrono::milliseconds limit,
                  const std::function<bool(const wherry::discovered_peer&)>& found) override {
        inner_.discover(limit, found);
    }
    void pair(const std::string& address, std::chrono::milliseconds limit, wherry::pairing_agent& agent) override {
        inner_.pair(address, limit, agent);
    }

private:
    const wherry::faulty::faults wanted_;
    wherry::faulty::faulty_transport inner_;
};

constexpr wherry::faulty::faults defaults;  // but for the seed
constexpr std::int64_t any_size = std::int64_t{1} << 53;
constexpr std::int64_t million = 1'000'000;

constexpr wherry_option options[] = {
    wherry::string_option("transport", "tcp", "the transport that carries the bytes"),
    wherry::wrapping::values_option("transport-options"),
    wherry::wrapping::folder_option("plugin-dir"),
    wherry::duration_option("delay", wherry::as_number<defaults.delay.count()>,
                            "wait so long before each read and each write", 0, 3'600'000),
    wherry::size_option("rate", wherry::as_number<defaults.rate>, "bytes per second, each way; 0 for any number", 0,
                        any_size),
    wherry::size_option("cut-after", nullptr, "cut the connection when so many bytes went one way", 0, any_size),
    wherry::size_option("corrupt-after", nullptr, "flip a bit of the byte behind so many of one way", 0, any_size),
    wherry::integer_option("cut-chance", wherry::as_number<defaults.cut_chance>,
                           "how many of a million reads and writes cut the connection", 0, million),
    wherry::integer_option("corrupt-chance", wherry::as_number<defaults.corrupt_chance>,
                           "how many of a million reads and writes have a bit flipped", 0, million),
    wherry::choice_option("direction", "both|read|write", "both", "the way that cuts and flips concern"),
    wherry::boolean_option("short-reads", wherry::yes_or_no(defaults.has_short_reads),
                           "reads give fewer bytes than there are"),
    wherry::choice_option("hang", "none|connect|accept|listener_abort|read_some|write_all|abort", "none",
                          "which of the transport's functions never returns"),
    wherry::integer_option("connections", wherry::as_number<defaults.connections>,
                           "only so many connections have faults, those after them none; 0 for all", 0, any_size),
    wherry::integer_option("seed", "0", "chooses bits, lengths and chances; 0 takes a random one, and says which", 0,
                           largest_seed),
};

}  // namespace

WHERRY_PLUGIN(faulty_plugin, "faulty", "0.1.0", "another transport, over a link with faults; for tests", options)

// SPDX-License-Identifier: BSD-2-Clause
#include "rfcomm_transport.hpp"
#include "wherry/limits.hpp"
#include "wherry/sdk.hpp"

namespace {

namespace rfcomm = wherry::rfcomm;

constexpr const char* word_of(rfcomm::security level) {
    switch (level) {
        case rfcomm::security::low: return "low";
        case rfcomm::security::medium: return "medium";
        case rfcomm::security::high: return "high";
    }
    return "";
}

rfcomm::options read(const wherry::settings& given) {
    rfcomm::options chosen;
    chosen.adapter = given.text("adapter");
    chosen.channel = static_cast<std::uint8_t>(given.integer("channel"));
    for (const auto level : {rfcomm::security::low, rfcomm::security::medium, rfcomm::security::high})
        if (given.text("security") == word_of(level)) chosen.level = level;
    chosen.connect_timeout = given.duration("connect-timeout");
    chosen.record_bytes = given.bytes("record-bytes");
    // Here, so that a word that names no adapter is told before anything is done with it.
    rfcomm::parse_local(chosen.adapter);
    return chosen;
}

class rfcomm_plugin final : public wherry::transport {
public:
    rfcomm_plugin(const wherry::settings& given, const wherry::host_services& host)
        : inner_(read(given),
                 [host](const std::string& text) { host.log(wherry::host_services::level::warning, text); }) {}

    std::unique_ptr<wherry::connection> connect(const std::string& address) override { return inner_.connect(address); }
    void connect_abort() noexcept override { inner_.connect_abort(); }
    std::unique_ptr<wherry::listener> listen(const std::string& address) override { return inner_.listen(address); }
    void discover(std::chrono::milliseconds limit,
                  const std::function<bool(const wherry::discovered_peer&)>& found) override {
        inner_.discover(limit, found);
    }
    void pair(const std::string& address, std::chrono::milliseconds limit, wherry::pairing_agent& person) override {
        inner_.pair(address, limit, person);
    }

private:
    rfcomm::transport inner_;
};

constexpr wherry_option options[] = {
    wherry::string_option("adapter", rfcomm::defaults::adapter,
                          "adapter to use, as hci0 or its address; none: all to listen, any to connect"),
    wherry::integer_option("channel", wherry::as_number<rfcomm::defaults::channel>,
                           "channel where the address names none; 0: found by the service record", 0,
                           rfcomm::last_channel),
    wherry::choice_option("security", "low|medium|high", word_of(rfcomm::defaults::level),
                          "the link's own: low none, medium encrypted, high with a confirmed pairing"),
    wherry::duration_option("connect-timeout", wherry::in_seconds<rfcomm::defaults::connect_timeout.count()>,
                            "how long to try to reach the device", 1, 3'600'000),
    wherry::size_option("record-bytes", wherry::in_kib<rfcomm::defaults::record_bytes>, "size of one encrypted record",
                        wherry::limits::min_record_bytes, std::int64_t{16} << 10),
};

}  // namespace

WHERRY_PLUGIN(rfcomm_plugin, "rfcomm", "0.1.0", "Bluetooth RFCOMM, on BlueZ", options)

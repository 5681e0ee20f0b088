// SPDX-License-Identifier: BSD-2-Clause
#include "tcp_transport.hpp"
#include "wherry/limits.hpp"
#include "wherry/sdk.hpp"

namespace {

wherry::tcp::options read(const wherry::settings& given) {
    wherry::tcp::options chosen;
    chosen.port = static_cast<std::uint16_t>(given.integer("port"));
    chosen.connect_timeout = given.duration("connect-timeout");
    chosen.keepalive = given.duration("keepalive");
    chosen.send_buffer = given.bytes("send-buffer");
    chosen.receive_buffer = given.bytes("receive-buffer");
    chosen.record_bytes = given.bytes("record-bytes");
    return chosen;
}

class tcp_plugin final : public wherry::transport {
public:
    tcp_plugin(const wherry::settings& given, const wherry::host_services&) : inner_(read(given)) {}

    std::unique_ptr<wherry::connection> connect(const std::string& address) override { return inner_.connect(address); }
    void connect_abort() noexcept override { inner_.connect_abort(); }
    std::unique_ptr<wherry::listener> listen(const std::string& address) override { return inner_.listen(address); }

private:
    wherry::tcp::transport inner_;
};

constexpr wherry::tcp::options defaults;
constexpr std::int64_t buffer_limit = std::int64_t{1} << 30;

constexpr wherry_option options[] = {
    wherry::integer_option("port", wherry::as_number<defaults.port>,
                           "port where the address names none; 0 listens on any free one", 0, 65535),
    wherry::duration_option("connect-timeout", wherry::in_seconds<defaults.connect_timeout.count()>,
                            "how long to try to reach the peer", 1, 3'600'000),
    wherry::duration_option("keepalive", wherry::in_seconds<defaults.keepalive.count()>,
                            "silence after which a dead link is looked for; 0 for never", 0, 32'000'000),
    wherry::size_option("send-buffer", wherry::as_number<defaults.send_buffer>,
                        "the system's buffer for sending; 0 lets the system choose", 0, buffer_limit),
    wherry::size_option("receive-buffer", wherry::as_number<defaults.receive_buffer>,
                        "the system's buffer for receiving; 0 lets the system choose", 0, buffer_limit),
    wherry::size_option("record-bytes", wherry::in_kib<defaults.record_bytes>, "size of one encrypted record",
                        wherry::limits::min_record_bytes, wherry::limits::max_record_bytes),
};

}  // namespace

WHERRY_PLUGIN(tcp_plugin, "tcp", "0.1.0", "TCP over IPv4 and IPv6", options)

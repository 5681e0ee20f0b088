// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/secure_channel.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"
#include "wherry/text.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

// The first byte is not ASCII and the last is a line feed, so that text protocols, and links that translate text, are
// found out at once.
constexpr std::array<std::byte, 8> magic = {std::byte{0x89}, std::byte{'w'}, std::byte{'h'}, std::byte{'e'},
                                            std::byte{'r'},  std::byte{'r'}, std::byte{'y'}, std::byte{'\n'}};
constexpr std::uint8_t protocol_version = 1;

std::vector<std::byte> make_preface(std::string_view cipher_name) {
    byte_writer writer;
    writer.bytes(magic).integer(protocol_version).sized<std::uint8_t>(as_bytes(cipher_name));
    return writer.take();
}

struct preface {
    std::uint8_t version;
    std::string cipher_name;  // not known of another version
};

void read_exactly(stream& link, mutable_bytes buffer, std::string_view what) {
    std::size_t have = 0;
    while (have < buffer.size()) {
        const auto got = link.read_some(buffer.subspan(have));
        if (got == 0) throw error(errc::disconnected, fmt::format("the peer closed the connection {}", what));
        have += got;
    }
}

bool begins_ours(const_bytes said) {
    const auto length = std::min(said.size(), magic.size());
    return std::ranges::equal(said.first(length), std::span(magic).first(length));
}

[[noreturn]] void fail_as_foreign(const_bytes said) {
    throw error(errc::protocol,
                fmt::format("what is there speaks no wherry; it began with '{}'. Check the address and the port",
                            printable(as_text(said))));
}

preface read_preface(stream& link) {
    // A peer that speaks something else may say less than a preface and then wait for us: so the first byte, which
    // hardly anything else begins with, comes by itself, and then every piece is looked at when it is there.
    std::array<std::byte, 24> said{};
    read_exactly(link, std::span(said).first(1), "without a word");
    std::size_t have = 1;
    if (!begins_ours(std::span(said).first(have))) {
        try {
            have += link.read_some(std::span(said).subspan(have));
        } catch (const error&) {
            // What it said so far will do.
        }
        fail_as_foreign(std::span(said).first(have));
    }
    constexpr auto version_at = magic.size(), head_bytes = magic.size() + 2;
    while (have < head_bytes) {
        const auto got = link.read_some(std::span(said).first(head_bytes).subspan(have));
        if (got == 0) throw error(errc::disconnected, "the peer closed the connection in the middle of its preface");
        have += got;
        if (!begins_ours(std::span(said).first(have))) fail_as_foreign(std::span(said).first(have));
        const auto version = std::to_integer<std::uint8_t>(said[version_at]);
        if (have > version_at && version != protocol_version) return {version, ""};
    }
    preface told{protocol_version, ""};
    const auto length = std::to_integer<std::size_t>(said[version_at + 1]);
    if (length == 0 || length > limits::max_cipher_name_bytes)
        throw error(errc::protocol, "the peer's preface has a length out of bounds");
    std::vector<std::byte> name(length);
    read_exactly(link, name, "in the middle of its preface");
    told.cipher_name = as_text(name);
    return told;
}

// A preface proves nothing. An initiator takes one that it cannot agree with for a link over which the peer is not
// reached, and another attempt would find the same.
[[noreturn]] void disagree(role side, const std::string& why) {
    if (side == role::initiator) throw error(errc::disconnected, why, EPROTONOSUPPORT);
    throw error(errc::protocol, why);
}

void require_agreement(role side, const preface& theirs, std::string_view our_cipher) {
    if (theirs.version != protocol_version)
        disagree(side,
                 fmt::format("the peer speaks version {} of the protocol, this side version {}, or the opening was "
                             "altered on the way; use the same release of wherry on both sides",
                             theirs.version, protocol_version));
    if (theirs.cipher_name != our_cipher)
        disagree(side,
                 fmt::format("the peer uses the cipher '{}', this side '{}', or the opening was altered on the way; "
                             "give --cipher the same name on both sides",
                             printable(theirs.cipher_name), our_cipher));
}

// Gives a peer that may still be sending the time to read why this side ends.
void take_leave(connection& link) noexcept {
    try {
        link.shutdown_write();
        await_close(link);
    } catch (const error&) {
        // It is gone.
    }
}

}  // namespace

// The link during the opening: every read and write within one deadline, and, for an initiator, the peer's preface
// taken off the front before the first byte of the handshake.
class secure_channel::opening_stream final : public stream {
public:
    using stream::write_all;

    opening_stream(connection& link, clock::time_point deadline) : link_(link), deadline_(deadline) {}

    void restart(clock::time_point deadline) noexcept { deadline_ = deadline; }

    void expect_preface(std::string cipher_name) { expected_cipher_ = std::move(cipher_name); }

    void take_preface() {
        if (!expected_cipher_) return;
        const auto expected = std::move(*std::exchange(expected_cipher_, std::nullopt));
        require_agreement(role::initiator, read_preface(*this), expected);
    }

    std::size_t read_some(mutable_bytes buffer) override {
        let_go();
        take_preface();
        link_.set_read_timeout(time_left());
        try {
            return link_.read_some(buffer);
        } catch (const error& e) {
            if (e.code() == errc::timed_out) throw too_slow();
            throw;
        }
    }

    void write_all(std::span<const const_bytes> pieces) override {
        std::vector<const_bytes> all;
        if (!held_.empty()) all.emplace_back(held_);
        all.insert(all.end(), pieces.begin(), pieces.end());
        link_.set_write_timeout(time_left());
        link_.write_all(all);
        held_ = {};
    }

    // Goes out with what is written next, so that the peer is woken once for both, and before anything is read.
    // Borrowed until then.
    void hold(const_bytes first) noexcept { held_ = first; }
    void let_go() {
        if (!held_.empty()) write_all(std::span<const const_bytes>());
    }

private:
    static error too_slow() {
        return error(errc::timed_out,
                     "the peer did not finish the handshake in time; it may be no wherry, or overloaded");
    }

    std::chrono::milliseconds time_left() const {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - clock::now());
        if (left.count() <= 0) throw too_slow();
        return left;
    }

    connection& link_;
    clock::time_point deadline_;
    std::optional<std::string> expected_cipher_;
    const_bytes held_;
};

secure_channel::secure_channel(role side, std::shared_ptr<connection> link, const channel_options& options)
    : side_(side),
      link_(std::move(link)),
      options_(options),
      opening_(std::make_unique<opening_stream>(*link_, clock::now() + options.handshake_timeout)) {}

secure_channel::~secure_channel() = default;

std::unique_ptr<secure_channel> secure_channel::open(role side, std::shared_ptr<connection> link, cipher& protection,
                                                     std::string_view cipher_name, const peer_verifier& verify,
                                                     const channel_options& options) {
    std::unique_ptr<secure_channel> opened(new secure_channel(side, std::move(link), options));
    auto& opening = *opened->opening_;
    // Both sides' prefaces are the same bytes, or there is no handshake; so they are bound into it as one.
    const auto preface = make_preface(cipher_name);
    try {
        if (side == role::initiator) {
            opening.hold(preface);
            opening.expect_preface(std::string(cipher_name));
        } else {
            const auto theirs = read_preface(opening);
            opening.write_all(const_bytes(preface));
            require_agreement(role::responder, theirs, cipher_name);
        }
        opened->protection_ = protection.handshake(side, preface, opening, verify);
        opening.let_go();
    } catch (const error& e) {
        const bool peer_is_there = e.code() != errc::disconnected && e.code() != errc::timed_out;
        if (side == role::responder && peer_is_there) take_leave(*opened->link_);
        throw;
    }
    opened->link_->set_write_timeout(options.io_timeout);
    return opened;
}

void secure_channel::complete() {
    // A time of its own: the source of the first item may have been slow to open.
    opening_->restart(clock::now() + options_.handshake_timeout);
    opening_->take_preface();
    protection_->finish_handshake(*opening_);
    opening_.reset();
    link_->set_read_timeout(options_.io_timeout);
}

void await_close(connection& link) noexcept {
    try {
        const auto deadline = clock::now() + clocks::close_wait;
        std::array<std::byte, 16384> dropped;
        for (;;) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now());
            if (left.count() <= 0) return;
            link.set_read_timeout(left);
            if (link.read_some(dropped) == 0) return;
        }
    } catch (const std::exception&) {
        // The peer is gone: there is nobody left to wait for.
    }
}

}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
// The opening of a secure channel: what the other side says first. The first byte chooses this side's role and the
// steps in which the rest arrives.
#include <memory>

#include "fuzz.hpp"
#include "plain_cipher.hpp"
#include "scripted_connection.hpp"
#include "wherry/secure_channel.hpp"
#include "wherry/text.hpp"

using namespace wherry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto side = (data[0] & 1) != 0 ? role::initiator : role::responder;
    const auto said = fuzz::bytes_of(data + 1, size - 1);
    const auto link = std::make_shared<test::scripted_connection>();
    link->says(said, {1u + data[0] % 16});
    const std::string_view preface = "\x89wherry\n\x01\x05plain";
    const bool is_right = as_text(said).starts_with(preface);
    try {
        test::plain_cipher cipher;
        const auto opened = secure_channel::open(side, link, cipher, "plain", nullptr, {});
        opened->complete();
        // Who said anything else is not let in, and nothing behind the handshake's one byte is touched.
        fuzz::require(is_right && link->unread() == said.size() - preface.size() - 1);
    } catch (const error& e) {
        const bool is_known =
            e.code() == errc::protocol || e.code() == errc::disconnected || e.code() == errc::auth_failed;
        fuzz::require(is_known);
        fuzz::require(!is_right || e.code() != errc::protocol);
        // The peer is quoted, made fit for a terminal.
        fuzz::require(printable(e.what()) == e.what());
    }
    return 0;
}

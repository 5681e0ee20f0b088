// SPDX-License-Identifier: BSD-2-Clause
// The fields of OFFER, ACCEPT, END, RESULT or CANCEL, STREAMS, and JOIN; the first byte chooses.
#include "frame.hpp"
#include "fuzz.hpp"

using namespace wherry;

namespace {

// What decodes encodes to the same fields again, in the one form that a sender writes.
template <class Decode>
void check(const_bytes payload, Decode&& decode) {
    const auto content = decode(payload);
    const auto written = encode(content);
    fuzz::require(decode(written) == content);
    fuzz::require(encode(decode(written)) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto payload = fuzz::bytes_of(data + 1, size - 1);
    try {
        switch (data[0] % 6) {
            case 0: check(payload, decode_offer); break;
            case 1: check(payload, decode_accept); break;
            case 2: check(payload, decode_end); break;
            case 3: check(payload, decode_result); break;
            case 4: check(payload, decode_streams); break;
            case 5: check(payload, decode_join); break;
        }
    } catch (const error& e) {
        fuzz::require(e.code() == errc::protocol || e.code() == errc::unsupported || e.code() == errc::refused);
    }
    return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>

#include "fuzz.hpp"
#include "messages.hpp"

using namespace wherry;
using namespace wherry::hybrid;

namespace {

template <class Message>
void check(const_bytes body) {
    const auto again = Message::parse(body).encode();
    fuzz::require(std::equal(again.begin(), again.end(), body.begin(), body.end()));
}

}  // namespace

// The first byte chooses the message, as on the wire; 6 stands for what is sealed in 3.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto body = fuzz::bytes_of(data + 1, size - 1);
    try {
        switch (data[0]) {
            case 1: check<hello>(body); break;
            case 2: check<choice>(body); break;
            case 3: check<proof>(body); break;
            case 4: check<answer>(body); break;
            case 6: check<credentials>(body); break;
            case 255: check<alert>(body); break;
        }
    } catch (const error& e) {
        fuzz::require(e.code() == errc::protocol);
    }
    return 0;
}

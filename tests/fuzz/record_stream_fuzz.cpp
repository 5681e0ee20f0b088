// SPDX-License-Identifier: BSD-2-Clause
// A stream of records. The first byte says in how large steps it arrives.
#include "fuzz.hpp"
#include "record.hpp"
#include "scripted_connection.hpp"
#include "wherry/limits.hpp"

using namespace wherry;

namespace {

// Takes every record as it is, so that all of them are seen.
class bare_session final : public cipher_session {
public:
    explicit bare_session(std::size_t overhead) noexcept : overhead_(overhead) {}
    void finish_handshake(stream&) override {}
    std::size_t overhead() const noexcept override { return overhead_; }
    void seal(mutable_bytes, std::size_t) override {}
    mutable_bytes open(mutable_bytes record) override { return record.first(record.size() - overhead_); }
    const identity& peer() const noexcept override { return nobody_; }
    std::string_view describe() const noexcept override { return "bare"; }

private:
    const std::size_t overhead_;
    identity nobody_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto wire = fuzz::bytes_of(data + 1, size - 1);
    test::scripted_connection link;
    link.says(wire, {1u + data[0] % 64, 1000u});
    bare_session protection(data[0] % 3);
    record_reader reader(link, protection);
    std::size_t at = 0;
    try {
        while (const auto record = reader.next()) {
            // Each is where the one before ended, and says what is there.
            const auto sealed = load_big_endian<std::uint32_t>(wire.subspan(at));
            fuzz::require(sealed <= limits::max_record_bytes && sealed >= frame_header_bytes + protection.overhead());
            fuzz::require(record->size() == sealed - protection.overhead());
            fuzz::require(std::ranges::equal(*record, wire.subspan(at + 4, record->size())));
            at += 4 + sealed;
        }
        fuzz::require(at == wire.size());
    } catch (const error& e) {
        fuzz::require(e.code() == errc::integrity || e.code() == errc::disconnected);
    }
    return 0;
}

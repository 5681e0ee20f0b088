// SPDX-License-Identifier: BSD-2-Clause
// What an authenticated peer can do to a receiver: any frames at all. The input is taken for frames, which are put into
// a record each, or several into one if the byte before them is odd.
#include <map>
#include <memory>

#include "fuzz.hpp"
#include "scripted_connection.hpp"
#include "scripted_peer.hpp"
#include "wherry/engine/receiver.hpp"

using namespace wherry;

namespace {

// Keeps to what a sink is promised, or the fuzzer hears of it.
class watching_sink final : public sink {
public:
    ~watching_sink() override { fuzz::require(open_ == 0); }

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer&) override {
        fuzz::require(what.name.find('\0') == std::string::npos && what.name.size() <= 4096);
        if (what.name == "no") throw error(errc::refused, "no");
        return std::make_unique<watching_delivery>(*this, what);
    }

private:
    class watching_delivery final : public delivery {
    public:
        watching_delivery(watching_sink& of, const offer& what) : of_(of), what_(what) {
            ++of_.open_;
            fuzz::require(of_.open_ <= 64);
            // As if something had come before.
            if (what.wants_resume && what.size.value_or(0) > 2 && what.name != "fresh") have_ = 2;
        }
        ~watching_delivery() override { fuzz::require(has_ended_); }
        std::uint64_t offset() const noexcept override { return have_; }
        std::size_t read_back(std::uint64_t position, mutable_bytes into) override {
            fuzz::require(!has_ended_ && position < have_ && !into.empty());
            into[0] = std::byte{'k'};
            return 1;
        }
        void write(const_bytes bytes) override {
            fuzz::require(!has_ended_);
            have_ += bytes.size();
            fuzz::require(!what_.size || have_ <= *what_.size);
        }
        void finish(response& answer) override {
            fuzz::require(!has_ended_ && (!what_.size || have_ == *what_.size));
            end();
            answer.append(what_.name);
        }
        void abort(partial what_came) noexcept override {
            fuzz::require(!has_ended_);
            fuzz::require(what_came == partial::drop || what_.wants_resume);
            end();
        }

    private:
        void end() noexcept {
            has_ended_ = true;
            --of_.open_;
        }

        watching_sink& of_;
        const offer what_;
        std::uint64_t have_ = 0;
        bool has_ended_ = false;
    };

    std::size_t open_ = 0;
};

// Every offer is told the end of once.
struct watching_observer final : receiving_observer {
    void receiving(transfer_id id, const offer&, std::uint64_t) override { fuzz::require(!ended.contains(id)); }
    void delivered(transfer_id id, const offer&, const delivery_result&) override {
        fuzz::require(ended.emplace(id, true).second);
    }
    std::map<transfer_id, bool> ended;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    test::scripted_peer peer;
    byte_reader in(fuzz::bytes_of(data, size), "the input");
    std::vector<std::byte> record;
    while (in.remaining() > frame_header_bytes) {
        const bool has_company = (in.integer<std::uint8_t>() & 1) != 0;
        const auto header = in.bytes(frame_header_bytes);
        const auto length = load_big_endian<std::uint32_t>(header.last(4));
        const auto payload = in.bytes(std::min<std::size_t>(length, in.remaining()));
        record.insert(record.end(), header.begin(), header.end());
        record.insert(record.end(), payload.begin(), payload.end());
        if (has_company && record.size() < 100'000) continue;
        peer.record(record);
        record.clear();
    }
    if (!record.empty()) peer.record(record);

    watching_sink into;
    watching_observer observer;
    const auto link = std::make_shared<test::scripted_connection>();
    link->says(peer.said());
    test::plain_cipher cipher;
    engine::receiver serving(secure_channel::open(role::responder, link, cipher, "plain", nullptr, {}), into, observer);
    try {
        serving.serve();
    } catch (const error& e) {
        const bool is_known =
            e.code() == errc::protocol || e.code() == errc::disconnected || e.code() == errc::unsupported;
        fuzz::require(is_known);
    }
    return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
#include "compression.hpp"

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "wherry/limits.hpp"
#include "wherry/mutex.hpp"

namespace wherry {

namespace {

constexpr int least_window_log = 10;  // of the format
constexpr int most_window_log = std::countr_zero(limits::max_compression_window_bytes);
static_assert(std::size_t{1} << most_window_log == limits::max_compression_window_bytes);

// Of the format: the magic number as it lies in memory, and the bits of the byte behind it.
constexpr std::uint32_t zstd_magic = 0x28B52FFD;
constexpr unsigned single_segment_bit = 0x20, dictionary_bits = 0x03;

error out_of_memory() { return error(errc::exhausted, "there is no memory left to compress or to expand with"); }

// What this side does with libzstd can fail for lack of memory only.
std::size_t checked(std::size_t outcome) {
    if (!ZSTD_isError(outcome)) return outcome;
    if (ZSTD_getErrorCode(outcome) == ZSTD_error_memory_allocation) throw out_of_memory();
    throw error(errc::internal, std::string("zstd failed: ") + ZSTD_getErrorName(outcome));
}

// How far back the content may refer to itself: no farther than there is content.
int window_log_for(std::optional<std::uint64_t> content_bytes) {
    if (!content_bytes || *content_bytes >= limits::max_compression_window_bytes) return most_window_log;
    return std::max<int>(least_window_log, std::bit_width(*content_bytes));
}

std::uint64_t little_endian(const_bytes in) {
    std::uint64_t value = 0;
    for (std::size_t i = in.size(); i > 0; --i) value = value << 8 | std::to_integer<std::uint64_t>(in[i - 1]);
    return value;
}

// Only zstd frames that stand for themselves, in bounded memory: libzstd would also skip what is no content, and take
// the whole content of a small frame for its window.
void check_frame_header(const_bytes payload) {
    byte_reader in(payload, "the peer's compressed content");
    if (in.integer<std::uint32_t>() != zstd_magic) in.fail("does not begin as a zstd frame does");
    const auto descriptor = in.integer<std::uint8_t>();
    if ((descriptor & dictionary_bits) != 0) in.fail("wants a dictionary");
    const bool is_single_segment = (descriptor & single_segment_bit) != 0;
    std::uint64_t window = 0;
    if (!is_single_segment) {
        const auto coded = in.integer<std::uint8_t>();
        const auto base = std::uint64_t{1} << (least_window_log + (coded >> 3));
        window = base + base / 8 * (coded & 7);
    }
    const unsigned size_code = descriptor >> 6;
    const std::size_t size_bytes = size_code == 0 ? (is_single_segment ? 1 : 0) : std::size_t{1} << size_code;
    const auto size = little_endian(in.bytes(size_bytes)) + (size_bytes == 2 ? 256 : 0);
    if (is_single_segment) window = size;
    if (window > limits::max_compression_window_bytes) in.fail("wants a window of more than 1 MiB");
}

}  // namespace

struct compressor::state {
    state() : context(ZSTD_createCCtx()) {
        if (!context) throw out_of_memory();
    }
    ~state() { ZSTD_freeCCtx(context); }
    state(const state&) = delete;
    state& operator=(const state&) = delete;

    ZSTD_CCtx* const context;
    std::unique_ptr<std::byte[]> trial;
};

// Where many connections send a little each, memory that is new for each of them costs more than the trial that it is
// for. Of nothing that was compressed any trace goes out with something else: each begins with a session that was
// reset.
class compressor::idle_states {
public:
    // Never destroyed, for threads may still send when the program ends.
    static idle_states& shared() {
        static auto* const only = new idle_states;
        return *only;
    }

    std::unique_ptr<state> take() {
        {
            const mutex_lock lock(mutex_);
            for (auto& place : places_)
                if (place) return std::move(place);
        }
        return std::make_unique<state>();
    }

    void give_back(std::unique_ptr<state> one) noexcept {
        if (ZSTD_sizeof_CCtx(one->context) > most_kept_bytes) return;
        const mutex_lock lock(mutex_);
        for (auto& place : places_)
            if (!place) return place.swap(one);
    }

private:
    static constexpr std::size_t most_kept_bytes = std::size_t{1} << 20;

    mutex mutex_;
    std::array<std::unique_ptr<state>, 4> places_ WHERRY_GUARDED_BY(mutex_);
};

compressor::compressor() = default;
compressor::~compressor() { rest(); }

void compressor::rest() noexcept {
    is_open_ = false;
    if (state_) idle_states::shared().give_back(std::move(state_));
}

void compressor::prepare(int level, std::optional<std::uint64_t> content_bytes) {
    if (!state_) state_ = idle_states::shared().take();
    auto* const context = state_->context;
    checked(ZSTD_CCtx_reset(context, ZSTD_reset_session_only));
    checked(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level));
    checked(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log_for(content_bytes)));
}

void compressor::begin(int level, std::optional<std::uint64_t> content_bytes) {
    prepare(level, content_bytes);
    is_open_ = true;
    level_ = level;
}

compressor::step compressor::compress(const_bytes content, mutable_bytes into, until how) {
    ZSTD_inBuffer in{content.data(), content.size(), 0};
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    const auto directive = how == until::ended ? ZSTD_e_end : how == until::flushed ? ZSTD_e_flush : ZSTD_e_continue;
    const auto left = checked(ZSTD_compressStream2(state_->context, &out, &in, directive));
    const bool is_done = in.pos == in.size && (how == until::it_suits || left == 0);
    if (is_done && how == until::ended) is_open_ = false;
    return {in.pos, out.pos, is_done};
}

std::size_t compressor::size_on_trial(const_bytes content, int level) {
    prepare(level, content.size());
    const auto most = ZSTD_compressBound(most_on_trial);
    if (!state_->trial) state_->trial = std::make_unique_for_overwrite<std::byte[]>(most);
    return checked(ZSTD_compress2(state_->context, state_->trial.get(), most, content.data(), content.size()));
}

struct decompressor::state {
    state() : context(ZSTD_createDCtx()) {
        if (!context) throw out_of_memory();
        checked(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, most_window_log));
    }
    ~state() { ZSTD_freeDCtx(context); }
    state(const state&) = delete;
    state& operator=(const state&) = delete;

    ZSTD_DCtx* const context;
};

decompressor::decompressor() : state_(std::make_unique<state>()) {}
decompressor::~decompressor() = default;

void decompressor::decompress(const_bytes payload, mutable_bytes room, const std::function<void(const_bytes)>& take) {
    if (!is_open_) {
        check_frame_header(payload);
        checked(ZSTD_DCtx_reset(state_->context, ZSTD_reset_session_only));
        is_open_ = true;
    }
    ZSTD_inBuffer in{payload.data(), payload.size(), 0};
    for (;;) {
        ZSTD_outBuffer out{room.data(), room.size(), 0};
        const auto left = ZSTD_decompressStream(state_->context, &out, &in);
        if (ZSTD_isError(left)) {
            if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation) throw out_of_memory();
            throw error(errc::protocol,
                        std::string("the peer's compressed content cannot be expanded: ") + ZSTD_getErrorName(left));
        }
        if (out.pos > 0) take(room.first(out.pos));
        if (left == 0) {
            is_open_ = false;
            if (in.pos < in.size) throw error(errc::protocol, "the peer's compressed content has bytes behind its end");
            return;
        }
        // A piece that fills the room may have more behind it.
        if (in.pos == in.size && out.pos < out.size) return;
    }
}

}  // namespace wherry

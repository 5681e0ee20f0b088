// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "wherry/bytes.hpp"

// Content compressed for the link: the zstd frames (RFC 8878) that PACKED frames carry. core/doc/protocol.md says which
// of them are allowed.
namespace wherry {

// Makes zstd frames. Holds no memory to speak of before the first use, some 2 MiB afterwards (5 MiB at level 6).
// Used by one thread at a time.
class compressor {
public:
    compressor();
    ~compressor();

    // Begins a zstd frame. `content_bytes` is what there is left to
    // send, if that is known: little content wants little memory, on the other side as well.
    // Throws error(errc::exhausted).
    void begin(int level, std::optional<std::uint64_t> content_bytes);
    // Within a zstd frame.
    bool is_open() const noexcept { return is_open_; }
    void forget() noexcept { is_open_ = false; }
    // Of the zstd frame that was begun last.
    int level() const noexcept { return level_; }

    // How far to go: as it suits the compressor; until the other side can expand all that was given; until the end of
    // the zstd frame.
    enum class until { it_suits, flushed, ended };
    struct step {
        std::size_t taken;  // off the front of `content`
        std::size_t made;   // at the front of `into`
        bool is_done;       // if not, `into` was too small: to be called again with the rest of `content`
    };
    // REQUIRES: is_open(), !into.empty().
    step compress(const_bytes content, mutable_bytes into, until how);

    // What `content` by itself would take. REQUIRES: !is_open(), content.size() <= most_on_trial.
    static constexpr std::size_t most_on_trial = std::size_t{128} << 10;
    std::size_t size_on_trial(const_bytes content, int level);

    // Lends its memory to the next compressor of the process that needs some. What is open is forgotten.
    void rest() noexcept;

private:
    struct state;
    class idle_states;

    void prepare(int level, std::optional<std::uint64_t> content_bytes);

    std::unique_ptr<state> state_;
    bool is_open_ = false;
    int level_ = 0;
};

// Expands zstd frames, whatever the peer makes of them, within fixed memory: some 1.5 MiB, from the first use on.
// Used by one thread at a time.
class decompressor {
public:
    // Throws error(errc::exhausted).
    decompressor();
    ~decompressor();

    // Within a zstd frame.
    bool is_open() const noexcept { return is_open_; }

    // Expands one payload: the beginning of a zstd frame, a part of one, or all of it; nothing may follow its end.
    // Calls take() for each piece, which is no longer than `room` and lies in it; what take() throws comes through.
    // Throws error: protocol for what is no such payload, or corrupt; exhausted. After a throw it cannot be used again.
    // REQUIRES: !room.empty().
    void decompress(const_bytes payload, mutable_bytes room, const std::function<void(const_bytes)>& take);

private:
    struct state;
    std::unique_ptr<state> state_;
    bool is_open_ = false;
};

}  // namespace wherry

#pragma once

#include <cstddef>
#include <list>
#include <mutex>

#include "wherry/bytes.hpp"

namespace wherry {

// Blocks of memory of one size, which are used again before there are new ones. Where many connections come at once,
// mapping memory for each of them, and faulting its pages in one by one, takes longer than what they bring.
// Thread-safety: all functions from any thread.
class block_pool {
    struct chunk;

public:
    // Of memory; what is less is not worth a chunk.
    static constexpr std::size_t chunk_bytes = std::size_t{2} << 20;

    // REQUIRES: 0 < block_bytes <= chunk_bytes.
    explicit block_pool(std::size_t block_bytes) noexcept : block_bytes_(block_bytes) {}
    // All blocks have been given back.
    ~block_pool();
    block_pool(const block_pool&) = delete;
    block_pool& operator=(const block_pool&) = delete;

    class block {
    public:
        block() noexcept = default;
        std::byte* data() const noexcept { return data_; }

    private:
        friend block_pool;
        block(std::byte* data, std::list<chunk>::iterator of) noexcept : data_(data), of_(of) {}

        std::byte* data_ = nullptr;
        std::list<chunk>::iterator of_;
    };

    // What is in it is not defined. Throws std::bad_alloc.
    block take();
    void give_back(block one) noexcept;

    std::size_t block_bytes() const noexcept { return block_bytes_; }
    // Of memory from the system, in use or not.
    std::size_t chunks() const;

private:
    // Several blocks in one mapping. Each that is free holds where the next one is.
    struct chunk {
        explicit chunk(std::byte* mapped) noexcept : memory(mapped) {}

        std::byte* memory;
        std::byte* free = nullptr;  // given back
        std::size_t carved = 0;     // were taken at least once
        std::size_t in_use = 0;
    };

    enum class pages { small, large };
    static std::byte* map(pages of);
    static void unmap(const std::list<chunk>& chunks) noexcept;
    block take_or_add(std::list<chunk>& surplus);
    void put_back(block one, std::list<chunk>& surplus) noexcept;
    std::size_t blocks_of_chunk() const noexcept { return chunk_bytes / block_bytes_; }

    const std::size_t block_bytes_;
    mutable std::mutex mutex_;
    std::list<chunk> with_room_, full_;
    std::size_t idle_chunks_ = 0;  // of with_room_: none of their blocks is in use
};

}  // namespace wherry

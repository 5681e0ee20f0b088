// SPDX-License-Identifier: BSD-2-Clause
// What a device answers when it is asked for its services. libbluetooth, which reads a part of it, is not instrumented:
// for what it reads beyond the end there is a page behind the input that cannot be read.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "fuzz.hpp"
#include "service_lookup.hpp"

using namespace wherry;

namespace {

// Memory that ends where reading does.
class guarded_memory {
public:
    guarded_memory() {
        auto* const begin = ::mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        fuzz::require(begin != MAP_FAILED);
        end_ = static_cast<std::uint8_t*>(begin) + size;
        fuzz::require(::mprotect(end_, page, PROT_NONE) == 0);
    }

    std::span<const std::uint8_t> copy(std::span<const std::uint8_t> bytes) {
        return {std::copy(bytes.begin(), bytes.end(), end_ - bytes.size()) - bytes.size(), bytes.size()};
    }

    static constexpr std::size_t size = 1 << 20;

private:
    std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    std::uint8_t* end_ = nullptr;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static guarded_memory memory;
    if (size > guarded_memory::size) return 0;
    static const auto device = rfcomm::bluetooth_address::parse("AA:BB:CC:DD:EE:FF").value();
    const auto channel = rfcomm::channel_in(memory.copy({data, size}), device);
    fuzz::require(!channel || (*channel >= rfcomm::first_channel && *channel <= rfcomm::last_channel));
    return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
// Runs a fuzz target where there is no libFuzzer: TARGET MUTATIONS SEED FOLDER. First every file of the folder as it
// is, then mutations of them. The same numbers give the same inputs; an input that fails is left in failed-input.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using input = std::vector<std::uint8_t>;

// Where a signal handler finds what was running.
input current;

extern "C" void keep_input(int number) {
    if (auto* file = std::fopen("failed-input", "wb")) {
        std::fwrite(current.data(), 1, current.size(), file);
        std::fclose(file);
    }
    std::signal(number, SIG_DFL);
    std::raise(number);
}

void run(const input& bytes) {
    current = bytes;
    // A copy of exactly this size, so that AddressSanitizer sees a read beyond it.
    const input exact(bytes);
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::vector<input> read_folder(const char* folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    std::vector<input> inputs;
    for (const auto& file : files) {
        std::ifstream in(file, std::ios::binary);
        inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return inputs;
}

class mutator {
public:
    mutator(std::uint64_t seed, const std::vector<input>& corpus) : random_(seed), corpus_(corpus) {}

    input next() {
        input bytes = corpus_[below(corpus_.size())];
        for (auto changes = 1 + below(4); changes > 0; --changes) change(bytes);
        return bytes;
    }

private:
    std::size_t below(std::size_t bound) { return bound == 0 ? 0 : static_cast<std::size_t>(random_() % bound); }
    auto at(input& bytes, std::size_t offset) { return bytes.begin() + static_cast<std::ptrdiff_t>(offset); }

    void change(input& bytes) {
        const auto where = below(bytes.size());
        switch (below(7)) {
            case 0:
                if (!bytes.empty()) bytes[where] ^= static_cast<std::uint8_t>(1u << below(8));
                break;
            case 1:
                if (!bytes.empty()) bytes[where] = static_cast<std::uint8_t>(random_());
                break;
            case 2: bytes.insert(at(bytes, where), static_cast<std::uint8_t>(random_())); break;
            case 3:
                if (!bytes.empty()) bytes.erase(at(bytes, where));
                break;
            case 4: bytes.resize(where); break;
            case 5: {  // a stretch again
                const input stretch(at(bytes, where), at(bytes, where + below(bytes.size() - where)));
                bytes.insert(at(bytes, below(bytes.size())), stretch.begin(), stretch.end());
                break;
            }
            case 6: {  // the end of another
                const auto& other = corpus_[below(corpus_.size())];
                bytes.resize(where);
                bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(below(other.size())),
                             other.end());
                break;
            }
        }
    }

    std::mt19937_64 random_;
    const std::vector<input>& corpus_;
};

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) {
        std::fprintf(stderr, "usage: %s MUTATIONS SEED FOLDER\n", arguments[0]);
        return 2;
    }
    for (const int number : {SIGABRT, SIGSEGV, SIGILL, SIGTRAP, SIGFPE}) std::signal(number, keep_input);
    const auto corpus = read_folder(arguments[3]);
    if (corpus.empty()) {
        std::fprintf(stderr, "%s: there is nothing in %s\n", arguments[0], arguments[3]);
        return 1;
    }
    for (const auto& bytes : corpus) run(bytes);
    run({});
    mutator mutations(std::strtoull(arguments[2], nullptr, 10), corpus);
    const auto wanted = std::strtoull(arguments[1], nullptr, 10);
    for (std::uint64_t i = 0; i < wanted; ++i) run(mutations.next());
    std::printf("%zu files, %llu mutations\n", corpus.size(), wanted);
}

// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "journal.hpp"
#include "store.hpp"
#include "wherry/sink.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::filesystem {

// A delivery that was stored before. Its sender has not heard of it, for the receiver was killed.
class stored_delivery final : public delivery {
public:
    explicit stored_delivery(journal::stored_file where);

    bool already(response& answer) override;
    // What comes all the same is dropped.
    void write(const_bytes) override {}
    void finish(response& answer) override;
    void abort(partial) noexcept override {}

private:
    const journal::stored_file where_;
};

// A file that stands there as its sender's key stored it. Offers the whole file as the part that has come, so that both
// sides compare digests; nothing is written if they are equal.
class unchanged_delivery final : public delivery {
public:
    // Returns null if the file does not stand there any more, or was changed. `shared` outlives it.
    static std::unique_ptr<delivery> open(store& shared, const offer& what, const identity& peer,
                                          const journal::stored_file& where);

    unchanged_delivery(store& shared, journal_entry entry, journal::stored_file where, unique_fd file);

    std::uint64_t offset() const noexcept override { return where_.file.size; }
    std::size_t read_back(std::uint64_t position, mutable_bytes buffer) override;
    void write(const_bytes bytes) override;
    // Throws error if the file has changed meanwhile.
    void finish(response& answer) override;
    // The journal forgets the file if the sender's has another content, which is why it is dropped.
    void abort(partial what_came) noexcept override;

private:
    store& store_;
    const journal_entry entry_;
    const journal::stored_file where_;
    const unique_fd file_;
};

}  // namespace wherry::filesystem

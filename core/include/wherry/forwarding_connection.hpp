// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <utility>

#include "wherry/transport.hpp"

namespace wherry {

// A connection that passes everything on to another, which it owns. A class that watches or changes some of it derives
// from this and overrides that.
class forwarding_connection : public connection {
public:
    using connection::write_all;

    explicit forwarding_connection(std::unique_ptr<connection> inner) noexcept : inner_(std::move(inner)) {}

    std::size_t read_some(mutable_bytes buffer) override { return inner_->read_some(buffer); }
    void write_all(std::span<const const_bytes> pieces) override { inner_->write_all(pieces); }
    void shutdown_write() override { inner_->shutdown_write(); }
    void set_read_timeout(std::chrono::milliseconds timeout) noexcept override { inner_->set_read_timeout(timeout); }
    void set_write_timeout(std::chrono::milliseconds timeout) noexcept override { inner_->set_write_timeout(timeout); }
    void abort() noexcept override { inner_->abort(); }
    std::string_view peer_address() const noexcept override { return inner_->peer_address(); }
    std::size_t record_bytes() const noexcept override { return inner_->record_bytes(); }

private:
    const std::unique_ptr<connection> inner_;
};

}  // namespace wherry

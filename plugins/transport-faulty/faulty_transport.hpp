// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "faults.hpp"
#include "faulty_connection.hpp"
#include "wherry/transport.hpp"

namespace wherry::faulty {

// Another transport, whose connections have faults, whichever side began them. Looking for peers and pairing have none.
// Thread-safety: as transport.
class faulty_transport final : public transport {
public:
    // `told` hears of what happens, from any thread.
    faulty_transport(std::unique_ptr<transport> inner, const faults& wanted, faulty_connection::tell told);

    std::unique_ptr<connection> connect(const std::string& address) override;
    void connect_abort() noexcept override { inner_->connect_abort(); }
    // The listener may live longer than this does.
    std::unique_ptr<listener> listen(const std::string& address) override;
    void discover(std::chrono::milliseconds limit, const std::function<bool(const discovered_peer&)>& found) override {
        inner_->discover(limit, found);
    }
    void pair(const std::string& address, std::chrono::milliseconds limit, pairing_agent& agent) override {
        inner_->pair(address, limit, agent);
    }

private:
    class faulty_listener;
    // Gives connections their faults and their numbers.
    class fitter {
    public:
        fitter(const faults& wanted, faulty_connection::tell told) : wanted_(wanted), told_(std::move(told)) {}
        std::unique_ptr<connection> fit(std::unique_ptr<connection> inner);
        const faults& wanted() const noexcept { return wanted_; }

    private:
        const faults wanted_;
        const faulty_connection::tell told_;
        std::atomic<std::uint64_t> count_{0};
    };

    const std::shared_ptr<fitter> fitter_;
    const std::unique_ptr<transport> inner_;
};

}  // namespace wherry::faulty

// SPDX-License-Identifier: BSD-2-Clause
#include "faulty_transport.hpp"

#include <utility>

namespace wherry::faulty {

std::unique_ptr<connection> faulty_transport::fitter::fit(std::unique_ptr<connection> inner) {
    const auto number = ++count_;
    if (!wanted_.any() || (wanted_.connections > 0 && number > wanted_.connections)) return inner;
    return std::make_unique<faulty_connection>(std::move(inner), wanted_, number, told_);
}

class faulty_transport::faulty_listener final : public listener {
public:
    faulty_listener(std::unique_ptr<listener> inner, std::shared_ptr<fitter> shared_fitter)
        : fitter_(std::move(shared_fitter)), inner_(std::move(inner)) {}

    std::unique_ptr<connection> accept() override {
        fitter_->wanted().hang_in(faults::call::accept);
        return fitter_->fit(inner_->accept());
    }
    std::string_view address() const noexcept override { return inner_->address(); }
    void abort() noexcept override {
        fitter_->wanted().hang_in(faults::call::stop_accepting);
        inner_->abort();
    }

private:
    const std::shared_ptr<fitter> fitter_;
    const std::unique_ptr<listener> inner_;
};

faulty_transport::faulty_transport(std::unique_ptr<transport> inner, const faults& wanted, faulty_connection::tell told)
    : fitter_(std::make_shared<fitter>(wanted, std::move(told))), inner_(std::move(inner)) {}

std::unique_ptr<connection> faulty_transport::connect(const std::string& address) {
    fitter_->wanted().hang_in(faults::call::connect);
    return fitter_->fit(inner_->connect(address));
}

std::unique_ptr<listener> faulty_transport::listen(const std::string& address) {
    return std::make_unique<faulty_listener>(inner_->listen(address), fitter_);
}

}  // namespace wherry::faulty

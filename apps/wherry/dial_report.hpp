// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "application.hpp"
#include "wherry/dialer.hpp"
#include "wherry/send.hpp"

namespace wherry::app {

// Tells how a sender meets its receiver, and asks the person at the terminal about one that was never met.
class dial_report : public dial_observer {
public:
    // Both outlive it.
    dial_report(const application& app, const effective_options& options) noexcept : app_(app), options_(options) {}

    void connecting(const std::string& destination) override;
    void connected(const secure_channel& opened, const receiver_check& check) override;
    bool accepts(const receiver_check& check) override;
    void not_remembered(const receiver_check& check) override;
    bool exchange_is_classical(const secure_channel& opened, const receiver_check& check) override;
    void key_changed(const receiver_check& check) override;

    // A channel was open once, so the receiver has been recognised.
    bool has_met() const noexcept { return has_met_; }
    // Tells what ended it all, with `advice` behind it, and, to a sender that was not let in, how to be.
    void tell(const error& failure, std::string_view advice = {}) const;

protected:
    const application& app_;

private:
    const effective_options& options_;
    bool has_met_ = false;
};

// The kinds of plugins that a sender uses.
inline constexpr std::array<plugin_kind, 2> sender_kinds = {plugin_kind::transport, plugin_kind::cipher};

// Reads the command's options, of which --to chooses the transport. Throws error(errc::bad_input).
effective_options read_sender_options(application& app);

// What those say of a sending. Those that the command does not have keep their defaults.
send_options send_options_of(const effective_options& options);

// The destination that --to names, with its scheme. Throws error(errc::bad_input) if that has no address.
std::string destination_of(const effective_options& options);

// This side, for the library, with a cipher that protects, or --insecure. Throws error.
endpoint make_sender(const application& app, const effective_options& options, const made_plugins& plugins);

}  // namespace wherry::app

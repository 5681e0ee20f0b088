#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "application.hpp"
#include "wherry/exchange.hpp"
#include "wherry/retry.hpp"
#include "wherry/session.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

// Puts something between the sessions of one exchange and the plugins that they use.
// Thread-safety: all functions from any thread.
class link_probe {
public:
    virtual ~link_probe() = default;
    virtual std::unique_ptr<connection> watch(std::unique_ptr<connection> link) = 0;
    // Lives as long as this.
    virtual cipher& watch(cipher& used) = 0;
};

// What the commands that send have in common: the one receiver that they reach, as often as it takes, and recognise.
// Used by one thread at a time, but for what is said to be for any.
class dialer final : public stream_opener {
public:
    // Throws error(errc::bad_input) for a destination or a cipher that will not do. Both outlive it.
    dialer(application& with, const effective_options& options);

    // A session with the receiver that is known by its key; asks the person at the terminal about one that is not.
    // Throws error: auth_failed if it was not accepted or has changed, and what transport and session throw. `probe`
    // may be null.
    std::unique_ptr<session> connect(link_probe* probe = nullptr);

    // Further connections to the same receiver, whose key is known by then. From any thread.
    std::shared_ptr<connection> dial() override { return dial(nullptr); }
    std::unique_ptr<session> open(std::shared_ptr<connection> link) override { return open(std::move(link), nullptr); }
    std::shared_ptr<connection> dial(link_probe* probe);
    std::unique_ptr<session> open(std::shared_ptr<connection> link, link_probe* probe);

    // A session was open once, so the receiver has been recognised.
    bool has_met() const noexcept { return has_met_; }
    // "tcp://host:9417"
    const std::string& destination() const noexcept { return canonical_; }
    // As the command's options say.
    exchange_options how() const;
    // A schedule that begins now.
    retry_schedule retries() const;
    // Tells what ended it all, with `advice` behind it, and, to who was not let in, how to be.
    void tell(const error& failure, std::string_view advice = {}) const;

private:
    cipher& protection(link_probe* probe) const { return probe != nullptr ? probe->watch(*cipher_) : *cipher_; }
    std::unique_ptr<session> meet(receiver_check& check, link_probe* probe);
    void ask_about(const receiver_check& check);
    [[noreturn]] void fail_changed(const receiver_check& check);

    application& with_;
    const effective_options& options_;
    std::string address_;    // for the transport
    std::string canonical_;  // what the receiver's key is known under
    const std::unique_ptr<transport> transport_;
    const std::unique_ptr<cipher> cipher_;
    skipped_lines skipped_;
    bool has_met_ = false;
};

// The kinds of plugins that a dialer uses.
inline constexpr std::array<plugin_kind, 2> dialer_kinds = {plugin_kind::transport, plugin_kind::cipher};

// Reads the command's options, of which --to chooses the transport. Throws error(errc::bad_input).
effective_options read_dialer_options(application& with);

}  // namespace wherry::app

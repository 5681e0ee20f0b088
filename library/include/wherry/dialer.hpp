// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "wherry/endpoint.hpp"
#include "wherry/mutex.hpp"
#include "wherry/secure_channel.hpp"
#include "wherry/transfer.hpp"
#include "wherry/trust.hpp"

namespace wherry {

// Told how a sender meets its receiver, and asked about one that it never met. Called by the thread that connects.
class dial_observer {
public:
    virtual ~dial_observer() = default;

    // `destination` as known_hosts has it: "tcp://host:9417".
    virtual void connecting(const std::string& destination) { (void)destination; }
    // The receiver has proved its key, and check.found() says how that is known.
    virtual void connected(const secure_channel& opened, const receiver_check& check) { (void)opened, (void)check; }
    // Returns true to have the key of an unknown receiver remembered, and the receiver reached again; false to refuse
    // it. The connection is closed meanwhile, so it may take its time. Throws error to say why it was refused; it does
    // so unless it is overridden.
    virtual bool accepts(const receiver_check& check);
    // The key of an unknown receiver was accepted, but check.why_not_remembered() says why that is not written down. It
    // counts until the dialer ends.
    virtual void not_remembered(const receiver_check& check) { (void)check; }
    // The key exchange was classical, or the cipher does not tell: check.exchange_finding() says that this is the first
    // that is known of it, or that it was post-quantum before, which is told once in the life of a dialer. After
    // connected(), or by the thread of an extra connection while others send. Returns true if a person was told;
    // otherwise the log has the second as a warning.
    virtual bool exchange_is_classical(const secure_channel& opened, const receiver_check& check) {
        (void)opened, (void)check;
        return false;
    }
    // Another key is known for the receiver; an error follows.
    virtual void key_changed(const receiver_check& check) { (void)check; }
    // The receiver has let this side in. Only a sending that keeps its connection waits for that.
    virtual void let_in() {}
};

// Reaches one receiver, as often as it takes, and recognises it by its key.
// Used by one thread at a time, except for dial(), open(), abort() and is_asking().
class dialer final : public stream_opener {
public:
    // `observer` outlives it. Throws error as endpoint::find_route() and endpoint::protection() do, and bad_input for a
    // destination without an address.
    dialer(const endpoint& here, std::string_view destination, const channel_options& timing, first_contact policy,
           dial_observer& observer);

    // Opens a channel to the receiver. Throws error: auth_failed if its key has changed or is not trusted, and what
    // transport::connect() and secure_channel::open() throw.
    std::unique_ptr<secure_channel> connect();

    // Open extra connections to the same receiver, whose key is known by then.
    std::shared_ptr<connection> dial() override { return link()->connect(route_.address); }
    std::unique_ptr<secure_channel> open(std::shared_ptr<connection> link) override;

    // Makes connect() and dial() fail soon, now and later, if the transport can be aborted. An open() goes on.
    void abort() noexcept;
    // After abort(): connect() and dial() can be used again, over another instance of the transport. Throws error.
    void renew();
    // Returns true while connect() asks the observer about a receiver that was never met, which abort() does not end.
    bool is_asking() const;

    // "tcp://host:9417", as known_hosts has it.
    const std::string& destination() const noexcept { return route_.canonical; }

private:
    receiver_check make_check(first_contact policy) const;
    std::unique_ptr<secure_channel> meet(receiver_check& check);
    void keep_accepted(const receiver_check& check);
    bool note_exchange(const secure_channel& opened, receiver_check& check);
    void tell_exchange(const secure_channel& opened, const receiver_check& check);
    std::unique_ptr<secure_channel> open(std::shared_ptr<connection> link, receiver_check& check) const;
    [[noreturn]] void fail_changed(const receiver_check& check);
    std::shared_ptr<transport> link() const;
    // What connect() is at, beside dial(): the handshake over a connection, or a question.
    struct step {
        std::shared_ptr<connection> opening;
        bool is_asking = false;
    };
    class step_scope;

    const endpoint here_;
    const endpoint::route route_;
    const std::shared_ptr<cipher> cipher_;
    const channel_options timing_;
    const first_contact policy_;
    dial_observer& observer_;

    mutable mutex mutex_;
    std::shared_ptr<transport> link_ WHERRY_GUARDED_BY(mutex_);
    step step_ WHERRY_GUARDED_BY(mutex_);
    bool is_aborted_ WHERRY_GUARDED_BY(mutex_) = false;
    std::optional<keys::public_key> accepted_ WHERRY_GUARDED_BY(mutex_);  // that could not be remembered
    std::optional<key_exchange> met_ WHERRY_GUARDED_BY(mutex_);           // the best key exchange
    bool is_fall_told_ WHERRY_GUARDED_BY(mutex_) = false;
};

}  // namespace wherry

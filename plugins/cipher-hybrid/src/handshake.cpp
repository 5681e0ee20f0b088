// SPDX-License-Identifier: BSD-2-Clause
#include "handshake.hpp"

#include <botan/exceptn.h>
#include <botan/rng.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "kem.hpp"
#include "messages.hpp"
#include "records.hpp"
#include "wire.hpp"

namespace wherry::hybrid {

namespace {

// Runs a step of this side's own; if it fails, the peer is told before the failure goes on.
template <class Step>
auto reported(stream& link, alert::reason why, Step&& step) {
    try {
        return std::forward<Step>(step)();
    } catch (const error&) {
        send_alert(link, {why, {}});
        throw;
    } catch (const Botan::Exception& e) {
        send_alert(link, {why, {}});
        throw error(errc::protocol, fmt::format("the handshake failed: {}", e.what()));
    }
}

random_value fresh_random(Botan::RandomNumberGenerator& rng) {
    random_value value;
    rng.randomize(octets(mutable_bytes(value)), value.size());
    return value;
}

template <class Number>
bool contains(const std::vector<Number>& list, Number wanted) noexcept {
    return std::find(list.begin(), list.end(), wanted) != list.end();
}

keys::public_key peer_key(const_bytes blob) {
    try {
        return keys::public_key::from_blob(blob);
    } catch (const error& e) {
        throw error(errc::protocol, fmt::format("the peer's identity cannot be accepted: {}", e.what()));
    }
}

void check_signature(const keys::public_key& key, std::string_view label, const digest& said, const_bytes signature) {
    if (!key.verify(signed_text(label, said), signature))
        throw error(errc::auth_failed,
                    "the peer did not prove its key: it does not hold it, or the handshake was altered on the way");
}

// A field as it stands in a message: u16 length, then the bytes.
byte_vector field(const_bytes bytes) {
    byte_writer writer;
    return writer.sized<std::uint16_t>(bytes).take();
}

std::size_t credentials_bytes(const keys::public_key& key) noexcept {
    return 2 + key.blob().size() + 2 + key.signature_bytes();
}

// Message 3 up to what is sealed. Its header tells the length of all of it, which is known before the rest is made.
byte_vector proof_start(const_bytes kem_ciphertext, std::size_t sealed_bytes) {
    byte_writer writer;
    return writer.integer(static_cast<std::uint8_t>(message_type::proof))
        .integer(static_cast<std::uint16_t>(2 + kem_ciphertext.size() + sealed_bytes))
        .sized<std::uint16_t>(kem_ciphertext)
        .take();
}

class initiator {
public:
    initiator(const party& self, const_bytes prologue, stream& link)
        : self_(self), link_(link), transcript_(prologue) {}

    agreement run(const peer_verifier& verify) {
        send_hello();
        const auto message = read_message(link_, message_type::choice);
        const auto responder = reported(link_, alert::reason::failed, [&] { return check_choice(message); });
        auto peer = responder.identity();
        // Before message 3: only a responder that is trusted learns who this is.
        peer.label = reported(link_, alert::reason::untrusted, [&] { return verify(peer); });
        auto made = reported(link_, alert::reason::failed, [&] { return make_proof(responder); });
        link_.write_all(made.message);
        return {choice_.chosen_kem, choice_.chosen_aead, std::move(peer), std::move(made.secrets)};
    }

private:
    struct made_proof {
        byte_vector message;
        key_schedule::session_secrets secrets;
    };

    void send_hello() {
        offered_ = {{protocol_version}, self_.allowed.kems, self_.allowed.aeads, fresh_random(self_.rng)};
        const auto message = framed(message_type::hello, offered_.encode());
        link_.write_all(message);
        transcript_.update(message);
    }

    keys::public_key check_choice(const_bytes message) {
        choice_ = choice::parse(body_of(message));
        if (!contains(offered_.versions, choice_.version) || !contains(offered_.kems, choice_.chosen_kem) ||
            !contains(offered_.aeads, choice_.chosen_aead))
            throw error(errc::protocol, "the responder chose what was not offered");
        auto responder = peer_key(choice_.identity);
        const auto covered = message.size() - choice_.signature_field_bytes();
        transcript_.update(message.first(covered));
        check_signature(responder, responder_label, transcript_.hash(), choice_.signature);
        transcript_.update(message.subspan(covered));
        return responder;
    }

    made_proof make_proof(const keys::public_key& responder) {
        const auto& own = self_.identity.public_part();
        const auto key = encapsulate(choice_.chosen_kem, choice_.kem_public_key, responder, self_.rng);
        auto message = proof_start(key.ciphertext, credentials_bytes(own) + tag_bytes);
        transcript_.update(message);
        const key_schedule schedule(key.secret, transcript_.hash());

        const auto identity = copy(own.blob());
        transcript_.update(field(identity));
        const auto signature = self_.identity.sign(signed_text(initiator_label, transcript_.hash()), self_.rng);
        const credentials plain{identity, signature};
        const auto sealed = seal_once(choice_.chosen_aead, schedule.credentials_key(), plain.encode());

        transcript_.update(field(signature)).update(sealed);
        message.insert(message.end(), sealed.begin(), sealed.end());
        return {std::move(message), schedule.finish(transcript_.hash())};
    }

    const party& self_;
    stream& link_;
    transcript transcript_;
    hello offered_;
    choice choice_;
};

class responder {
public:
    responder(const party& self, const_bytes prologue, stream& link)
        : self_(self), link_(link), transcript_(prologue) {}

    agreement run(const peer_verifier& verify) {
        choose();
        link_.write_all(reported(link_, alert::reason::failed, [&] { return make_choice(); }));
        const auto message = read_message(link_, message_type::proof);
        auto secrets = reported(link_, alert::reason::failed, [&] { return check_proof(message); });
        auto peer = initiator_->identity();
        peer.label = answered(secrets.answer_key, peer, verify);
        return {choice_.chosen_kem, choice_.chosen_aead, std::move(peer), std::move(secrets)};
    }

private:
    void choose() {
        const auto message = read_message(link_, message_type::hello);
        transcript_.update(message);
        const auto offered = reported(link_, alert::reason::failed, [&] { return hello::parse(body_of(message)); });
        choice_.version = common(offered.versions, {protocol_version}, alert::reason::no_version);
        choice_.chosen_kem = common(offered.kems, possible_kems(), alert::reason::no_kem);
        choice_.chosen_aead = common(offered.aeads, self_.allowed.aeads, alert::reason::no_aead);
    }

    std::vector<kem> possible_kems() const {
        std::vector<kem> kems;
        for (const auto which : self_.allowed.kems)
            if (can_respond(which, self_.identity.public_part())) kems.push_back(which);
        return kems;
    }

    // The first of the initiator's that this side allows. Without any, tells both sides what would have been.
    template <class Number>
    Number common(const std::vector<Number>& offered, const std::vector<Number>& allowed, alert::reason without) {
        for (const auto wanted : offered)
            if (contains(allowed, wanted)) return wanted;
        alert refusal{without, {}};
        for (const auto number : allowed) refusal.allowed.push_back(static_cast<std::uint16_t>(number));
        send_alert(link_, refusal);
        throw error(errc::unsupported, nothing_in_common(refusal));
    }

    byte_vector make_choice() {
        const auto& own = self_.identity.public_part();
        kem_ = make_kem_responder(choice_.chosen_kem, self_.identity, self_.rng);
        choice_.random = fresh_random(self_.rng);
        choice_.kem_public_key = kem_->public_key();
        choice_.identity = copy(own.blob());
        choice_.signature.resize(own.signature_bytes());
        auto message = framed(message_type::choice, choice_.encode());

        const auto covered = message.size() - choice_.signature_field_bytes();
        transcript_.update(const_bytes(message).first(covered));
        const auto signature = self_.identity.sign(signed_text(responder_label, transcript_.hash()), self_.rng);
        std::copy(signature.begin(), signature.end(), message.end() - static_cast<std::ptrdiff_t>(signature.size()));
        transcript_.update(const_bytes(message).subspan(covered));
        return message;
    }

    key_schedule::session_secrets check_proof(const_bytes message) {
        const auto received = proof::parse(body_of(message));
        const auto secret = kem_->decapsulate(received.kem_ciphertext, self_.rng);
        transcript_.update(message.first(message.size() - received.sealed_credentials.size()));
        const key_schedule schedule(secret, transcript_.hash());

        const auto plain =
            credentials::parse(open_once(choice_.chosen_aead, schedule.credentials_key(), received.sealed_credentials));
        initiator_ = peer_key(plain.identity);
        transcript_.update(field(plain.identity));
        check_signature(*initiator_, initiator_label, transcript_.hash(), plain.signature);
        transcript_.update(field(plain.signature)).update(received.sealed_credentials);
        return schedule.finish(transcript_.hash());
    }

    void send_answer(const secret_bytes& key, const answer& what) {
        const auto sealed = seal_once(choice_.chosen_aead, key, what.encode());
        link_.write_all(framed(message_type::answer, sealed));
    }

    // Decides about the peer and tells it. Returns the label that the host knows it by. Sends nothing if the host could
    // not decide: the peer then sees a lost link, and may try again.
    std::string answered(const secret_bytes& key, const wherry::identity& peer, const peer_verifier& verify) {
        std::string label;
        try {
            label = verify(peer);
        } catch (const error& refusal) {
            if (refusal.code() == errc::exhausted) throw;
            try {
                send_answer(key, {answer::verdict::refused, plain_reason(refusal.what())});
            } catch (const error&) {
                // The peer is gone; what counts here is why it was refused.
            }
            throw;
        }
        send_answer(key, {});
        return label;
    }

    const party& self_;
    stream& link_;
    transcript transcript_;
    choice choice_;
    std::unique_ptr<kem_responder> kem_;
    std::optional<keys::public_key> initiator_;
};

}  // namespace

agreement initiate(const party& self, const_bytes prologue, stream& link, const peer_verifier& verify) {
    return initiator(self, prologue, link).run(verify);
}

agreement respond(const party& self, const_bytes prologue, stream& link, const peer_verifier& verify) {
    return responder(self, prologue, link).run(verify);
}

void read_answer(stream& link, aead algorithm, const secret_bytes& answer_key) {
    const auto message = read_message(link, message_type::answer);
    const auto received = answer::parse(open_once(algorithm, answer_key, body_of(message)));
    if (received.says == answer::verdict::accepted) return;
    throw error(errc::auth_failed, received.reason.empty() ? "the receiver refused: it gave no reason"
                                                           : fmt::format("the receiver refused: {}", received.reason));
}

}  // namespace wherry::hybrid

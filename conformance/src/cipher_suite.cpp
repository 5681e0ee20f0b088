// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "noise.hpp"
#include "observed.hpp"
#include "suites.hpp"
#include "wherry/abi_guard.hpp"
#include "wherry/limits.hpp"

// What every cipher must do (core/include/wherry/plugin.h, cipher.hpp). One that says it is insecure is spared the
// cases of what it does not promise.
namespace wherry::conformance {

namespace {

constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

// What happens to the bytes of one direction, counted from its first.
struct damage {
    std::uint64_t flip_at = never;
    std::uint64_t cut_at = never;  // from here on bytes are lost; the reader then sees the end of the stream
};

// Two streams in memory. A side that waits for what can never come is told so at once.
class memory_link {
public:
    explicit memory_link(damage forth = {}, damage back = {})
        : ways_{way{forth, {}, 0, false}, way{back, {}, 0, false}} {}

    // Side 0 writes to way 0 and reads from way 1.
    void write(int side, const_bytes bytes) {
        const std::lock_guard lock(mutex_);
        auto& to = ways_[static_cast<std::size_t>(side)];
        if (is_gone_[static_cast<std::size_t>(1 - side)]) throw error(errc::disconnected, "the other side is gone");
        for (const auto byte : bytes) {
            const auto at = to.written++;
            if (at >= to.harm.cut_at)
                to.is_closed = true;
            else
                to.bytes.push_back(at == to.harm.flip_at ? byte ^ std::byte{1} : byte);
        }
        changed_.notify_all();
    }

    std::size_t read(int side, mutable_bytes into) {
        std::unique_lock lock(mutex_);
        auto& from = ways_[static_cast<std::size_t>(1 - side)];
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [&] {
            return !from.bytes.empty() || from.is_closed || is_gone_[static_cast<std::size_t>(1 - side)] || is_stuck();
        });
        --waiting_;
        if (from.bytes.empty() && !from.is_closed && !is_gone_[static_cast<std::size_t>(1 - side)]) {
            has_stuck_ = true;
            throw error(errc::timed_out, "both sides wait for each other");
        }
        std::size_t count = 0;
        while (count < into.size() && !from.bytes.empty()) {
            into[count++] = from.bytes.front();
            from.bytes.pop_front();
        }
        return count;
    }

    // This side is done with it; `is_gone`: and closes it.
    void leave(int side, bool is_gone) {
        const std::lock_guard lock(mutex_);
        ++left_;
        is_gone_[static_cast<std::size_t>(side)] = is_gone;
        changed_.notify_all();
    }

    std::uint64_t written(int side) const {
        const std::lock_guard lock(mutex_);
        return ways_[static_cast<std::size_t>(side)].written;
    }
    std::size_t unread() const {
        const std::lock_guard lock(mutex_);
        return ways_[0].bytes.size() + ways_[1].bytes.size();
    }

private:
    struct way {
        damage harm;
        std::deque<std::byte> bytes;
        std::uint64_t written;
        bool is_closed;
    };

    bool is_stuck() const {
        if (has_stuck_) return true;
        return waiting_ + left_ == 2 && ways_[0].bytes.empty() && ways_[1].bytes.empty();
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::array<way, 2> ways_;
    std::array<bool, 2> is_gone_{};
    int waiting_ = 0, left_ = 0;
    bool has_stuck_ = false;
};

// One side's stream as the cipher sees it.
struct stream_end {
    memory_link& link;
    int side;

    wherry_stream as_c() {
        return {
            sizeof(wherry_stream), this,
            [](void* context, void* buffer, std::size_t capacity, std::size_t* length, wherry_error* e) {
                return wherry::abi::guard(e, [&] {
                    auto& self = *static_cast<stream_end*>(context);
                    require(capacity > 0, "the cipher reads with a buffer of 0 bytes");
                    *length = self.link.read(self.side, {static_cast<std::byte*>(buffer), capacity});
                });
            },
            [](void* context, const wherry_piece* pieces, std::size_t count, wherry_error* e) {
                return wherry::abi::guard(e, [&] {
                    auto& self = *static_cast<stream_end*>(context);
                    for (std::size_t i = 0; i < count; ++i)
                        self.link.write(self.side, {static_cast<const std::byte*>(pieces[i].data), pieces[i].length});
                });
            }};
    }
};

// Who a side says that it is welcome, and whom it saw.
struct verifier {
    std::string label = "a friend";
    bool refuses = false;
    bool cannot_tell = false;
    int asked = 0;
    identity seen = {};
};

class running_session {
public:
    running_session(const context& from, void* handle) : c_(from), handle_(handle) {
        overhead_ = call_plain("overhead", [&] { return c_.cipher.overhead(handle_); });
        require(overhead_ <= limits::max_record_overhead_bytes,
                "overhead() is " + std::to_string(overhead_) + "; a record may grow by 1024 bytes at most");
    }
    ~running_session() {
        call_plain("session_close", [&] { c_.cipher.session_close(handle_); });
    }
    running_session(const running_session&) = delete;
    running_session& operator=(const running_session&) = delete;

    failed finish_handshake(stream_end& over) {
        const lent<const wherry_stream> stream(over.as_c());
        return call(
            "finish_handshake", [&](wherry_error* e) { return c_.cipher.finish_handshake(handle_, stream.get(), e); },
            waiting::allowed);
    }

    std::size_t overhead() const noexcept { return overhead_; }

    // The buffer has room for the overhead, and not a byte more.
    std::vector<std::byte> seal(const_bytes plain) {
        auto made = try_seal(plain);
        if (made.failure) fail(made.failure->told());
        return std::move(made.record);
    }

    struct sealed {
        failed failure;
        std::vector<std::byte> record;
    };
    sealed try_seal(const_bytes plain) {
        require(call_plain("overhead", [&] { return c_.cipher.overhead(handle_); }) == overhead_,
                "overhead() is not the same all the time");
        const lent_memory room(plain.size() + overhead_);
        std::copy(plain.begin(), plain.end(), room.data());
        sealed made;
        made.failure =
            call("seal", [&](wherry_error* e) { return c_.cipher.seal(handle_, room.data(), plain.size(), e); });
        if (!made.failure) made.record.assign(room.data(), room.data() + room.size());
        return made;
    }

    struct opened {
        failed failure;
        std::vector<std::byte> plain;
        std::vector<std::byte> left;  // in the buffer, afterwards
    };
    opened open(const std::vector<std::byte>& record) {
        const lent_memory room(record, lent_for::writing);
        const lent<std::size_t> length(0);
        opened made;
        made.failure = call("open", [&](wherry_error* e) {
            return c_.cipher.open(handle_, room.data(), record.size(), length.get(), e);
        });
        made.left.assign(room.data(), room.data() + room.size());
        if (made.failure) {
            require(*length.get() == 0, "open() failed, and yet stored a length");
            return made;
        }
        require(*length.get() <= record.size(), "open() told " + std::to_string(*length.get()) +
                                                    " bytes of plaintext in a record of " +
                                                    std::to_string(record.size()));
        made.plain.assign(room.data(), room.data() + *length.get());
        return made;
    }

    identity peer() {
        wherry_identity c{};
        c.struct_size = sizeof c;
        const char* const empty = "";
        c.algorithm = c.public_key = c.fingerprint = c.label = empty;
        call_plain("peer", [&] { c_.cipher.peer(handle_, &c); });
        return {returned_text("peer", c.algorithm), returned_text("peer", c.public_key),
                returned_text("peer", c.fingerprint), returned_text("peer", c.label)};
    }

    std::string describe() {
        return returned_text("describe", call_plain("describe", [&] { return c_.cipher.describe(handle_); }));
    }

    // WHERRY_KEY_EXCHANGE_UNKNOWN from a cipher without the function.
    std::uint32_t key_exchange() {
        if (c_.cipher.key_exchange == nullptr) return WHERRY_KEY_EXCHANGE_UNKNOWN;
        return call_plain("key_exchange", [&] { return c_.cipher.key_exchange(handle_); });
    }

private:
    const context& c_;
    void* const handle_;
    std::size_t overhead_ = 0;
};

struct side_outcome {
    std::unique_ptr<running_session> session;
    failed failure;
};
struct outcomes {
    side_outcome initiator, responder;
    bool both() const { return initiator.session && responder.session; }
};

class cipher_check {
public:
    explicit cipher_check(context& given)
        : c(given), initiator(instance::make(given, {}, 0)), responder(instance::make(given, {}, 1)) {
        is_insecure = c.cipher.is_insecure != nullptr &&
                      call_plain("is_insecure", [&] { return c.cipher.is_insecure(initiator->handle()); }) != 0;
        if (c.is_promised("protects")) require(!is_insecure, "is promised to protect, but says that it is insecure");
    }

    context& c;
    std::unique_ptr<instance> initiator, responder;
    bool is_insecure = false;

    void require_protection() const {
        if (is_insecure) skip("it says that it protects nothing");
    }

    // The first half, up to where this side may send.
    side_outcome begin(int side, std::string_view prologue, stream_end& over, verifier& who) {
        const lent_memory said(as_bytes(prologue));
        const lent<const wherry_stream> stream(over.as_c());
        wherry_handshake how{};
        how.struct_size = sizeof how;
        how.role = side == 0 ? WHERRY_INITIATOR : WHERRY_RESPONDER;
        how.prologue = said.data();
        how.prologue_bytes = said.size();
        how.context = &who;
        how.verify_peer = [](void* context, const wherry_identity* peer, char* label, std::size_t capacity,
                             wherry_error* e) -> wherry_status {
            return wherry::abi::guard(e, [&] {
                auto& self = *static_cast<verifier*>(context);
                ++self.asked;
                self.seen = {
                    returned_text("verify_peer", peer->algorithm), returned_text("verify_peer", peer->public_key),
                    returned_text("verify_peer", peer->fingerprint), returned_text("verify_peer", peer->label)};
                if (self.refuses) throw error(errc::auth_failed, "nobody knows this key");
                if (self.cannot_tell) throw error(errc::exhausted, "no descriptor is left to look the key up");
                require(capacity > self.label.size(), "verify_peer() was given no room for a label of " +
                                                          std::to_string(self.label.size()) + " bytes");
                std::copy_n(self.label.c_str(), self.label.size() + 1, label);
            });
        };
        const lent<const wherry_handshake> given(how);
        void* handle = nullptr;
        side_outcome made;
        made.failure = call(
            "handshake",
            [&](wherry_error* e) {
                return c.cipher.handshake((side == 0 ? *initiator : *responder).handle(), given.get(), stream.get(),
                                          &handle, e);
            },
            waiting::allowed);
        if (made.failure)
            require(handle == nullptr, "handshake() failed, and yet stored a session");
        else
            made.session = std::make_unique<running_session>(c, handle);
        return made;
    }

    // A whole handshake, as a host runs it: a side that fails closes its end.
    side_outcome run(int side, std::string_view prologue, memory_link& link, verifier& who) {
        stream_end over{link, side};
        auto made = begin(side, prologue, over, who);
        if (made.session) made.failure = made.session->finish_handshake(over);
        if (made.failure) made.session.reset();
        link.leave(side, made.failure.has_value());
        return made;
    }

    outcomes run_both(memory_link& link, verifier& by_initiator, verifier& by_responder,
                      std::string_view initiator_prologue = "prologue",
                      std::string_view responder_prologue = "prologue") {
        outcomes both;
        std::thread other([&] { both.responder = run(1, responder_prologue, link, by_responder); });
        both.initiator = run(0, initiator_prologue, link, by_initiator);
        other.join();
        return both;
    }
    outcomes run_both(memory_link& link) {
        verifier one, other;
        return run_both(link, one, other);
    }

    outcomes agree() {
        memory_link link;
        auto both = run_both(link);
        for (const auto* const side : {&both.initiator, &both.responder})
            if (side->failure) fail("two sides that want to do not agree: " + side->failure->told());
        return both;
    }

    bool has_identities() {
        const bool has = !agree().initiator.session->peer().public_key.empty();
        if (c.is_promised("identities")) require(has, "is promised to have identities, but peer() tells none");
        return has;
    }
};

bool contains(const_bytes all, const_bytes part) {
    return std::search(all.begin(), all.end(), part.begin(), part.end()) != all.end();
}

void require_opens(running_session& by, const std::vector<std::byte>& record, const std::vector<std::byte>& plain) {
    const auto made = by.open(record);
    if (made.failure)
        fail("a record of " + std::to_string(plain.size()) + " bytes is not opened: " + made.failure->told());
    require(made.plain == plain, "a record of " + std::to_string(plain.size()) + " bytes is opened to something else");
}

void require_refused(running_session& by, const std::vector<std::byte>& record, const std::string& what) {
    const auto made = by.open(record);
    require(made.failure.has_value(), "open() takes " + what);
    require(made.failure->code == errc::integrity,
            "for " + what + " " + made.failure->told() + "; it should be integrity");
}

// ---- Handshake ----

void both_sides_agree(context& given) {
    cipher_check c(given);
    const auto both = c.agree();
    require(both.initiator.session->overhead() == both.responder.session->overhead(), "the sides differ in overhead()");
    const auto said = both.initiator.session->describe();
    require_presentable("what describe() tells", said);
    require(said == both.responder.session->describe(), "the sides differ in describe()");
    require(both.initiator.session->key_exchange() == both.responder.session->key_exchange(),
            "the sides differ in key_exchange()");
}

void sides_learn_who_the_other_is(context& given) {
    cipher_check c(given);
    if (!c.has_identities()) skip("it has no identities");
    memory_link link;
    verifier by_initiator{"the receiver"}, by_responder{"the sender"};
    const auto both = c.run_both(link, by_initiator, by_responder);
    require(both.both(), "two sides that want to do not agree");
    const std::pair<running_session*, verifier*> sides[] = {{both.initiator.session.get(), &by_initiator},
                                                            {both.responder.session.get(), &by_responder}};
    for (const auto& [session, asked] : sides) {
        require(asked->asked == 1,
                "verify_peer() was asked " + std::to_string(asked->asked) + " times in a handshake; it has to be once");
        const auto peer = session->peer();
        require(peer.label == asked->label,
                "peer() tells the label '" + peer.label + "' where verify_peer() said '" + asked->label + "'");
        require(peer.public_key == asked->seen.public_key && peer.algorithm == asked->seen.algorithm &&
                    peer.fingerprint == asked->seen.fingerprint,
                "peer() tells another key than verify_peer() was asked about");
        require(peer.algorithm == "ssh-ed25519" || peer.algorithm == "ssh-rsa",
                "a peer's algorithm is '" + peer.algorithm + "', neither ssh-ed25519 nor ssh-rsa");
        require(peer.public_key.starts_with(peer.algorithm + " AAAA"), "a peer's key is no OpenSSH line");
        require(peer.fingerprint.starts_with("SHA256:"), "a peer's fingerprint does not begin with SHA256:");
    }
    require(by_initiator.seen.fingerprint != by_responder.seen.fingerprint,
            "both sides are told the same peer, though they have different keys");
}

void reads_nothing_beyond_the_handshake(context& given) {
    cipher_check c(given);
    memory_link link;
    require(c.run_both(link).both(), "two sides that want to do not agree");
    require(link.unread() == 0, "leaves a part of the handshake unread");

    // The initiator may send right behind its last word: what follows must not be taken for the handshake's.
    memory_link eager;
    stream_end here{eager, 0}, there{eager, 1};
    verifier one, other;
    auto initiating = std::async(std::launch::async, [&] {
        auto made = c.begin(0, "p", here, one);
        if (!made.session) fail(made.failure->told());
        eager.write(0, as_bytes("early data"));
        if (const auto failure = made.session->finish_handshake(here)) fail(failure->told());
    });
    auto made = c.begin(1, "p", there, other);
    if (!made.session) fail(made.failure->told());
    if (const auto failure = made.session->finish_handshake(there)) fail(failure->told());
    initiating.get();
    require(eager.unread() == 10, "reads beyond the last byte of the handshake, or not up to it");
}

void an_instance_serves_many_handshakes_at_once(context& given) {
    cipher_check c(given);
    at_once(8, [&](std::size_t) {
        const auto both = c.agree();
        const auto plain = noise(1000);
        require_opens(*both.responder.session, both.initiator.session->seal(plain), plain);
    });
}

void both_sides_must_have_said_the_same_before(context& given) {
    cipher_check c(given);
    c.require_protection();
    memory_link link;
    verifier one, other;
    require(!c.run_both(link, one, other, "one thing", "another").both(),
            "the sides agree though they were given different prologues");
}

void who_is_not_welcome_is_told_why(context& given) {
    cipher_check c(given);
    if (!c.has_identities()) skip("it has no identities");
    {
        memory_link link;
        verifier welcoming, refusing;
        refusing.refuses = true;
        const auto both = c.run_both(link, welcoming, refusing);
        require(both.responder.failure && both.initiator.failure,
                "a handshake succeeds though verify_peer() of the responder refused");
        require(both.responder.failure->code == errc::auth_failed,
                both.responder.failure->told() + "; it should be auth_failed");
        require(both.initiator.failure->code == errc::auth_failed,
                both.initiator.failure->told() + "; it should be auth_failed");
        require(both.initiator.failure->text.find("nobody knows this key") != std::string::npos,
                "the initiator is not told the responder's reason: " + both.initiator.failure->told());
    }
    memory_link link;
    verifier welcoming, refusing;
    refusing.refuses = true;
    const auto both = c.run_both(link, refusing, welcoming);
    require(both.initiator.failure && both.responder.failure,
            "a handshake succeeds though verify_peer() of the initiator refused");
    require(both.initiator.failure->code == errc::auth_failed,
            both.initiator.failure->told() + "; it should be auth_failed");
}

void a_peer_that_cannot_be_judged_is_told_nothing(context& given) {
    cipher_check c(given);
    if (!c.has_identities()) skip("it has no identities");
    memory_link link;
    verifier welcoming, exhausted;
    exhausted.cannot_tell = true;
    const auto both = c.run_both(link, welcoming, exhausted);
    require(both.responder.failure && both.initiator.failure,
            "a handshake succeeds although verify_peer() of the responder could not decide");
    require(both.responder.failure->code == errc::exhausted,
            both.responder.failure->told() + "; it should be exhausted");
    require(both.initiator.failure->code == errc::disconnected,
            both.initiator.failure->told() + "; it should be disconnected, for nothing was decided");
}

// Handshakes with one place damaged, at up to about `places` of each direction.
void damaged_handshakes(cipher_check& c, std::uint64_t places, std::uint64_t damage::*what, const std::string& word) {
    memory_link whole;
    require(c.run_both(whole).both(), "two sides that want to do not agree");
    for (const int side : {0, 1}) {
        const auto total = whole.written(side);
        for (std::uint64_t at = 0; at < total; at += 1 + total / places) {
            damage harm;
            harm.*what = at;
            memory_link link(side == 0 ? harm : damage{}, side == 0 ? damage{} : harm);
            require(!c.run_both(link).both(), "a handshake succeeds though byte " + std::to_string(at) + " from the " +
                                                  (side == 0 ? "initiator" : "responder") + " was " + word);
        }
    }
}

void a_handshake_that_is_cut_fails(context& given) {
    cipher_check c(given);
    damaged_handshakes(c, 20, &damage::cut_at, "the last that came");
}

void a_handshake_that_was_altered_fails(context& given) {
    cipher_check c(given);
    c.require_protection();
    damaged_handshakes(c, 40, &damage::flip_at, "altered");
}

// ---- Records ----

void records_of_any_size_pass_in_both_directions(context& given) {
    cipher_check c(given);
    const auto both = c.agree();
    auto &one = *both.initiator.session, &other = *both.responder.session;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{16}, std::size_t{17},
                                   std::size_t{65'537}, limits::max_record_bytes - one.overhead()}) {
        const auto plain = noise(size, size);
        require_opens(other, one.seal(plain), plain);
        require_opens(one, other.seal(plain), plain);
    }
}

void one_thread_seals_while_another_opens(context& given) {
    cipher_check c(given);
    const auto both = c.agree();
    auto &one = *both.initiator.session, &other = *both.responder.session;
    constexpr std::uint64_t count = 300;
    std::vector<std::vector<std::byte>> forth, back;
    for (std::uint64_t i = 0; i < count; ++i) forth.push_back(one.seal(noise(999, i)));
    auto opening = std::async(std::launch::async, [&] {
        for (std::uint64_t i = 0; i < count; ++i) require_opens(other, forth[i], noise(999, i));
    });
    for (std::uint64_t i = 0; i < count; ++i) back.push_back(other.seal(noise(500, i)));
    opening.get();
    for (std::uint64_t i = 0; i < count; ++i) require_opens(one, back[i], noise(500, i));
}

void nothing_of_the_plaintext_shows(context& given) {
    cipher_check c(given);
    c.require_protection();
    const auto both = c.agree();
    const auto plain = noise(4000);
    const auto record = both.initiator.session->seal(plain);
    for (std::size_t at = 0; at + 16 <= plain.size(); at += 16)
        require(!contains(record, const_bytes(plain).subspan(at, 16)), "a sealed record shows its plaintext");
    require(both.initiator.session->seal(plain) != record, "the same plaintext twice is the same record twice");
}

// Whether one is the other but for what their plaintexts differ in, anywhere: both were sealed with the same key
// stream.
bool share_a_key_stream(const_bytes one, const_bytes other, const_bytes one_plain, const_bytes other_plain) {
    constexpr std::size_t telling = 64;  // no chance makes so many bytes alike
    for (std::size_t at = 0; at + one_plain.size() <= std::min(one.size(), other.size()); ++at) {
        std::size_t same = 0;
        while (same < telling && (one[at + same] ^ other[at + same]) == (one_plain[same] ^ other_plain[same])) ++same;
        if (same == telling) return true;
    }
    return false;
}

void no_two_records_share_a_key_stream(context& given) {
    cipher_check c(given);
    c.require_protection();
    const auto both = c.agree(), other = c.agree();
    const std::vector<std::vector<std::byte>> plain{noise(200, 1), noise(200, 2), noise(200, 3), noise(200, 4)};
    std::vector<std::vector<std::byte>> sealed;
    for (auto* const session : {both.initiator.session.get(), both.responder.session.get(),
                                other.initiator.session.get(), both.initiator.session.get()})
        sealed.push_back(session->seal(plain[sealed.size()]));
    for (std::size_t i = 0; i < sealed.size(); ++i)
        for (std::size_t k = 0; k < i; ++k)
            require(
                !share_a_key_stream(sealed[i], sealed[k], plain[i], plain[k]),
                "two records are sealed with the same key stream, as if their nonces were the same: whoever sees both "
                "can subtract one from the other");
}

void sessions_differ(context& given) {
    cipher_check c(given);
    c.require_protection();
    const auto one = c.agree(), other = c.agree();
    const auto plain = noise(100);
    const auto record = one.initiator.session->seal(plain);
    require(other.initiator.session->seal(plain) != record, "two sessions seal the same plaintext to the same record");
    require_refused(*other.responder.session, record, "a record of another session");
}

void directions_differ(context& given) {
    cipher_check c(given);
    c.require_protection();
    const auto both = c.agree();
    require_refused(*both.initiator.session, both.initiator.session->seal(noise(100)),
                    "a record that this side has sealed itself");
}

void an_altered_record_is_refused_for_good_and_shows_nothing(context& given) {
    cipher_check c(given);
    c.require_protection();
    const auto plain = noise(64);
    for (std::size_t at = 0;; at += 5) {
        const auto both = c.agree();
        const auto right = both.initiator.session->seal(plain);
        auto record = right;
        const auto next = both.initiator.session->seal(plain);
        if (at >= record.size()) break;
        record[at] ^= std::byte{0x10};
        auto& opener = *both.responder.session;
        const auto made = opener.open(record);
        require(made.failure.has_value(), "open() takes a record whose byte " + std::to_string(at) + " was altered");
        require(made.failure->code == errc::integrity,
                "for an altered record " + made.failure->told() + "; it should be integrity");
        for (std::size_t i = 0; i + 8 <= plain.size(); i += 8)
            require(!contains(made.left, const_bytes(plain).subspan(i, 8)),
                    "open() refuses an altered record, and yet leaves its plaintext in the buffer");
        require_refused(opener, right, "a record after one that was refused, which has to be final,");
        require_refused(opener, next, "a record after one that was refused, which has to be final,");
    }
}

// The peer can still be told that the connection ends, and why; or hears nothing. In no case anything wrong.
void after_a_refused_record_the_other_direction_goes_on_or_fails(context& given) {
    cipher_check c(given);
    c.require_protection();
    const auto both = c.agree();
    auto &teller = *both.responder.session, &hearer = *both.initiator.session;
    require_opens(hearer, teller.seal(noise(64)), noise(64));
    auto record = hearer.seal(noise(64, 1));
    const auto next = hearer.seal(noise(64, 2));
    record.back() ^= std::byte{1};
    require_refused(teller, record, "an altered record");
    for (std::uint64_t i = 0; i < 3; ++i) {
        const auto answer = noise(200, 10 + i);
        const auto sealed = teller.try_seal(answer);
        if (sealed.failure) {
            note(
                "seals nothing after a record that it refused: a sender is not told that its records were damaged, "
                "only that the connection was closed");
            break;
        }
        const auto heard = hearer.open(sealed.record);
        if (heard.failure)
            fail("seal() works after a record that was refused, but the peer does not open what it sealed: " +
                 heard.failure->told() + "; it should go on, or fail");
        require(heard.plain == answer,
                "seal() works after a record that was refused, but the peer opens it to something else");
    }
    require_refused(teller, next, "a record after one that was refused, which has to be final,");
}

void a_record_of_another_length_is_refused(context& given) {
    cipher_check c(given);
    c.require_protection();
    const auto plain = noise(64);
    const auto overhead = c.agree().initiator.session->overhead();
    require(overhead > 0, "adds nothing to a record, and so cannot tell that it was altered");
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{1}, overhead - 1, overhead, overhead + 63, overhead + 65}) {
        const auto both = c.agree();
        auto record = both.initiator.session->seal(plain);
        record.resize(length);
        require_refused(*both.responder.session, record,
                        "the first " + std::to_string(length) + " bytes of a record, or a record with bytes behind it");
    }
}

void a_record_comes_once_and_in_its_turn(context& given) {
    cipher_check c(given);
    c.require_protection();
    const auto plain = noise(64);
    {
        const auto both = c.agree();
        const auto first = both.initiator.session->seal(plain);
        const auto second = both.initiator.session->seal(plain);
        require_refused(*both.responder.session, second, "a record with the one before it left out");
        require_refused(*both.responder.session, first, "a record after one that was refused, which has to be final,");
    }
    const auto both = c.agree();
    const auto first = both.initiator.session->seal(plain);
    const auto second = both.initiator.session->seal(plain);
    require_opens(*both.responder.session, first, plain);
    require_refused(*both.responder.session, first, "a record that came already");
    require_refused(*both.responder.session, second, "a record after one that was refused, which has to be final,");
}

// ---- What stays ----

void some_sessions(cipher_check& c) {
    const auto both = c.agree();
    const auto record = both.initiator.session->seal(noise(100));
    static_cast<void>(both.responder.session->open(record));
    static_cast<void>(both.responder.session->open(record));
    damage cut;
    cut.cut_at = 20;
    memory_link link(cut);
    static_cast<void>(c.run_both(link));
}

void sessions_leave_no_descriptor_thread_or_process(context& given) {
    cipher_check c(given);
    some_sessions(c);
    const leftovers before;
    for (int i = 0; i < 10; ++i) some_sessions(c);
    before.require_none("after 10 sessions");
}

void sessions_leave_no_memory(context& given) {
    cipher_check c(given);
    require_no_growth("session", [&] { some_sessions(c); });
}

constexpr std::array cipher_cases = {
    check_case{"both_sides_agree", "a handshake succeeds, and both sides tell the same of it", both_sides_agree},
    check_case{"sides_learn_who_the_other_is", "verify_peer is asked once, and peer tells the same",
               sides_learn_who_the_other_is},
    check_case{"reads_nothing_beyond_the_handshake", "records may follow at once", reads_nothing_beyond_the_handshake},
    check_case{"an_instance_serves_many_handshakes_at_once", "on eight threads",
               an_instance_serves_many_handshakes_at_once},
    check_case{"both_sides_must_have_said_the_same_before", "the prologue is part of what is proved",
               both_sides_must_have_said_the_same_before},
    check_case{"who_is_not_welcome_is_told_why", "verify_peer's reason reaches the peer",
               who_is_not_welcome_is_told_why},
    check_case{"a_peer_that_cannot_be_judged_is_told_nothing", "verify_peer lacked descriptors or memory",
               a_peer_that_cannot_be_judged_is_told_nothing},
    check_case{"a_handshake_that_is_cut_fails", "at any byte", a_handshake_that_is_cut_fails},
    check_case{"a_handshake_that_was_altered_fails", "at any byte", a_handshake_that_was_altered_fails},
    check_case{"records_of_any_size_pass_in_both_directions", "from 0 bytes to the largest record",
               records_of_any_size_pass_in_both_directions},
    check_case{"one_thread_seals_while_another_opens", "in one session", one_thread_seals_while_another_opens},
    check_case{"no_two_records_share_a_key_stream", "of one session, of its two directions, and of two sessions",
               no_two_records_share_a_key_stream},
    check_case{"nothing_of_the_plaintext_shows", "and no record comes twice for the same plaintext",
               nothing_of_the_plaintext_shows},
    check_case{"sessions_differ", "what one sealed no other opens", sessions_differ},
    check_case{"directions_differ", "a side does not open what it sealed itself", directions_differ},
    check_case{"an_altered_record_is_refused_for_good_and_shows_nothing", "at any byte",
               an_altered_record_is_refused_for_good_and_shows_nothing},
    check_case{"after_a_refused_record_the_other_direction_goes_on_or_fails",
               "what is sealed then opens, or nothing is", after_a_refused_record_the_other_direction_goes_on_or_fails},
    check_case{"a_record_of_another_length_is_refused", "cut, or with bytes behind it",
               a_record_of_another_length_is_refused},
    check_case{"a_record_comes_once_and_in_its_turn", "none is left out, and none comes again",
               a_record_comes_once_and_in_its_turn},
    check_case{"sessions_leave_no_descriptor_thread_or_process", "whether they ended well or not",
               sessions_leave_no_descriptor_thread_or_process},
    check_case{"sessions_leave_no_memory", "the heap does not grow with each", sessions_leave_no_memory},
};

constexpr std::array cipher_words = {
    described_word{"protects", "it encrypts and authenticates: it does not say that it is insecure"},
    described_word{"identities", "each side proves a key"},
};

}  // namespace

std::span<const check_case> cipher_suite() { return cipher_cases; }
std::span<const described_word> cipher_promises() { return cipher_words; }

}  // namespace wherry::conformance

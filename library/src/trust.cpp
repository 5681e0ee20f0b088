// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/trust.hpp"

#include <botan/hex.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <new>
#include <thread>

#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry {

namespace {

// An editor that has emptied the file fills it within this time, and a file system's clock ticks.
constexpr std::chrono::milliseconds settle_time{100};
// A check of a key waits so long for descriptors or memory, of a handshake's 20 s, and retries at this interval.
constexpr std::chrono::seconds exhausted_timeout{3};
constexpr std::chrono::milliseconds retry_interval{20};

void require_keys(const identity& peer, keyless_peers keyless) {
    if (peer.public_key.empty() && keyless == keyless_peers::refuse)
        throw error(errc::auth_failed, "the peer has shown no key");
}

// Retries `call` while descriptors or memory are lacking. Throws error(errc::exhausted) after exhausted_timeout.
template <class Call>
auto when_not_exhausted(Call&& call) {
    for (const auto end = std::chrono::steady_clock::now() + exhausted_timeout;;) {
        try {
            return call();
        } catch (const error& e) {
            if (e.code() != errc::exhausted || std::chrono::steady_clock::now() >= end) throw;
        } catch (const std::bad_alloc&) {
            if (std::chrono::steady_clock::now() >= end) throw error(errc::exhausted, "out of memory", ENOMEM);
        }
        std::this_thread::sleep_for(retry_interval);
    }
}

// Whether the errno says that a folder or its file system cannot be written.
bool says_unwritable(int code) noexcept {
    for (const int one : {EACCES, EPERM, EROFS, ENOSPC, EDQUOT, ENOTDIR, ENOLCK, ENOSYS, EOPNOTSUPP})
        if (code == one) return true;
    return false;
}

std::string lower_case(std::string_view text) {
    std::string lower(text);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return lower;
}

// "host", "[::1]" or "::1" with the port behind it; what has a port stays.
std::string with_port(const std::string& address, const std::string& port) {
    if (address.starts_with('[')) return address.ends_with(']') ? address + ":" + port : address;
    const auto colons = std::count(address.begin(), address.end(), ':');
    if (colons > 1) return "[" + address + "]:" + port;
    return colons == 1 ? address : address + ":" + port;
}

}  // namespace

std::string skipped_text(const std::filesystem::path& file, const keys::skipped_line& line) {
    return fmt::format("{} line {} is passed over: {}", printable(file.native()), line.number, printable(line.why));
}

void skipped_lines::tell(const std::filesystem::path& file, const std::vector<keys::skipped_line>& lines) {
    for (const auto& line : lines) {
        const auto text = skipped_text(file, line);
        mutex_lock lock(mutex_);
        const bool is_new = told_.insert(text).second;
        lock.unlock();
        if (is_new) tell_(text);
    }
}

std::shared_ptr<const sender_gate::reading> sender_gate::read() const {
    const auto now = std::chrono::system_clock::now();
    auto fresh = std::make_shared<reading>();
    fresh->version = keys::file_version::of(accepted_.path());
    const auto all = accepted_.read();
    skipped_.tell(accepted_.path(), all.skipped);
    for (const auto& entry : all.entries) fresh->labels.emplace(entry.key.line(), entry.comment);
    if (fresh->version != keys::file_version() && fresh->version.changed_before(now - settle_time)) {
        const mutex_lock lock(mutex_);
        last_ = fresh;
    }
    return fresh;
}

std::shared_ptr<const sender_gate::reading> sender_gate::last_reading() const {
    const mutex_lock lock(mutex_);
    return last_;
}

std::size_t sender_gate::count_keys() const { return read()->labels.size(); }

// Returns the label of the key with this line.
std::optional<std::string> sender_gate::find(const std::string& key) const {
    const auto label_in = [&](const reading& in) {
        const auto found = in.labels.find(key);
        return found == in.labels.end() ? std::nullopt : std::optional(found->second);
    };
    const auto last = last_reading();
    if (last && last->version == keys::file_version::of(accepted_.path())) return label_in(*last);
    auto label = label_in(*read());
    if (label || !last || !label_in(*last)) return label;
    std::this_thread::sleep_for(settle_time);
    return label_in(*read());
}

std::string sender_gate::verify(const identity& peer) const {
    require_keys(peer, keyless_);
    if (peer.public_key.empty()) return {};
    std::optional<std::string> label;
    try {
        label = when_not_exhausted([&] {
            const auto found = find(peer.public_key);
            if (found) return found;
            // A cipher may format the same key differently.
            const auto line = keys::parse_public_key_line(peer.public_key).key.line();
            return line == peer.public_key ? found : find(line);
        });
    } catch (const error& e) {
        tell_.cannot_check(e.what());
        // A lack of descriptors or memory says nothing about the peer.
        if (e.code() == errc::exhausted)
            throw error(errc::exhausted,
                        "the receiver lacks descriptors or memory to check keys at the moment; try again later",
                        e.system_error());
        // The file, not the key, is at fault: a delivery that is refused now may be resumed once the file is mended.
        throw error(errc::io, "the receiver cannot check keys at the moment; its owner finds the reason in its log",
                    e.system_error());
    }
    if (label) return *label;
    tell_.refused(peer);
    throw error(errc::auth_failed, fmt::format("the receiver does not accept the key {}", peer.fingerprint));
}

std::string receiver_check::verify(const identity& peer) {
    require_keys(peer, keyless_);
    peer_ = peer;
    if (peer.public_key.empty()) {
        found_ = finding::known;
        return {};
    }
    const auto all = known_.read();
    skipped_.tell(known_.path(), all.skipped);
    exchange_before_ = std::max(exchange_before_, keys::known_hosts::best_exchange(all, destination_, peer_key()));
    switch (known_.check(all, destination_, peer_key())) {
        case keys::known_hosts::verdict::known: found_ = finding::known; return destination_;
        case keys::known_hosts::verdict::unknown:
            if (accepted_ && !(*accepted_ == peer_key())) break;
            if (accepted_) {
                found_ = finding::known;
                return destination_;
            }
            if (policy_ == first_contact::remember) {
                found_ = remember() ? finding::remembered : finding::accepted;
                return destination_;
            }
            found_ = finding::unknown;
            throw error(errc::auth_failed,
                        fmt::format("the key {} of {} is not known yet", peer.fingerprint, destination_));
        case keys::known_hosts::verdict::changed: break;
    }
    found_ = finding::changed;
    throw error(errc::auth_failed, fmt::format("the key of {} is not the one that is known for it", destination_));
}

bool receiver_check::remember() {
    try {
        known_.remember(destination_, peer_key());
        return true;
    } catch (const error& e) {
        // The list could be read, so the key is unknown for sure; a home that can never be written stops nobody.
        if (!says_unwritable(e.system_error())) throw;
        why_not_remembered_ = e.what();
        return false;
    }
}

void receiver_check::note_exchange(std::optional<key_exchange> used) {
    if (!peer_ || peer_->public_key.empty()) return;
    used_ = used;
    if (exchange_before_ == key_exchange::post_quantum && used != key_exchange::post_quantum)
        news_ = exchange_news::fallen;
    if (!used || exchange_before_ >= used) return;
    // A key that could not be remembered has no line.
    const bool has_line = found_ != finding::accepted && !accepted_;
    auto written = keys::change::not_needed;
    if (has_line) try {
            written = known_.note_exchange(destination_, peer_key(), *used);
        } catch (const error& e) {
            why_exchange_not_remembered_ = e.what();
        }
    // Where the line stays as it is, this would be told each time.
    const bool is_first = found_ != finding::known || !has_line || written == keys::change::made;
    if (used == key_exchange::classical && !exchange_before_ && is_first) news_ = exchange_news::classical;
}

std::string receiver_check::fallen_warning(std::string_view agreed, std::string_view cipher_name) const {
    // Only this cipher's options and builds are known here.
    const bool is_hybrid = cipher_name == "hybrid";
    return fmt::format(
        "@@@ THE KEY EXCHANGE WITH {} IS {} @@@\n"
        "  agreed on just now:  {}\n"
        "It was post-quantum before. One of the two sides has another build or other options now{}; or someone who "
        "has\n"
        "the receiver's key answers in its place. If the key exchange is classical, whoever records this connection\n"
        "may read it once there are quantum computers for that.\n"
        "{}"
        "If it is to stay so, take the word key-exchange=post-quantum out of the receiver's line in\n"
        "  {}",
        destination_, used_ ? "NO LONGER POST-QUANTUM" : "NOT KNOWN TO BE POST-QUANTUM ANY LONGER", agreed,
        is_hybrid ? " (Botan 2, or another --hybrid.kem)" : "",
        is_hybrid ? "To send nothing in such a case, with Botan 3 on both sides: --hybrid.kem x25519-mlkem768\n" : "",
        printable(known_.path().native()));
}

std::string receiver_check::changed_warning() const {
    std::string known;
    for (const auto& key : known_.find(destination_))
        known += fmt::format("  known until now:  {}\n", key.fingerprint());
    if (accepted_) known += fmt::format("  accepted before:  {}\n", accepted_->fingerprint());
    return fmt::format(
        "@@@ THE KEY OF {} HAS CHANGED @@@\n"
        "{}"
        "  shown just now:   {}\n"
        "Either the receiver has a new key, or someone else answers in its place. Nothing was sent.\n"
        "Ask the receiver's owner for the fingerprint (wherry keys). Only if it is the new one, forget the old:\n"
        "  wherry keys --remove {}",
        destination_, known, peer_->fingerprint, shell_quoted(destination_));
}

std::string insecure_text(std::string_view cipher_name) {
    return fmt::format("the cipher {} protects nothing: everybody on the way can read and change what is sent",
                       printable(cipher_name));
}

destination_parts split_destination(std::string_view text) {
    const auto mark = text.find("://");
    const auto is_scheme_character = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    };
    if (mark == text.npos || mark == 0 ||
        !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(mark), is_scheme_character))
        return {{}, std::string(text)};
    return {std::string(text.substr(0, mark)), std::string(text.substr(mark + 3))};
}

namespace {

// A device's name may have blanks, which part the words of known_hosts: as in a URI (RFC 3986, section 2.1).
std::string without_blanks(std::string_view text) {
    constexpr bool lower_case = false;
    std::string plain;
    for (const char c : text) {
        const auto code = static_cast<unsigned char>(c);
        if (code > 0x20 && code != 0x7F && c != '%')
            plain += c;
        else
            plain += '%' + Botan::hex_encode(&code, 1, lower_case);
    }
    return plain;
}

}  // namespace

std::string canonical_destination(std::string_view scheme, std::string_view address,
                                  const std::optional<std::string>& default_port) {
    auto lower = lower_case(address);
    // Of an IPv6 address "%25eth0" is what "%eth0" is; digits alone are an interface's number.
    const auto mark = lower.find("%25");
    if (default_port && mark != lower.npos && lower.find(':') < mark &&
        lower.find_first_not_of("0123456789]:", mark + 1) != lower.npos)
        lower.replace(mark, 3, "%");
    return std::string(scheme) + "://" + (default_port ? with_port(lower, *default_port) : without_blanks(lower));
}

std::string authorize_command(const std::string& public_key, std::string_view comment) {
    return fmt::format("wherry authorize {}",
                       shell_quoted(comment.empty() ? public_key : fmt::format("{} {}", public_key, comment)));
}

std::string shell_quoted(std::string_view text) {
    std::string quoted = "'";
    for (const char c : text) {
        if (c == '\'')
            quoted += "'\\''";
        else
            quoted += c;
    }
    return quoted + "'";
}

}  // namespace wherry

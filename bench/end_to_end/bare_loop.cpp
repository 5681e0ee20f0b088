// SPDX-License-Identifier: BSD-2-Clause
// What a transfer cannot do without, and nothing else: the measure for wherry in bench/report.
//
//     bare_loop receive [--plain] [--record BYTES] FILE     prints a port of 127.0.0.1, takes one connection into FILE
//     bare_loop send [--plain] [--record BYTES] PORT FILE   sends FILE, and ends when the other side has written it
//     bare_loop echo                                        prints a port, sends back what one connection brings
//     bare_loop ping PORT BYTES COUNT                       so many bytes there and back, one after the other; prints
//                                                           the microseconds of each, a line each
//     bare_loop ciphers                                     prints what it can seal with, or nothing
//
// Sending is read, seal (AES-256-GCM), write to a socket; receiving is read, open, write to a file. One thread a side,
// no handshake, no frames, no names. With --plain nothing is sealed, which is a bare TCP copy. The key is the same for
// everyone: it shows what sealing costs, and protects nothing.
//
// Build with -DWHERRY_BENCH_HAS_OPENSSL=0 to go without OpenSSL; then there is only --plain.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "wherry/unique_fd.hpp"

#if WHERRY_BENCH_HAS_OPENSSL
#include <openssl/evp.h>
#endif

namespace {

using bytes = std::span<unsigned char>;
using wherry::uninterrupted;
using wherry::unique_fd;

constexpr std::size_t tag_bytes = 16;
constexpr std::size_t default_record_bytes = std::size_t{256} << 10;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// ---- Sealing ----

#if WHERRY_BENCH_HAS_OPENSSL
enum class way { seal, open };

// The records of one direction, in place; the nonce counts them.
class aes_256_gcm {
public:
    explicit aes_256_gcm(way which) : way_(which), context_(EVP_CIPHER_CTX_new()) {
        static const unsigned char key[32] = {'f', 'o', 'r', ' ', 'm', 'e', 'a', 's', 'u', 'r', 'i', 'n', 'g'};
        require(context_ && EVP_CipherInit_ex(context_.get(), EVP_aes_256_gcm(), nullptr, key, nullptr, direction()));
    }

    // `record` is plaintext and then room for the tag.
    void seal(bytes record) {
        const auto plain = record.first(record.size() - tag_bytes);
        run(plain);
        finish();
        require(control(EVP_CTRL_AEAD_GET_TAG, record.last(tag_bytes)));
    }

    // Returns the plaintext. Throws if the tag is wrong.
    bytes open(bytes record) {
        if (record.size() < tag_bytes) throw std::runtime_error("a record is too short");
        const auto plain = record.first(record.size() - tag_bytes);
        run(plain);
        require(control(EVP_CTRL_AEAD_SET_TAG, record.last(tag_bytes)));
        finish();
        return plain;
    }

private:
    int direction() const { return way_ == way::seal ? 1 : 0; }
    static void require(bool done) {
        if (!done) throw std::runtime_error("OpenSSL failed, or a record is not what was sealed");
    }
    void run(bytes plain) {
        unsigned char nonce[12] = {};
        std::memcpy(nonce, &counter_, sizeof counter_);
        ++counter_;
        int done = 0;
        require(EVP_CipherInit_ex(context_.get(), nullptr, nullptr, nullptr, nonce, direction()));
        require(EVP_CipherUpdate(context_.get(), plain.data(), &done, plain.data(), static_cast<int>(plain.size())));
    }
    void finish() {
        unsigned char nothing[tag_bytes];
        int done = 0;
        require(EVP_CipherFinal_ex(context_.get(), nothing, &done));
    }
    bool control(int what, bytes tag) {
        return EVP_CIPHER_CTX_ctrl(context_.get(), what, static_cast<int>(tag.size()), tag.data()) == 1;
    }

    struct deleter {
        void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
    };
    const way way_;
    std::unique_ptr<EVP_CIPHER_CTX, deleter> context_;
    std::uint64_t counter_ = 0;
};
#endif

// ---- Reading and writing ----

// Fills `into`, or less at the end; returns how much.
std::size_t read_up_to(int fd, bytes into) {
    std::size_t have = 0;
    while (have < into.size()) {
        const auto got = uninterrupted([&] { return ::read(fd, into.data() + have, into.size() - have); });
        if (got < 0) fail("reading");
        if (got == 0) break;
        have += static_cast<std::size_t>(got);
    }
    return have;
}

void write_all(int fd, std::span<const unsigned char> from) {
    while (!from.empty()) {
        const auto written = uninterrupted([&] { return ::write(fd, from.data(), from.size()); });
        if (written < 0) fail("writing");
        from = from.subspan(static_cast<std::size_t>(written));
    }
}

unique_fd open_file(const char* path, int flags) {
    unique_fd file(::open(path, flags | O_CLOEXEC, 0600));
    if (!file.is_open()) fail(path);
    return file;
}

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = htons(port);
    return name;
}

unique_fd new_socket() {
    unique_fd made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!made.is_open()) fail("no socket");
    return made;
}

void send_at_once(int socket) {
    const int on = 1;
    if (::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("TCP_NODELAY");
}

// Prints the port that it listens at, and returns the first connection.
unique_fd accept_one() {
    const auto door = new_socket();
    auto name = loopback(0);
    socklen_t size = sizeof name;
    if (::bind(door.get(), reinterpret_cast<sockaddr*>(&name), size) != 0 || ::listen(door.get(), 1) != 0 ||
        ::getsockname(door.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0)
        fail("listening");
    std::printf("%u\n", unsigned{ntohs(name.sin_port)});
    std::fflush(stdout);
    unique_fd peer(uninterrupted([&] { return ::accept4(door.get(), nullptr, nullptr, SOCK_CLOEXEC); }));
    if (!peer.is_open()) fail("accepting");
    send_at_once(peer.get());
    return peer;
}

unique_fd connect_to(const char* port) {
    auto link = new_socket();
    const auto name = loopback(static_cast<std::uint16_t>(std::stoul(port)));
    if (::connect(link.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) fail("connecting");
    send_at_once(link.get());
    return link;
}

// ---- What it does ----

struct options {
    bool is_sealed = true;
    std::size_t record_bytes = default_record_bytes;
};

void receive(const char* path, const options& how) {
    const auto link = accept_one();
    const auto file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
    std::vector<unsigned char> record(how.record_bytes + tag_bytes);
    if (!how.is_sealed) {
        while (const auto got = read_up_to(link.get(), bytes(record).first(how.record_bytes)))
            write_all(file.get(), bytes(record).first(got));
    } else {
#if WHERRY_BENCH_HAS_OPENSSL
        aes_256_gcm records(way::open);
        while (const auto got = read_up_to(link.get(), record))
            write_all(file.get(), records.open(bytes(record).first(got)));
#endif
    }
    const unsigned char done[] = {1};
    write_all(link.get(), done);
}

void send(const char* port, const char* path, const options& how) {
    const auto link = connect_to(port);
    const auto file = open_file(path, O_RDONLY);
    std::vector<unsigned char> record(how.record_bytes + tag_bytes);
    const auto plain = bytes(record).first(how.record_bytes);
    if (!how.is_sealed) {
        while (const auto got = read_up_to(file.get(), plain)) write_all(link.get(), plain.first(got));
    } else {
#if WHERRY_BENCH_HAS_OPENSSL
        aes_256_gcm records(way::seal);
        while (const auto got = read_up_to(file.get(), plain)) {
            const auto sealed = bytes(record).first(got + tag_bytes);
            records.seal(sealed);
            write_all(link.get(), sealed);
        }
#endif
    }
    if (::shutdown(link.get(), SHUT_WR) != 0) fail("ending");
    unsigned char done[1];
    if (read_up_to(link.get(), done) != 1) throw std::runtime_error("the receiver did not answer");
}

void echo() {
    const auto link = accept_one();
    std::vector<unsigned char> buffer(default_record_bytes);
    for (;;) {
        const auto got = uninterrupted([&] { return ::read(link.get(), buffer.data(), buffer.size()); });
        if (got < 0) fail("reading");
        if (got == 0) return;
        write_all(link.get(), bytes(buffer).first(static_cast<std::size_t>(got)));
    }
}

void ping(const char* port, std::size_t size, std::size_t count) {
    const auto link = connect_to(port);
    std::vector<unsigned char> message(size, 'm');
    for (std::size_t i = 0; i < count; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        write_all(link.get(), message);
        if (read_up_to(link.get(), message) != size) throw std::runtime_error("the echo ended");
        const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
        std::printf("%.2f\n", took.count());
    }
}

int usage() {
    std::fprintf(stderr,
                 "usage: bare_loop receive [--plain] [--record BYTES] FILE | send [--plain] [--record BYTES] PORT FILE"
                 " | echo | ping PORT BYTES COUNT | ciphers\n");
    return 2;
}

int run(std::vector<const char*> words) {
    if (words.empty()) return usage();
    const std::string_view command = words.front();
    words.erase(words.begin());
    options how;
    while (!words.empty() && std::string_view(words.front()).starts_with("--")) {
        const std::string_view option = words.front();
        words.erase(words.begin());
        if (option == "--plain") {
            how.is_sealed = false;
        } else if (option == "--record" && !words.empty()) {
            how.record_bytes = std::stoul(words.front());
            words.erase(words.begin());
        } else {
            return usage();
        }
    }
    if (how.record_bytes == 0) return usage();
    if (!WHERRY_BENCH_HAS_OPENSSL && how.is_sealed && (command == "receive" || command == "send"))
        throw std::runtime_error("it was built without OpenSSL, and can only do --plain");

    if (command == "receive" && words.size() == 1)
        receive(words[0], how);
    else if (command == "send" && words.size() == 2)
        send(words[0], words[1], how);
    else if (command == "echo" && words.empty())
        echo();
    else if (command == "ping" && words.size() == 3)
        ping(words[0], std::stoul(words[1]), std::stoul(words[2]));
    else if (command == "ciphers" && words.empty())
        std::printf("%s", WHERRY_BENCH_HAS_OPENSSL ? "aes-256-gcm\n" : "");
    else
        return usage();
    return 0;
}

}  // namespace

int main(int argc, char** argv) try { return run({argv + 1, argv + argc}); } catch (const std::exception& e) {
    std::fprintf(stderr, "bare_loop: %s\n", e.what());
    return 1;
}

// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <botan/bigint.h>
#include <botan/hex.h>
#include <botan/system_rng.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "as_user.hpp"
#include "encoding.hpp"
#include "error_of.hpp"
#include "temporary_folder.hpp"
#include "test_data.hpp"
#include "wherry/keys/authorized_keys.hpp"
#include "wherry/keys/private_key.hpp"
#include "wherry/keys/public_key.hpp"
#include "wherry/unique_fd.hpp"

namespace {

// What the next fchmod() calls make of every mode, as on a file system that keeps none; nothing: what was asked for.
std::optional<mode_t> mode_of_all_files;
int fchmod_failure = 0;

}  // namespace

// In the place of the C library's.
extern "C" int fchmod(int descriptor, mode_t mode) noexcept {
    const auto result = ::syscall(SYS_fchmod, descriptor, mode_of_all_files.value_or(mode));
    if (fchmod_failure == 0) return static_cast<int>(result);
    errno = fchmod_failure;
    return -1;
}

namespace wherry::keys {
namespace {

using test::error_of;
using test::test_data;
using ::testing::HasSubstr;

auto& rng() { return Botan::system_rng(); }

private_key test_key(const std::string& name) { return private_key::from_pem(test_data("keys/" + name), name, {}); }

public_key_line test_line(const std::string& name) { return parse_public_key_text(test_data("keys/" + name)); }

constexpr bool lower_case = false;

secret_text secret(std::string_view text) { return {text.begin(), text.end()}; }

std::string first_line(std::string text) { return text.substr(0, text.find('\n')); }

unsigned mode_of(const std::filesystem::path& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

std::string output_of(const std::string& command) {
    std::string output;
    auto* pipe = ::popen((command + " 2>/dev/null").c_str(), "r");
    char buffer[256];
    while (pipe && std::fgets(buffer, sizeof buffer, pipe)) output += buffer;
    if (pipe) ::pclose(pipe);
    return output;
}

// ---- Public keys ----

TEST(public_key, has_the_fingerprint_that_ssh_keygen_gave) {
    std::istringstream rows(test_data("keys/fingerprints.txt"));
    std::string name, fingerprint;
    int count = 0;
    for (; rows >> name >> fingerprint; ++count) EXPECT_EQ(test_line(name).key.fingerprint(), fingerprint) << name;
    EXPECT_EQ(count, 6);
}

TEST(public_key, has_the_fingerprint_that_ssh_keygen_shows_now) {
    if (output_of("command -v ssh-keygen").empty()) GTEST_SKIP() << "there is no ssh-keygen here";
    const test::temporary_folder folder;
    for (const auto type : {key_type::ed25519, key_type::rsa}) {
        const auto key = private_key::generate(type).public_part();
        const auto file = folder / (std::string(to_string(type)) + ".pub");
        write_public_key_file(file, key, "somebody@somewhere");
        EXPECT_THAT(output_of("ssh-keygen -lf " + file.string()), HasSubstr(" " + key.fingerprint() + " somebody@"));
    }
}

TEST(public_key, encodes_again_to_the_same_line) {
    for (const auto* name : {"ed25519-a.pub", "rsa3072-a.pub", "rsa4096.pub"}) {
        const auto line = first_line(test_data("keys/" + std::string(name)));
        const auto parsed = parse_public_key_line(line);
        EXPECT_EQ(parsed.key.line(parsed.comment), line);
        EXPECT_EQ(public_key::from_blob(parsed.key.blob()), parsed.key);
    }
    EXPECT_EQ(test_line("rsa4096.pub").comment, "rsa 4096 with blanks");
    EXPECT_EQ(test_line("rsa4096.pub").key.bits(), 4096u);
    EXPECT_EQ(test_line("ed25519-no-comment.pub").comment, "");
}

TEST(public_key, tells_its_identity) {
    const auto [key, comment] = test_line("ed25519-a.pub");
    const auto identity = key.identity("label");
    EXPECT_EQ(identity.algorithm, "ssh-ed25519");
    EXPECT_EQ(identity.public_key + " " + comment, first_line(test_data("keys/ed25519-a.pub")));
    EXPECT_EQ(identity.fingerprint, key.fingerprint());
    EXPECT_EQ(identity.label, "label");
}

TEST(public_key, refuses_every_truncation_and_flipped_byte_or_stays_canonical) {
    for (const auto* name : {"ed25519-a.pub", "rsa3072-a.pub"}) {
        const auto original = test_line(name).key;
        const std::vector<std::byte> blob(original.blob().begin(), original.blob().end());
        for (std::size_t length = 0; length < blob.size(); ++length)
            EXPECT_EQ(error_of([&] { public_key::from_blob(const_bytes(blob).first(length)); }).code(),
                      errc::bad_input);
        for (std::size_t at = 0; at < blob.size(); ++at) {
            auto damaged = blob;
            damaged[at] ^= std::byte{0x80};
            try {
                const auto key = public_key::from_blob(damaged);
                EXPECT_TRUE(std::equal(key.blob().begin(), key.blob().end(), damaged.begin(), damaged.end())) << at;
                EXPECT_FALSE(key == original);
            } catch (const error& e) {
                EXPECT_EQ(e.code(), errc::bad_input);
            }
        }
        auto longer = blob;
        longer.push_back(std::byte{0});
        EXPECT_EQ(error_of([&] { public_key::from_blob(longer); }).code(), errc::bad_input);
    }
}

std::string why_not(const std::string& line) {
    return error_of([&] { parse_public_key_line(line); }).what();
}

TEST(public_key, words_of_a_line_are_parted_by_blanks_and_tabs) {
    const auto key = test_line("ed25519-a.pub").key;
    const auto encoded = key.line().substr(key.line().find(' ') + 1);
    for (const std::string gap : {" ", "  ", "\t", " \t\t "}) {
        EXPECT_EQ(parse_public_key_line("ssh-ed25519" + gap + encoded).key, key) << gap;
        EXPECT_EQ(parse_public_key_line("ssh-ed25519" + gap + encoded + gap).comment, "") << gap;
        const auto named = parse_public_key_line("ssh-ed25519" + gap + encoded + gap + "two  blanks");
        EXPECT_EQ(named.key, key) << gap;
        EXPECT_EQ(named.comment, "two  blanks") << "a comment stays as it is";
        EXPECT_EQ(parse_public_key_line("ssh-ed25519" + gap + encoded + gap + "a\ttab").comment, "a tab");
    }
}

TEST(public_key, refuses_lines_that_are_not_canonical) {
    const auto line = test_line("ed25519-a.pub").key.line();
    EXPECT_THAT(why_not(""), HasSubstr("begins with ssh-ed25519 or ssh-rsa"));
    EXPECT_THAT(why_not(" " + line), HasSubstr("no line with a public key"));
    EXPECT_THAT(why_not(line + " blank at the end "), HasSubstr("begins or ends with a blank"));
    EXPECT_THAT(why_not(line + "\xc2\xa0" + "comment"), HasSubstr("base64"));
    EXPECT_THAT(why_not(line + " bell\ahere"), HasSubstr("control character"));
    EXPECT_THAT(why_not(line + "\n"), HasSubstr("base64"));
    EXPECT_THAT(why_not(line + "= comment"), HasSubstr("base64"));
    EXPECT_THAT(why_not(line.substr(0, line.size() - 1)), HasSubstr("base64"));
    EXPECT_THAT(why_not("ssh-rsa" + line.substr(line.find(' '))), HasSubstr("type"));
    EXPECT_THAT(why_not("command=\"x\" " + line), HasSubstr("options before the key"));
    EXPECT_THAT(why_not(line + " " + std::string(max_comment_bytes + 1, 'c')), HasSubstr("longer than 255"));
    EXPECT_THAT(why_not("ssh-rsa " + std::string(100'000, 'A')), HasSubstr("too long"));
}

TEST(public_key, refuses_bits_that_base64_would_drop) {
    // 51 bytes end in a group of three, so a blob of another length is needed: the unused bits of its last character.
    const auto line = test_line("rsa3072-a.pub").key.line();
    ASSERT_EQ(line.back(), '=');
    auto changed = line;
    auto& last = changed[changed.find_last_not_of('=')];
    ++last;
    EXPECT_THAT(why_not(changed), HasSubstr("base64"));
}

TEST(public_key, refuses_weak_keys) {
    EXPECT_THAT(error_of([] { test_line("rsa2048.pub"); }).what(), HasSubstr("2048 bits, fewer than 3072"));
    EXPECT_THAT(error_of([] { test_line("rsa3072-exponent3.pub"); }).what(), HasSubstr("exponent"));
    EXPECT_THAT(error_of([] { test_line("ecdsa.pub"); }).what(), HasSubstr("ssh-ed25519 or ssh-rsa"));
}

const Botan::BigInt usual_exponent = 65537;

std::string why_not_rsa(const Botan::BigInt& e, const Botan::BigInt& n) {
    return error_of([&] { public_key::from_blob(rsa_blob(e, n)); }).what();
}

TEST(public_key, refuses_rsa_numbers_out_of_bounds) {
    const auto power = [](std::size_t exponent) { return Botan::BigInt::power_of_2(exponent); };
    const auto odd = [&](std::size_t bits) { return power(bits - 1) + 1; };
    EXPECT_NO_THROW(public_key::from_blob(rsa_blob(usual_exponent, odd(3072))));
    EXPECT_NO_THROW(public_key::from_blob(rsa_blob(usual_exponent, odd(16384))));
    EXPECT_THAT(why_not_rsa(usual_exponent, odd(3071)), HasSubstr("3071 bits"));
    EXPECT_THAT(why_not_rsa(usual_exponent, odd(16385)), HasSubstr("more than 16384"));
    EXPECT_THAT(why_not_rsa(usual_exponent, power(3071)), HasSubstr("even"));
    EXPECT_THAT(why_not_rsa(65536, odd(3072)), HasSubstr("exponent"));
    EXPECT_THAT(why_not_rsa(1, odd(3072)), HasSubstr("exponent"));
    EXPECT_THAT(why_not_rsa(power(32) + 1, odd(3072)), HasSubstr("exponent"));
    EXPECT_THAT(why_not_rsa(odd(3072), odd(3072)), HasSubstr("exponent"));
}

TEST(public_key, refuses_rsa_numbers_with_needless_zeros) {
    byte_writer blob;
    const auto key = test_line("rsa3072-a.pub").key;
    byte_reader in(key.blob(), "key");
    blob.sized<std::uint32_t>(in.sized<std::uint32_t>(99));
    const std::vector<std::byte> e{std::byte{0}, std::byte{1}, std::byte{0}, std::byte{1}};
    in.sized<std::uint32_t>(99);
    blob.sized<std::uint32_t>(e).bytes(in.rest());
    EXPECT_THAT(error_of([&] { public_key::from_blob(blob.view()); }).what(), HasSubstr("canonical"));
}

std::string why_not_point(std::initializer_list<std::pair<std::size_t, int>> bytes, int fill) {
    std::vector<std::byte> point(32, static_cast<std::byte>(fill));
    for (const auto& [at, value] : bytes) point[at] = static_cast<std::byte>(value);
    return error_of([&] { public_key::from_blob(ed25519_blob(point)); }).what();
}

TEST(public_key, refuses_points_that_are_not_canonical_or_of_small_order) {
    EXPECT_THAT(why_not_point({{0, 0xed}, {31, 0x7f}}, 0xff), HasSubstr("canonical"));  // y = p
    EXPECT_THAT(why_not_point({}, 0xff), HasSubstr("canonical"));
    EXPECT_THAT(why_not_point({}, 0), HasSubstr("small order"));
    EXPECT_THAT(why_not_point({{31, 0x80}}, 0), HasSubstr("small order"));
    EXPECT_THAT(why_not_point({{0, 1}}, 0), HasSubstr("small order"));
    EXPECT_THAT(why_not_point({{0, 0xec}, {31, 0x7f}}, 0xff), HasSubstr("small order"));  // y = -1
}

TEST(public_key, is_not_taken_from_a_private_key_file) {
    const auto failure = error_of([] { read_public_key_file(test::test_data_path("keys/ed25519-a.pem")); });
    EXPECT_THAT(failure.what(), HasSubstr("private key, which is never given away"));
}

TEST(public_key, of_another_format_says_how_to_convert_it) {
    for (const auto* text :
         {"-----BEGIN PUBLIC KEY-----\nMCow\n", "---- BEGIN SSH2 PUBLIC KEY ----\nComment: x\nAAAA\n"})
        EXPECT_THAT(error_of([&] { parse_public_key_text(text); }).what(), HasSubstr("ssh-keygen -i -f FILE"));
}

TEST(public_key, comes_through_a_pipe) {
    const auto text = test::test_data("keys/ed25519-a.pub");
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const unique_fd reading(ends[0]);
    std::thread writer([&, writing = unique_fd(ends[1])] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));  // a reader that does not wait finds nothing
        EXPECT_EQ(::write(writing.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    });
    const auto read = read_public_key_file("/dev/fd/" + std::to_string(reading.get()));
    writer.join();
    EXPECT_EQ(read.key, parse_public_key_text(text).key);
    const test::temporary_folder folder;
    const auto named = folder / "pipe.pub";
    ASSERT_EQ(::mkfifo(named.c_str(), 0600), 0);
    const unique_fd silent(::open(named.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_THAT(error_of([&] { read_public_key_file(named); }).what(), HasSubstr("is not a regular file"));
}

TEST(public_key, file_holds_exactly_one) {
    const auto line = test_line("ed25519-a.pub").key.line();
    EXPECT_EQ(parse_public_key_text("# remark\n\n  " + line + " c \r\n").comment, "c");
    EXPECT_EQ(parse_public_key_text("\xef\xbb\xbf" + line + "\r\n").key.line(), line);
    EXPECT_THAT(error_of([&] { parse_public_key_text(line + "\n" + line); }).what(), HasSubstr("more than one"));
    EXPECT_THAT(error_of([] { parse_public_key_text("# nothing\n"); }).what(), HasSubstr("no public key"));
    EXPECT_THAT(error_of([] { read_public_key_file("/nowhere/key.pub"); }).what(), HasSubstr("does not exist"));
}

// ---- Signatures and encryption ----

TEST(signature, verifies_only_for_its_message_and_key) {
    for (const auto* type : {"ed25519", "rsa3072"}) {
        const auto key = test_key(type + std::string("-a.pem"));
        const auto other = test_key(type + std::string("-b.pem"));
        const auto signature = key.sign(as_bytes("message"), rng());
        EXPECT_EQ(signature.size(), key.public_part().signature_bytes());
        EXPECT_TRUE(key.public_part().verify(as_bytes("message"), signature));
        EXPECT_FALSE(key.public_part().verify(as_bytes("massage"), signature));
        EXPECT_FALSE(key.public_part().verify(as_bytes(""), signature));
        EXPECT_FALSE(other.public_part().verify(as_bytes("message"), signature));
    }
}

TEST(signature, with_any_flipped_bit_or_another_length_fails) {
    for (const auto* name : {"ed25519-a.pem", "rsa3072-a.pem"}) {
        const auto key = test_key(name);
        auto signature = key.sign(as_bytes("message"), rng());
        for (std::size_t at = 0; at < signature.size(); ++at) {
            signature[at] ^= std::byte{0x10};
            EXPECT_FALSE(key.public_part().verify(as_bytes("message"), signature)) << at;
            signature[at] ^= std::byte{0x10};
        }
        signature.push_back(std::byte{0});
        EXPECT_FALSE(key.public_part().verify(as_bytes("message"), signature));
        EXPECT_FALSE(key.public_part().verify(as_bytes("message"), {}));
    }
}

TEST(signature, of_ed25519_is_the_one_of_rfc_8032) {
    // Section 7.1, test 2, its secret key as PKCS#8.
    const auto key = private_key::from_pem(
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
        "-----END PRIVATE KEY-----\n",
        "rfc8032", {});
    EXPECT_EQ(Botan::hex_encode(octets(key.public_part().blob().last(32)), 32, lower_case),
              "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    const auto signature = key.sign(as_bytes("r"), rng());
    EXPECT_EQ(Botan::hex_encode(octets(signature), signature.size(), lower_case),
              "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
              "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(oaep, opens_what_was_sealed_and_answers_at_random_otherwise) {
    const auto key = test_key("rsa3072-a.pem");
    const std::string text(32, 's');
    auto sealed = key.public_part().oaep_encrypt(as_bytes(text), rng());
    const auto opened = key.oaep_decrypt(sealed, text.size(), rng());
    EXPECT_EQ(as_text(std::as_bytes(std::span(opened))), text);

    const auto expect_random = [&](const_bytes ciphertext, std::size_t expected) {
        const auto first = key.oaep_decrypt(ciphertext, expected, rng());
        EXPECT_EQ(first.size(), expected);
        EXPECT_NE(first, opened);
        EXPECT_NE(first, key.oaep_decrypt(ciphertext, expected, rng()));
    };
    expect_random(sealed, 31);
    expect_random(const_bytes(sealed).first(100), 32);
    expect_random({}, 32);
    expect_random(std::vector<std::byte>(384, std::byte{0xff}), 32);  // above the modulus
    sealed[200] ^= std::byte{1};
    expect_random(sealed, 32);
}

// ---- Private keys ----

TEST(private_key, comes_back_from_its_file) {
    const test::temporary_folder folder;
    for (const auto* name : {"ed25519-a.pem", "rsa3072-a.pem"}) {
        const auto key = test_key(name);
        const auto file = folder / "new" / "folder" / name;
        key.save(file);
        EXPECT_EQ(mode_of(file), 0600u);
        EXPECT_EQ(mode_of(folder / "new"), 0700u);
        EXPECT_EQ(private_key::load(file, {}).public_part(), key.public_part());
    }
}

TEST(private_key, generates_what_was_asked_for) {
    EXPECT_EQ(private_key::generate(key_type::ed25519).public_part().type(), key_type::ed25519);
    EXPECT_EQ(private_key::generate(key_type::rsa).public_part().bits(), 3072u);
    EXPECT_THAT(error_of([] { private_key::generate(key_type::rsa, 2048); }).what(), HasSubstr("3072 to 16384"));
    EXPECT_EQ(error_of([] { private_key::generate(key_type::rsa, 16385); }).code(), errc::bad_input);
}

TEST(private_key, with_a_passphrase_asks_for_it) {
    const test::temporary_folder folder;
    const auto key = test_key("ed25519-b.pem");
    key.save(folder / "identity", secret("ferry"));
    int asked = 0;
    const auto answering = [&](std::string_view text) {
        return [&asked, text](const std::filesystem::path& file) {
            EXPECT_EQ(file.filename(), "identity");
            ++asked;
            return secret(text);
        };
    };
    EXPECT_EQ(private_key::load(folder / "identity", answering("ferry")).public_part(), key.public_part());
    EXPECT_EQ(asked, 1);
    EXPECT_THAT(error_of([&] { private_key::load(folder / "identity", answering("wrong")); }).what(),
                HasSubstr("the passphrase is wrong"));
    EXPECT_THAT(error_of([&] { private_key::load(folder / "identity", answering("")); }).what(),
                HasSubstr("the passphrase is wrong"));
    EXPECT_EQ(error_of([&] { private_key::load(folder / "identity", {}); }).code(), errc::unsupported);
}

TEST(private_key, without_a_passphrase_does_not_ask) {
    const auto never = [](const std::filesystem::path&) -> secret_text { throw error(errc::internal, "asked"); };
    EXPECT_NO_THROW(private_key::from_pem(test_data("keys/ed25519-a.pem"), "a", never));
}

TEST(private_key, that_openssl_encrypted_opens) {
    for (const auto* name : {"ed25519-a-encrypted.pem", "ed25519-a-scrypt.pem"}) {
        const auto key = private_key::from_pem(test_data("keys/" + std::string(name)), name,
                                               [](const auto&) { return secret("ferry"); });
        EXPECT_EQ(key.public_part(), test_line("ed25519-a.pub").key);
    }
}

TEST(private_key, opens_in_openssl) {
    if (output_of("command -v openssl").empty()) GTEST_SKIP() << "there is no openssl here";
    const test::temporary_folder folder;
    for (const auto* name : {"ed25519-a.pem", "rsa3072-a.pem"}) {
        test_key(name).save(folder / name, secret("ferry"));
        EXPECT_THAT(output_of("openssl pkey -pubout -passin pass:ferry -in " + (folder / name).string()),
                    HasSubstr("BEGIN PUBLIC KEY"));
    }
}

TEST(private_key, is_not_overwritten_unless_told) {
    const test::temporary_folder folder;
    const auto file = folder / "identity";
    test_key("ed25519-a.pem").save(file);
    const auto failure = error_of([&] { test_key("ed25519-b.pem").save(file); });
    EXPECT_EQ(failure.code(), errc::bad_input);
    EXPECT_THAT(failure.what(), HasSubstr("exists already"));
    EXPECT_EQ(private_key::load(file, {}).public_part(), test_line("ed25519-a.pub").key);
    test_key("ed25519-b.pem").save(file, {}, if_exists::replace);
    EXPECT_EQ(private_key::load(file, {}).public_part(), test_line("ed25519-b.pub").key);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);  // nothing left over
}

TEST(private_key, tells_its_public_half_whatever_its_public_file_says) {
    const test::temporary_folder folder;
    const auto file = folder / "identity", public_file = folder / "identity.pub";
    const auto key = test_key("ed25519-a.pem"), other = test_key("ed25519-b.pem");
    key.save(file);
    EXPECT_EQ(read_own_public_key(file, {}).key, key.public_part());
    write_public_key_file(public_file, key.public_part(), "lab");
    EXPECT_EQ(read_own_public_key(file, {}).comment, "lab");
    write_public_key_file(public_file, other.public_part(), "other");
    EXPECT_EQ(read_own_public_key(file, {}).key, key.public_part());
    EXPECT_EQ(read_own_public_key(file, {}).comment, "");
    std::ofstream(public_file) << "nonsense";
    EXPECT_EQ(read_own_public_key(file, {}).key, key.public_part());
    std::filesystem::remove(file);
    EXPECT_EQ(error_of([&] { read_own_public_key(file, {}); }).system_error(), ENOENT);
}

TEST(private_key, with_a_passphrase_asks_for_it_only_where_the_public_file_is_missing) {
    const test::temporary_folder folder;
    const auto file = folder / "identity", public_file = folder / "identity.pub";
    const auto key = test_key("ed25519-a.pem");
    const std::string_view phrase = "open sesame";
    key.save(file, {phrase.begin(), phrase.end()});
    write_public_key_file(public_file, key.public_part(), "lab");
    int asked = 0;
    const auto ask = [&](const auto&) {
        ++asked;
        return secret_text(phrase.begin(), phrase.end());
    };
    EXPECT_EQ(read_own_public_key(file, ask).comment, "lab");
    EXPECT_EQ(asked, 0);
    std::filesystem::remove(public_file);
    EXPECT_EQ(read_own_public_key(file, ask).key, key.public_part());
    EXPECT_EQ(asked, 1);
    EXPECT_EQ(error_of([&] { read_own_public_key(file, {}); }).code(), errc::unsupported);
}

TEST(private_key, is_not_saved_where_others_could_read_it) {
    const test::temporary_folder folder;
    const auto file = folder / "identity";
    const auto key = test_key("ed25519-a.pem");
    for (const int failure : {0, EPERM, ENOSYS}) {
        mode_of_all_files = 0755;  // FAT
        fchmod_failure = failure;
        const auto refused = error_of([&] { key.save(file); });
        mode_of_all_files = 0700;  // FAT with umask=077
        EXPECT_NO_THROW(key.save(file));
        EXPECT_NO_THROW(private_key::load(file, {}));
        mode_of_all_files.reset();
        fchmod_failure = 0;
        EXPECT_EQ(refused.code(), errc::bad_input);
        EXPECT_THAT(refused.what(), HasSubstr("keeps no modes"));
        EXPECT_THAT(refused.what(), HasSubstr("private key"));
        EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
        std::filesystem::remove(file);
    }
    mode_of_all_files = 0777;
    const auto refused = error_of([&] { authorized_keys(folder / "authorized_keys").add(key.public_part()); });
    write_public_key_file(folder / "identity.pub", key.public_part(), "lab");
    mode_of_all_files.reset();
    EXPECT_THAT(refused.what(), HasSubstr("keeps no modes"));
    EXPECT_EQ(read_public_key_file(folder / "identity.pub").comment, "lab");
}

TEST(private_key, that_others_can_read_is_refused) {
    const test::temporary_folder folder;
    const auto file = folder / "identity";
    test_key("ed25519-a.pem").save(file);
    for (const auto mode : {0640u, 0604u, 0620u, 0610u, 0777u}) {
        ASSERT_EQ(::chmod(file.c_str(), mode), 0);
        const auto failure = error_of([&] { private_key::load(file, {}); });
        EXPECT_EQ(failure.code(), errc::bad_input);
        EXPECT_THAT(failure.what(), HasSubstr("chmod 600 " + file.string()));
    }
    ASSERT_EQ(::chmod(file.c_str(), 0400), 0);
    EXPECT_NO_THROW(private_key::load(file, {}));
}

void write(const std::filesystem::path& file, std::string_view text) {
    std::ofstream(file, std::ios::binary) << text;
    ::chmod(file.c_str(), 0600);
}

TEST(private_key, of_root_may_be_read_through_its_group) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
    constexpr uid_t user = 65534, other = 1234;
    const test::temporary_folder folder;
    const auto file = folder / "identity";
    test_key("ed25519-a.pem").save(file);
    ::chmod(folder.path().c_str(), 0755);
    const auto give = [&](uid_t owner, mode_t mode) {
        EXPECT_EQ(::chown(file.c_str(), owner, user), 0);
        EXPECT_EQ(::chmod(file.c_str(), mode), 0);
    };
    for (const mode_t mode : {0640u, 0440u, 0644u}) {
        give(0, mode);
        test::as_user(user, [&] { EXPECT_NO_THROW(private_key::load(file, {})); });
        EXPECT_THAT(error_of([&] { private_key::load(file, {}); }).what(), HasSubstr("chmod 600"))
            << "it is root's own";
    }
    give(user, 0640);
    test::as_user(user,
                  [&] { EXPECT_THAT(error_of([&] { private_key::load(file, {}); }).what(), HasSubstr("chmod 600")); });
    EXPECT_THAT(error_of([&] { private_key::load(file, {}); }).what(), HasSubstr("chmod 600"));
    give(other, 0640);
    test::as_user(user, [&] {
        EXPECT_THAT(error_of([&] { private_key::load(file, {}); }).what(), HasSubstr("belongs to another user"));
    });
}

TEST(private_key, file_must_hold_one) {
    const test::temporary_folder folder;
    const auto file = folder / "identity";
    const auto why = [&] { return std::string(error_of([&] { private_key::load(file, {}); }).what()); };
    EXPECT_THAT(why(), HasSubstr("no private key at " + file.string() + "; make one with: wherry keygen"));
    write(file, "");
    EXPECT_THAT(why(), HasSubstr("not a private key in PKCS#8 PEM"));
    write(file, test_data("keys/openssh-format"));
    EXPECT_THAT(why(), HasSubstr("OpenSSH's own format"));
    write(file, std::string(65 * 1024, 'x'));
    EXPECT_THAT(why(), HasSubstr("larger than 65536 bytes"));
    const auto pem = test_data("keys/ed25519-a.pem");
    write(file, pem.substr(0, pem.size() / 2));
    EXPECT_THAT(why(), HasSubstr("damaged"));
    std::filesystem::remove(file);
    std::filesystem::create_directory(file);
    EXPECT_THAT(why(), HasSubstr("not a regular file"));
    std::filesystem::remove(file);
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
    EXPECT_THAT(why(), HasSubstr("not a regular file"));  // and does not wait for a writer
}

TEST(private_key, that_is_weak_or_of_another_kind_is_refused) {
    EXPECT_THAT(error_of([] { test_key("rsa2048.pem"); }).what(), HasSubstr("2048 bits"));
    EXPECT_THAT(error_of([] { test_key("rsa3072-exponent3.pem"); }).what(), HasSubstr("exponent"));
    EXPECT_THAT(error_of([] { test_key("ecdsa.pem"); }).what(), HasSubstr("use Ed25519 or RSA"));
}

TEST(key_type, has_a_word) {
    EXPECT_EQ(parse_key_type("ed25519"), key_type::ed25519);
    EXPECT_EQ(parse_key_type(to_string(key_type::rsa)), key_type::rsa);
    EXPECT_EQ(error_of([] { parse_key_type("dsa"); }).code(), errc::bad_input);
}

}  // namespace
}  // namespace wherry::keys

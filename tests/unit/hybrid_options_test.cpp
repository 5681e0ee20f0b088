// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <string>

#include "error_of.hpp"
#include "hybrid_pair.hpp"
#include "temporary_folder.hpp"
#include "wherry/keys/paths.hpp"

namespace wherry::hybrid {
namespace {

using test::error_of;
using ::testing::HasSubstr;

// A host with a folder of its own, and somebody at the terminal who knows one passphrase.
class hybrid_options : public ::testing::Test {
protected:
    hybrid_cipher make() { return hybrid_cipher(options_, host_services(host_)); }
    std::string why_not() {
        return error_of([&] { make(); }).what();
    }

    void save_identity(std::string_view passphrase = {}) const {
        test::test_identity(keys::key_type::ed25519)
            .save(keys::identity_path(home_), {passphrase.begin(), passphrase.end()}, keys::if_exists::replace);
    }

    static wherry_status ask(void* context, const char* prompt, char* buffer, std::size_t capacity, std::size_t* length,
                             wherry_error*) {
        auto& self = *static_cast<hybrid_options*>(context);
        self.prompt_ = prompt;
        *length = std::min(capacity, self.passphrase_.size());
        std::memcpy(buffer, self.passphrase_.data(), *length);
        return WHERRY_OK;
    }

    const test::temporary_folder folder_;
    const std::string home_ = folder_.path().string();
    std::string passphrase_ = "ferry", prompt_;
    const wherry_host host_{
        sizeof(wherry_host), this, home_.c_str(), [](void*, std::int32_t, const char*) {}, ask, nullptr, nullptr};
    settings options_;
};

TEST_F(hybrid_options, without_an_identity_say_how_to_make_one) {
    EXPECT_EQ(why_not(), "no identity at " + home_ + "/identity; make one with: wherry keygen");
    options_.set("identity", "/nowhere/key");
    EXPECT_EQ(why_not(), "no identity at /nowhere/key; make one with: wherry keygen");
}

TEST_F(hybrid_options, find_the_identity_at_home_or_where_told) {
    save_identity();
    EXPECT_FALSE(make().is_insecure());
    std::filesystem::rename(keys::identity_path(home_), folder_ / "other");
    options_.set("identity", (folder_ / "other").string());
    EXPECT_NO_THROW(make());
    EXPECT_EQ(prompt_, "");
}

TEST_F(hybrid_options, ask_for_the_passphrase) {
    save_identity("ferry");
    EXPECT_NO_THROW(make());
    EXPECT_THAT(prompt_, HasSubstr(home_ + "/identity"));
    passphrase_ = "wrong";
    EXPECT_THAT(why_not(), HasSubstr("the passphrase is wrong"));
}

TEST_F(hybrid_options, refuse_an_identity_that_others_can_read) {
    save_identity();
    ::chmod(keys::identity_path(home_).c_str(), 0644);
    EXPECT_THAT(why_not(), HasSubstr("chmod 600"));
}

TEST_F(hybrid_options, choose_what_is_offered) {
    save_identity();
    options_.set("kem", "x25519");
    options_.set("aead", "chacha20-poly1305");
    auto initiating = make();
    test::memory_link link;
    test::side_result responder;
    const test::side_setup setup;
    std::thread other([&] { responder = run_side(role::responder, setup, link.responder); });
    const auto session = initiating.handshake(role::initiator, as_bytes(setup.prologue), *link.initiator, setup.verify);
    other.join();
    EXPECT_EQ(session->describe(), "x25519, chacha20-poly1305");
    EXPECT_EQ(responder.session->describe(), "x25519, chacha20-poly1305");
}

TEST_F(hybrid_options, that_make_no_sense_are_refused) {
    save_identity();
    options_.set("kem", "x25519,kyber");
    EXPECT_THAT(why_not(), HasSubstr("there is no key exchange 'kyber'"));
}

}  // namespace
}  // namespace wherry::hybrid

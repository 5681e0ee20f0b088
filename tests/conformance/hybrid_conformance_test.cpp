#include <fstream>

#include "cipher_suite.hpp"
#include "temporary_folder.hpp"
#include "test_data.hpp"

namespace wherry::conformance {
namespace {

std::unique_ptr<cipher> with_key(const std::string& key, option_values values) {
    const test::temporary_folder home;
    const auto path = home / "identity";
    std::ofstream(path) << test::test_data("keys/" + key + ".pem");
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    values["identity"] = path.string();
    return load_plugin(plugin_kind::cipher, "hybrid")->make_cipher(values);
}

cipher_subject subject(const std::string& name, const std::string& keys, const option_values& values) {
    return {name, [=] { return std::pair{with_key(keys + "-a", values), with_key(keys + "-b", values)}; }, true};
}

const auto subjects = testing::Values(subject("ed25519_aes", "ed25519", {{"aead", "aes-256-gcm"}}),
                                      subject("ed25519_chacha", "ed25519", {{"aead", "chacha20-poly1305"}}),
                                      subject("rsa_oaep", "rsa3072", {{"kem", "rsa-oaep-sha256"}}));

INSTANTIATE_TEST_SUITE_P(hybrid, cipher_conformance, subjects);
INSTANTIATE_TEST_SUITE_P(hybrid, cipher_protection, subjects);

}  // namespace
}  // namespace wherry::conformance

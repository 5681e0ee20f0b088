// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace wherry::test {

inline std::filesystem::path test_data_path(const std::string& name) {
    return std::filesystem::path(WHERRY_TEST_DATA_DIRECTORY) / name;
}

// All of a file in tests/data.
inline std::string test_data(const std::string& name) {
    std::ifstream in(test_data_path(name), std::ios::binary);
    if (!in) throw std::runtime_error("cannot read tests/data/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace wherry::test

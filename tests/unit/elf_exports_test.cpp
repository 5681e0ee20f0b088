// SPDX-License-Identifier: BSD-2-Clause
#include "elf_exports.hpp"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "error_of.hpp"
#include "temporary_folder.hpp"
#include "wherry/plugin.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;
using names = std::set<std::string>;

const fs::path fixtures = WHERRY_TEST_FIXTURE_DIRECTORY;
constexpr const char* prefix = WHERRY_PLUGIN_SYMBOL_PREFIX;

std::string content_of(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

class elf_exports_of : public testing::Test {
protected:
    // What is exported by a file with this content.
    std::optional<names> exports(const std::string& content) const {
        const auto file = folder_ / "it.so";
        fs::remove(file);  // a file that is cut to nothing and written again is written to the disk at once
        std::ofstream(file, std::ios::binary) << content;
        return elf_exports(file, prefix);
    }

    // The plain plugin's bytes, with its header changed.
    static std::string with_header(void (*change)(Elf64_Ehdr&)) {
        auto content = content_of(fixtures / "plain/sink-plain.so");
        Elf64_Ehdr header;
        std::memcpy(&header, content.data(), sizeof header);
        change(header);
        std::memcpy(content.data(), &header, sizeof header);
        return content;
    }

    const test::temporary_folder folder_;
};

TEST_F(elf_exports_of, a_plugin_names_its_descriptor) {
    EXPECT_EQ(elf_exports(fixtures / "plain/sink-plain.so", prefix), names{"wherry_plugin_v1"});
    EXPECT_EQ(elf_exports(fixtures / "other-abi/sink-bad.so", prefix), names{"wherry_plugin_v2"});
}

TEST_F(elf_exports_of, stripping_takes_nothing_away) {
    EXPECT_EQ(elf_exports(fixtures / "stripped/sink-plain.so", prefix), names{"wherry_plugin_v1"});
}

TEST_F(elf_exports_of, hidden_and_imported_names_do_not_count) {
    const auto file = fixtures / "no-descriptor/sink-bad.so";
    ASSERT_NE(content_of(file).find("wherry_plugin_v9"), std::string::npos) << "it is there, as an import";
    EXPECT_EQ(elf_exports(file, prefix), names{});
    EXPECT_EQ(elf_exports(file, "something_"), names{"something_else"});
}

TEST_F(elf_exports_of, the_prefix_selects) {
    const auto file = fixtures / "plain/sink-plain.so";
    EXPECT_EQ(elf_exports(file, "wherry_plugin_v1"), names{"wherry_plugin_v1"});
    EXPECT_EQ(elf_exports(file, "wherry_plugin_v1x"), names{});
    EXPECT_TRUE(elf_exports(file, "")->contains("wherry_plugin_v1"));
}

TEST_F(elf_exports_of, what_is_no_elf_file_gives_nothing) {
    EXPECT_EQ(exports(""), std::nullopt);
    EXPECT_EQ(exports("#!/bin/sh\necho wherry_plugin_v1\n"), std::nullopt);
    EXPECT_EQ(exports("\x7f"
                      "ELF"),
              std::nullopt);
    EXPECT_EQ(exports("!<arch>\n"), std::nullopt) << "a static library";
    EXPECT_EQ(exports(std::string(100'000, '\0')), std::nullopt);
    EXPECT_EQ(elf_exports(folder_.path(), prefix), std::nullopt) << "a folder";
}

TEST_F(elf_exports_of, objects_and_other_machines_give_nothing) {
    ASSERT_EQ(exports(with_header([](Elf64_Ehdr&) {})), names{"wherry_plugin_v1"}) << "unchanged";
    EXPECT_EQ(exports(with_header([](Elf64_Ehdr& h) { h.e_type = ET_REL; })), std::nullopt);
    EXPECT_EQ(exports(with_header([](Elf64_Ehdr& h) { h.e_type = ET_EXEC; })), std::nullopt);
    EXPECT_EQ(exports(with_header([](Elf64_Ehdr& h) { h.e_type = ET_CORE; })), std::nullopt);
    EXPECT_EQ(exports(with_header([](Elf64_Ehdr& h) { h.e_machine = EM_SPARC; })), std::nullopt);
    EXPECT_EQ(exports(with_header([](Elf64_Ehdr& h) {
                  h.e_ident[EI_CLASS] = h.e_ident[EI_CLASS] == ELFCLASS64 ? ELFCLASS32 : ELFCLASS64;
              })),
              std::nullopt);
}

TEST_F(elf_exports_of, without_section_headers_nothing_is_found) {
    const auto found = exports(with_header([](Elf64_Ehdr& h) { h.e_shoff = 0, h.e_shnum = 0, h.e_shstrndx = 0; }));
    EXPECT_EQ(found, names{});
}

TEST_F(elf_exports_of, a_file_that_cannot_be_read_is_an_error) {
    const auto thrown = test::error_of([&] { elf_exports(folder_ / "absent.so", prefix); });
    EXPECT_EQ(thrown.code(), errc::io);
    EXPECT_EQ(thrown.system_error(), ENOENT);
    EXPECT_EQ(thrown.what(), "cannot read " + (folder_ / "absent.so").string() + ": No such file or directory");
}

// A cut file must not be read beyond its end, nor become another plugin.
TEST_F(elf_exports_of, a_file_that_is_cut_anywhere_does_no_harm) {
    const auto whole = content_of(fixtures / "stripped/sink-plain.so");
    const auto step = std::max<std::size_t>(whole.size() / 400, 1);
    for (std::size_t length = 0; length < whole.size(); length += length < 256 ? 1 : step) {
        const auto found = exports(whole.substr(0, length));
        EXPECT_TRUE(!found || found->empty() || *found == names{"wherry_plugin_v1"}) << length;
    }
}

TEST_F(elf_exports_of, a_damaged_file_does_no_harm) {
    const auto whole = content_of(fixtures / "stripped/sink-plain.so");
    Elf64_Ehdr header;
    std::memcpy(&header, whole.data(), sizeof header);
    std::minstd_rand random(20);
    for (int round = 0; round < 3000; ++round) {
        auto damaged = whole;
        const auto changes = 1 + random() % 8;
        for (unsigned i = 0; i < changes; ++i) {
            // Where lengths and offsets are: the header and the sections' headers.
            const auto sections = static_cast<std::size_t>(header.e_shnum) * header.e_shentsize;
            const auto at = random() % 3 == 0 ? random() % sizeof header : header.e_shoff + random() % sections;
            damaged[std::min<std::size_t>(at, damaged.size() - 1)] =
                static_cast<char>(random() % 4 == 0 ? 0xFF : random() >> 8);
        }
        try {
            exports(damaged);
        } catch (const error&) {
        }
    }
}

}  // namespace
}  // namespace wherry

// SPDX-License-Identifier: BSD-2-Clause
#include "elf_exports.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <libelf.h>
#include <link.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "wherry/error.hpp"

// Boost.DLL's library_info would do this, but as of 1.74 it reads .symtab, which a stripped plugin has not, and trusts
// the sizes in the file, which a damaged one makes it regret.

// This very program tells what the machine is: its own ELF header, in memory, which the linker names.
extern "C" __attribute__((visibility("hidden"))) const ElfW(Ehdr) __ehdr_start;

namespace wherry {

namespace {

struct elf_closer {
    void operator()(Elf* elf) const noexcept { elf_end(elf); }
};

struct descriptor {
    explicit descriptor(int number) noexcept : number(number) {}
    ~descriptor() { ::close(number); }
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    const int number;
};

bool is_shared_object_of_this_machine(Elf* elf) noexcept {
    GElf_Ehdr header;
    if (elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, &header) == nullptr || header.e_type != ET_DYN) return false;
    return header.e_machine == __ehdr_start.e_machine && header.e_ident[EI_CLASS] == __ehdr_start.e_ident[EI_CLASS];
}

}  // namespace

std::optional<std::set<std::string>> elf_exports(const std::filesystem::path& file, std::string_view prefix) {
    const descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (opened.number < 0)
        throw error(errc::io, fmt::format("cannot read {}: {}", file.string(), std::strerror(errno)), errno);
    elf_version(EV_CURRENT);
    const std::unique_ptr<Elf, elf_closer> elf(elf_begin(opened.number, ELF_C_READ, nullptr));
    if (!elf || !is_shared_object_of_this_machine(elf.get())) return std::nullopt;

    std::set<std::string> names;
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr;) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == nullptr || header.sh_type != SHT_DYNSYM) continue;
        Elf_Data* const data = elf_getdata(section, nullptr);
        GElf_Sym symbol;
        for (int i = 0; data != nullptr && gelf_getsym(data, i, &symbol) != nullptr; ++i) {
            const bool is_exported = symbol.st_shndx != SHN_UNDEF && GELF_ST_BIND(symbol.st_info) != STB_LOCAL;
            const char* const name = is_exported ? elf_strptr(elf.get(), header.sh_link, symbol.st_name) : nullptr;
            if (name != nullptr && std::string_view(name).starts_with(prefix)) names.insert(name);
        }
    }
    return names;
}

}  // namespace wherry

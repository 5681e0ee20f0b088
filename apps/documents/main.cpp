// SPDX-License-Identifier: BSD-2-Clause
// write-documents FOLDER DATE PLUGINS writes the manual pages and the completion scripts of shells into FOLDER. The
// pages bear DATE and describe the plugins of the folder PLUGINS.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "completion_scripts.hpp"
#include "manual.hpp"
#include "syntax.hpp"
#include "wherry/error.hpp"
#include "wherry/plugin_host.hpp"

namespace wherry::app {

namespace {

namespace fs = std::filesystem;

void write_file(const fs::path& file, std::string_view text) {
    std::error_code problem;
    fs::create_directories(file.parent_path(), problem);
    if (problem)
        throw error(errc::io, "cannot make " + file.parent_path().string() + ": " + problem.message(), problem.value());
    errno = 0;
    std::ofstream output(file, std::ios::binary | std::ios::trunc);
    output << text;
    output.close();
    if (!output) throw error(errc::io, "cannot write " + file.string() + ": " + std::strerror(errno), errno);
}

// The files of a folder in another one, which is ours alone: who builds with a umask that lets a group write must not
// be told by the build that nothing is loaded from there.
class private_copy {
public:
    explicit private_copy(const fs::path& source) {
        auto name = (fs::temp_directory_path() / "wherry-docs.XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw error(errc::io, "cannot make " + name + ": " + std::strerror(errno), errno);
        folder_ = name;
        for (const auto& entry : fs::directory_iterator(source)) {
            fs::copy_file(entry.path(), folder_ / entry.path().filename());
            fs::permissions(folder_ / entry.path().filename(), fs::perms::owner_all);
        }
    }
    ~private_copy() {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }
    private_copy(const private_copy&) = delete;

    const fs::path& folder() const noexcept { return folder_; }

private:
    fs::path folder_;
};

void write_documents(const fs::path& folder, const std::string& date, const fs::path& plugin_folder) {
    const private_copy copied(plugin_folder);
    const auto plugins = plugin_host({copied.folder()}, {}).list();
    for (const auto& listing : plugins)
        if (!listing.loaded) throw error(errc::unsupported, listing.problem);
    for (const auto& [name, text] : manual_pages(all_syntax(), plugins, "wherry " WHERRY_VERSION, date))
        write_file(folder / "man" / (std::string("man") + name.back()) / name, text);
    write_file(folder / "bash-completion" / "completions" / "wherry", bash_completion);
    write_file(folder / "zsh" / "site-functions" / "_wherry", zsh_completion);
    write_file(folder / "fish" / "vendor_completions.d" / "wherry.fish", fish_completion);
}

}  // namespace

}  // namespace wherry::app

int main(int argc, char** argv) {
    if (argc != 4) {
        std::cerr << "usage: write-documents FOLDER DATE PLUGINS\n";
        return 2;
    }
    try {
        wherry::app::write_documents(argv[1], argv[2], argv[3]);
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "write-documents: " << e.what() << '\n';
        return 1;
    }
}

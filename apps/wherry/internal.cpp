#include "internal.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "completion.hpp"
#include "manual.hpp"
#include "syntax.hpp"
#include "wherry/error.hpp"
#include "wherry/home.hpp"
#include "wherry/keys/known_hosts.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

namespace fs = std::filesystem;

// What is wrong with the machine or the files is for the command itself to say, not in the middle of somebody's typing.
std::vector<plugin_listing> plugins_of(std::span<const std::string> plugin_dirs) {
    try {
        return plugin_host(default_search_path(plugin_dirs), {}).list();
    } catch (const std::exception&) {
        return {};
    }
}

std::vector<std::string> receivers_of(const std::optional<std::string>& home) {
    std::vector<std::string> addresses;
    try {
        for (const auto& entry : keys::known_hosts(keys::known_hosts_path(find_home(home))).read().entries)
            if (entry.address == printable(entry.address)) addresses.push_back(entry.address);
    } catch (const std::exception&) {
        addresses.clear();
    }
    return addresses;
}

void write_file(const fs::path& file, std::string_view text) {
    std::error_code problem;
    fs::create_directories(file.parent_path(), problem);
    if (problem)
        throw error(errc::io, fmt::format("cannot make {}: {}", file.parent_path().string(), problem.message()),
                    problem.value());
    errno = 0;
    std::ofstream to(file, std::ios::binary | std::ios::trunc);
    to << text;
    to.close();
    if (!to) throw error(errc::io, fmt::format("cannot write {}: {}", file.string(), std::strerror(errno)), errno);
}

// The files of a folder in another one, which is ours alone: who builds with a umask that lets a group write must not
// be told by the build that nothing is loaded from there.
class private_copy {
public:
    explicit private_copy(const fs::path& from) {
        auto name = (fs::temp_directory_path() / "wherry-docs.XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw error(errc::io, fmt::format("cannot make {}: {}", name, std::strerror(errno)), errno);
        folder_ = name;
        for (const auto& entry : fs::directory_iterator(from)) {
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

void write_documents(const fs::path& folder, const std::string& date, const fs::path& plugin_folder,
                     std::span<const command_syntax* const> commands, const std::string& release) {
    const private_copy copied(plugin_folder);
    const auto plugins = plugin_host({copied.folder()}, {}).list();
    for (const auto& listing : plugins)
        if (!listing.loaded) throw error(errc::unsupported, listing.problem);
    for (const auto& [name, text] : manual_pages(commands, plugins, release, date))
        write_file(folder / "man" / (std::string("man") + name.back()) / name, text);
    write_file(folder / "bash-completion" / "completions" / "wherry", completion_script("bash"));
    write_file(folder / "zsh" / "site-functions" / "_wherry", completion_script("zsh"));
    write_file(folder / "fish" / "vendor_completions.d" / "wherry.fish", completion_script("fish"));
}

}  // namespace

std::optional<exit_code> run_internal(const std::vector<std::string>& words, console& terminal) {
    if (words.empty()) return std::nullopt;
    const auto arguments = std::span(words).subspan(1);
    if (words[0] == "internal-complete") {
        terminal.result(to_lines(complete(all_syntax(), arguments, {plugins_of, receivers_of})));
        return exit_code::delivered;
    }
    if (words[0] == "internal-docs") {
        if (arguments.size() != 3) throw error(errc::bad_input, "usage: wherry internal-docs FOLDER DATE PLUGINS");
        write_documents(arguments[0], arguments[1], arguments[2], all_syntax(), "wherry " WHERRY_VERSION);
        return exit_code::delivered;
    }
    return std::nullopt;
}

}  // namespace wherry::app

// SPDX-License-Identifier: BSD-2-Clause
#include "chat_history.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "wherry/error.hpp"
#include "wherry/file_format.hpp"
#include "wherry/text.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::app {

namespace {

constexpr std::size_t most_bytes = std::size_t{4} << 20;

// Before the format. Versions that know no formats take that line for one of the history; as a command that does not
// exist it is never sent as a message.
constexpr char format_mark = '/';

[[noreturn]] void fail_writing(const std::filesystem::path& file, int number) {
    throw error(errc::io, fmt::format("the history {} cannot be written", in_quotes(file.native())), number);
}

// Removes a file that was not finished.
class temporary_file {
public:
    explicit temporary_file(std::string path) : path_(std::move(path)) {}
    ~temporary_file() {
        if (!path_.empty()) ::unlink(path_.c_str());
    }
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;
    void keep() noexcept { path_.clear(); }

private:
    std::string path_;
};

}  // namespace

std::vector<std::string> read_chat_history(const std::filesystem::path& file) {
    const unique_fd input(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!input.is_open()) {
        if (errno == ENOENT) return {};
        throw error(errc::io, fmt::format("the history {} cannot be opened", in_quotes(file.native())), errno);
    }
    struct stat status {};
    if (::fstat(input.get(), &status) != 0)
        throw error(errc::io, fmt::format("the history {} cannot be read", in_quotes(file.native())), errno);
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0)
        throw error(errc::bad_input,
                    fmt::format("the history {} is not a file that only you can read and change; chmod 600 it, or "
                                "remove it",
                                in_quotes(file.native())));
    std::string content;
    char piece[65536];
    for (;;) {
        const auto got = ::read(input.get(), piece, sizeof piece);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            throw error(errc::io, fmt::format("the history {} cannot be read", in_quotes(file.native())), errno);
        if (got == 0) break;
        content.append(piece, static_cast<std::size_t>(got));
        if (content.size() > most_bytes)
            throw error(errc::bad_input,
                        fmt::format("the history {} is too long; remove it", in_quotes(file.native())));
    }
    std::vector<std::string> lines;
    for (std::string_view rest = content; !rest.empty();) {
        const auto end = std::min(rest.find('\n'), rest.size());
        if (end > 0) lines.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (!lines.empty() && lines.front().front() == format_mark) {
        const auto first = std::string_view(lines.front()).substr(1);
        if (const auto other = unknown_format(first))
            throw error(
                errc::unsupported,
                fmt::format("the history {} was written by a newer wherry, in format {}; chat with that one, or "
                            "remove the file",
                            in_quotes(file.native()), printable(*other)));
        if (first == format_line) lines.erase(lines.begin());
    }
    if (lines.size() > chat_history_lines)
        lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(chat_history_lines));
    return lines;
}

void add_chat_history(const std::filesystem::path& file, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    // Read anew: another chat may have ended meanwhile.
    auto all = read_chat_history(file);
    all.insert(all.end(), lines.begin(), lines.end());
    auto content = fmt::format("{}{}\n", format_mark, format_line);
    std::size_t first = all.size() > chat_history_lines ? all.size() - chat_history_lines : 0;
    std::size_t bytes = content.size();
    for (auto i = first; i < all.size(); ++i) bytes += all[i].size() + 1;
    for (; bytes > most_bytes; ++first) bytes -= all[first].size() + 1;
    for (auto i = first; i < all.size(); ++i) content += all[i] + "\n";

    std::filesystem::create_directories(file.parent_path());
    auto path = file.native() + ".XXXXXX";
    const unique_fd output(::mkostemp(path.data(), O_CLOEXEC));  // mode 0600
    if (!output.is_open()) fail_writing(file, errno);
    temporary_file unfinished(path);
    for (std::string_view rest = content; !rest.empty();) {
        const auto written = ::write(output.get(), rest.data(), rest.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail_writing(file, errno);
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::rename(path.c_str(), file.c_str()) != 0) fail_writing(file, errno);
    unfinished.keep();
}

}  // namespace wherry::app

// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "application.hpp"
#include "wherry/keys/authorized_keys.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

namespace fs = std::filesystem;

// The first bytes of every key are the length of its type, which is "AAAA" in base64. No sensible name of a file has
// that behind a blank.
bool is_key_line(const std::string& argument) {
    const bool has_blank = argument.find_first_of(" \t") != argument.npos;
    // A line that was damaged in copying shall be told as one.
    return argument.find(" AAAA") != argument.npos || argument.find("\tAAAA") != argument.npos ||
           (has_blank && (argument.starts_with("ssh-") || argument.starts_with("ecdsa-")));
}

// One after the other, so that one bad file does not keep the good ones out.
class authorizing {
public:
    explicit authorizing(application& app) : app_(app), accepted_(keys::authorized_keys_path(app.home())) {}

    void argument(const std::string& given) {
        if (is_key_line(given)) return one("the line", [&] { return keys::parse_public_key_text(given); });
        std::error_code none;
        if (!fs::is_directory(given, none))
            return one(in_quotes(given), [&] { return keys::read_public_key_file(given); });
        std::vector<fs::path> files;
        std::error_code failure;
        for (fs::directory_iterator entry(given, failure), end; !failure && entry != end; entry.increment(failure))
            if (entry->path().extension() == ".pub") files.push_back(entry->path());
        if (failure)
            return fail(in_quotes(given), error(errc::io, fmt::format("it cannot be read: {}", failure.message())));
        if (files.empty()) return fail(in_quotes(given), error(errc::bad_input, "it has no *.pub in it"));
        std::sort(files.begin(), files.end());
        for (const auto& file : files) one(in_quotes(file.native()), [&] { return keys::read_public_key_file(file); });
    }

    exit_code outcome() const { return outcome_; }

private:
    template <class Read>
    void one(const std::string& what, Read read) {
        try {
            const auto line = read();
            tell(line, accepted_.add(line.key, line.comment));
        } catch (const error& e) {
            fail(what, e);
        }
    }

    void tell(const keys::public_key_line& line, keys::change change) {
        const bool is_new = change == keys::change::made;
        const auto fingerprint = line.key.fingerprint();
        if (app_.style == output::json) {
            json fields;
            fields["fingerprint"] = fingerprint;
            fields["comment"] = as_utf8(line.comment);
            fields["public_key"] = line.key.line();
            fields["added"] = is_new;
            app_.events.write("authorized", fields);
        } else if (app_.style == output::lines) {
            const auto comment = line.comment.empty() ? "" : " " + printable(line.comment);
            app_.terminal.result(is_new ? fmt::format("authorized {}{}", fingerprint, comment)
                                        : fmt::format("authorized already: {}{}", fingerprint, comment));
        }
    }

    void fail(const std::string& what, const error& e) {
        app_.log->error("{} is not authorized: {}", what, printable(e.what()));
        if (app_.style == output::json) {
            json fields;
            fields["status"] = to_string(e.code());
            fields["error"] = as_utf8(what + ": " + e.what());
            app_.events.write("error", fields);
        }
        if (outcome_ == exit_code::delivered) outcome_ = exit_code_for(e.code(), side::here);
    }

    application& app_;
    const keys::authorized_keys accepted_;
    exit_code outcome_ = exit_code::delivered;
};

exit_code run(application& app) {
    const auto options = app.read_options({});
    if (options.arguments().empty())
        throw error(errc::bad_input,
                    "whom to authorize is not said; give a public key's file or line, or a folder with *.pub files");
    authorizing job(app);
    for (const auto& one : options.arguments()) job.argument(one.value);
    return job.outcome();
}

}  // namespace

const command& authorize_command_entry() {
    static const command described = {authorize_syntax(), run};
    return described;
}

}  // namespace wherry::app

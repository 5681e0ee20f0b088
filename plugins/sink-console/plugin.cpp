// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "wherry/sdk.hpp"
#include "wherry/text.hpp"

namespace {

using namespace wherry;

enum class files_policy { refuse, announce };

struct options {
    files_policy files;
    std::uint64_t max_size;
};

options read(const settings& given) {
    return {given.text("files") == "announce" ? files_policy::announce : files_policy::refuse, given.bytes("max-size")};
}

// "laptop (SHA256:...)", "SHA256:...", or the address where there is no key.
std::string describe(const offering_peer& peer) {
    if (peer.who.fingerprint.empty()) return printable(peer.address);
    if (peer.who.label.empty()) return peer.who.fingerprint;
    return fmt::format("{} ({})", printable(peer.who.label), peer.who.fingerprint);
}

std::string describe(const offer& what) {
    if (what.name.empty()) return std::string(to_string(what.kind));
    return fmt::format("{} {}", to_string(what.kind), printable(what.name));
}

// The lines of `text`, each fit for a terminal and set in, so that none can be taken for one that the program says.
std::string set_in(std::string_view text) {
    std::string shown;
    while (!text.empty()) {
        const auto end = text.find('\n');
        auto line = text.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        shown += "\n    " + printable(line);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
    return shown;
}

// Text, which is shown once all of it is there.
class text_delivery final : public delivery {
public:
    text_delivery(const offer& what, const offering_peer& peer, std::uint64_t max_size, const host_services& host)
        : is_message_(what.kind == item_kind::message),
          title_(fmt::format("{} from {}", describe(what), describe(peer))),
          max_size_(max_size),
          host_(host) {
        if (what.size) check_size(*what.size);
    }

    void write(const_bytes bytes) override {
        check_size(text_.size() + bytes.size());
        text_ += as_text(bytes);
    }

    void finish(response& answer) override {
        // Who sends a message has typed it; what came out of a pipe may be anything.
        if (!is_message_ && (!is_utf8(text_) || text_.find('\0') != text_.npos))
            throw error(errc::refused,
                        "it is not text, and only text is shown here; the receiver stores files with "
                        "--files-sink filesystem");
        // OK says that it was shown, so a failure to show it is one of the delivery.
        host_.show(text_.empty() ? fmt::format("{} (empty)", title_) : fmt::format("{}:{}", title_, set_in(text_)));
        answer.set_outcome("shown");
    }

    void abort(partial) noexcept override {}

private:
    void check_size(std::uint64_t size) const {
        if (size > max_size_)
            throw error(errc::refused,
                        fmt::format("texts over {} are not shown here; send it as a file to a receiver that stores "
                                    "them, or have this one's owner raise --console.max-size",
                                    human_bytes(max_size_)));
    }

    const bool is_message_;
    const std::string title_;
    const std::uint64_t max_size_;
    const host_services& host_;
    std::string text_;
};

// A file of which no more is wanted than that it came.
class announced_delivery final : public delivery {
public:
    announced_delivery(const offer& what, const offering_peer& peer, const host_services& host)
        : is_folder_(what.kind == item_kind::folder), name_(describe(what)), peer_(describe(peer)), host_(host) {}

    void write(const_bytes bytes) override { count_ += bytes.size(); }
    void finish(response& answer) override {
        host_.show(is_folder_
                       ? fmt::format("{} from {}: announced, not stored", name_, peer_)
                       : fmt::format("{} ({}) from {}: announced, not stored", name_, human_bytes(count_), peer_));
        answer.set_outcome("announced");
        answer.append("not stored");
    }
    void abort(partial) noexcept override {}

private:
    const bool is_folder_;
    const std::string name_, peer_;
    const host_services& host_;
    std::uint64_t count_ = 0;
};

// Shows text to the person at the receiver and keeps nothing.
class console_sink final : public sink {
public:
    console_sink(const settings& given, const host_services& host) : options_(read(given)), host_(host) {}

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) override {
        if (what.kind == item_kind::message || what.kind == item_kind::data)
            return std::make_unique<text_delivery>(what, peer, options_.max_size, host_);
        // OK would promise that it is kept.
        if (options_.files == files_policy::refuse)
            throw error(errc::refused,
                        "this receiver shows text and stores no files; its owner lets them in with --files-sink "
                        "filesystem");
        return std::make_unique<announced_delivery>(what, peer, host_);
    }

private:
    const options options_;
    const host_services host_;
};

constexpr wherry_option rows[] = {
    choice_option("files", "refuse|announce", "refuse",
                  "what to do with files and folders: refuse them, or tell that they came and drop what is in them"),
    size_option("max-size", "1MiB", "longest text to show", 1, std::int64_t{1} << 30),
};

}  // namespace

WHERRY_PLUGIN(console_sink, "console", "0.1.0", "shows messages and text on the terminal, and stores nothing", rows)

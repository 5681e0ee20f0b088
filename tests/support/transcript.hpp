// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compression.hpp"
#include "digest.hpp"
#include "frame.hpp"
#include "plain_cipher.hpp"
#include "record.hpp"

namespace wherry::test {

// What both sides of one connection wrote, from its first byte on.
struct written_on_link {
    std::vector<std::byte> from_initiator, from_responder;
};

// Tells in lines of text what both sides wrote, on all its connections, under plain_cipher: the opening,
// the frames of no transfer by connection, and the frames of each transfer. The text does not depend on the order
// between transfers or directions, on the records that frames are put into, or on which connection takes a numbered
// record. PING is left out, and BYE of a connection that has joined. PACKED frames in a row are one line with the
// expanded content. A token is a placeholder.
class transcript {
public:
    // With `joined`, DATA and PACKED in a row are one line, for content that measured times compress or leave alone.
    enum class content { by_frame, joined };

    // Reads the links of one sending; the first is the one that it began with.
    static std::string of(std::span<const written_on_link> links, content how) {
        transcript text(how);
        text.find_tokens(links);
        std::vector<const_bytes> forward, backward;
        for (const auto& link : links) {
            forward.emplace_back(link.from_initiator);
            backward.emplace_back(link.from_responder);
        }
        text.tell_direction("from the initiator", forward);
        text.tell_direction("from the responder", backward);
        return std::move(text.text_);
    }

private:
    struct said {
        frame_type type;
        std::uint8_t flags;
        std::uint32_t transfer;
        std::vector<std::byte> payload;
        bool is_numbered;
    };
    struct parsed_link {
        std::string opening;
        std::vector<said> frames;                             // of records without a number
        std::map<std::uint64_t, std::vector<said>> numbered;  // by the record's number
        std::string remarks;
    };

    explicit transcript(content how) : how_(how) {}

    // ---- Bytes to frames ----

    static parsed_link parse(const_bytes bytes) {
        parsed_link link;
        byte_reader reader(bytes, "a link");
        // Magic, version, the cipher's name, and the plain handshake's byte.
        std::size_t opening_bytes = 10;
        if (bytes.size() >= opening_bytes) opening_bytes += std::to_integer<std::size_t>(bytes[9]) + 1;
        link.opening = hex(reader.bytes(std::min(opening_bytes, bytes.size())));
        while (reader.remaining() > 0) {
            const auto rest = bytes.last(reader.remaining());
            const bool has_length = rest.size() >= record_length_bytes;
            const auto length = has_length ? load_big_endian<std::uint32_t>(rest) : 0;
            if (!has_length || rest.size() - record_length_bytes < length) {
                link.remarks += "  (breaks off within a record)\n";
                break;
            }
            reader.bytes(record_length_bytes);
            const auto sealed = reader.bytes(length);
            std::vector<std::byte> body(sealed.begin(), sealed.end());
            plain_cipher::plain_session cipher(role::responder);
            parse_record(cipher.open(body), link);
        }
        return link;
    }

    static void parse_record(const_bytes record, parsed_link& link) {
        const auto order = take_order(record);
        std::vector<said> frames;
        byte_reader reader(order ? order->rest : record, "a record");
        // Not by take_frame(), which throws for a critical frame of an unknown type.
        while (reader.remaining() > 0) {
            const auto type = static_cast<frame_type>(reader.integer<std::uint8_t>());
            const auto flags = reader.integer<std::uint8_t>();
            const auto transfer = reader.integer<std::uint32_t>();
            const auto payload = reader.bytes(reader.integer<std::uint32_t>());
            if (type == frame_type::ping) continue;
            frames.push_back({type, flags, transfer, {payload.begin(), payload.end()}, order.has_value()});
        }
        if (!order) {
            link.frames.insert(link.frames.end(), frames.begin(), frames.end());
        } else if (!link.numbered.emplace(order->number, std::move(frames)).second) {
            link.remarks += "  (has the record " + std::to_string(order->number) + " twice)\n";
        }
    }

    void find_tokens(std::span<const written_on_link> links) {
        for (const auto& link : links)
            for (const auto& frame : parse(link.from_responder).frames)
                if (frame.type == frame_type::streams) granted_ = decode_streams(frame.payload).token;
    }

    // ---- Frames to lines ----

    void tell_direction(std::string_view title, const std::vector<const_bytes>& links) {
        std::vector<parsed_link> parsed;
        std::map<std::uint64_t, std::vector<said>> numbered;
        for (const auto bytes : links) {
            auto& link = parsed.emplace_back(parse(bytes));
            for (auto& [number, frames] : link.numbered)
                if (!numbered.emplace(number, std::move(frames)).second)
                    link.remarks += "  (the record " + std::to_string(number) + " came over two connections)\n";
        }
        std::map<std::uint32_t, std::vector<said>> transfers;
        std::vector<std::string> further;
        std::string first;
        std::vector<said> of_exchange;
        std::uint64_t next_number = 0;
        for (auto& [number, frames] : numbered) {
            if (number != next_number) parsed.front().remarks += "  (a number is left out)\n";
            next_number = number + 1;
            for (auto& frame : frames)
                (frame.transfer == 0 ? of_exchange : transfers[frame.transfer]).push_back(std::move(frame));
        }
        for (auto& link : parsed) {
            const bool is_first = &link == &parsed.front();
            std::vector<said> of_link;
            for (auto& frame : link.frames) {
                // Without a meaning there: a receiver that stops says it to each connection that has not ended yet.
                if (frame.type == frame_type::bye && !is_first) continue;
                (frame.transfer == 0 ? of_link : transfers[frame.transfer]).push_back(std::move(frame));
            }
            if (is_first) std::move(of_exchange.begin(), of_exchange.end(), std::back_inserter(of_link));
            auto lines = "  opening " + link.opening + "\n" + lines_of(of_link, numbered.empty()) + link.remarks;
            if (is_first)
                first = std::move(lines);
            else
                further.push_back(std::move(lines));
        }
        text_ += "== " + std::string(title) + "\nconnection\n" + first;
        std::sort(further.begin(), further.end());
        for (const auto& lines : further) text_ += "further connection\n" + lines;
        for (const auto& [transfer, frames] : transfers)
            text_ += "transfer " + std::to_string(transfer) + "\n" + lines_of(frames, numbered.empty());
    }

    std::string lines_of(const std::vector<said>& frames, bool has_no_numbers) const {
        std::string lines;
        for (auto frame = frames.begin(); frame != frames.end();) {
            auto end = std::next(frame);
            if (frame->type == frame_type::compressed_data || is_joined(*frame))
                while (end != frames.end() && (is_joined(*frame) ? is_joined(*end) : end->type == frame->type) &&
                       (is_joined(*frame) || end->flags == frame->flags))
                    ++end;
            lines += "  " + line_of({frame, end});
            // STREAMS and JOIN are what has no number beside those that have one.
            if (!has_no_numbers && !frame->is_numbered && frame->transfer != 0) lines += " (without a number)";
            lines += "\n";
            frame = end;
        }
        return lines;
    }

    bool is_joined(const said& frame) const {
        return how_ == content::joined && (frame.type == frame_type::data || frame.type == frame_type::compressed_data);
    }

    std::string line_of(std::span<const said> run) const {
        const auto& frame = run.front();
        if (is_joined(frame)) return "DATA or PACKED: " + content_text(expand(run));
        std::string line = name_of(frame.type);
        if (frame.flags & frame_flag::critical) line += " critical";
        if (frame.flags & frame_flag::more) line += " more";
        if (frame.flags & ~frame_flag::all) line += " flags=" + std::to_string(frame.flags & ~frame_flag::all);
        if (frame.type == frame_type::compressed_data) return line + ": expands to " + content_text(expand(run));
        if (frame.type == frame_type::data) return line + ": " + content_text(frame.payload);
        if (frame.payload.empty()) return line;
        std::string fields;
        try {
            fields = fields_of(frame);
        } catch (const error&) {
            // Not understood by this version.
        }
        return line + (fields.empty() ? " payload " + hex(frame.payload) : fields);
    }

    static std::string name_of(frame_type type) {
        switch (type) {
            case frame_type::offer: return "OFFER";
            case frame_type::accept: return "ACCEPT";
            case frame_type::data: return "DATA";
            case frame_type::end: return "END";
            case frame_type::result: return "RESULT";
            case frame_type::cancel: return "CANCEL";
            case frame_type::ping: return "PING";
            case frame_type::bye: return "BYE";
            case frame_type::request: return "REQUEST";
            case frame_type::compressed_data: return "PACKED";
            case frame_type::streams: return "STREAMS";
            case frame_type::join: return "JOIN";
            case frame_type::order: return "ORDER";
        }
        return "frame " + std::to_string(static_cast<unsigned>(type));
    }

    // Empty where the fields do not tell every byte of the payload.
    std::string fields_of(const said& frame) const {
        const auto told = [&](const auto& content, const std::string& fields) {
            return encode(content) == frame.payload ? fields : std::string();
        };
        std::string fields;
        const auto add = [&](std::string_view name, const std::string& value) {
            fields += " " + std::string(name) + "=" + value;
        };
        switch (frame.type) {
            case frame_type::offer: {
                const auto content = decode_offer(frame.payload);
                const auto& what = content.what;
                add("kind", std::string(to_string(what.kind)));
                add("name", quoted(as_bytes(what.name)));
                if (what.size) add("size", std::to_string(*what.size));
                if (what.mode) add("mode", std::to_string(*what.mode));
                if (what.mtime)
                    add("mtime", std::to_string(what.mtime->seconds) + "s+" + std::to_string(what.mtime->nanoseconds));
                if (content.compression != compression_kind::none) add("compression", "zstd");
                if (what.wants_resume) fields += " resume";
                if (content.digest != digest_kind::none) add("digest", "sha256");
                if (content.what.id) add("id", hex(*content.what.id));
                return told(content, fields);
            }
            case frame_type::accept: {
                const auto content = decode_accept(frame.payload);
                add("offset", std::to_string(content.offset));
                if (content.prefix) add("sha256", hex(*content.prefix));
                return told(content, fields);
            }
            case frame_type::end: {
                const auto content = decode_end(frame.payload);
                add("size", std::to_string(content.size));
                if (content.digest) add("sha256", hex(*content.digest));
                return told(content, fields);
            }
            case frame_type::streams: {
                const auto content = decode_streams(frame.payload);
                add("count", std::to_string(content.count));
                if (content.token) add("token", token_text(*content.token));
                return told(content, fields);
            }
            case frame_type::join:
                if (frame.flags & frame_flag::critical) {
                    const auto content = decode_join(frame.payload);
                    add("token", token_text(content.token));
                    return told(content, fields);
                }
                [[fallthrough]];
            case frame_type::result:
            case frame_type::cancel: {
                const auto content = decode_result(frame.payload);
                add("status", content.failure ? std::to_string(static_cast<unsigned>(*content.failure)) : "0");
                if (!content.text.empty()) add("text", quoted(as_bytes(content.text)));
                if (!content.response.empty()) fields += " response: " + content_text(content.response);
                if (!content.outcome.empty()) add("word", quoted(as_bytes(content.outcome)));
                return told(content, fields);
            }
            default: return fields;
        }
    }

    std::string token_text(const join_token& token) const {
        return granted_ && token == *granted_ ? "(the one granted)" : "(another)";
    }

    // ---- Bytes to text ----

    static std::vector<std::byte> expand(std::span<const said> run) {
        std::vector<std::byte> expanded, room(65536);
        decompressor expander;
        for (const auto& frame : run) {
            if (frame.type == frame_type::data)
                expanded.insert(expanded.end(), frame.payload.begin(), frame.payload.end());
            else
                expander.decompress(frame.payload, room, [&](const_bytes piece) {
                    expanded.insert(expanded.end(), piece.begin(), piece.end());
                });
        }
        return expanded;
    }

    static std::string content_text(const_bytes bytes) {
        const auto size = std::to_string(bytes.size()) + " bytes";
        if (bytes.size() <= 64) return size + " " + quoted(bytes);
        content_digest digest;
        digest.update(bytes);
        return size + " sha256=" + hex(digest.value());
    }

    static std::string quoted(const_bytes bytes) {
        std::string text = "\"";
        for (const auto byte : bytes) {
            const auto c = std::to_integer<unsigned char>(byte);
            if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\')
                text += static_cast<char>(c);
            else
                text += "\\x" + hex({&byte, 1});
        }
        return text + "\"";
    }

    static std::string hex(const_bytes bytes) {
        std::string text;
        for (const auto byte : bytes) {
            std::array<char, 3> digits;
            std::snprintf(digits.data(), digits.size(), "%02x", std::to_integer<unsigned>(byte));
            text += digits.data();
        }
        return text;
    }

    const content how_;
    std::optional<join_token> granted_;
    std::string text_;
};

}  // namespace wherry::test

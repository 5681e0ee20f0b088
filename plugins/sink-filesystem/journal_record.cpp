// SPDX-License-Identifier: BSD-2-Clause
#include "journal_record.hpp"

#include <botan/hash.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace wherry::filesystem {

namespace {

constexpr std::string_view magic = "wherryJ\n";
constexpr std::uint32_t format = 1;
constexpr std::size_t record_header_bytes = 12;
constexpr std::size_t most_path_bytes = 8192;
constexpr std::size_t most_body_bytes = 16'384;

enum class record_kind : std::uint8_t { entry = 1, placed = 2 };
enum presence : std::uint8_t { has_id = 1, has_size = 2, has_time = 4, has_birth = 8 };

std::uint64_t check_of(const_bytes body) {
    const auto hash = Botan::HashFunction::create_or_throw("SHA-256");
    hash->update(reinterpret_cast<const std::uint8_t*>(body.data()), body.size());
    const auto digest = hash->final();
    return load_big_endian<std::uint64_t>(std::as_bytes(std::span(digest.data(), digest.size())));
}

entry_reference put_body(std::vector<std::byte>& records, const_bytes body) {
    const auto check = check_of(body);
    byte_writer record;
    record.integer(static_cast<std::uint32_t>(body.size())).integer(check).bytes(body);
    const auto bytes = record.view();
    records.insert(records.end(), bytes.begin(), bytes.end());
    return check;
}

void put_time(byte_writer& body, const file_time& time) {
    body.integer(static_cast<std::uint64_t>(time.seconds)).integer(time.nanoseconds);
}

file_time take_time(byte_reader& body) {
    const auto seconds = static_cast<std::int64_t>(body.integer<std::uint64_t>());
    return {seconds, body.integer<std::uint32_t>()};
}

journal_entry take_entry(byte_reader& body) {
    journal_entry entry;
    const auto present = body.integer<std::uint8_t>();
    entry.kind = static_cast<item_kind>(body.integer<std::uint8_t>());
    if (present & has_id) {
        const auto bytes = body.bytes(sizeof(delivery_id));
        std::copy(bytes.begin(), bytes.end(), entry.id.emplace().begin());
    }
    if (present & has_size) entry.offered_size = body.integer<std::uint64_t>();
    if (present & has_time) entry.offered_time = take_time(body);
    entry.fingerprint = as_text(body.sized<std::uint16_t>(most_fingerprint_bytes));
    entry.path = as_text(body.sized<std::uint16_t>(most_path_bytes));
    entry.file.device = body.integer<std::uint64_t>();
    entry.file.inode = body.integer<std::uint64_t>();
    if (present & has_birth) entry.file.birth = take_time(body);
    entry.file.size = body.integer<std::uint64_t>();
    entry.file.modified = take_time(body);
    entry.written = static_cast<std::int64_t>(body.integer<std::uint64_t>());
    body.finish();
    return entry;
}

placed_mark take_mark(byte_reader& body) {
    placed_mark mark;
    mark.entry = body.integer<entry_reference>();
    mark.number = body.integer<std::uint32_t>();
    body.finish();
    return mark;
}

}  // namespace

std::int64_t seconds_now() noexcept {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::vector<std::byte> journal_header() {
    byte_writer header;
    header.bytes(as_bytes(magic)).integer(format);
    return header.take();
}

void require_known_header(const_bytes header) {
    if (header.size() < journal_header_bytes || as_text(header.first(magic.size())) != magic)
        throw error(errc::io, "it is no journal of wherry's; remove it");
    const auto found = load_big_endian<std::uint32_t>(header.subspan(magic.size()));
    if (found != format)
        throw error(errc::unsupported,
                    fmt::format("it was written by a newer wherry (format {}, known is {}); receive with that one, or "
                                "remove the file: a repeated delivery is then stored again",
                                found, format));
}

std::size_t record_bytes(const journal_entry& entry) noexcept {
    constexpr std::size_t fixed_bytes = 99, mark_bytes = record_header_bytes + 13;
    return record_header_bytes + fixed_bytes + entry.fingerprint.size() + entry.path.size() + mark_bytes;
}

entry_reference put(std::vector<std::byte>& records, const journal_entry& entry) {
    byte_writer body;
    std::uint8_t present = 0;
    if (entry.id) present |= has_id;
    if (entry.offered_size) present |= has_size;
    if (entry.offered_time) present |= has_time;
    if (entry.file.birth) present |= has_birth;
    body.integer(static_cast<std::uint8_t>(record_kind::entry)).integer(present);
    body.integer(static_cast<std::uint8_t>(entry.kind));
    if (entry.id) body.bytes(*entry.id);
    if (entry.offered_size) body.integer(*entry.offered_size);
    if (entry.offered_time) put_time(body, *entry.offered_time);
    body.sized<std::uint16_t>(as_bytes(entry.fingerprint)).sized<std::uint16_t>(as_bytes(entry.path));
    body.integer(entry.file.device).integer(entry.file.inode);
    if (entry.file.birth) put_time(body, *entry.file.birth);
    body.integer(entry.file.size);
    put_time(body, entry.file.modified);
    body.integer(static_cast<std::uint64_t>(entry.written));
    return put_body(records, body.view());
}

void put(std::vector<std::byte>& records, const placed_mark& mark) {
    byte_writer body;
    body.integer(static_cast<std::uint8_t>(record_kind::placed)).integer(mark.entry).integer(mark.number);
    put_body(records, body.view());
}

std::size_t read_records(const_bytes records, const std::function<void(journal_entry, entry_reference)>& on_entry,
                         const std::function<void(const placed_mark&)>& on_mark) {
    std::size_t position = 0;
    while (records.size() - position >= record_header_bytes) {
        const auto rest = records.subspan(position);
        const auto length = load_big_endian<std::uint32_t>(rest);
        const auto check = load_big_endian<std::uint64_t>(rest.subspan(sizeof length));
        if (length == 0 || length > most_body_bytes || length > rest.size() - record_header_bytes) break;
        const auto bytes = rest.subspan(record_header_bytes, length);
        if (check_of(bytes) != check) break;
        byte_reader body(bytes, "a record of the journal");
        try {
            switch (static_cast<record_kind>(body.integer<std::uint8_t>())) {
                case record_kind::entry: on_entry(take_entry(body), check); break;
                case record_kind::placed: on_mark(take_mark(body)); break;
            }
        } catch (const error& e) {
            if (e.code() != errc::protocol) throw;
        }
        position += record_header_bytes + length;
    }
    return position;
}

}  // namespace wherry::filesystem

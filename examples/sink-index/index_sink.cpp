// SPDX-License-Identifier: BSD-2-Clause
// sink-index: puts deliveries into a table of an SQLite database, content included, and answers with the row. What
// came from whom, and when, is then a question in SQL.
#include <sqlite3.h>

#include <memory>
#include <mutex>
#include <string>

#include "wherry/sdk.hpp"

namespace {

// ---- SQLite, with its failures as errors that the sender can make something of ----

struct closes {
    void operator()(sqlite3* database) const { sqlite3_close(database); }
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

wherry::error failure_of(sqlite3* database, const std::string& what) {
    using wherry::errc;
    const int code = database ? sqlite3_errcode(database) : SQLITE_NOMEM;
    const bool is_full = code == SQLITE_FULL || code == SQLITE_NOMEM || code == SQLITE_TOOBIG;
    return wherry::error(is_full ? errc::exhausted : errc::io,
                         what + ": " + (database ? sqlite3_errmsg(database) : "out of memory"));
}

// What is known of a delivery before its content has come.
struct facts {
    std::string kind, name, sender, label, address;
};

// One connection to the database, for one call at a time: SQLite has one writer anyway.
class table {
public:
    explicit table(const std::string& file) {
        sqlite3* opened = nullptr;
        const int status = sqlite3_open_v2(file.c_str(), &opened,
                                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
        database_.reset(opened);  // there is one even on failure, and it has the reason
        if (status != SQLITE_OK) throw failure_of(opened, "the database " + file + " cannot be opened");
        sqlite3_busy_timeout(opened, 10'000);  // others may write to it, too
        // With a write-ahead log, readers never wait. FULL: a commit returns when the log is on the disk; the default
        // of a log (NORMAL) would lose the last commits with the power, and break the promise of finish().
        run("PRAGMA journal_mode = WAL");
        run("PRAGMA synchronous = FULL");
        run("PRAGMA cache_size = -256");  // in KiB; what is only ever appended to needs no more
        run("CREATE TABLE IF NOT EXISTS deliveries ("
            "id INTEGER PRIMARY KEY, received TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),"
            "kind TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,"
            "sender TEXT NOT NULL, label TEXT NOT NULL, address TEXT NOT NULL, content BLOB NOT NULL)");
        run("CREATE INDEX IF NOT EXISTS deliveries_by_sender ON deliveries (sender, received)");
        sqlite3_stmt* prepared = nullptr;
        if (sqlite3_prepare_v3(opened,
                               "INSERT INTO deliveries (kind, name, size, sender, label, address, content) "
                               "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                               -1, SQLITE_PREPARE_PERSISTENT, &prepared, nullptr) != SQLITE_OK)
            throw failure_of(opened, "the table of deliveries in " + file + " is not as it should be");
        insert_.reset(prepared);
    }

    // One INSERT is one transaction: all of it, durable once this returns, or nothing.
    std::int64_t add(const facts& known, const std::string& content) {
        const std::lock_guard lock(mutex_);
        auto* const row = insert_.get();
        sqlite3_reset(row);
        int column = 0;
        const auto text = [&](const std::string& value) {
            return sqlite3_bind_text64(row, ++column, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8) ==
                   SQLITE_OK;
        };
        const bool is_bound =
            text(known.kind) && text(known.name) &&
            sqlite3_bind_int64(row, ++column, static_cast<std::int64_t>(content.size())) == SQLITE_OK &&
            text(known.sender) && text(known.label) && text(known.address) &&
            sqlite3_bind_blob64(row, ++column, content.data(), content.size(), SQLITE_STATIC) == SQLITE_OK;
        const bool has_row = is_bound && sqlite3_step(row) == SQLITE_ROW;
        const auto id = has_row ? sqlite3_column_int64(row, 0) : 0;
        // The row comes first; the commit is in the step that says that there is no further one.
        if (!has_row || sqlite3_step(row) != SQLITE_DONE) {
            const auto failure = failure_of(database_.get(), "it cannot be indexed");
            sqlite3_reset(row);  // takes back what was begun
            throw failure;
        }
        sqlite3_reset(row);
        sqlite3_clear_bindings(row);
        return id;
    }

private:
    void run(const char* statement) {
        if (sqlite3_exec(database_.get(), statement, nullptr, nullptr, nullptr) != SQLITE_OK)
            throw failure_of(database_.get(), "the database cannot be set up");
    }

    std::mutex mutex_;
    std::unique_ptr<sqlite3, closes> database_;
    std::unique_ptr<sqlite3_stmt, closes> insert_;  // goes before the database does
};

// ---- The plugin ----

// Used by one thread at a time; holds its content until it is whole, which is why there is a limit.
class indexed_delivery final : public wherry::delivery {
public:
    indexed_delivery(table& rows, facts known, std::uint64_t limit)
        : rows_(rows), known_(std::move(known)), limit_(limit) {}

    void write(wherry::const_bytes bytes) override {
        if (bytes.size() > limit_ - content_.size()) throw too_large(limit_);
        content_ += wherry::as_text(bytes);
    }

    void finish(wherry::response& answer) override {
        const auto id = rows_.add(known_, content_);
        answer.append("row " + std::to_string(id));
        answer.set_outcome("indexed");
    }

    void abort(partial) noexcept override {}  // nothing of it is in the database

    static wherry::error too_large(std::uint64_t limit) {
        return {wherry::errc::refused, "it is larger than the " + std::to_string(limit) +
                                           " bytes that are taken here; ask for a higher --index.limit"};
    }

private:
    table& rows_;
    const facts known_;
    const std::uint64_t limit_;
    std::string content_;
};

class index_sink final : public wherry::sink {
public:
    index_sink(const wherry::settings& options, const wherry::host_services&)
        : rows_(options.text("database")), limit_(options.bytes("limit")) {}

    // Called from many threads at once.
    std::unique_ptr<wherry::delivery> begin(const wherry::offer& what, const wherry::offering_peer& from) override {
        if (what.size.value_or(0) > limit_) throw indexed_delivery::too_large(limit_);
        // The arguments are borrowed; what is needed later is copied.
        facts known{std::string(to_string(what.kind)), what.name, from.who.fingerprint, from.who.label,
                    std::string(from.address)};
        return std::make_unique<indexed_delivery>(rows_, std::move(known), limit_);
    }

private:
    table rows_;
    const std::uint64_t limit_;
};

// A value of SQLite has a gigabyte at most.
constexpr wherry_option options[] = {
    wherry::path_option("database", "deliveries.db", "the database; made if it is missing"),
    wherry::size_option("limit", "16MiB", "largest delivery that is taken; it is held in memory", 0, 900'000'000),
};

}  // namespace

WHERRY_PLUGIN(index_sink, "index", "1.0.0", "puts deliveries into a table of an SQLite database", options)

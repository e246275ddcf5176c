#include "controlplane/store/text_store.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <set>
#include <vector>

#include "controlplane/store/audit_entry.hpp"

namespace sluice::cp {
namespace {

using Text = std::string_view;

struct Row {
    std::string digest, body;
};
/// Each the base of the one before it: edits, newest first, and a whole text at the end.
using Rows = std::vector<Row>;

/// Its digest says by itself that it is right.
bool stands_alone(const Rows& rows, std::size_t i) {
    if (i + 1 == rows.size()) return rows[i].digest == sha256_hex(rows[i].body);
    return rows[i].digest == digest_behind(rows[i + 1].digest, rows[i].body);
}

/// What the newest row makes; nothing if a row is not what its digest says.
std::optional<std::string> put_together(const Rows& rows) {
    // Of an older store's edits only the newest one's text has to be looked at.
    std::size_t to_check = 0;
    while (to_check < rows.size() && stands_alone(rows, to_check)) ++to_check;
    EditedText edited{rows.back().body};
    for (std::size_t i = rows.size(); i-- != 0;) {
        if (i + 1 != rows.size() && !edited.apply(rows[i].body)) return std::nullopt;
        if (i == to_check && sha256_hex(edited.text()) != rows[i].digest) return std::nullopt;
    }
    return edited.text();
}

std::string short_digest(std::string_view digest) { return std::string{digest.substr(0, 12)}; }

}  // namespace

std::span<const std::string_view> text_base_schema() noexcept {
    // Not columns of `texts`: what stands behind a long body is found only by reading all of it.
    static constexpr std::array<std::string_view, 3> kSchema{
        "CREATE TABLE text_bases(digest TEXT PRIMARY KEY REFERENCES texts(digest), "
        "base TEXT NOT NULL REFERENCES texts(digest), depth INTEGER NOT NULL CHECK(depth > 0)) STRICT",
        "CREATE INDEX text_bases_by_base ON text_bases(base)",
        "CREATE TRIGGER text_bases_are_not_changed BEFORE UPDATE ON text_bases BEGIN "
        "SELECT RAISE(ABORT, 'texts are not changed'); END"};
    return kSchema;
}

Expected<std::optional<std::uint64_t>, FileError> TextStore::depth(std::string_view digest) {
    std::optional<std::uint64_t> found;
    const auto read =
        database_.run("SELECT ifnull(depth, 0) FROM texts LEFT JOIN text_bases USING(digest) WHERE texts.digest = ?",
                      {digest}, [&](const SqlRow& row) { found = static_cast<std::uint64_t>(row.integer(0)); });
    if (!read) return Unexpected(read.error());
    return found;
}

Expected<std::string, FileError> TextStore::insert(const KnownText& text, const KnownText& before,
                                                   std::span<const KeptText> kept) {
    const auto is_there = [&](std::string_view digest) -> Expected<bool, FileError> {
        const auto there = depth(digest);
        if (!there) return Unexpected(there.error());
        return there->has_value();
    };
    std::string digest{text.digest};
    if (!digest.empty()) {
        const auto there = is_there(digest);
        if (!there) return Unexpected(there.error());
        if (*there) return digest;
    }
    std::optional<std::string> edit;
    std::uint64_t edits = 0;
    if (text.text.size() >= kEditedTextBytesMin && !before.digest.empty()) {
        const auto base = depth(before.digest);
        if (!base) return Unexpected(base.error());
        edits = base->value_or(kTextEditsMax) + 1;
        if (edits <= kTextEditsMax) edit = text_edit(before.text, text.text, text.text.size() / 4, kept);
    }
    digest = edit ? digest_behind(before.digest, *edit) : sha256_hex(text.text);
    const auto there = is_there(digest);
    if (!there) return Unexpected(there.error());
    if (*there) return digest;
    auto done = database_.run("INSERT INTO texts VALUES(?, ?)", {Text{digest}, Blob{edit ? Text{*edit} : text.text}});
    if (done && edit) {
        done = database_.run("INSERT INTO text_bases VALUES(?, ?, ?)",
                             {Text{digest}, before.digest, static_cast<std::int64_t>(edits)});
    }
    if (!done) return Unexpected(done.error());
    return digest;
}

Expected<std::string, FileError> TextStore::read(const std::string& digest) {
    const auto damaged = [&](const std::string& what) {
        return Unexpected(FileError{EUCLEAN, "the text " + short_digest(digest) + " in " + database_.path() +
                                                 " is not what its digest says: " + what});
    };
    Rows rows;
    auto lock = database_.lock();
    for (std::string next = digest; !next.empty();) {
        if (rows.size() > kTextEditsMax) return damaged("its edits have no end");
        Row row{std::move(next), {}};
        next.clear();
        bool found = false;
        const auto read =
            database_.run("SELECT body, base FROM texts LEFT JOIN text_bases USING(digest) WHERE texts.digest = ?",
                          {Text{row.digest}}, [&](const SqlRow& r) {
                              found = true;
                              row.body = r.text(0);
                              if (!r.is_null(1)) next = r.text(1);
                          });
        if (!read) return Unexpected(read.error());
        if (!found && rows.empty())
            return Unexpected(FileError{ENOENT, "the text " + short_digest(digest) + " is not kept any more"});
        if (!found) return damaged("the text " + short_digest(row.digest) + ", which it is an edit of, is missing");
        rows.push_back(std::move(row));
    }
    lock.unlock();
    if (auto text = put_together(rows)) return std::move(*text);
    // Which one is it? The first, from the whole one on, that is not what its digest says.
    EditedText edited{rows.back().body};
    for (std::size_t i = rows.size(); i-- != 0;) {
        if (i + 1 != rows.size() && !edited.apply(rows[i].body))
            return damaged("the edit " + short_digest(rows[i].digest) + " does not fit");
        if (!stands_alone(rows, i) && sha256_hex(edited.text()) != rows[i].digest)
            return damaged("row " + short_digest(rows[i].digest) + " was changed");
    }
    return damaged("it could not be put together");
}

TextStore::Outcome TextStore::prune() {
    struct Known {
        std::size_t bytes{};
        std::string base;
    };
    std::map<std::string, Known> rows;
    auto r = database_.run("SELECT digest, length(body), base FROM texts LEFT JOIN text_bases USING(digest)", {},
                           [&](const SqlRow& row) {
                               rows.emplace(row.text(0), Known{.bytes = static_cast<std::size_t>(row.integer(1)),
                                                               .base = row.is_null(2) ? std::string{} : row.text(2)});
                           });
    if (!r) return r;
    std::set<std::string> kept;
    std::size_t bytes = 0;
    r = database_.run(
        "SELECT texts.digest FROM history JOIN texts ON texts.digest = history.digest ORDER BY entry DESC LIMIT ?",
        {static_cast<std::int64_t>(kPolicyTextsKept)}, [&](const SqlRow& row) {
            // A text is as large as all that it needs and no newer one does.
            std::vector<std::string> needed;
            std::size_t more = 0;
            for (auto at = rows.find(row.text(0)); at != rows.end() && !kept.contains(at->first);
                 at = rows.find(at->second.base)) {
                needed.push_back(at->first);
                more += at->second.bytes;
            }
            // The newest stays however large it is.
            if (!kept.empty() && bytes + more > kPolicyTextsBytesKept) return;
            bytes += more;
            kept.insert(needed.begin(), needed.end());
        });
    if (!r) return r;
    std::vector<std::string> dropped;
    for (const auto& [digest, row] : rows) {
        if (!kept.contains(digest)) dropped.push_back(digest);
    }
    // First what they are edits of: of those that go, one may be another's base.
    for (const auto& digest : dropped) {
        if (r && !rows[digest].base.empty())
            r = database_.run("DELETE FROM text_bases WHERE digest = ?", {Text{digest}});
    }
    for (const auto& digest : dropped) {
        if (r) r = database_.run("DELETE FROM texts WHERE digest = ?", {Text{digest}});
    }
    return r;
}

}  // namespace sluice::cp

#include "controlplane/store/answer_store.hpp"

namespace sluice::cp {
namespace {

using Text = std::string_view;

}  // namespace

Expected<void, FileError> AnswerStore::open() {
    const auto lock = database_.lock();
    return database_.run(
        "CREATE TABLE IF NOT EXISTS answers(actor TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, "
        "answer TEXT, at_ns INTEGER NOT NULL, PRIMARY KEY(actor, key)) STRICT");
}

Expected<std::optional<AnswerStore::Kept>, FileError> AnswerStore::begin(const AnswerKey& key, std::string_view request,
                                                                         std::int64_t now_ns) {
    const auto lock = database_.lock();
    std::optional<Kept> kept;
    auto done = database_.transaction([&]() -> Database::Outcome {
        if (auto gone = database_.run("DELETE FROM answers WHERE at_ns < ?", {now_ns - kAnswersKeptNs}); !gone)
            return gone;
        auto read = database_.run("SELECT request, answer FROM answers WHERE actor = ? AND key = ?",
                                  {Text{key.actor}, Text{key.key}}, [&](const SqlRow& row) {
                                      kept.emplace(Kept{row.text(0), {}});
                                      if (!row.is_null(1)) kept->answer = row.text(1);
                                  });
        if (!read || kept) return read;
        auto room = database_.run(
            "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers ORDER BY at_ns DESC LIMIT -1 OFFSET ?)",
            {static_cast<std::int64_t>(kAnswersKept - 1)});
        if (!room) return room;
        return database_.run("INSERT INTO answers VALUES(?, ?, ?, NULL, ?)",
                             {Text{key.actor}, Text{key.key}, Text{request}, now_ns});
    });
    if (!done) return Unexpected(done.error());
    return kept;
}

Expected<void, FileError> AnswerStore::finish(const AnswerKey& key, std::string_view answer) {
    const auto lock = database_.lock();
    return database_.run("UPDATE answers SET answer = ? WHERE actor = ? AND key = ?",
                         {Text{answer}, Text{key.actor}, Text{key.key}});
}

Expected<void, FileError> AnswerStore::forget(const AnswerKey& key) {
    const auto lock = database_.lock();
    return database_.run("DELETE FROM answers WHERE actor = ? AND key = ?", {Text{key.actor}, Text{key.key}});
}

}  // namespace sluice::cp

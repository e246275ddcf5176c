/// Texts kept as edits: what comes back is what was given, whatever was cut short or damaged; or it is said.
#include "controlplane/store/text_store.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "controlplane/store/policy_store.hpp"
#include "controlplane/store/text_edit.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/store/older_database.hpp"
#include "tests/unit/controlplane/store/power_cut_disk.hpp"
#include "tests/unit/controlplane/store/power_cut_vfs.hpp"

namespace sluice::cp {
namespace {

/// Some 30 KB: enough for edits to be worth it.
class Writer {
public:
    explicit Writer(std::uint64_t seed) : random_{seed} {
        for (unsigned n = 0; n < 600; ++n) lines_.push_back(line(n));
    }
    std::string next() {
        for (auto edits = 1 + random_() % 2; edits != 0; --edits) {
            const auto at = lines_.begin() + static_cast<std::ptrdiff_t>(random_() % lines_.size());
            switch (random_() % 4) {
                case 0: lines_.insert(at, line(fresh_++)); break;
                case 1: lines_.erase(at); break;
                default: *at = line(fresh_++); break;
            }
        }
        std::string text;
        for (const auto& l : lines_) text += l;
        return text;
    }

private:
    static std::string line(unsigned n) {
        return "  - {id: rule-" + std::to_string(n) + ", from: internet, to: web, action: deny}\n";
    }
    std::mt19937_64 random_;
    std::vector<std::string> lines_;
    unsigned fresh_{600};
};

std::string slots_of(unsigned n) {
    std::string slots;
    for (unsigned slot = 0; slot < 900 + n; ++slot)
        slots += "live " + std::to_string(slot) + " rule-" + std::to_string(slot) + "\n";
    return slots;
}

PolicyRef ref_of(unsigned n) { return {sha256_hex(std::to_string(n)), "yaml", n}; }

AuditRecord record(std::string result) {
    AuditRecord r;
    r.action = "policy.patch";
    r.result = std::move(result);
    return r;
}

struct Disk {
    test::PowerCutVfs database;
    test::PowerCutDisk files;
    std::unique_ptr<PolicyStore> open() {
        auto store = PolicyStore::open(files, "/s", {.vfs = database.name(), .print = {}});
        EXPECT_TRUE(store.has_value()) << store.error().what;
        return store ? std::move(*store) : nullptr;
    }
    void become(int version) {
        auto opened = Database::open("/s/state.db", database.name());
        ASSERT_TRUE(opened);
        make_older(**opened, version);
    }
    /// Past everything that keeps rows as they are.
    void in_database(std::string_view sql, const std::function<void(const SqlRow&)>& on_row = {}) {
        auto opened = Database::open("/s/state.db", database.name());
        ASSERT_TRUE(opened);
        const auto lock = (*opened)->lock();
        ASSERT_TRUE((*opened)->run("PRAGMA foreign_keys=OFF"));
        ASSERT_TRUE((*opened)->run("DROP TRIGGER IF EXISTS texts_are_not_changed"));
        const auto done = (*opened)->run(sql, {}, on_row);
        ASSERT_TRUE(done) << done.error().what;
    }
};

/// A text, and under which digest the store has it, as the policy in force knows them.
struct Known {
    std::string text, digest{};
};

bool save(PolicyStore& store, unsigned n, const Known& before, Known& now, PolicyStore::Slots slots = {}) {
    auto digest = store.stage({.ref = ref_of(n),
                               .label = "p",
                               .text = {now.digest, now.text},
                               .slots = std::move(slots),
                               .before = {before.digest, before.text}},
                              record("begun"));
    if (!digest) return false;
    now.digest = std::move(*digest);
    return store.promote(record("adopted")).has_value();
}

TEST(TextStore, EveryVersionComesBackAndMostAreShort) {
    SCOPED_TRACE(sluice::test::seed_line());
    Writer writer{sluice::test::seed_of_this_run()};
    Disk disk;
    auto store = disk.open();
    std::vector<Known> texts{{writer.next()}};
    constexpr unsigned kVersions = kPolicyTextsKept + kTextEditsMax + 40;
    ASSERT_TRUE(save(*store, 0, {}, texts[0]));
    for (unsigned n = 1; n < kVersions; ++n) {
        texts.push_back({writer.next()});
        ASSERT_TRUE(save(*store, n, texts[n - 1], texts[n]));
    }
    store.reset();
    store = disk.open();
    for (unsigned n = 0; n < kVersions; ++n) {
        const auto text = store->text(ref_of(n));
        ASSERT_EQ((*store->adoption(n))->text_kept, text.has_value());
        if (text) {
            ASSERT_EQ(*text, texts[n].text);
        }
        // Those in between stay where a newer one is an edit of them.
        if (n + kPolicyTextsKept >= kVersions) {
            ASSERT_TRUE(text) << text.error().what;
        }
        if (n + kPolicyTextsKept + kTextEditsMax < kVersions) {
            ASSERT_FALSE(text) << n;
        }
    }
    store.reset();
    std::int64_t whole = 0, rows = 0;
    disk.in_database("SELECT count(*), sum(length(body) > 10000) FROM texts", [&](const SqlRow& row) {
        rows = row.integer(0);
        whole = row.integer(1);
    });
    EXPECT_LE(whole, 3);
    EXPECT_LE(rows, static_cast<std::int64_t>(kPolicyTextsKept + kTextEditsMax + 1));
}

/// Five versions, each an edit of the one before.
class Damaged : public testing::Test {
protected:
    static constexpr unsigned kLast = 4;
    void SetUp() override {
        Writer writer{7};
        auto store = disk.open();
        std::string lines_behind;  // so that each edit brings one
        for (unsigned n = 0; n <= kLast; ++n) {
            lines_behind += "  - {id: behind-" + std::to_string(n) + ", action: deny}\n";
            texts.push_back({writer.next() + lines_behind});
            ASSERT_TRUE(save(*store, n, n == 0 ? Known{} : texts[n - 1], texts[n]));
        }
    }
    /// What is before it comes back, what is built on it is refused, and the row is named.
    void expect_found(unsigned at, std::string_view what) {
        auto store = disk.open();
        for (unsigned n = 0; n <= kLast; ++n) {
            const auto text = store->text(ref_of(n));
            if (n < at) {
                ASSERT_TRUE(text) << n << ": " << text.error().what;
                EXPECT_EQ(*text, texts[n].text);
                continue;
            }
            ASSERT_FALSE(text) << n << " was given out";
            EXPECT_TRUE(text.error().damaged());
            EXPECT_NE(text.error().what.find("is not what its digest says: " + std::string{what}), std::string::npos)
                << text.error().what;
        }
    }
    std::string row(unsigned n) const { return texts[n].digest.substr(0, 12); }

    Disk disk;
    std::vector<Known> texts;
};

TEST_F(Damaged, AChangedByteOfTheWholeTextIsNamed) {
    disk.in_database("UPDATE texts SET body = CAST(replace(body, 'rule-5,', 'rule-6,') AS BLOB) WHERE digest = '" +
                     texts[0].digest + "'");
    expect_found(0, "row " + row(0) + " was changed");
}

TEST_F(Damaged, AChangedByteOfAnEditIsNamed) {
    std::string digest;  // of the first edit that brings a line
    disk.in_database(
        "SELECT digest FROM text_bases JOIN texts USING(digest) WHERE instr(body, CAST('action' AS BLOB)) > 0 "
        "ORDER BY depth LIMIT 1",
        [&](const SqlRow& r) { digest = r.text(0); });
    unsigned at = 1;
    while (at <= kLast && texts[at].digest != digest) ++at;
    ASSERT_LE(at, kLast);
    disk.in_database("UPDATE texts SET body = CAST(replace(body, 'action', 'Action') AS BLOB) WHERE digest = '" +
                     digest + "'");
    expect_found(at, "row " + row(at) + " was changed");
}

TEST_F(Damaged, AnEditCutShortIsNamed) {
    disk.in_database("UPDATE texts SET body = substr(body, 1, length(body) - 1) WHERE digest = '" + texts[3].digest +
                     "'");
    expect_found(3, "the edit " + row(3) + " does not fit");
}

TEST_F(Damaged, AnEditInAnothersPlaceIsNamed) {
    disk.in_database("UPDATE texts SET body = (SELECT body FROM texts WHERE digest = '" + texts[1].digest +
                     "') WHERE digest = '" + texts[2].digest + "'");
    auto store = disk.open();
    EXPECT_TRUE(store->text(ref_of(1)));
    const auto text = store->text(ref_of(3));
    ASSERT_FALSE(text);
    EXPECT_NE(text.error().what.find(row(2)), std::string::npos) << text.error().what;
}

TEST_F(Damaged, AMissingBaseIsNamed) {
    disk.in_database("DELETE FROM texts WHERE digest = '" + texts[1].digest + "'");
    auto store = disk.open();
    EXPECT_TRUE(store->text(ref_of(0)));
    const auto text = store->text(ref_of(4));
    ASSERT_FALSE(text);
    EXPECT_NE(text.error().what.find("the text " + row(1) + ", which it is an edit of, is missing"), std::string::npos)
        << text.error().what;
}

TEST_F(Damaged, EditsOfEachOtherHaveNoEnd) {
    disk.in_database("INSERT INTO text_bases VALUES('" + texts[0].digest + "', '" + texts[4].digest + "', 1)");
    expect_found(0, "its edits have no end");
}

TEST_F(Damaged, ABaseCannotBeDroppedByAccident) {
    auto opened = Database::open("/s/state.db", disk.database.name());
    ASSERT_TRUE(opened);
    const auto lock = (*opened)->lock();
    EXPECT_FALSE((*opened)->run("DELETE FROM texts WHERE digest = '" + texts[1].digest + "'"));
    EXPECT_FALSE((*opened)->run("UPDATE text_bases SET depth = 1"));
}

// A text that stands there already stays as it is: no text may become its own base.
TEST_F(Damaged, GoingBackToAnEarlierTextMakesNoRing) {
    auto store = disk.open();
    ASSERT_TRUE(save(*store, 10, texts[4], texts[0]));
    ASSERT_TRUE(save(*store, 11, texts[0], texts[4]));
    EXPECT_EQ(*store->text(ref_of(10)), texts[0].text);
    EXPECT_EQ(*store->text(ref_of(11)), texts[4].text);
}

// The text stands for itself: that of an edit is found again only through it.
TEST_F(Damaged, ADigestIsOfTheTextOrOfTheEditAndItsBase) {
    EXPECT_EQ(texts[0].digest, sha256_hex(texts[0].text));
    for (unsigned n = 1; n <= kLast; ++n) {
        std::string edit;
        disk.in_database("SELECT body FROM texts WHERE digest = '" + texts[n].digest + "'",
                         [&](const SqlRow& row) { edit = row.text(0); });
        EXPECT_EQ(texts[n].digest, sha256_hex(texts[n - 1].digest + "\n" + edit));
    }
}

// Up to schema 7 an edit had the digest of what it makes. Such rows stand below new ones, and are as well looked after.
TEST_F(Damaged, EditsOfAnOlderStoreAreReadAndWatched) {
    for (unsigned n = 1; n <= kLast; ++n) {
        const auto old = sha256_hex(texts[n].text);
        for (const auto* column :
             {"texts SET digest", "text_bases SET digest", "text_bases SET base", "history SET digest"}) {
            const std::string where{std::string_view{column}.substr(std::string_view{column}.rfind(' ') + 1)};
            disk.in_database("DROP TRIGGER IF EXISTS text_bases_are_not_changed");
            disk.in_database("DROP TRIGGER IF EXISTS history_is_not_changed");
            disk.in_database(std::string{"UPDATE "} + column + " = '" + old + "' WHERE " + where + " = '" +
                             texts[n].digest + "'");
        }
        texts[n].digest = old;
    }
    Known newer{texts[kLast].text + "  - {id: newer, action: deny}\n"};
    {
        auto store = disk.open();
        ASSERT_TRUE(save(*store, kLast + 1, texts[kLast], newer));
        for (unsigned n = 0; n <= kLast; ++n) EXPECT_EQ(*store->text(ref_of(n)), texts[n].text);
        EXPECT_EQ(*store->text(ref_of(kLast + 1)), newer.text);
    }
    disk.in_database("UPDATE texts SET body = CAST(replace(body, 'behind', 'Behind') AS BLOB) WHERE digest = '" +
                     texts[3].digest + "'");
    texts.push_back(newer);
    auto store = disk.open();
    for (unsigned n = 0; n < texts.size(); ++n) EXPECT_EQ(store->text(ref_of(n)).has_value(), n < 3) << n;
}

std::string slot_line(unsigned n) { return "live " + std::to_string(n) + " rule-" + std::to_string(n) + "\n"; }

TEST(TextStore, SlotsAreKeptWithTheirChangesAndDamageIsSeen) {
    Disk disk;
    Known text{"a text"};
    std::vector<std::string> changes;
    {
        auto store = disk.open();
        ASSERT_TRUE(save(*store, 0, text, text, {.whole = slots_of(0)}));
        for (unsigned n = 1; n < 30; ++n) {
            changes.push_back(slot_line(2000 + n));
            ASSERT_TRUE(save(*store, n, text, text, {.changes = changes.back()}));
            ASSERT_TRUE(save(*store, n, text, text)) << "nothing changed";
        }
        EXPECT_EQ(store->slot_changes(), changes);
    }
    EXPECT_EQ(disk.open()->slots(), slots_of(0));
    EXPECT_EQ(disk.open()->slot_changes(), changes);
    for (const auto* damage : {"UPDATE slot_changes SET changes = replace(changes, 'rule-', 'Rule-') WHERE number = 7",
                               "UPDATE numbers SET slots = replace(slots, ' rule-5', ' Rule-5')",
                               "DELETE FROM slot_changes WHERE number = 4"}) {
        disk.in_database(damage);
        auto store = disk.open();
        EXPECT_EQ(store->slots(), "");
        EXPECT_TRUE(store->slot_changes().empty());
        ASSERT_EQ(store->damage().size(), 1U) << damage;
        EXPECT_NE(store->damage()[0].find("the changes of rules' slots"), std::string::npos);
        ASSERT_TRUE(save(*store, 301, text, text, {.whole = slots_of(3)}));
        ASSERT_TRUE(save(*store, 302, text, text, {.changes = changes[0]}));
        store.reset();
        store = disk.open();
        EXPECT_EQ(store->slots(), slots_of(3));
        EXPECT_EQ(store->slot_changes(), std::vector{changes[0]});
        EXPECT_TRUE(store->damage().empty());
        for (unsigned n = 1; n < 12; ++n) ASSERT_TRUE(save(*store, n, text, text, {.changes = changes[n]}));
    }
}

// A4: the power goes after any write or fsync; the text that is found is whole, the one before or the new one.
TEST(TextStore, A4_PowerCutLeavesWholeTexts) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    std::size_t cuts = 0;
    for (int round = 0; round < 4; ++round) {
        Writer writer{random()};
        Disk disk;
        unsigned n = 1, current_n = 1;
        Known current{writer.next()};
        std::vector<std::string> changes;
        ASSERT_TRUE(save(*disk.open(), n, {}, current, {.whole = slots_of(n)}));
        bool ran_to_its_end = false;
        for (std::int64_t call = 0; !ran_to_its_end; ++call) {
            Known next{writer.next()};
            const std::string next_changes = slot_line(2000 + ++n);
            bool acknowledged = false;
            {
                auto store = disk.open();
                ASSERT_NE(store, nullptr);
                disk.database.calls_until_cut = call;
                acknowledged = save(*store, n, current, next, {.changes = next_changes});
                ran_to_its_end = !disk.database.cut();
                cuts += ran_to_its_end ? 0 : 1;
            }
            disk.database.power_on(random);
            auto store = disk.open();
            ASSERT_NE(store, nullptr);
            ASSERT_TRUE(store->damage().empty()) << store->damage().front() << " after call " << call;
            const bool is_new = store->current() == ref_of(n), intended = store->pending().has_value();
            ASSERT_TRUE(is_new || store->current() == ref_of(current_n));
            ASSERT_TRUE(is_new || !acknowledged) << "acknowledged and lost after call " << call;
            ASSERT_EQ(*store->text(*store->current()), is_new ? next.text : current.text);
            if (is_new || intended) changes.push_back(next_changes);
            ASSERT_EQ(store->slots(), slots_of(1)) << "after call " << call;
            ASSERT_EQ(store->slot_changes(), changes) << "after call " << call;
            if (intended) {
                ASSERT_EQ(*store->text(*store->pending()), next.text);
                // The dataplane runs it, or not.
                ASSERT_TRUE(random() % 2 == 0 ? store->promote(record("adopted")) : store->discard_pending());
            }
            ASSERT_TRUE(store->audit().verify().whole);
            if (store->current() == ref_of(n)) {
                next.digest = *store->text_digest(ref_of(n));
                current = next;
                current_n = n;
            }
        }
    }
    EXPECT_GE(cuts, 30U);
}

// A state directory of before texts were edits, of before there were drafts, and of before there were members of sets.
TEST(TextStore, AnOlderDatabaseGetsTheTables) {
    for (const int version : {2, 3, 4}) {
        Disk disk;
        Writer writer{1};
        Known first{writer.next()}, second{writer.next()};
        ASSERT_TRUE(save(*disk.open(), 1, {}, first));
        disk.become(version);
        auto store = disk.open();
        ASSERT_NE(store, nullptr);
        EXPECT_EQ(*store->text(ref_of(1)), first.text);
        ASSERT_TRUE(save(*store, 2, first, second));
        EXPECT_EQ(*store->text(ref_of(2)), second.text);
        EXPECT_EQ(store->audit().page({})->entries.at(2).record.action, "store.upgraded");
    }
}

// Schema 7 kept changes of slots as edits of their text; what they make is one text from then on.
TEST(TextStore, SlotEditsOfAnOlderDatabaseAreTakenOver) {
    for (const bool damaged : {false, true}) {
        Disk disk;
        Known text{"a text"};
        ASSERT_TRUE(save(*disk.open(), 1, {}, text, {.whole = slots_of(1)}));
        const auto quoted = [](std::string_view bytes) {
            std::string hex = "X'";
            for (const unsigned char byte : bytes) {
                hex += "0123456789ABCDEF"[byte >> 4];
                hex += "0123456789ABCDEF"[byte & 15];
            }
            return hex + "'";
        };
        disk.become(7);
        for (unsigned n = 2; n < 5; ++n) {
            disk.in_database("INSERT INTO slot_edits(edit, digest) VALUES(" +
                             quoted(*text_edit(slots_of(n - 1), slots_of(n), 1000)) + ", '" +
                             sha256_hex(damaged ? "other" : slots_of(n)) + "')");
        }
        auto store = disk.open();
        ASSERT_NE(store, nullptr);
        EXPECT_EQ(store->slots(), damaged ? "" : slots_of(4));
        EXPECT_EQ(store->damage().size(), damaged ? 1U : 0U);
        EXPECT_EQ(store->audit().page({})->entries.front().record.action, "store.upgraded");
    }
}

}  // namespace
}  // namespace sluice::cp

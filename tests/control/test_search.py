"""Search finds what MessageFilter finds for the same question, and what only an index can; whatever
is written is looked for as it stands."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from search_world import SearchWorld, run, until

from waypost.control import search_index
from waypost.control.search_index import NAME, IndexReader, IndexWriter
from waypost.control.search_words import (
    CommonTrigrams,
    expression,
    indexed_text,
    trigrams_of,
    words_of,
)
from waypost.spool.contract import MessageFilter, RecipientState
from waypost.spool.search import SearchText

QUEUED, HELD, DELIVERED = RecipientState.QUEUED, RecipientState.HELD, RecipientState.DELIVERED
BOUNCED, EXPIRED = RecipientState.BOUNCED, RecipientState.EXPIRED

PEOPLE = ("anna", "Bob.Miller", "o'neil", "joe+tag", "müller", "x", "100%_sure")
PLACES = ("one.example", "two.example", "Sub.One.Example", "ünï.example")
SUBJECTS = ("Invoice 17", "invoice 171", "Grüße", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "", "50% off_now")


async def fill(world: SearchWorld, seed: int, count: int = 60) -> list[int]:
    """Messages of every kind; some are indexed, the last ones not yet."""
    chance = random.Random(seed)
    messages = []
    for number in range(count):
        addresses = [
            f"{chance.choice(PEOPLE)}@{chance.choice(PLACES)}" for _ in range(chance.randint(1, 3))
        ]
        messages.append(
            await world.append(
                *addresses,
                subject=chance.choice(SUBJECTS),
                sender=chance.choice(("", "app@here.example", "anna@one.example")),
                message_id=f"<{chance.getrandbits(40):x}.{number}@here.example>",
                state=chance.choice((QUEUED, DELIVERED, DELIVERED, BOUNCED, EXPIRED)),
            )
        )
        if number == count * 3 // 4:
            await world.indexed(messages[-1])
    return messages


QUESTIONS = [
    MessageFilter(),
    MessageFilter(text="invoice"),
    MessageFilter(text="nvoice"),
    MessageFilter(text="INVOICE"),
    MessageFilter(text="17"),
    MessageFilter(text="Grüße"),
    MessageFilter(text="one.example"),
    MessageFilter(text="%_s"),
    MessageFilter(text="no such thing anywhere"),
    MessageFilter(sender="anna@one.example"),
    MessageFilter(sender="<>"),
    MessageFilter(sender="@HERE.example"),
    MessageFilter(recipient="ANNA@one.example"),
    MessageFilter(recipient="@one.example"),
    MessageFilter(recipient="ill"),
    MessageFilter(recipient="x"),
    MessageFilter(recipient="anna", states=(BOUNCED,)),
    MessageFilter(recipient="anna@one.example", text="invoice", states=(QUEUED, BOUNCED)),
    MessageFilter(states=(QUEUED,)),
    MessageFilter(states=(BOUNCED, EXPIRED)),
    MessageFilter(states=(HELD,)),
    MessageFilter(states=(DELIVERED,), sender="<>"),
    MessageFilter(text="anna", states=(DELIVERED, BOUNCED)),
]


@pytest.mark.parametrize("limit", [3, 500])
def test_a_search_finds_what_a_filter_finds(tmp_path: Path, limit: int) -> None:
    async def test(world: SearchWorld) -> None:
        await fill(world, seed=limit)
        for question in QUESTIONS:
            wanted = {name: getattr(question, name) for name in ("sender", "recipient", "states")}
            expected = await world.spool.messages(
                MessageFilter(text=question.text, limit=0, **wanted)
            )
            found = await world.find(question.text, limit=limit, **wanted)
            assert found == sorted(found, reverse=True), "newest first, and none twice"
            missing = {row.identifier for row in expected} - set(found)
            assert not missing, question
            if question.text.isascii() and " " not in question.text:
                assert len(found) == len(expected), question

    run(tmp_path, test)


def test_letters_of_every_alphabet_match_in_either_case_and_encoded(tmp_path: Path) -> None:
    async def test(world: SearchWorld) -> None:
        plain = await world.append(subject="Grüße aus ΑΘΉΝΑ")
        encoded = await world.append(subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?=")
        await world.indexed(encoded)
        late = await world.append(subject="GRÜSSE")
        assert set(await world.find("grüße")) == {plain, encoded, late}
        assert set(await world.find("GRÜSSE")) == {plain, encoded, late}
        assert await world.find("αθήνα") == [plain]
        assert await world.find("=?utf-8?q?Gr=C3") == [encoded], "as it was written, too"

    run(tmp_path, test)


def test_every_word_must_be_there_and_quotes_keep_words_together(tmp_path: Path) -> None:
    async def test(world: SearchWorld) -> None:
        both = await world.append("anna@one.example", subject="your invoice")
        apart = await world.append("anna@one.example", subject="invoice for your order")
        await world.append("bob@one.example", subject="an order")
        await world.indexed(apart)
        assert await world.find("invoice anna") == [apart, both]
        assert await world.find("anna  INVOICE your") == [apart, both]
        assert await world.find('"your invoice"') == [both]
        assert await world.find("invoice carol") == []
        assert await world.find("   ") == await world.find("")

    run(tmp_path, test)


HOSTILE = [
    'a" OR "b', '"', '""', "*", "a*", "^a", "NOT a", "a AND b", "NEAR(a b)", "text:a", "-a", "(",
    ")", "{text}: a", "';DROP TABLE volume;--", "\0", "a\0b", "%", "_", "\\", "a" * 5000,
    "🎉🎉🎉🎉", "ab\u0301c", "\u202egnirts", "x\ny", "+", "a + b", "x" + '"' * 50,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_is_written_has_a_meaning_of_its_own(tmp_path: Path, text: str) -> None:
    async def test(world: SearchWorld) -> None:
        inside = "".join(letter for letter in text if letter not in '\0"')[:150]
        there = await world.append(subject=f"before {inside} behind")
        await world.append(subject="bystander number two")
        await world.indexed(there + 1)
        for field in ("sender", "recipient"):
            await world.find(**{field: text})
        found = await world.find(text)
        if inside.strip() and '"' not in text and "\0" not in text and len(text) < 150:
            assert there in found

    run(tmp_path, test)


@given(st.text(max_size=60))
@example("\x00000")
def test_an_expression_is_one_for_any_words(text: str) -> None:
    asked = expression(CommonTrigrams().rarest(words_of(text)))
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(
            "CREATE VIRTUAL TABLE t USING fts5(text, content='', detail=none, tokenize='trigram')"
        )
        whole = indexed_text(SearchText(1, text, ""))
        database.execute("INSERT INTO t(rowid, text) VALUES (1, ?)", (whole,))
        if asked:
            found = database.execute("SELECT rowid FROM t WHERE t MATCH ?", (asked,)).fetchall()
            assert found == [(1,)], "a text has the trigrams of its words"


def test_what_is_common_is_not_asked_for() -> None:
    common = CommonTrigrams()
    common.learn([f"someone{number}@example.com hello" for number in range(100)])
    trigrams = common.rarest(["zyx@example.com"])
    assert {"zyx", "yx@", "x@e"} <= set(trigrams)
    assert list(trigrams_of("ab")) == []


# --- the index -------------------------------------------------------------------------------


def test_a_message_whose_content_took_long_is_found_below_those_already_indexed(
    tmp_path: Path,
) -> None:
    async def test(world: SearchWorld) -> None:
        slow = world.spool.identifier()
        newer = [await world.append("quick@one.example") for _ in range(3)]
        await world.indexed(newer[-1])
        assert await world.append("slow@one.example", identifier=slow) == slow
        await world.indexed(newer[-1])
        await until(lambda: not world.search._indexer._announced)  # type: ignore[union-attr]
        assert await world.find("slow@one") == [slow]
        assert await world.find("one.example") == [*reversed(newer), slow]

    run(tmp_path, test)


def test_states_are_those_of_now(tmp_path: Path) -> None:
    async def test(world: SearchWorld) -> None:
        message = await world.append("anna@one.example")
        await world.indexed(message)
        assert await world.find("anna", states=(QUEUED,)) == [message]
        await world.end(message, BOUNCED)
        assert await world.find("anna", states=(QUEUED,)) == []
        assert await world.find("anna", states=(BOUNCED,)) == [message]

    run(tmp_path, test)


def test_what_retention_has_removed_is_not_found_and_leaves_the_index(tmp_path: Path) -> None:
    async def test(world: SearchWorld) -> None:
        old = [await world.append("anna@one.example", state=DELIVERED) for _ in range(3)]
        await world.indexed(old[-1])
        assert await world.spool.prune(world.clock.now() + 1, 10) == 3
        assert await world.find("anna") == []
        new = await world.append("anna@one.example")
        await world.indexed(new)
        assert await world.find("anna") == [new]

    run(tmp_path, test)


def test_an_index_is_taken_up_after_a_restart(tmp_path: Path) -> None:
    messages: list[int] = []

    async def first(world: SearchWorld) -> None:
        messages.append(await world.append("anna@one.example"))
        await world.indexed(messages[-1])

    async def second(world: SearchWorld) -> None:
        indexer = world.search._indexer
        assert indexer is not None
        await until(lambda: indexer.is_ready)
        assert indexer.indexed == messages[0], "nothing is indexed again"
        messages.append(await world.append("anna@one.example"))
        await world.indexed(messages[-1])
        assert await world.find("anna") == messages[::-1]

    run(tmp_path, first)
    run(tmp_path, second)


@pytest.mark.parametrize("damage", ["gone", "nonsense", "cut", "other version", "table gone"])
def test_an_index_that_cannot_be_used_is_made_anew(tmp_path: Path, damage: str) -> None:
    messages: list[int] = []

    async def first(world: SearchWorld) -> None:
        messages.extend([await world.append(f"anna{n}@one.example") for n in range(20)])
        await world.indexed(messages[-1])

    async def second(world: SearchWorld) -> None:
        await world.indexed(messages[-1])
        await world.find("anna7@one")  # finds out, where nothing has before
        await world.indexed(messages[-1])
        assert await world.find("anna7@one") == [messages[7]]
        assert await world.find("anna") == messages[::-1]

    run(tmp_path, first)
    path = tmp_path / NAME
    if damage == "gone":
        path.unlink()
    elif damage == "nonsense":
        path.write_bytes(b"nonsense" * 1000)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        statement = "PRAGMA user_version = 99" if "version" in damage else "DROP TABLE volume_1"
        with closing(sqlite3.connect(path)) as database:
            database.execute(statement)
    run(tmp_path, second)


def test_a_search_is_right_before_there_is_an_index_and_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe(_connection: sqlite3.Connection) -> None:
        raise search_index.NoIndex("no such module: fts5")

    monkeypatch.setattr(search_index, "_probe", probe)

    async def test(world: SearchWorld) -> None:
        message = await world.append("anna@one.example", subject="Grüße")
        assert await world.find("anna") == [message]
        assert await world.find("grüsse") == [message]
        await until(world.search._indexer._task.done)  # type: ignore[union-attr]
        assert await world.find("anna") == [message]

    run(tmp_path, test)


@pytest.mark.parametrize("complete", [True, False])
def test_after_a_crash_the_newest_volume_is_made_again(tmp_path: Path, complete: bool) -> None:
    writer = IndexWriter(tmp_path / NAME, volume=3)
    assert writer.open() == 0
    writer.add([(n, f"anna {n} x") for n in range(10, 18)], 17)
    writer.close(complete=complete)
    again = IndexWriter(tmp_path / NAME, volume=3)
    assert again.open() == (17 if complete else 15), "whole volumes stay"
    again.close(complete=True)


def test_volumes_keep_the_order_of_messages_and_go_when_they_are_old(tmp_path: Path) -> None:
    writer, reader = IndexWriter(tmp_path / NAME, volume=3), IndexReader(tmp_path / NAME)
    writer.open()

    def all_found() -> list[int]:
        found: list[int] = []
        before: int | None = 1 << 62
        while before is not None:
            part = reader.candidates(expression(("ann",)), before, 0, 2)
            found += part.messages
            before = part.before
        return found

    writer.add([(n, "anna") for n in range(10, 30, 2)], 28)
    for late in (17, 9, 27):
        writer.add([(late, "anna")], 28)
    assert all_found() == [28, 27, 26, 24, 22, 20, 18, 17, 16, 14, 12, 10, 9]
    writer.add([(n, "anna") for n in range(30, 33)], 32)
    writer.prune(17)
    assert all_found() == [32, 31, 30, 28, 27, 26, 24, 22, 20, 18, 17, 16]
    writer.close(complete=True)
    reader.close()

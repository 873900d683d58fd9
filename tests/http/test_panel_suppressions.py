"""The page of suppressions: to search, add, remove, bring and take away."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from panel_room import ALL_HOSTILE, HOSTILE, Seen, assert_inert, faults_of, in_room
from web_room import WebRoom, csrf_of

from waypost.control.audit import AuditFilter
from waypost.control.permissions import Role
from waypost.faces.http.panel import suppressions
from waypost.faces.http.panel.suppressions import Brought, harmless, read_csv


async def listed(room: WebRoom) -> dict[str, str]:
    return {one.address: one.reason for one in await room.administration.suppressions()}


def test_an_address_is_added_shown_and_removed(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "ada")
        csrf = {"csrf": csrf_of(admin)}
        form = {"address": " Joe@There.example ", "reason": "asked us to"} | csrf
        answer = await admin.post("/suppressions/add", data=form)
        assert await listed(room) == {"joe@there.example": "asked us to"}
        told = assert_inert(await admin.get(answer.headers["location"]))
        assert "Nothing is sent to Joe@there.example any more" in told.words
        await admin.post("/suppressions/remove", data={"address": "joe@there.example"} | csrf)
        assert await listed(room) == {}
        entries = await room.room.audit.entries(AuditFilter(action="suppression"))
        assert [(one.who, one.action) for one in entries] == [
            ("ada", "suppression removed"), ("ada", "suppression added"),
        ]  # fmt: skip

    in_room(tmp_path, test)


def test_what_is_no_address_is_told_and_not_added(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        for one in (*HOSTILE, "", "joe", "joe@"):
            form = {"address": one, "csrf": csrf_of(admin)}
            answer = await admin.post("/suppressions/add", data=form)
            if answer.status_code == 303:
                assert_inert(await admin.get(answer.headers["location"]))
        assert await listed(room) == {}
        form = {"address": "nobody@there.example", "csrf": csrf_of(admin)}
        answer = await admin.post("/suppressions/remove", data=form)
        words = Seen((await admin.get(answer.headers["location"])).text).words
        assert "was not suppressed" in words

    in_room(tmp_path, test)


def test_a_viewer_reads_the_list_and_changes_nothing(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await room.administration.suppress("joe@there.example", "gone")
        viewer = await room.person(Role.VIEWER)
        seen = assert_inert(await viewer.get("/suppressions"))
        assert "joe@there.example" in seen.words
        assert seen.fields("address") == []
        form = {"address": "joe@there.example", "csrf": csrf_of(viewer)}
        assert (await viewer.post("/suppressions/remove", data=form)).status_code == 403

    in_room(tmp_path, test)


def test_a_search_looks_in_addresses_and_reasons_over_many_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(room: WebRoom) -> None:
        monkeypatch.setattr("waypost.administration.BATCH", 3)
        monkeypatch.setattr(suppressions, "BATCH", 3)
        for number in range(10):
            reason = "User unknown" if number % 2 else "mailbox full"
            await room.administration.suppress(f"user{number}@there.example", reason)
        admin = await room.person()

        async def found(path: str) -> tuple[list[str], list[str]]:
            seen = assert_inert(await admin.get(path))
            following = [one for one in seen.links if "after=" in one]
            return seen.fields("address")[:-1], following

        names = [f"user{number}@there.example" for number in range(10)]
        first, more = await found("/suppressions")
        assert first == names[:3]
        second, _ = await found(more[0])
        assert second == names[3:6]
        assert await found("/suppressions?q=USER7") == ([names[7]], [])
        full, more = await found("/suppressions?q=full")
        assert full == [names[0], names[2], names[4]]
        rest, more = await found(more[0])
        assert (rest, more) == ([names[6], names[8]], [])

    in_room(tmp_path, test)


def test_a_file_is_brought_and_what_is_wrong_in_it_told(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        content = (
            '\ufeffReason,Address\r\n"gone, for good",joe@there.example\r\n\r\n'
            f'x,"{HOSTILE[0]}"\r\n,ann@there.example\r\n'
        ).encode()
        answer = await admin.post(
            "/suppressions/import", data={"csrf": csrf_of(admin)},
            files={"file": ("list.csv", content, "text/csv")},
        )  # fmt: skip
        assert await listed(room) == {
            "joe@there.example": "gone, for good", "ann@there.example": "imported by admin1",
        }  # fmt: skip
        words = assert_inert(await admin.get(answer.headers["location"])).words
        assert "2 addresses suppressed. 1 line was not taken: line 4" in words

    in_room(tmp_path, test)


def test_a_file_that_is_too_large_is_refused_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(room: WebRoom) -> None:
        monkeypatch.setattr(suppressions, "MAXIMUM_FILE", 100)
        admin = await room.person()
        content = b"".join(b"user%d@there.example\n" % number for number in range(10))
        answer = await admin.post(
            "/suppressions/import", data={"csrf": csrf_of(admin)}, files={"file": ("a", content)}
        )
        assert answer.status_code == 303
        assert await listed(room) == {}

    in_room(tmp_path, test)


def test_what_is_taken_away_can_be_brought_back_and_is_no_formula(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await room.administration.suppress("=cmd|x@there.example", '=HYPERLINK("https://evil")')
        await room.administration.suppress("joe@there.example", '550 5.1.1, "gone"\n@SUM(A1)')
        before = await listed(room)
        admin = await room.person()
        answer = await admin.get("/suppressions.csv")
        assert answer.headers["content-disposition"] == 'attachment; filename="suppressions.csv"'
        rows = list(csv.reader(io.StringIO(answer.text)))
        assert rows[0] == ["address", "reason", "added"]
        assert not [field for row in rows for field in row if field[:1] in tuple("=+-@\t\r")]
        brought = read_csv(answer.text)
        assert dict(brought.rows) == before

    in_room(tmp_path, test)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_a_formula_is_taken_for_a_text(text: str) -> None:
    assert harmless(text) == "'" + text
    assert harmless("a=1") == "a=1"


def test_one_address_a_line_will_do() -> None:
    assert read_csv("a@one.example\nb@one.example;c\n\n") == Brought(
        (("a@one.example", ""),), ("line 2, 'b@one.example;c': " + _why("b@one.example;c"),), 1
    )
    assert read_csv("").rows == ()
    assert read_csv('a@one.example\n"' + "x" * 200_000).refused == 1, "no field is that long"


def _why(text: str) -> str:
    from waypost.mail.address import InvalidAddress, parse_address

    with pytest.raises(InvalidAddress) as fault:
        parse_address(text, smtputf8=True)
    return fault.value.reason


def test_no_field_brings_anything_into_the_page(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        for one in HOSTILE:
            await room.administration.suppress(one.replace("\x00", ""), ALL_HOSTILE)
        admin = await room.person()
        assert_inert(await admin.get("/suppressions"))
        for one in HOSTILE:
            answer = await admin.get("/suppressions", params={"q": one, "after": one})
            assert faults_of(answer.text) == []

    in_room(tmp_path, test)


def test_many_addresses_of_a_file_are_all_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(room: WebRoom) -> None:
        monkeypatch.setattr(suppressions, "TOGETHER", 7)
        admin = await room.person()
        content = "".join(f"user{number:02}@there.example\n" for number in range(50))
        await admin.post(
            "/suppressions/import", data={"csrf": csrf_of(admin)},
            files={"file": ("list.csv", content.encode())},
        )  # fmt: skip
        assert len(await listed(room)) == 50

    in_room(tmp_path, test)

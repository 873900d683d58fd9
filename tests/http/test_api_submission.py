"""Mail over the API: what 202 promises, what is refused and how, and what hostile requests meet."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import email
import email.policy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_room import WebRoom, web_room

from sink import Sink
from waypost.control.permissions import Permission, Role
from waypost.faces.http import api_parts
from waypost.spool.contract import MessageFilter, MessageRow, RecipientState, SpoolFull

MESSAGES = "/api/v1/messages"
WHOLE = f"{MESSAGES}?from=a@here.example&to=b@there.example"
SIMPLE: dict[str, Any] = {
    "from": "shop@here.example", "to": ["ann@there.example"], "subject": "Hi", "text": "Hello",
}  # fmt: skip


def in_room(folder: Path, work: Callable[[WebRoom], Awaitable[None]], text: str = "") -> None:
    async def run() -> None:
        async with web_room(folder, text) as room:
            await work(room)

    asyncio.run(run())


async def row_of(room: WebRoom, answer: httpx.Response) -> MessageRow:
    """The message that a 202 has promised, from the spool."""
    assert answer.status_code == 202, answer.text
    (row,) = await room.service.spool.messages(MessageFilter())
    found = (await (await room.person(Role.ADMIN)).get(f"{MESSAGES}/{answer.json()['id']}")).json()
    assert found["received"]
    return row


async def content_of(room: WebRoom, answer: httpx.Response) -> email.message.EmailMessage:
    reader = await room.person(Role.ADMIN)
    source = await reader.get(f"{MESSAGES}/{answer.json()['id']}/source")
    assert source.status_code == 200, source.text
    found = email.message_from_bytes(source.content, policy=email.policy.default)
    assert isinstance(found, email.message.EmailMessage)
    return found


def test_a_message_of_parts_is_kept_whole_with_what_belongs_to_its_envelope(
    tmp_path: Path,
) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        answer = await client.post(
            MESSAGES,
            json={
                "from": "Käthe's shop <shop@here.example>",
                "to": ["Ann Lee <ann@there.example>"],
                "cc": "bob@there.example",
                "bcc": ["eve@elsewhere.example"],
                "reply_to": "help@here.example",
                "subject": "Grüße",
                "html": '<p>Hello <img src="cid:logo"></p>',
                "headers": {"X-Order": "4711"},
                "attachments": [
                    {"name": "a.txt", "content": base64.b64encode(b"hello").decode()},
                    {
                        "name": "logo.png", "content_id": "logo",
                        "content": base64.b64encode(b"\x89PNG\r\n\x1a\nxyz").decode(),
                    },
                ],
                "list_unsubscribe": "https://here.example/u/1",
                "envelope_from": "bounces@here.example",
                "notify": ["failure", "delay"],
                "ret": "hdrs",
                "envelope_id": "order 4711",
            },
        )  # fmt: skip
        assert answer.json()["refused"] == []
        row = await row_of(room, answer)
        assert row.reverse_path == "bounces@here.example"
        assert {one.address for one in row.recipients} == {
            "ann@there.example", "bob@there.example", "eve@elsewhere.example",
        }  # fmt: skip
        message = await content_of(room, answer)
        assert str(message["From"]) == "Käthe's shop <shop@here.example>"
        assert message["Bcc"] is None
        assert message["X-Order"] == "4711"
        assert message["Reply-To"] == "help@here.example"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert "via" not in str(message["Received"]).lower()
        assert "Hello" in message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        files = {part.get_filename(): part.get_content() for part in message.walk()
                 if part.get_filename()}  # fmt: skip
        assert files == {"a.txt": "hello", "logo.png": b"\x89PNG\r\n\x1a\nxyz"}

    in_room(tmp_path, work)


def test_envelope_options_reach_the_next_server(tmp_path: Path) -> None:
    sink = Sink()
    route = f'[[route]]\nname = "out"\nvia = ["smtp+plain://127.0.0.1:{sink.port}"]\n'

    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        options = {"notify": ["success"], "ret": "full", "envelope_id": "e-1"}
        assert (await client.post(MESSAGES, json=SIMPLE | options)).status_code == 202
        received = await asyncio.to_thread(sink.wait_for, "ann@there.example")
        assert received.envelope.returned == "FULL"
        assert received.envelope.envelope_id == "e-1"
        assert received.envelope.recipients[0].notify == frozenset({"SUCCESS"})

    try:
        in_room(tmp_path, work, route)
    finally:
        sink.close()


def test_a_whole_message_is_taken_as_it_is_with_its_line_ends_mended(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        raw = "From: shop@here.example\nSubject: Grüße\nX-Own: 1\n\nerste Zeile\n.\nzweite: ü\n"
        answer = await client.post(
            MESSAGES,
            content=raw.encode(),
            headers={
                "Content-Type": "message/rfc822",
                "Waypost-From": "shop@here.example",
                "Waypost-To": "ann@there.example, <bob@there.example>",
            },
        )
        row = await row_of(room, answer)
        assert [one.address for one in row.recipients] == [
            "ann@there.example", "bob@there.example",
        ]  # fmt: skip
        reader = await room.person(Role.ADMIN)
        source = (await reader.get(f"{MESSAGES}/{answer.json()['id']}/source")).content
        assert source.endswith(b"X-Own: 1\r\n\r\nerste Zeile\r\n.\r\nzweite: \xc3\xbc\r\n")
        assert b"\r\nMessage-ID: " in source
        assert b"\n" not in source.replace(b"\r\n", b"")

    in_room(tmp_path, work)


def test_a_whole_message_has_its_tags_and_its_time_beside_it(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        answer = await person.post(
            MESSAGES,
            params={"from": "a@here.example", "to": ["b@there.example", "c@there.example"],
                    "tag": ["x", "y"], "send_at": later(86400)},
            content=b"Subject: a\r\n\r\nb\r\n", headers={"Content-Type": "message/rfc822"},
        )  # fmt: skip
        row = await row_of(room, answer)
        assert [one.state for one in row.recipients] == [RecipientState.QUEUED] * 2
        assert row.recipients[0].due_at > row.received_at + 86000
        seen = (await person.get(f"{MESSAGES}/{answer.json()['id']}")).json()
        assert (seen["tags"], seen["send_at"]) == (["x", "y"], answer.json()["send_at"])
        assert (await person.get(MESSAGES, params={"tag": "y"})).json()["items"] == [
            {**seen, "recipients": [
                {name: value for name, value in one.items() if not name.startswith("waits_")}
                for one in seen["recipients"]
            ]}
        ]  # fmt: skip
        for beside in ({"tag": "x"}, {"from": "a@here.example"}, {"send_at": later(60)}):
            mixed = await person.post(MESSAGES, params=beside, json=SIMPLE)
            assert mixed.status_code == 422
            assert "whole" in mixed.json()["detail"]

    in_room(tmp_path, work)


@pytest.mark.parametrize(
    ("raw", "body", "utf8"),
    [
        (b"Subject: a\r\n\r\nb\r\n", None, False),
        (b"Subject: a\r\n\r\n\xc3\xbc\r\n", "8BITMIME", False),
        ("Subject: ü\r\n\r\nb\r\n".encode(), "8BITMIME", True),
    ],
)
def test_a_whole_message_asks_for_what_its_octets_need(
    tmp_path: Path, raw: bytes, body: str | None, utf8: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for octet in raw:  # the end of the header is cut everywhere
            yield bytes((octet,))

    async def work(room: WebRoom) -> None:
        await (await room.person(Role.ADMIN)).post("/api/v1/queues/default/pause")
        client = await room.key(Permission.SEND)
        answer = await client.post(
            f"{MESSAGES}?from=shop@here.example&to=ann@there.example",
            content=pieces(),
            headers={"Content-Type": "message/rfc822"},
        )
        row = await row_of(room, answer)
        (queued,) = await room.service.spool.load_message(row.identifier)
        assert (queued.envelope.body, queued.envelope.smtputf8) == (body, utf8)

    in_room(tmp_path, work)


def test_a_whole_message_that_is_too_large_ends_while_it_streams(tmp_path: Path) -> None:
    given = 0

    async def work(room: WebRoom) -> None:
        nonlocal given
        maximum = room.service.settings.maximum_size

        async def endless() -> AsyncIterator[bytes]:
            nonlocal given
            yield b"Subject: a\r\n\r\n"
            while given < 10 * maximum:
                given += 64 * 1024
                yield b"x" * (64 * 1024 - 2) + b"\r\n"

        client = await room.key(Permission.SEND)
        answer = await client.post(
            f"{MESSAGES}?from=shop@here.example&to=ann@there.example",
            content=endless(),
            headers={"Content-Type": "message/rfc822"},
        )
        assert answer.status_code == 413, answer.text
        assert answer.json()["maximum"] == maximum
        assert given < 2 * maximum
        assert await room.service.spool.messages(MessageFilter()) == []
        assert not list((room.service.settings.spool.directory / "bodies").iterdir())

    in_room(tmp_path, work, '[content]\nmaximum_size = "1 MiB"\n')


def test_a_body_that_says_it_is_too_large_is_not_read(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        for kind in ("application/json", "message/rfc822"):

            async def unread() -> AsyncIterator[bytes]:
                yield b"{"
                raise AssertionError("more was read than the first piece")

            answer = await client.post(
                MESSAGES if kind == "application/json" else WHOLE,
                content=unread(),
                headers={"Content-Type": kind, "Content-Length": str(10**12)},
            )
            assert answer.status_code == 413, answer.text

    in_room(tmp_path, work)


def test_bodies_in_memory_are_bounded_over_all_requests(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        room.application.state.body_budget = api_parts.BodyBudget(1000)
        client = await room.key(Permission.SEND)
        large = SIMPLE | {"text": "x" * 2000}
        answer = await client.post(MESSAGES, json=large)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await client.post(MESSAGES, json=SIMPLE)).status_code == 202
        assert (await client.post(MESSAGES, json=SIMPLE)).status_code == 202  # and it is given back

    in_room(tmp_path, work)


@pytest.mark.parametrize("kind", ["application/json", "message/rfc822"])
def test_a_body_that_stops_coming_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    async def stalls() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async def work(room: WebRoom) -> None:
        monkeypatch.setattr(api_parts, "PIECE_SECONDS", 0.1)
        client = await room.key(Permission.SEND)
        answer = await client.post(
            MESSAGES if kind == "application/json" else WHOLE,
            content=stalls(),
            headers={"Content-Type": kind},
        )
        assert answer.status_code == 408, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert await room.service.spool.messages(MessageFilter()) == []

    in_room(tmp_path, work)


def test_recipients_that_cannot_be_taken_are_told_with_reply_and_fix(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        await room.administration.suppress("bad@there.example", "mailbox unknown")
        client = await room.key(Permission.SEND)
        answer = await client.post(
            MESSAGES, json=SIMPLE | {"to": ["ann@there.example", "bad@there.example"]}
        )
        (refused,) = answer.json()["refused"]
        assert refused["address"] == "bad@there.example"
        assert (refused["code"], refused["enhanced"]) == (550, "5.7.1")
        assert refused["reason"] == "suppressed"
        assert "DELETE /api/v1/suppressions" in refused["fix"]
        row = await row_of(room, answer)
        assert [one.address for one in row.recipients] == ["ann@there.example"]
        alone = await client.post(MESSAGES, json=SIMPLE | {"to": "bad@there.example"})
        assert alone.status_code == 422
        assert alone.headers["content-type"] == "application/problem+json"
        assert alone.json()["type"] == "urn:waypost:problem:no-recipients"
        assert alone.json()["refused"][0]["address"] == "bad@there.example"

    in_room(tmp_path, work)


def test_a_key_of_a_user_sends_as_that_user_from_addresses_of_his_own(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        room.service.credentials.add("shop", "secret-of-shop", ("@here.example", "here.example"))
        room.service.credentials.find("shop")
        client = await room.key(Permission.SEND, user="shop")
        answer = await client.post(MESSAGES, json=SIMPLE)
        assert (await row_of(room, answer)).user == "shop"
        for forged in (
            SIMPLE | {"from": "ceo@elsewhere.example"},
            SIMPLE | {"envelope_from": "ceo@elsewhere.example"},
        ):
            refused = await client.post(MESSAGES, json=forged)
            assert refused.status_code == 403, refused.text
            assert "553 5.7.1" in refused.json()["reply"]
        raw = await client.post(
            f"{MESSAGES}?from=ceo@elsewhere.example&to=ann@there.example",
            content=b"Subject: a\r\n\r\nb\r\n", headers={"Content-Type": "message/rfc822"},
        )  # fmt: skip
        assert raw.status_code == 403

    in_room(tmp_path, work)


def test_without_the_permission_nothing_is_sent(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        assert (await (await room.visitor()).post(MESSAGES, json=SIMPLE)).status_code == 401
        reader = await room.key(Permission.READ)
        assert (await reader.post(MESSAGES, json=SIMPLE)).status_code == 403
        assert await room.service.spool.messages(MessageFilter()) == []

    in_room(tmp_path, work)


def test_a_full_spool_is_told_with_the_time_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        full = SpoolFull("the spool has no room; try again later")
        with monkeypatch.context() as patch:
            patch.setattr(room.service.spool, "admission", lambda size: full)
            answer = await client.post(MESSAGES, json=SIMPLE)
        assert answer.status_code == 507
        assert int(answer.headers["retry-after"]) > 0
        append = room.service.spool.append

        def refusing(message: Any, body: Any, done: Callable[[Exception], None]) -> Any:
            kept = append(message, body, lambda _: None)
            asyncio.get_running_loop().call_soon(done, full)
            return kept

        with monkeypatch.context() as patch:  # found only at the commit
            patch.setattr(room.service.spool, "append", refusing)
            answer = await client.post(MESSAGES, json=SIMPLE)
        assert answer.status_code == 507
        assert answer.json()["type"] == "urn:waypost:problem:spool-full"

    in_room(tmp_path, work)


HOSTILE = [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000,
    b'{"from": NaN, "to": "a@b.example"}', b'{"from": "a@b.example", "to": -Infinity}',
    b'{"from": 1' + b"0" * 10_000 + b"}", b'{"from": "\\ud800@b.example", "to": "a@b.example"}',
    b'{"from": "a@b.example", "to": "a@b.example", "subject": "\\ud83d"}',
    b'{"from": "a@b.example", "to": "a@b.example", "send_at": 1e400}',
    b'{"from": "a@b.example", "to": "a@b.example", "send_at": "9999-12-31T23:59:59+23:59"}',
    b'{"from": "a@b.example", "to": "a@b.example", "send_at": "2026-01-01T00:00:00"}',
    b'{"from": "a@b.example", "to": []}', b'{"from": "a@b.example"}', b'{"from": "", "to": ""}',
    b'{"from": "a@b.example", "to": "a@b.example", "typo": 1}',
    b'{"from": "a@b.example", "to": "a@b.example", "attachments": [{"name": "a", "content": "?"}]}',
    b'{"from": "a@b.example", "to": "a@b.example", "attachments": [{"name": "/etc/passwd"}]}',
    b'{"from": "a@b.example", "to": "a@b.example", "metadata": {"a": {"b": "c"}}}',
    b'{"from": "a@b.example", "to": "a@b.example", "tags": ["a b"]}',
    b'{"from": "a@b.example", "to": "a@b.example", "template": {"name": "none"}, "text": "x"}',
    b'{"from": "a@b.example", "to": "a@b.example", "html": "<img src=\\"cid:none\\">"}',
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_json_is_answered_and_nothing_is_kept(tmp_path: Path, body: bytes) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        answer = await client.post(
            MESSAGES, content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 422
        assert await room.service.spool.messages(MessageFilter()) == []

    in_room(tmp_path, work)


BREAKS = ("\r\nBcc: eve@x.example", "\nX: y", "\rX: y", "\x00", "\u2028X: y", "\x85X: y", "\x0bX")


@pytest.mark.parametrize(
    "place", ["from", "to", "cc", "reply_to", "subject", "headers", "header name",
              "list_unsubscribe", "envelope_from", "envelope_id", "attachment type"],
)  # fmt: skip
def test_no_field_lets_another_in(tmp_path: Path, place: str) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        for broken in BREAKS:
            given = dict(SIMPLE)
            if place in ("from", "to", "cc", "reply_to", "envelope_from"):
                given[place] = f"a@here.example{broken}"
            elif place == "headers":
                given["headers"] = {"X-Own": f"1{broken}"}
            elif place == "header name":
                given["headers"] = {f"X-Own{broken}": "1"}
            elif place == "attachment type":
                given["attachments"] = [{"name": "a", "content": "", "type": f"text/plain{broken}"}]
            else:
                given[place] = f"x{broken}"
            answer = await client.post(MESSAGES, json=given)
            assert answer.status_code == 422, (broken, answer.text)
        assert await room.service.spool.messages(MessageFilter()) == []

    in_room(tmp_path, work)


def test_a_name_of_a_file_is_disarmed_and_no_file_of_ours_is_read(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        content = base64.b64encode(b"theirs").decode()
        answer = await client.post(
            MESSAGES,
            json=SIMPLE | {"attachments": [{"name": "/etc/passwd\r\nX: y", "content": content}]},
        )
        message = await content_of(room, answer)
        (part,) = message.iter_attachments()
        assert "/" not in str(part.get_filename())
        assert message["X"] is None
        assert part.get_content() == b"theirs"

    in_room(tmp_path, work)


def test_other_media_types_are_told_which_there_are(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        for kind in ("text/plain", "", "multipart/form-data", "application/x-www-form-urlencoded"):
            answer = await client.post(MESSAGES, content=b"x", headers={"Content-Type": kind})
            assert answer.status_code == 415
            assert "message/rfc822" in answer.json()["detail"]

    in_room(tmp_path, work)


# --- later ----------------------------------------------------------------------------------------


def later(seconds: float) -> str:
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return at.isoformat()


def test_a_message_for_later_waits_shows_its_time_and_can_be_cancelled(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        answer = await person.post(MESSAGES, json=SIMPLE | {"send_at": later(10 * 86400)})
        row = await row_of(room, answer)
        (recipient,) = row.recipients
        assert (recipient.state, recipient.started) == (RecipientState.QUEUED, False)
        days = (recipient.due_at - row.received_at) / 86400
        assert 9.9 < days < 10.1
        assert (row.expires_at - recipient.due_at) / 86400 > 4.9  # the time to live begins then
        seen = (await person.get(f"{MESSAGES}/{answer.json()['id']}")).json()
        assert seen["send_at"] == answer.json()["send_at"]
        assert seen["recipients"][0]["waits_for"] == "its first attempt"
        message = await content_of(room, answer)
        assert message["Date"].datetime.timestamp() == int(recipient.due_at)
        cancelled = await person.post(f"{MESSAGES}/{answer.json()['id']}/cancel")
        assert cancelled.json()["changed"] == 1
        again = (await person.get(f"{MESSAGES}/{answer.json()['id']}")).json()
        assert again["recipients"][0]["state"] == "cancelled"

    in_room(tmp_path, work)


def test_a_message_for_later_goes_at_its_time_and_not_before(tmp_path: Path) -> None:
    sink = Sink()
    route = f'[[route]]\nname = "out"\nvia = ["smtp+plain://127.0.0.1:{sink.port}"]\n'

    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        due = room.service.clock.now() + 1.5
        answer = await client.post(MESSAGES, json=SIMPLE | {"send_at": later(1.5)})
        assert answer.status_code == 202
        assert (await client.post(MESSAGES, json=SIMPLE | {"to": "now@there.example"})).is_success
        await asyncio.to_thread(sink.wait_for, "now@there.example")  # the route is open
        received = await asyncio.to_thread(sink.wait_for, "ann@there.example")
        assert room.service.clock.now() >= due - 0.1
        assert received.content

    try:
        in_room(tmp_path, work, route)
    finally:
        sink.close()


def test_a_time_that_has_passed_is_now_and_one_too_far_is_refused(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        answer = await client.post(MESSAGES, json=SIMPLE | {"send_at": later(-3600)})
        assert (answer.status_code, answer.json()["send_at"]) == (202, None)
        far = await client.post(MESSAGES, json=SIMPLE | {"send_at": later(31 * 86400)})
        assert far.status_code == 422
        assert far.json()["errors"][0]["pointer"] == "#/send_at"

    in_room(tmp_path, work)


# --- templates ------------------------------------------------------------------------------------


def test_a_message_is_sent_by_a_template(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        person = await room.person(Role.OPERATOR)
        stored = await person.put(
            "/api/v1/templates/welcome",
            json={
                "subject": "Welcome, {{ name }}",
                "text": "Dear {{ name }}, you have {{ items|length }} items.",
                "html": "<p>{{ name }}</p><ul>{% for one in items %}<li>{{ one.title }}</li>"
                "{% endfor %}</ul>",
            },
        )
        assert (stored.status_code, stored.json()["variables"]) == (201, ["items", "name"])
        variables = {"name": "<b>Ann</b>", "items": [{"title": "a&b"}]}
        answer = await person.post(
            MESSAGES,
            json={"from": "shop@here.example", "to": "ann@there.example",
                  "template": {"name": "welcome", "variables": variables}},
        )  # fmt: skip
        message = await content_of(room, answer)
        assert message["Subject"] == "Welcome, <b>Ann</b>"
        html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
        assert "&lt;b&gt;Ann" in html
        assert "<li>a&amp;b</li>" in html
        lacking = await person.post(
            MESSAGES,
            json={"from": "shop@here.example", "to": "ann@there.example",
                  "template": {"name": "welcome", "variables": {"name": "Ann\r\nBcc: x@y.z"}}},
        )  # fmt: skip
        assert lacking.status_code == 422
        assert "items" in lacking.json()["detail"]
        broken = await person.post(
            MESSAGES,
            json={"from": "shop@here.example", "to": "ann@there.example", "template":
                  {"name": "welcome", "variables": {"name": "A\r\nBcc: x@y.z", "items": []}}},
        )  # fmt: skip
        assert broken.status_code == 422
        assert broken.json()["errors"][0]["pointer"] == "#/subject"
        unknown = await person.post(
            MESSAGES, json={"from": "a@b.example", "to": "c@d.example", "template": {"name": "x"}}
        )
        assert unknown.status_code == 404

    in_room(tmp_path, work)


def test_the_answer_is_json_that_any_reader_takes(tmp_path: Path) -> None:
    async def work(room: WebRoom) -> None:
        client = await room.key(Permission.SEND)
        answer = await client.post(MESSAGES, json=SIMPLE)
        assert set(json.loads(answer.content)) == {"id", "refused", "send_at"}
        assert answer.headers["ratelimit"].startswith('"default";r=')

    in_room(tmp_path, work)

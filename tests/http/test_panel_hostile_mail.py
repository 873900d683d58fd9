"""All mail content is hostile: wherever it is shown, it is words and nothing else.

Every place that a stranger writes (header fields and their names, addresses, names of files, parts,
bodies, the replies of a server) holds each payload of a corpus; every page about messages is read
with another parser than ours.
"""

from __future__ import annotations

import base64
from email.header import Header
from pathlib import Path

import httpx
import pytest
from panel_world import Page, assert_inert, in_room, over, send_bytes, tried
from web_room import WebRoom

from waypost.testing import MailServer

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><script src=//x.example/x.js></script>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' autofocus='",
    "</title><script>alert(1)</script>",
    "</textarea></pre></code><svg onload=alert(1)>",
    "javascript:alert(1)",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "<meta http-equiv=refresh content='0;url=//x.example'>",
    "<base href=//x.example/>",
    "<style>@import '//x.example/x.css';</style>",
    "{{ 7*7 }}{% for x in y %}",
    "${7*7}#{7*7}<%= 7*7 %>",
    "\u202egnp.exe\u202c \u2066hidden\u2069 \u200f\ufeff",
    "\x1b[31mred\x07\x08\x7f",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!--><script>alert(1)</script>-->",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16") + "<b>x",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img onerror=a()&gt;'>",
    "<form action=//x.example><input name=csrf><button>go",
)  # fmt: skip

VIEWS = ("", "html", "text", "headers", "source", "parts", "checks", "nothing-like-it")


def hostile_letter(payload: str) -> bytes:
    """A message that holds the payload everywhere."""
    line = payload.replace("\r", "").replace("\n", "")
    raw = "".join(one for one in line if one == "\t" or ord(one) >= 32)
    encoded = Header(line, "utf-8", maxlinelen=10_000).encode(linesep="")
    quoted = raw.replace("\\", "\\\\").replace('"', '\\"')
    name = base64.b64encode(line.encode("utf-8", "replace")).decode()
    field = "".join(one for one in raw if "!" <= one <= "~" and one != ":")[:60] or "X"
    html = f"<html><body title=\"{raw}\" onload=x()>{line}<p class='{raw}'>{line}</p></body></html>"
    parts = [
        f"From: {encoded} <app@here.example>",
        f'To: "{quoted}" <joe@there.example>',
        f"Cc: {encoded} <cc@there.example>",
        f"Reply-To: {raw} <r@here.example>",
        f"Subject: {encoded} {raw}",
        f"Message-ID: <{raw}@here.example>",
        f"Date: {raw}",
        f"List-Unsubscribe: <{raw}>, <https://x.example/{raw}>",
        f"X-Raw: {raw}",
        f"{field}: {raw}",
        "MIME-Version: 1.0",
        "Content-Type: multipart/mixed; boundary=outer",
        "",
        "--outer",
        "Content-Type: multipart/alternative; boundary=inner",
        "",
        "--inner",
        f'Content-Type: text/plain; charset="utf-8"; x="{quoted}"',
        "",
        f"{raw} https://x.example/{raw}",
        "--inner",
        "Content-Type: text/html; charset=utf-8",
        "",
        html,
        "--inner--",
        "--outer",
        f'Content-Type: application/{field}; name="{quoted}"',
        f'Content-Disposition: attachment; filename="{quoted}"',
        "",
        "x",
        "--outer",
        "Content-Type: image/svg+xml",
        f"Content-Disposition: inline; filename==?utf-8?b?{name}?=",
        f"Content-ID: <{raw}>",
        "",
        "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "--outer--",
        "",
    ]
    return "\r\n".join(parts).encode("utf-8", "replace")


async def read_all(client: httpx.AsyncClient, *paths: str) -> None:
    for path in paths:
        answer = await client.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        assert_inert(answer.text)


def assert_walled(answer: httpx.Response) -> None:
    """It runs nothing, whatever it holds."""
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert policy.split("; ")[-1] == "sandbox"
    assert "script-src" not in policy
    assert "allow-" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_in_every_field_is_inert_on_every_page(payload: str, tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        await send_bytes(room, hostile_letter(payload))
        (identifier,) = await over(room, 1)
        admin = await room.person()
        await read_all(
            admin, "/messages", "/messages/now", f"/messages/{identifier}/now", "/sandbox",
            "/sandbox/now", f"/sandbox/now?open={identifier}", "/start", "/start/now",
            f"/sandbox/{identifier}/release",
            *(f"/messages/{identifier}?view={view}" for view in VIEWS),
            *(f"/sandbox/{identifier}?view={view}" for view in VIEWS),
        )  # fmt: skip
        framed = await admin.get(f"/messages/{identifier}/html")
        assert framed.status_code == 200
        assert_walled(framed)
        assert_framed_is_clean(framed.text)
        for part in (1, 2, 3, 4):
            saved = await admin.get(f"/messages/{identifier}/parts/{part}")
            assert saved.status_code == 200
            assert_walled(saved)
            assert saved.headers["content-disposition"].startswith("attachment;")
            assert saved.headers["content-type"] == "application/octet-stream"
            assert saved.headers["content-disposition"].isascii()

    in_room(test, tmp_path)


def assert_framed_is_clean(html: str) -> None:
    """The second wall: of itself the document in the frame holds nothing that acts or calls out."""
    found = Page(html)
    for tag, given in found.elements:
        assert tag not in (
            "script", "iframe", "object", "embed", "form", "input", "button", "base", "link", "svg",
            "math",
        ), (tag, given)  # fmt: skip
        if tag == "meta":
            assert "http-equiv" not in given, given
        for name, value in given.items():
            assert not name.startswith("on"), (tag, name, value)
            assert name not in ("href", "srcset", "action", "formaction", "background"), (tag, name)
            if name == "src":
                assert value.startswith("data:image/"), (tag, value)


def test_a_payload_in_the_search_is_inert(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        for payload in PAYLOADS:
            for path in ("/messages", "/messages/now", "/sandbox", "/sandbox/now"):
                for given in (
                    {"q": payload, "state": payload, "within": payload}, {"before": payload},
                ):  # fmt: skip
                    answer = await admin.get(path, params=given)
                    assert answer.status_code == 200, (path, given)
                    assert_inert(answer.text)
            answer = await admin.get("/start", params={"way": payload, "provider": payload})
            assert answer.status_code == 200, payload
            assert_inert(answer.text)

    in_room(test, tmp_path)


def test_what_a_hostile_server_answers_is_inert(tmp_path: Path) -> None:
    with MailServer() as server:
        payloads = [
            one for one in PAYLOADS if one.isprintable() and one.isascii() and len(one) < 300
        ]
        for number, payload in enumerate(payloads):
            server.fail(on="rcpt", recipient=f"r{number}@*", reply=f"550 5.1.1 {payload}")

        async def test(room: WebRoom) -> None:
            for number in range(len(payloads)):
                await send_bytes(room, b"Subject: x\r\n\r\nx\r\n", to=f"r{number}@there.example")
            # Each refusal brings a bounce to its sender, which is over the same server.
            found = await tried(room, 2 * len(payloads))
            admin = await room.person()
            for identifier in found:
                await read_all(admin, f"/messages/{identifier}", f"/messages/{identifier}/now")
            await read_all(admin, "/messages")

        in_room(test, tmp_path, f'[[route]]\nname = "all"\nvia = "{server.url}"\n')


def test_addresses_are_inert(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        local = '"<script>alert(1)</script>\'&{{7*7}}"'
        await send_bytes(
            room, b"Subject: x\r\n\r\nx\r\n", f"{local}@here.example", f"{local}@there.example"
        )
        (identifier,) = await over(room, 1)
        admin = await room.person()
        await read_all(
            admin, "/messages", f"/messages/{identifier}", "/sandbox", f"/sandbox/{identifier}",
            "/start",
        )  # fmt: skip
        shown = Page((await admin.get(f"/messages/{identifier}")).text)
        assert "<script>alert(1)</script>" in shown.text

    in_room(test, tmp_path)


FILE = b"Content-Disposition: attachment; filename"

MIME = {
    "deep nesting": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(3000)
    ),
    "thousands of parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\n\r\nx\r\n" * 5000,
    "a boundary in itself": b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
    + b"--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n" * 300,
    "a boundary that never comes": b"Content-Type: multipart/mixed; boundary=b\r\n\r\nx\r\n",
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\n--\r\nx\r\n",
    "an empty boundary": b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\nx\r\n',
    "a long parameter": b"Content-Type: text/plain; x=" + b"\r\n " + b'"' * 900 + b"\r\n\r\nx\r\n",
    "many parameters": b"Content-Type: text/plain" + b"; \r\n x=1" * 800 + b"\r\n\r\nx\r\n",
    "pieces without order": b"Content-Type: a/b; name*9999*=x; name*1=y; name*0*=u''%zz%\r\n\r\n",
    "an unknown charset": b"Content-Type: text/html; charset=klingon\r\n\r\n\xff\xfe<b>x\r\n",
    "a codec that is no charset": b"Content-Type: text/plain; charset=rot13\r\n\r\n\xff\r\n",
    "the charset idna": b"Content-Type: text/plain; charset=idna\r\n\r\nxn--\xff..\r\n",
    "the charset undefined": b"Content-Type: text/html; charset=undefined\r\n\r\nx\r\n",
    "the charset utf-7": b"Content-Type: text/html; charset=utf-7\r\n\r\n+ADw-script+AD4-x\r\n",
    "the charset punycode": b"Content-Type: text/plain; charset=punycode\r\n\r\n\xff-\xff\r\n",
    "bad base64": b"Content-Transfer-Encoding: base64\r\n\r\n====A=B\xff\x00\r\n",
    "bad quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=\r\n=ZZ=\r\n",
    "an unknown encoding": b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin\r\n",
    "encoded words": b"Subject: " + b"=?utf-8?b?/////w==?= =?x?q?=00=1b?= " * 20 + b"\r\n\r\nx",
    "names that climb": b'Content-Type: application/x; name="../../../etc/passwd"\r\n\r\nx\r\n',
    "names of nothing": FILE + b'="   ..."\r\n\r\nx\r\n',
    "names of line ends": FILE + b"*=utf-8''a%0d%0aSet-Cookie:x\r\n\r\nx\r\n",
    "names of surrogates": FILE + b"*=utf-16''%00%d8x\r\n\r\nx\r\n",
    "names that turn": FILE + "=\"a\u202egpj.exe\"\r\n\r\nx\r\n".encode(),
    "no header": b"\r\nx\r\n",
    "nothing": b"\r\n",
    "a field without an end": b"X-Long: " + b"a" * 900 + b"\r\n",
    "a type without a subtype": b"Content-Type: text\r\n\r\nx\r\n",
    "a type of signs": b"Content-Type: <script>/<x>; <y>=<z>\r\n\r\nx\r\n",
    "HTML without an end": b"Content-Type: text/html\r\n\r\n" + b"<!--" * 100_000 + b"\r\n",
    "tags without an end": b"Content-Type: text/html\r\n\r\n" + b"<a <b <p>" * 50_000 + b"\r\n",
    "styles without an end": b"Content-Type: text/html\r\n\r\n<style>" + b"/*" * 50_000 + b"\r\n",
    "an image that is none": b"Content-Type: image/png\r\n\r\n<script>alert(1)</script>\r\n",
    "a message in a message": b"Content-Type: message/rfc822\r\n\r\n" * 2000,
}  # fmt: skip


def test_hostile_mime_is_shown_somehow_and_never_a_fault(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person()
        for count, (kind, content) in enumerate(MIME.items(), 1):
            await send_bytes(room, content)
            identifier = (await over(room, count))[0]
            await read_all(
                admin, "/sandbox", f"/sandbox/{identifier}",
                *(f"/messages/{identifier}?view={view}" for view in VIEWS),
            )  # fmt: skip
            for path in ("html", "source", "message.eml", "parts/1"):
                answer = await admin.get(f"/messages/{identifier}/{path}")
                assert answer.status_code == 200, (kind, path)
                assert_walled(answer)
            assert_framed_is_clean((await admin.get(f"/messages/{identifier}/html")).text)
            for number in ("0", "-1", "9999", "99999999999999999999"):
                answer = await admin.get(f"/messages/{identifier}/parts/{number}")
                assert answer.status_code == 404, (kind, number)

    in_room(test, tmp_path)

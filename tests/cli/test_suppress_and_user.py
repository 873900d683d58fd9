"""`waypost suppress` and `waypost user`, each with a running relay and without."""

from __future__ import annotations

import base64
import smtplib
from pathlib import Path

import pytest

from conftest import WAIT, Place, Relay


def suppressed(place: Place) -> dict[str, str]:
    page = place.run("suppress", "list", "--json").json
    return {one["address"]: one["reason"] for one in page["suppressions"]}


def test_a_suppressed_address_is_refused_until_it_is_removed(sandbox: Relay) -> None:
    place = sandbox.place
    assert place.run("suppress", "add", "Gone@Example.org", "--reason", "left us").code == 0
    assert suppressed(place) == {"gone@example.org": "left us"}
    with smtplib.SMTP(*sandbox.address, timeout=WAIT) as client:
        client.ehlo()
        client.mail("a@example.com")
        assert client.rcpt("gone@example.org")[0] == 550
        assert place.run("suppress", "remove", "gone@example.org").code == 0
        assert client.rcpt("gone@example.org")[0] == 250
    again = place.run("suppress", "remove", "gone@example.org")
    assert (again.code, "not suppressed" in again.err) == (1, True)


def test_export_is_what_import_reads(sandbox: Relay, tmp_path: Path) -> None:
    place = sandbox.place
    file = tmp_path / "in.csv"
    file.write_text('address,reason\n# ours\na@example.org,"bounced, twice"\n\nb@example.org\n')
    assert place.run("suppress", "import", str(file), "--reason", "old list").code == 0
    expected = {"a@example.org": "bounced, twice", "b@example.org": "old list"}
    assert suppressed(place) == expected
    out = tmp_path / "out.csv"
    assert place.run("suppress", "export", str(out)).code == 0
    place.run("suppress", "remove", *expected)
    place.stop()
    assert place.run("suppress", "import", str(out)).code == 0
    assert suppressed(place) == expected
    assert place.run("suppress", "export", str(out)).code == 2, "nothing is overwritten"


def test_a_faulty_line_changes_nothing(sandbox: Relay, tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_text("a@example.org\nnobody\n")
    ended = sandbox.place.run("suppress", "import", str(file))
    assert ended.code == 2
    assert f"{file}:2" in ended.err
    assert suppressed(sandbox.place) == {}


def test_a_user_who_is_added_can_log_in_at_once(sandbox: Relay) -> None:
    place = sandbox.place

    def logs_in(password: str) -> bool:
        with smtplib.SMTP(*sandbox.address, timeout=WAIT) as client:
            client.ehlo()
            token = base64.b64encode(f"\0joe\0{password}".encode()).decode()
            return client.docmd("AUTH", f"PLAIN {token}")[0] == 235

    ended = place.run("user", "add", "joe", "--password-stdin", typed="first pass\n")
    assert (ended.code, ended.out) == (0, "joe: added\n")
    assert logs_in("first pass")
    place.run("user", "password", "joe", "--password-stdin", typed="second\n")
    assert logs_in("second")
    place.run("user", "disable", "joe")
    assert not logs_in("second"), "and the answer waits a second: it is the tarpit's"
    place.run("user", "enable", "joe")
    assert logs_in("second")
    assert place.run("user", "remove", "joe").code == 0
    assert place.run("user", "list").out.startswith("no users")


def test_users_are_listed_without_their_secrets(place: Place) -> None:
    place.run("user", "add", "joe", "--password-stdin", "--sender", "example.com", typed="geheim\n")
    ended = place.run("user", "list", "--json")
    (user,) = ended.json["users"]
    assert user.keys() == {"name", "senders", "created", "disabled"}
    assert (user["name"], user["senders"], user["disabled"]) == ("joe", ["example.com"], False)
    for out in (ended.out, place.run("user", "list").out):
        assert "geheim" not in out
        assert "argon2" not in out


@pytest.mark.parametrize(
    ("arguments", "given", "code", "words"),
    [
        (("add", "joe"), "", 2, "--password-stdin"),
        (("add", "joe", "--password-stdin"), "", 2, "no password"),
        (("add", "a\nb", "--password-stdin"), "x\n", 2, "no user name"),
        (("remove", "nobody"), "", 1, "no user 'nobody'"),
        (("password", "nobody", "--password-stdin"), "x\n", 1, "no user 'nobody'"),
    ],
)
def test_wrong_input_is_told(
    place: Place, arguments: tuple[str, ...], given: str, code: int, words: str
) -> None:
    ended = place.run("user", *arguments, typed=given)
    assert ended.code == code
    assert words in ended.err


def test_a_user_is_not_added_twice(place: Place) -> None:
    assert place.run("user", "add", "joe", "--password-stdin", typed="x\n").code == 0
    ended = place.run("user", "add", "joe", "--password-stdin", typed="y\n")
    assert (ended.code, "waypost user password" in ended.err) == (1, True)

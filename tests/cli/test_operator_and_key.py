"""`waypost operator` and `waypost key`, without a relay and beside one that runs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from conftest import Place
from waypost.control import accounts, audit, keys
from waypost.control.audit import AuditFilter
from waypost.control.database import NAME, ControlDatabase
from waypost.control.permissions import Permission


def opened(place: Place) -> ControlDatabase:
    return ControlDatabase(place.data / NAME)


def test_a_person_is_added_with_a_link(place: Place) -> None:
    ended = place.run("operator", "add", "Ada", "--role", "admin")
    assert ended.code == 0
    assert re.search(r"^    http://127\.0\.0\.1:8025/first-run/[\w-]{43}$", ended.out, re.MULTILINE)
    listed = place.run("operator", "list", "--json").json["operators"]
    assert [(one["name"], one["role"], one["state"]) for one in listed] == [
        ("Ada", "admin", "invited")
    ]
    assert "invited" in place.run("operator", "list").out


def test_the_link_leads_where_the_panel_is(place: Place) -> None:
    for environment, begins in (
        ({"WAYPOST_WEB_PUBLIC_URL": "https://mail.example.com"}, "https://mail.example.com/"),
        ({"WAYPOST_PANEL": "192.0.2.1:8443"}, "https://192.0.2.1:8443/"),
        ({"WAYPOST_PANEL": "off"}, "http://127.0.0.1:8025/"),
    ):
        name = f"p{len(begins)}"
        told = place.run("operator", "add", name, "--json", **environment).json
        assert told["link"].startswith(f"{begins}first-run/"), environment


def test_what_changes_an_account(place: Place) -> None:
    place.run("operator", "add", "Ada", "--role", "admin")
    place.run("operator", "add", "Olga")
    assert place.run("operator", "role", "Olga", "operator").code == 0
    for command, state in (("disable", "disabled"), ("enable", "invited")):
        assert place.run("operator", command, "Olga").code == 0
        (olga,) = [one for one in place.run("operator", "list", "--json").json["operators"]
                   if one["name"] == "Olga"]  # fmt: skip
        assert (olga["role"], olga["state"]) == ("operator", state)
    assert place.run("operator", "reset", "Olga", "--json").json["name"] == "Olga"
    assert place.run("operator", "remove", "olga", "--json").json["done"] == "removed"
    database = opened(place)
    found = database.now(lambda c: audit.entries(c, AuditFilter()))
    database.close()
    assert [one.action for one in found] == [
        "operator removed", "operator link made", "operator enabled", "operator disabled",
        "operator role set", "operator added", "operator added",
    ]  # fmt: skip
    assert {one.who.partition(":")[0] for one in found} == {"command"}


def test_the_last_admin_is_not_removed(place: Place) -> None:
    place.run("operator", "add", "Ada", "--role", "admin")
    database = opened(place)
    database.now(lambda c: accounts.set_password(c, "Ada", "a hash"))
    database.close()
    ended = place.run("operator", "remove", "Ada")
    assert (ended.code, "last admin" in ended.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("operator", "reset", "nobody"), 1, "there is no operator 'nobody'"),
        (("operator", "add", "a:b"), 2, "is no name for an operator"),
        (("operator", "add", "x", "--role", "king"), 2, "king"),
        (("key", "revoke", "none"), 1, "there is no key 'none'"),
        (("key", "add", "a/b"), 2, "is no name for a key"),
        (("key", "add", "x", "--scope", "moon:fly"), 2, "there is no scope 'moon:fly'"),
        (("key", "add", "x", "--expires", "soon"), 2, "is no time"),
        (("key", "add", "x", "--expires", "0"), 2, "longer than 0 s"),
    ],
)
def test_a_mistake_is_told(place: Place, arguments: tuple[str, ...], code: int, words: str) -> None:
    ended = place.run(*arguments)
    assert ended.code == code
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_a_key_is_printed_alone_so_that_a_script_can_take_it(place: Place) -> None:
    ended = place.run("key", "add", "shop")
    assert re.fullmatch(r"wpk_[\w-]{43}\n", ended.out)
    secret = ended.out.strip()
    database = opened(place)
    found = database.now(lambda c: keys.find(c, secret, 0.0))
    database.close()
    assert found is not None
    assert found.permissions == {Permission.SEND}
    assert place.run("key", "add", "SHOP").code == 1
    listed = place.run("key", "list")
    assert secret not in listed.out
    assert secret[:10] in listed.out
    assert place.run("key", "revoke", "shop").code == 0
    assert "no keys" in place.run("key", "list").out


def test_a_key_has_what_it_was_given(place: Place) -> None:
    told = place.run(
        "key", "add", "shop", "--scope", "messages:send", "--scope", "messages:read",
        "--expires", "90d", "--user", "shop", "--json",
    ).json  # fmt: skip
    assert told["secret"].startswith(told["begins"])
    assert told["scopes"] == ["messages:read", "messages:send"]
    assert (told["user"], told["expired"]) == ("shop", False)
    assert told["expires"] > told["created"]
    (one,) = place.run("key", "list", "--json").json["keys"]
    assert one == {key: value for key, value in told.items() if key != "secret"}
    assert set(place.run("key", "scopes", "--json").json["scopes"]) == set(Permission)
    json.dumps(told)


def test_only_the_owner_reads_the_file(place: Place) -> None:
    place.run("key", "add", "shop")
    for file in Path(place.data).glob(f"{NAME}*"):
        assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can chown")
def test_what_root_makes_is_the_relays(place: Place) -> None:
    place.data.mkdir(parents=True)
    os.chown(place.data, 12345, 12346)
    assert place.run("operator", "add", "Ada").code == 0
    made = (place.data / NAME).stat()
    assert (made.st_uid, made.st_gid) == (12345, 12346)

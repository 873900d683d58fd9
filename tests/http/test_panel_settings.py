"""The page of settings: values, origins, meanings; which rule binds for an address."""

from __future__ import annotations

import re
from pathlib import Path

from panel_room import HOSTILE, Seen, assert_inert, faults_of, in_room
from web_room import WebRoom

from waypost.config import Configuration, Flags, load
from waypost.config.keys import keys
from waypost.control.permissions import Role

SECRET = "s3cret-of-the-route"

CONFIGURATION = f"""
[[route]]
name = "shop"
via = "smtp://app:{SECRET}@one.example:587"
match = {{ recipients = ["*.shop.example"] }}
limits = {{ rate = "5/second" }}

[[route]]
name = "rest"
via = "sandbox:"
"""


def configured(room: WebRoom, folder: Path) -> Configuration:
    """The configuration of the room, with a variable and a flag over it."""
    environment = {"HOME": str(folder), "WAYPOST_RETENTION": "3 days"}
    made = load(folder / "waypost.toml", environment, Flags(hostname="flag.example"))
    room.application.state.configuration = made
    return made


def test_each_setting_has_its_value_origin_and_meaning(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        configured(room, tmp_path)
        answer = await (await room.person(Role.VIEWER)).get("/settings")
        words = " ".join(assert_inert(answer).words.split())
        assert 'hostname "flag.example" flag --hostname The relay\'s own name' in words
        assert 'retention "3 days" environment WAYPOST_RETENTION How long' in words
        assert re.search(r'rate "5/second" waypost\.toml:\d+', words)
        assert "[[route[0]]]" in words
        assert "[limits]" in words
        assert SECRET not in answer.text
        for key in keys():
            if not key.in_list:
                assert f"<code>{key.path[-1]}</code>" in answer.text, key.dotted

    in_room(tmp_path, test, CONFIGURATION)


def test_settings_can_be_searched_and_cut_to_what_was_set(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        configured(room, tmp_path)
        admin = await room.person()
        found = Seen((await admin.get("/settings?q=RETENTION")).text).words
        assert "3 days" in found
        assert "5/second" not in found
        given = Seen((await admin.get("/settings?only=set")).text).words
        assert "5/second" in given
        assert "messages_per_connection" not in given
        assert "No setting matches" in Seen((await admin.get("/settings?q=zzz")).text).words

    in_room(tmp_path, test, CONFIGURATION)


def test_an_address_is_told_its_route_and_what_binds_it(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        configured(room, tmp_path)
        admin = await room.person()
        shop = Seen((await admin.get("/settings?address=joe@a.shop.example")).text).words
        assert "it is the first that matches: recipients *.shop.example" in shop
        assert "at most 5/second on the route" in shop
        rest = Seen((await admin.get("/settings?address=joe@b.example&sender=<>")).text).words
        assert "it takes all mail that no other route takes" in rest
        wrong = Seen((await admin.get("/settings?address=joe")).text).words
        assert "is no mail address" in wrong

    in_room(tmp_path, test, CONFIGURATION)


def test_a_panel_without_a_configuration_says_so(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        seen = assert_inert(await (await room.person()).get("/settings?address=a@b.example"))
        assert "not known here" in seen.words

    in_room(tmp_path, test)


def test_no_field_brings_anything_into_the_page(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        made = configured(room, tmp_path)
        route = made.settings.route[0]
        hostile = route.model_copy(update={"name": "".join(HOSTILE)})
        settings = made.settings.model_copy(update={"route": (hostile, *made.settings.route[1:])})
        object.__setattr__(made, "settings", settings)
        origins = dict.fromkeys(made.origins, HOSTILE[1])
        object.__setattr__(made, "origins", origins)
        admin = await room.person()
        assert "<script>alert(1)</script>" in assert_inert(await admin.get("/settings")).words
        for one in HOSTILE:
            fields = dict.fromkeys(("q", "only", "address", "sender", "user"), one)
            assert faults_of((await admin.get("/settings", params=fields)).text) == []
            fields = {"address": "joe@a.shop.example", "user": one}
            assert faults_of((await admin.get("/settings", params=fields)).text) == []

    in_room(tmp_path, test, CONFIGURATION)

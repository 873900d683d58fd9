"""The frame of all pages: layout, navigation, theme, static files, what is told after an action."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markupsafe import Markup
from panel_room import HOSTILE, Seen, assert_inert, in_room
from web_room import WebRoom, csrf_of

from waypost.control.permissions import Role
from waypost.faces.http.panel import wording
from waypost.faces.http.panel.pages import NOTES, Panel
from waypost.faces.http.panel.static_files import StaticFiles
from waypost.faces.http.panel.theme import own_path


def test_a_page_has_a_way_around_its_frame_and_says_where_one_is(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN, "ada")
        seen = assert_inert(await admin.get("/queues"))
        assert seen.links[0] == "#main"
        assert ("main", {"id": "main", "tabindex": "-1"}) in seen.elements
        current = [given["href"] for _, given in seen.elements if given.get("aria-current")]
        assert current == ["/queues"]
        assert "ada" in seen.words
        assert "Log out" in seen.words

    in_room(tmp_path, test)


def test_the_navigation_has_what_one_may_open(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        viewer = await room.person(Role.VIEWER)
        admin = await room.person(Role.ADMIN)
        of_viewer = Seen((await viewer.get("/routes")).text).links
        of_admin = Seen((await admin.get("/routes")).text).links
        assert {"/", "/queues", "/routes", "/logs", "/suppressions", "/settings"} <= set(of_viewer)
        assert {"/accounts", "/audit"} <= set(of_admin)
        assert not {"/accounts", "/audit"} & set(of_viewer)
        for path in dict.fromkeys(link for link in of_admin if link.startswith("/")):
            assert (await admin.get(path)).status_code == 200, path

    in_room(tmp_path, test)


def test_every_key_leads_to_one_page_and_stands_in_the_help(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN)
        text = (await admin.get("/routes")).text
        seen = Seen(text)
        keys = [given["data-key"] for _, given in seen.elements if "data-key" in given]
        assert len(keys) == len(set(keys)) > 8
        dialog = text[text.index("<dialog") :]
        assert re.findall(r"<kbd>g</kbd> <kbd>(\w)</kbd>", dialog) == keys
        assert "single-key shortcuts" in dialog, "they can be turned off (WCAG 2.1.4)"

    in_room(tmp_path, test)


def test_what_is_not_there_is_told_on_a_page_with_a_way_back(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN)
        answer = await admin.get("/nothing<script>")
        assert answer.status_code == 404
        seen = Seen(answer.text)
        assert "there is nothing at /nothing" in seen.words
        assert "/" in seen.links

    in_room(tmp_path, test)


def test_pages_are_not_kept_and_allow_no_foreign_or_inline_script(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN)
        headers = (await admin.get("/queues")).headers
        assert headers["cache-control"] == "no-store"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy

    in_room(tmp_path, test)


def test_static_files_have_their_content_in_their_address_and_are_kept(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        visitor = await room.visitor()
        files = room.application.state.panel.static
        answer = await visitor.get(files.url("panel.css"))
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        assert "immutable" in answer.headers["cache-control"]
        old = await visitor.get("/static/000000000000/panel.css")
        assert (old.status_code, old.content) == (200, answer.content)
        assert old.headers["cache-control"] == "no-store"
        for name in ("missing.css", "../pages.py", "%2e%2e%2fpages.py"):
            missing = await visitor.get(f"/static/{files.version}/{name}")
            assert missing.status_code in (303, 404), name

    in_room(tmp_path, test)


def test_the_address_changes_when_any_file_does(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a {}")
    (tmp_path / "b.js").write_text("1")
    (tmp_path / "note.txt").write_text("is not served")
    first = StaticFiles(tmp_path)
    (tmp_path / "b.js").write_text("2")
    second = StaticFiles(tmp_path)
    assert first.url("a.css") != second.url("a.css")
    assert set(first.contents) == {"a.css", "b.js"}
    with pytest.raises(KeyError):
        first.url("c.css")


def test_every_script_and_style_that_is_asked_for_is_there() -> None:
    files = StaticFiles()
    for name, content in files.contents.items():
        for wanted in re.findall(r'from "\./([\w.]+)"', content.decode("utf-8", "replace")):
            assert wanted in files.contents, f"{name} imports {wanted}"


def test_a_theme_is_kept_in_a_cookie(tmp_path: Path) -> None:
    async def test(room: WebRoom) -> None:
        admin = await room.person(Role.ADMIN)
        assert "data-theme" not in (await admin.get("/queues")).text
        chosen = {"theme": "dark", "back": "/queues", "csrf": csrf_of(admin)}
        answer = await admin.post("/theme", data=chosen)
        assert (answer.status_code, answer.headers["location"]) == (303, "/queues")
        assert '<html lang="en" data-theme="dark">' in (await admin.get("/queues")).text
        await admin.post("/theme", data=chosen | {"theme": '"><script>'})
        assert "data-theme" not in (await admin.get("/queues")).text

    in_room(tmp_path, test)


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example/", "", "/a\r\nb", "/\u202e"]
)
def test_no_redirect_leads_elsewhere(path: str) -> None:
    assert own_path(path) == "/"
    assert own_path("/queues?q=a") == "/queues?q=a"


def test_what_is_told_after_an_action_is_told_once_and_bounded() -> None:
    panel = Panel()
    first = panel.note("first", "good")
    assert panel.noted(first) == ("first", "good")
    assert panel.noted(first) is None
    assert panel.noted("<script>") is None
    kept = panel.note("kept", "good")
    for _ in range(NOTES):
        panel.note("more", "good")
    assert panel.noted(kept) is None


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_text_stays_a_text(hostile: str) -> None:
    made = Panel().templates.from_string("<p title='{{ it }}'>{{ it }}</p>").render(it=hostile)
    seen = Seen(made)
    assert [tag for tag, _ in seen.elements] == ["p"]
    assert list(seen.elements[0][1]) == ["title"]
    assert not re.search("[\x00-\x08\x1b\u202e\u2066]", seen.words)


def test_troubling_characters_are_shown_and_no_others_are_changed() -> None:
    assert wording.visible("a\u202eb\x1bc\x00\ud800") == "a\\u202eb\\x1bc\\x00\\ud800"
    assert wording.visible("tab\tline\nGrüße 日本 🙂") == "tab\tline\nGrüße 日本 🙂"
    assert wording.visible(Markup("<b>\u200b</b>")) == Markup("<b>\u200b</b>")
    assert wording.visible(7) == 7


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, wording.DASH), (0, "0 ms"), (0.0004, "< 1 ms"), (0.34, "340 ms"), (1.0, "1 s"),
        (1.24, "1.2 s"), (59.6, "1 min"), (61, "1 min 1 s"), (600, "10 min"),
        (659, "10 min"), (3600, "1 h"),
        (12_000, "3 h 20 min"), (86_400, "1 d"), (187_300, "2 d 4 h"), (8_640_000, "100 d"),
    ],
)  # fmt: skip
def test_a_span_has_its_two_largest_units(seconds: float | None, text: str) -> None:
    assert wording.span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, wording.DASH), (0, "0 B"), (1023, "1023 B"), (4200, "4.1 KiB"), (3 << 40, "3.0 TiB"),
     (150 << 20, "150 MiB"), (9000 << 40, "9000 TiB")],
)  # fmt: skip
def test_a_size_has_a_fitting_unit(count: int | None, text: str) -> None:
    assert wording.size(count) == text


def test_moments_are_elements_that_scripts_can_read() -> None:
    assert wording.moment(1_700_000_000.25) == (
        '<time datetime="2023-11-14T22:13:20.250Z" title="2023-11-14 22:13:20 UTC">'
        "2023-11-14 22:13:20</time>"
    )
    assert ">4 min ago<" in wording.relative(1000.0, 1290.0)
    assert ">in 2 h<" in wording.relative(8200.0, 1000.0)
    assert ">now<" in wording.relative(1000.0, 1000.4)


def test_states_are_told_by_words_and_signs_too() -> None:
    made = {name: wording.badge(name) for name in wording.BADGES}
    assert all(one.word and one.sign for one in made.values())
    by_look = {(one.word, one.sign) for one in made.values()}
    assert len(by_look) >= len(made) - 1, "but for two words of the same thing"
    assert wording.badge("<b>").word == "<b>"

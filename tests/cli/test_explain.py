"""`waypost explain`: what it is given, what it prints, how it ends, how soon."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("waypost")

KEYS = {
    "code", "enhanced", "kind", "reason", "cause", "title", "meaning", "fix", "action", "would",
    "step", "said_by", "side", "host", "recipient", "evidence", "confidence", "rule", "source",
    "sisimai", "kumomta",
}  # fmt: skip

BOUNCE = (
    "From: MAILER-DAEMON@mta.example.net\nTo: s@example.com\nSubject: failure notice\n\n"
    "Hi. This is the qmail-send program at mta.example.net.\n\n"
    "<a@example.org>:\n192.0.2.5 does not like recipient.\n"
    "Remote host said: 550 5.1.1 no such user\n"
)


def explain(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [COMMAND, "explain", *arguments], input=stdin, capture_output=True, timeout=60
    )
    return subprocess.CompletedProcess(
        ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode()
    )


def test_a_code_is_explained() -> None:
    ended = explain("550")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("550: ")
    for label in ("meaning", "kind", "what to do", "Waypost", "decided by"):
        assert f"\n{label}" in ended.stdout


def test_several_words_are_one_text() -> None:
    given = json.loads(explain("--json", "550", "5.1.1", "User", "unknown").stdout)
    assert (given["code"], given["enhanced"], given["reason"]) == (550, "5.1.1", "no-such-mailbox")


def test_the_document_has_every_key_that_the_reference_lists() -> None:
    given = json.loads(explain("550 5.1.1", "--json").stdout)
    assert set(given) == KEYS | {"input_kind", "findings", "recipients", "report"}
    assert all(set(one) == KEYS for one in given["findings"])
    reference = Path(__file__).parents[2] / "docs" / "reference" / "explain.md"
    assert all(f"`{key}`" in reference.read_text("utf-8") for key in given)


def test_of_a_bounce_each_recipient_is_in_the_document(tmp_path: Path) -> None:
    file = tmp_path / "bounce.eml"
    file.write_text(BOUNCE)
    given = json.loads(explain(str(file), "--json").stdout)
    assert given["input_kind"] == "bounce"
    assert given["report"]["form"] == "text"
    (one,) = given["recipients"]
    assert KEYS - {"recipient"} <= set(one)
    assert (one["address"], one["outcome"]) == ("a@example.org", "failed")
    assert (one["action"], one["sisimai"], one["kumomta"]) == (
        "suppress", "userunknown", "InvalidRecipient",
    )  # fmt: skip
    reference = Path(__file__).parents[2] / "docs" / "reference" / "explain.md"
    text = reference.read_text("utf-8")
    assert all(f"`{key}`" in text for key in (*one, *given["report"]))


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_standard_input_is_read(arguments: tuple[str, ...]) -> None:
    ended = explain(*arguments, stdin=BOUNCE.encode())
    assert ended.returncode == 0
    assert "a@example.org: failed" in ended.stdout


def test_a_code_is_a_code_even_where_a_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("550").write_text("450 4.2.0 Greylisted\n")
    assert json.loads(explain("550", "--json").stdout)["code"] == 550


def test_octets_that_are_no_text_do_no_harm() -> None:
    ended = explain(stdin=bytes(range(256)) * 100)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_a_control_character_never_reaches_the_terminal() -> None:
    ended = explain("550 5.1.1 user \x1b[31munknown\x07")
    assert ended.returncode == 0
    assert "\x1b" not in ended.stdout
    assert "\x07" not in ended.stdout


@pytest.mark.parametrize("text", ["hello world", "999", " "])
def test_what_is_not_known_gets_one_line_and_exit_2(text: str) -> None:
    ended = explain(text)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("waypost: ")
    assert ended.stderr.count("\n") == 1


def test_the_same_as_json() -> None:
    ended = explain("hello world", "--json")
    assert ended.returncode == 2
    assert set(json.loads(ended.stdout)) == {"error"}


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    ended = explain(str(tmp_path / "absent.eml"))
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_an_unknown_option_of_the_text_is_part_of_it() -> None:
    ended = explain("--json", "->", "RCPT TO:<a@example.org>\n<- 550 5.1.1 no such user")
    assert json.loads(ended.stdout)["step"] == "rcpt"


def test_help_says_what_it_takes() -> None:
    ended = explain("--help")
    assert ended.returncode == 0
    assert "bounce message" in ended.stdout


def test_only_what_is_needed_is_loaded() -> None:
    """It must answer at once; what takes long to import must stay out."""
    code = (
        "import sys; sys.argv = ['waypost', 'explain', '550']\n"
        "from waypost.faces.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "heavy = {'asyncio', 'pydantic', 'rich', 'ssl', 'sqlite3', 'email', 'dns', 'httpx'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.stderr.strip() == "[]"

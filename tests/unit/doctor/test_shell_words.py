"""What can be typed, what may follow it, and what is told of what a server says."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.doctor.shell.commands import OwnCommand, Said, for_history, read_input
from waypost.doctor.shell.completion import Situation, completions
from waypost.doctor.shell.content import CountedChunk, DotContent, SizedChunk, chunk
from waypost.doctor.shell.explaining import (
    challenge_words,
    offer_words,
    reply_words,
    stray_words,
    tls_words,
)
from waypost.knowledge.extensions import extensions
from waypost.net.tls import TlsDescription
from waypost.smtp.extensions import Capabilities
from waypost.smtp.reply import reply

OFFER = Capabilities.parse(
    reply(250, None, "mail.example", "SIZE 1000", "DSN", "AUTH PLAIN SCRAM-SHA-256", "CHUNKING")
)
AT_FIRST = Situation("me.example", None)
GREETED = Situation("me.example", OFFER)


# --- what is typed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/help", OwnCommand("help", ())),
        (".help DATA", OwnCommand("help", ("DATA",))),
        ("/SAVE a b", OwnCommand("save", ("a", "b"))),
        (".", Said(".", ".", (".",))),
        ("", Said("", "", ())),
        ("mail from:<a@b>", Said("mail from:<a@b>", "MAIL", ("mail", "from:<a@b>"))),
    ],
)
def test_what_begins_with_a_slash_or_dot_is_for_the_shell(
    line: str, expected: OwnCommand | Said
) -> None:
    assert read_input(line) == expected


def test_a_response_behind_auth_is_neither_shown_nor_remembered() -> None:
    said = read_input("AUTH PLAIN AGpvZQBodXNo")
    assert isinstance(said, Said)
    assert said.shown == "AUTH PLAIN [redacted]"
    assert for_history("AUTH PLAIN AGpvZQBodXNo in-clear") == "AUTH PLAIN"
    assert for_history("MAIL FROM:<a@b>") == "MAIL FROM:<a@b>"


# --- completion ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "word", "situation", "expected"),
    [
        ("", "ma", AT_FIRST, ["MAIL FROM:<"]),
        ("", "/sa", AT_FIRST, ["/save "]),
        ("", ".q", AT_FIRST, [".quit "]),
        ("EHLO ", "", AT_FIRST, ["me.example "]),
        ("AUTH ", "S", GREETED, ["SCRAM-SHA-256 "]),
        ("AUTH PLAIN ", "", GREETED, ["in-clear "]),
        ("MAIL ", "f", AT_FIRST, ["FROM:<"]),
        ("MAIL FROM:<a@b> ", "", AT_FIRST, []),
        ("MAIL FROM:<a@b> ", "r", GREETED, ["RET=FULL ", "RET=HDRS "]),
        ("MAIL FROM:<a@b> RET=FULL ", "r", GREETED, []),
        ("RCPT TO:<a@b> ", "", GREETED, ["NOTIFY=", "ORCPT="]),
        ("BDAT 10 ", "l", GREETED, ["LAST "]),
        ("/help ", "st", AT_FIRST, ["STARTTLS "]),
        ("/raw ", "", AT_FIRST, ["on ", "off "]),
        ("NOOP ", "", AT_FIRST, []),
    ],
)  # fmt: skip
def test_what_the_server_has_offered_can_be_completed(
    before: str, word: str, situation: Situation, expected: list[str]
) -> None:
    assert completions(before, word, situation) == expected


@given(st.text(max_size=30), st.text(max_size=10))
def test_anything_may_be_typed_before_a_completion(before: str, word: str) -> None:
    for one in completions(before, word, GREETED):
        assert one.upper().startswith(word.upper())


# --- content ------------------------------------------------------------------------------------


def test_lines_of_data_are_stuffed_unless_raw() -> None:
    content = DotContent(raw=False)
    sent = [content.line(line).send for line in (b"one", b".two", b"..three", b".")]
    assert sent == [b"one\r\n", b"..two\r\n", b"...three\r\n", b".\r\n"]
    assert content.size == len(b"one\r\n.two\r\n..three\r\n")
    assert DotContent(raw=True).line(b".two").send == b".two\r\n"


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=8))
def test_a_counted_chunk_has_the_size_that_it_says(lines: list[bytes]) -> None:
    lines = [line for line in lines if line != b"."]
    content = CountedChunk()
    for line in lines:
        assert content.line(line).send == b""
    command, _, rest = content.line(b".").send.partition(b"\r\n")
    assert command == f"BDAT {len(rest)} LAST".encode()
    assert rest == b"".join(line + b"\r\n" for line in lines)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=8), st.integers(1, 200))
def test_a_sized_chunk_has_exactly_its_size(lines: list[bytes], size: int) -> None:
    content = SizedChunk(f"BDAT {size}", size)
    for line in lines:
        piece = content.line(line)
        if piece.ended:
            assert len(piece.send) == len(f"BDAT {size}\r\n") + size
            return
        assert piece.send == b""
    assert content.size < size


def test_what_is_cut_off_a_chunk_is_told() -> None:
    piece = SizedChunk("BDAT 3 LAST", 3).line(b"abcdef")
    assert piece.send == b"BDAT 3 LAST\r\nabc"
    assert piece.note == "the last 5 bytes are more than the size and are not sent"


@pytest.mark.parametrize("words", ["BDAT x", "BDAT 1 2 LAST", "BDAT -1", f"BDAT {10**12}"])
def test_a_chunk_without_sense_is_told(words: str) -> None:
    assert isinstance(chunk(tuple(words.split())), str)


# --- explanations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "answer", "says"),
    [
        ("", reply(220, None, "hi"), "it is ready"),
        ("RCPT", reply(250, None, "ok"), "the recipient is taken"),
        ("DATA", reply(354, None, "go"), "a lone dot ends it"),
        ("RCPT", reply(550, "5.1.1", "User unknown"), "permanent: "),
        ("RCPT", reply(550, "5.1.1", "User unknown"), "(no-such-mailbox)"),
        ("MAIL", reply(451, "4.7.1", "Greylisted, try again"), "temporary: "),
        ("AUTH", reply(503, "5.5.1", "Say EHLO first"), "out of step"),
        ("FOO", reply(299, None, "what"), "Done"),
    ],
)  # fmt: skip
def test_a_reply_is_told_in_plain_words(verb: str, answer: object, says: str) -> None:
    assert says in reply_words(verb, answer)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("250-SIZE 10240000", "messages up to 9.766 MiB"),
        ("250-SIZE", "no fixed limit"),
        ("250-SIZE 0", "no fixed limit"),
        ("250 pipelining", "without waiting"),
        ("250-AUTH=LOGIN", "a login is possible"),
        ("250-XNOBODYKNOWS", ""),
    ],
)
def test_what_ehlo_offers_is_told_line_by_line(line: str, says: str) -> None:
    assert says in offer_words(line)
    assert bool(says) == bool(offer_words(line))


def test_every_extension_has_a_source() -> None:
    assert len(extensions()) > 25
    assert all(one.source and one.meaning for one in extensions().values())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("HTTP/1.1 400 Bad Request", "web server"),
        ("* OK Dovecot ready.", "IMAP"),
        ("+OK POP3 ready", "POP3"),
        ("SSH-2.0-OpenSSH_9.2", "SSH"),
        (r"\x15\x03\x01", "smtps://"),
        ("hello there", "no reply of SMTP: why"),
    ],
)
def test_what_is_no_smtp_is_named(line: str, says: str) -> None:
    assert says in stray_words(line, "why", implicit=False)


def test_the_question_of_a_login_is_shown_only_where_it_is_a_plain_word() -> None:
    asked = reply(334, None, base64.b64encode(b"Username:").decode())
    assert challenge_words(asked) == "the server asks: Username:"
    secret = reply(334, None, base64.b64encode(b"<1896.697170952@mail>").decode())
    assert "1896" not in challenge_words(secret)
    assert challenge_words(reply(334, None, "no base64!")).startswith("the server asks for")


def test_the_facts_of_tls_tell_who_is_not_proved_and_what_has_expired() -> None:
    tls = TlsDescription(
        "TLSv1.3", "TLS_AES", 256, False, "CN=a\x1b[2J", "CN=a", ("a.example",), 0.0, 86400.0 * 10
    )
    words = "\n".join(tls_words(tls, 86400.0 * 20, insecure=True))
    assert "NOT verified (--insecure)" in words
    assert "10 days ago: it has expired" in words
    assert "\x1b" not in words

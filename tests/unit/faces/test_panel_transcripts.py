"""A transcript as a conversation: steps, what each reply answers, time between, explanations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from waypost.faces.http.panel.transcripts import Said, read_transcript

PIPELINED = """\
3.3 < 220 mail.test ESMTP
3.4 * connected to [192.0.2.1]:25
3.4 > EHLO relay.example
4.0 < 250-mail.test
4.1 < 250 PIPELINING
4.2 > MAIL FROM:<a@b.example> SIZE=1
4.2 > RCPT TO:<full@there.example>
4.2 > RCPT TO:<gone@there.example>
4.2 > BDAT 361 LAST
4.2 > [361 bytes of content]
5.0 < 250 2.1.0 ok
6.0 < 452 4.2.2 The mailbox is over quota
7.0 < 550 5.1.1 User unknown
1200.0 < 503 5.5.1 No valid recipients
"""


def read(text: str) -> tuple[Said, ...]:
    return read_transcript(text, host="mail.test", through="smarthost")


def test_replies_answer_the_oldest_command_that_waits() -> None:
    replies = [one for one in read(PIPELINED) if one.who == "them"]
    assert [(one.lines[0], one.stage_name, one.answers) for one in replies] == [
        ("220 mail.test ESMTP", "Connection", ""),
        ("250-mail.test", "Greeting", ""),
        ("250 2.1.0 ok", "Sender", "MAIL FROM:<a@b.example> SIZE=1"),
        ("452 4.2.2 The mailbox is over quota", "Recipients", "RCPT TO:<full@there.example>"),
        ("550 5.1.1 User unknown", "Recipients", "RCPT TO:<gone@there.example>"),
        ("503 5.5.1 No valid recipients", "Content", "BDAT 361 LAST"),
    ]
    assert replies[1].lines == ("250-mail.test", "250 PIPELINING")


def test_the_connection_stands_before_the_greeting_that_came_over_it() -> None:
    said = read(PIPELINED)
    assert [one.lines[0] for one in said[:2]] == [
        "connected to [192.0.2.1]:25", "220 mail.test ESMTP",
    ]  # fmt: skip


def test_refusals_have_their_tone_and_explanation() -> None:
    refused = [one for one in read(PIPELINED) if one.explanation is not None]
    assert [(one.tone, one.explanation.cause) for one in refused if one.explanation][:2] == [
        ("wait", "recipient.mailbox_full"), ("bad", "recipient.unknown"),
    ]  # fmt: skip
    unknown = refused[1].explanation
    assert unknown is not None
    assert "gone@there.example" in unknown.fix
    assert unknown.kind == "permanent"
    assert unknown.certain


def test_the_time_since_what_stands_before_is_told() -> None:
    gaps = [round(one.gap or 0, 1) for one in read(PIPELINED)]
    assert gaps[-1] == 1193.0
    assert gaps[0] == 3.3
    assert min(gaps) == 0.0


def test_a_login_of_several_steps_is_one_step() -> None:
    said = read(
        "0.1 > EHLO x\n0.2 < 250 AUTH LOGIN\n0.3 > AUTH LOGIN\n0.4 < 334 VXNlcm5hbWU6\n"
        "0.5 > [redacted]\n0.6 < 334 UGFzc3dvcmQ6\n0.7 > [redacted]\n0.8 < 535 5.7.8 wrong\n"
    )
    assert [one.stage_name for one in said[2:]] == ["Login"] * 6
    explanation = said[-1].explanation
    assert explanation is not None
    assert explanation.cause.startswith("auth.")


def test_data_and_its_content_have_a_reply_each() -> None:
    said = read(
        "0.1 > MAIL FROM:<a@b>\n0.2 < 250 ok\n0.3 > RCPT TO:<c@d>\n0.4 < 250 ok\n0.5 > DATA\n"
        "0.6 < 354 go\n0.7 > [5 bytes of content]\n0.8 < 554 5.7.1 Spam message rejected\n"
    )
    assert [one.lines[0][:3] for one in said if one.who == "them"] == ["250", "250", "354", "554"]
    assert said[-1].stage == "content"
    assert said[-1].explanation is not None


def test_our_own_note_that_repeats_a_refusal_is_left_out() -> None:
    said = read(
        "0.1 < 554 5.7.1 go away\n9.9 * mail.test said 554 5.7.1 go away (at greeting)\n"
        "- * further lines are not kept (limit 300)\n"
    )
    assert [one.lines[0] for one in said] == [
        "554 5.7.1 go away", "further lines are not kept (limit 300)",
    ]  # fmt: skip
    assert said[1].at is None


@given(st.text(max_size=300), st.sampled_from(["", PIPELINED]))
def test_anything_is_read(junk: str, start: str) -> None:
    for one in read(start + junk):
        assert one.lines
        assert one.stage_name is not None
        assert one.gap is None or one.gap >= 0


WORDS = st.sampled_from([
    "250 ok", "250-more", "421 4.3.2 bye", "334 x", "EHLO x", "AUTH PLAIN", "MAIL FROM:<>",
    "RCPT TO:<a@b>", "DATA", "[3 bytes of content]", "QUIT", "550 5.1.1 no", "", "connected to x",
])  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("<>*"), WORDS), max_size=40))
def test_lines_in_any_order_are_read_and_none_of_the_peer_is_lost(
    lines: list[tuple[str, str]],
) -> None:
    text = "\n".join(f"{n}.0 {direction} {words}" for n, (direction, words) in enumerate(lines))
    said = read(text)
    heard = [words for direction, words in lines if direction == "<"]
    assert [line for one in said if one.who == "them" for line in one.lines] == heard

"""What a reply or a text means, whole, and the same for delivery and explanation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.knowledge.classification import Classification, classify, classify_text
from waypost.knowledge.outcomes import Through, outcome_table
from waypost.knowledge.reasons import reasons
from waypost.knowledge.reply_contexts import MAXIMUM_TEXT, Stage, reply_in, stage_in
from waypost.knowledge.reply_reason import find_reason
from waypost.knowledge.reply_rules import GAP_CHARACTERS, ReplyRule, Words, reply_rules
from waypost.knowledge.reply_text import codes_in, plain_words
from waypost.smtp.reply import EnhancedStatus, Reply, reply

STAGES: tuple[Stage, ...] = get_args(Stage)
RULES = reply_rules().rules


def status(text: str) -> EnhancedStatus:
    found = EnhancedStatus.parse(text)
    assert found is not None
    return found


# --- the rules -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_a_rule_decides_its_own_example(rule: ReplyRule) -> None:
    """So no rule is dead, and none stands in the shadow of another."""
    stages = [stage for stage in STAGES if stage in rule.stages]
    stage = stages[0] if stages else None
    found = classify_text(rule.example, stage=stage)
    assert found.rule == rule.id
    assert found.reason == rule.reason


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_words_of_a_rule_are_as_plain_as_texts_become(rule: ReplyRule) -> None:
    for words in rule.words:
        for part in words.parts:
            assert part == part.lower().strip()
            assert "  " not in part


def test_words_begin_where_a_word_begins() -> None:
    words = Words(("infected",))
    assert words.stand_in("message infected")
    assert not words.stand_in("message disinfected")
    assert words.stand_in("disinfected, then infected")


def test_parts_stand_in_their_order_and_not_far_apart() -> None:
    words = Words(("mailbox", "full"))
    assert words.stand_in("mailbox of anna is full")
    assert not words.stand_in("full mailbox")
    assert not words.stand_in("mailbox " + "x" * GAP_CHARACTERS + " full")
    assert words.stand_in("mailbox " + "x" * GAP_CHARACTERS + " mailbox full")


# --- reading texts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "enhanced"),
    [
        ("550 5.1.1 User unknown", 550, "5.1.1"),
        ("550-5.1.1 The account\r\n550 5.1.1 does not exist", 550, "5.1.1"),
        ("host mx[192.0.2.25] said: 450 4.2.0 <a@b>: later", 450, "4.2.0"),
        ("smtp; 552-5.2.2 full", 552, "5.2.2"),
        ("#5.1.1 no such user", None, "5.1.1"),
        ("sorry, no mailbox here by that name. (#5.1.1)", None, "5.1.1"),
        ("(550, b'5.7.1 no')", 550, "5.7.1"),
        ("550: no", 550, None),
        ("connect to 192.0.2.25:25: refused", None, None),
        ("Postfix 2.4.5 on 10.5.1.1", None, None),
        ("421", 421, None),
        ("5.7.1", None, "5.7.1"),
    ],
)
def test_codes_are_found_in_a_text(text: str, code: int | None, enhanced: str | None) -> None:
    found = codes_in(text)
    assert found[0] == code
    assert found[1] == (None if enhanced is None else status(enhanced))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("550-5.1.1 The   Account\r\n550 5.1.1 Does Not Exist", "the account does not exist"),
        ('<anna.spam@example.com>: User "unknown"', "<@>: user unknown"),
        ("5.1.1\\nUser\\tunknown", "5.1.1 user unknown"),
        ("user doesn\u2019t exist", "user doesn't exist"),
        ("550-Blocked 550 see http://x.example", "blocked 550 see http://x.example"),
    ],
)
def test_texts_become_plain_words(text: str, words: str) -> None:
    assert plain_words(text) == words


@pytest.mark.parametrize(
    ("text", "stage", "said"),
    [
        ("host mx.example[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command)", "rcpt",
         "550 5.1.1 no "),
        ("SMTP error from remote mail server after MAIL FROM:<a@b> SIZE=1: host mx: 550 no", "mail",
         "550 no"),
        ("192.0.2.1 failed after I sent the message.\nRemote host said: 554 no", "content",
         "554 no"),
        ("(host mx refused to talk to me: 554 no)", "greeting", "554 no)"),
        ("no such user", None, "no such user"),
        ("550 the mailbox said: ", None, "550 the mailbox said: "),
    ],
)  # fmt: skip
def test_what_a_server_said_is_told_from_the_report(
    text: str, stage: str | None, said: str
) -> None:
    assert stage_in(text) == stage
    assert reply_in(text) == said


# --- the judgement ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # Words before a code that contradicts them.
        ("550 5.7.1 User unknown", "no-such-mailbox"),
        ("554 5.4.14 Hop count exceeded", "mail-loop"),
        ("550 5.1.1 This message is spam", "spam-refused"),
        # A precise code before weak words.
        ("550 5.1.1 Rejected for policy", "no-such-mailbox"),
        ("550 5.7.25 denied", "ptr-missing"),
        # Weak words before a vague code.
        ("550 5.7.1 policy", "policy-refused"),
        # A vague code before a reply code that says nothing.
        ("550 5.7.1 xyz", "access-refused"),
        # A reply code that says more than a vague one.
        ("530 5.7.0 xyz", "authentication-required"),
        # The address of the recipient is not a word of the server.
        ("550 <spam.virus.full@example.com> unknown user", "no-such-mailbox"),
    ],
)
def test_what_says_most_decides(text: str, reason: str) -> None:
    assert classify_text(text).reason == reason


def test_trust_follows_what_decided() -> None:
    own, common, precise, weak, vague, code, unknown = (
        classify_text(text).confidence
        for text in (
            "550 The email account that you tried to reach does not exist",
            "550 User unknown", "550 5.2.2 xyz", "550 policy", "550 5.7.1 xyz", "550 xyz", "xyz",
        )
    )  # fmt: skip
    assert 1 > own > common > precise > weak > vague > code > unknown == 0
    assert classify_text("550 5.1.1 User unknown").confidence > common


def test_a_reason_comes_with_its_names_elsewhere() -> None:
    found = classify_text("552 5.2.2 Mailbox full")
    assert found == Classification(
        552, status("5.2.2"), "permanent", "mailbox-full", "recipient.mailbox_full",
        "The recipient's quota is used up; it may be emptied.", "give-back", found.confidence,
        "common-quota", "RFC 3463 3.3", "mailboxfull", "QuotaIssues",
    )  # fmt: skip


@pytest.mark.parametrize("code", [211, 220, 250, 251, 354])
def test_success_needs_no_rule(code: int) -> None:
    found = classify(reply(code, None, "User unknown, spam, mailbox full"))
    assert (found.kind, found.reason, found.action) == ("success", "delivered", "deliver")
    assert found.rule == "success"


def test_where_nothing_is_said_nothing_is_claimed() -> None:
    assert classify_text("").reason == "nothing-said"
    assert classify_text("lorem ipsum").reason == "unknown"
    assert classify_text("lorem ipsum").confidence == 0


def test_the_stage_is_asked_where_words_and_codes_say_nothing() -> None:
    answers = {stage: classify(reply(550, None, "no"), stage=stage).reason for stage in STAGES}
    assert answers == {
        "greeting": "greeting-refused", "ehlo": "hello-refused", "starttls": "tls-refused",
        "auth": "authentication-refused", "mail": "sender-refused", "rcpt": "recipient-refused",
        "data": "message-refused", "content": "message-refused",
    }  # fmt: skip


def test_codes_that_are_given_count_before_those_in_the_text() -> None:
    found = classify_text("said 550 no", code=450, enhanced=status("4.2.2"))
    assert (found.code, found.kind, found.reason) == (450, "temporary", "mailbox-full")


def test_many_recipients_are_never_a_final_refusal() -> None:
    assert classify_text("552 Too many recipients").kind == "temporary"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("450 4.1.1 User unknown", "temporary"), ("550 greylisted", "permanent"),
        ("greylisted", "temporary"), ("Connection timed out", "temporary"),
        ("User unknown", "permanent"), ("4.2.2", "temporary"), ("250 2.1.5 Ok", "success"),
        ("354 go ahead", "success"),
    ],
)  # fmt: skip
def test_the_code_tells_the_kind_and_without_one_the_reason_does(text: str, kind: str) -> None:
    assert classify_text(text).kind == kind


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("550 5.1.1 User unknown", "suppress"), ("450 4.2.2 Mailbox full", "retry"),
        ("421 4.7.0 Too many connections", "back-off"), ("535 5.7.8 Bad password", "alert"),
        ("550 Spam message rejected", "give-back"), ("250 2.0.0 Ok", "deliver"),
    ],
)  # fmt: skip
def test_what_waypost_does_is_one_word(text: str, action: str) -> None:
    assert classify_text(text).action == action


@given(
    st.sampled_from(STAGES),
    st.integers(400, 599),
    st.sampled_from([rule.example for rule in RULES]) | st.text(max_size=60),
    st.sampled_from(get_args(Through)),
)
def test_delivery_and_explanation_agree(
    stage: Stage, code: int, text: str, through: Through
) -> None:
    said = Reply(code, (text,), EnhancedStatus.parse(text))
    explained = classify(said, stage=stage, through=through)
    verdict = outcome_table().of_reply(stage, said, through)
    assert (explained.reason, explained.kind) == (verdict.reason, verdict.kind)
    assert (explained.action == "alert") == verdict.alert
    if explained.action in ("suppress", "give-back"):
        assert verdict.kind == "permanent"
    if explained.action in ("retry", "back-off"):
        assert verdict.kind == "temporary"


# --- any input -------------------------------------------------------------------------------

STATUSES = st.none() | st.builds(
    EnhancedStatus, st.sampled_from([4, 5]), st.integers(0, 999), st.integers(0, 999)
)
WORDS = st.sampled_from([part for rule in RULES for words in rule.words for part in words.parts])
TEXTS = st.text(max_size=300) | st.lists(WORDS, max_size=20).map(" ".join)


@given(TEXTS, st.none() | st.integers(200, 599), STATUSES, st.none() | st.sampled_from(STAGES))
def test_any_text_is_classified(
    text: str, code: int | None, enhanced: EnhancedStatus | None, stage: Stage | None
) -> None:
    found = classify_text(text, code=code, enhanced=enhanced, stage=stage)
    assert found.reason in reasons()
    assert 0 <= found.confidence <= 1
    if code is not None:
        assert found.code == code


@given(TEXTS, st.integers(400, 599), STATUSES, st.none() | st.sampled_from(STAGES))
def test_any_refusal_has_a_reason(
    text: str, code: int, enhanced: EnhancedStatus | None, stage: Stage | None
) -> None:
    assert find_reason(text, code, enhanced, stage) is not None


def test_what_stands_behind_the_limit_is_not_looked_at() -> None:
    before = "x " * (MAXIMUM_TEXT // 2)
    assert classify_text(before + "user unknown").reason == "unknown"
    assert len(plain_words("a@b " * MAXIMUM_TEXT)) <= MAXIMUM_TEXT


@pytest.mark.parametrize("piece", ["mailbox ", "a@b.c ", "550-", "5.1.", "\\n", "<<< said: ", "."])
def test_a_text_made_to_be_slow_costs_no_more_than_its_length(piece: str) -> None:
    # Bounded by the work, not by the clock: what is searched is cut to size first.
    found = classify_text(piece * 100_000)
    assert found.reason in reasons()


def wordings() -> Iterator[tuple[str, str, ReplyRule]]:
    """Each wording of each rule, as a text of nothing else."""
    for rule in RULES:
        for words in rule.words:
            yield rule.id, " ".join((*words.parts, *rule.also[:1])), rule


def test_no_wording_is_lost_behind_another_rule() -> None:
    lost = []
    for name, text, rule in wordings():
        stage = next((one for one in STAGES if one in rule.stages), None)
        code = int(rule.codes[0].replace("yz", "50")) if rule.codes else None
        pattern = next((one for one in rule.enhanced if one != "none"), "")
        given = EnhancedStatus.parse(pattern.replace("*.", "5.", 1).replace("*", "99"))
        found = find_reason(text, code, given, stage)
        if found is None or found.reason != rule.reason:
            lost.append((name, text, found))
    assert lost == []

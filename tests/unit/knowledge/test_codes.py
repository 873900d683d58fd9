"""Reply codes, enhanced codes and reasons: nothing is missing, and each leads on."""

from __future__ import annotations

import pytest

from waypost.knowledge.enhanced_codes import (
    classes,
    enhanced_code,
    enhanced_codes,
    meaning_of,
    private_codes,
    subjects,
)
from waypost.knowledge.reasons import reasons
from waypost.knowledge.reply_codes import digits, reason_of_code, reply_codes
from waypost.knowledge.reply_contexts import STAGES
from waypost.smtp.reply import EnhancedStatus

STANDARD = {
    211, 214, 220, 221, 235, 250, 251, 252, 334, 354, 421, 432, 450, 451, 452, 454, 455, 500, 501,
    502, 503, 504, 521, 530, 534, 535, 538, 550, 551, 552, 553, 554, 555, 556,
}  # fmt: skip
"""RFC 5321, 4954, 7504, 1985 and others."""

REGISTRY = {0: 0, 1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}
"""The last detail of each subject in the registry; there are no gaps."""

SISIMAI = {
    "authfailure", "badreputation", "blocked", "contenterror", "exceedlimit", "expired",
    "failedstarttls", "feedback", "filtered", "hasmoved", "hostunknown", "mailboxfull",
    "mailererror", "mesgtoobig", "networkerror", "norelaying", "notaccept", "notcompliantrfc",
    "onhold", "policyviolation", "rejected", "requireptr", "securityerror", "spamdetected",
    "speeding", "suppressed", "suspend", "syntaxerror", "systemerror", "systemfull", "toomanyconn",
    "undefined", "userunknown", "vacation", "virusdetected", "delivered",
}  # fmt: skip

KUMOMTA = {
    "InvalidRecipient", "DNSFailure", "SpamBlock", "SpamContent", "ProhibitedAttachment",
    "RelayDenied", "AutoReply", "TransientFailure", "BadConfiguration", "BadConnection",
    "BadDomain", "ContentRelated", "InactiveMailbox", "InvalidSender", "MessageExpired",
    "NoAnswerFromHost", "PolicyRelated", "ProtocolErrors", "QuotaIssues", "RoutingErrors",
    "VirusRelated", "AuthenticationFailed", "TooManyRecipients", "Uncategorized",
}  # fmt: skip


def test_every_standard_reply_code_is_known() -> None:
    assert set(reply_codes()) >= STANDARD
    assert set(digits()) == {2, 3, 4, 5}


def test_every_code_of_the_registry_is_known() -> None:
    known = {(subject, detail) for subject, last in REGISTRY.items() for detail in range(last + 1)}
    assert set(enhanced_codes()) == known
    assert set(subjects()) == set(REGISTRY)
    assert set(classes()) == {2, 4, 5}


def test_codes_beside_the_registry_do_not_contradict_it() -> None:
    assert not {(subject, detail) for _, subject, detail in private_codes()} & set(enhanced_codes())


@pytest.mark.parametrize("code", [*reply_codes().values()], ids=lambda code: str(code.code))
def test_a_reply_code_is_told_in_plain_words(code: object) -> None:
    assert code.name  # type: ignore[attr-defined]  # parametrize loses the type
    assert code.meaning.endswith(".")  # type: ignore[attr-defined]
    assert code.stages  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", [*enhanced_codes().values()], ids=str)
def test_an_enhanced_code_is_told_in_plain_words(code: object) -> None:
    assert code.meaning.endswith(".")  # type: ignore[attr-defined]  # as above
    if code.precise:  # type: ignore[attr-defined]
        assert code.reason_for(5)  # type: ignore[attr-defined]


def test_the_meaning_of_a_code_says_what_its_class_says() -> None:
    assert meaning_of(EnhancedStatus(4, 2, 2)) == (
        "The recipient's quota or space is used up. Not now: the same may work later."
    )
    assert "not registered" in meaning_of(EnhancedStatus(5, 7, 999))
    assert meaning_of(EnhancedStatus(5, 9, 9)) == ""
    assert enhanced_code(EnhancedStatus(5, 9, 9)) is None


@pytest.mark.parametrize("stage", ["", *STAGES])
def test_every_code_at_every_stage_has_a_reason(stage: str) -> None:
    for code in range(400, 600):
        reason, source = reason_of_code(stage, code)
        assert reason in reasons()
        assert source


def test_all_that_others_tell_apart_is_told_apart() -> None:
    assert {reason.sisimai for reason in reasons().values()} == SISIMAI
    assert {reason.kumomta for reason in reasons().values()} <= KUMOMTA


def test_every_reason_has_its_words() -> None:
    for reason in reasons().values():
        assert reason.title
        assert reason.meaning.endswith(".")
        assert reason.cause == "" or reason.cause.count(".") == 1

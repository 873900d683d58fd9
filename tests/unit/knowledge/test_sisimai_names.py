"""Sisimai's names for refusals in bounces: by step, status and system where it goes by these."""

import pytest

from waypost.knowledge import sisimai_names, tables
from waypost.knowledge.reasons import reasons
from waypost.knowledge.sisimai_names import Refusal, sisimai_name
from waypost.smtp.reply import EnhancedStatus


def refusal(
    reason: str, words: str, *, step: str = "", status: str = "", host: str = "", notice: str = ""
) -> Refusal:
    enhanced = EnhancedStatus.parse(status) if status else None
    return Refusal(reason, step, enhanced, words[:1].isdigit(), words, host, notice)


@pytest.mark.parametrize(
    ("step", "status", "name"),
    [
        ("rcpt", "", "userunknown"),
        ("mail", "", "userunknown"),
        ("", "", "filtered"),
        ("", "5.0.0", "filtered"),
        ("", "5.7.1", "filtered"),
        ("content", "5.0.0", "filtered"),
        ("", "5.1.1", "userunknown"),
        ("content", "5.1.1", "userunknown"),
        ("data", "5.1.6", "hasmoved"),
    ],
)
def test_an_unknown_user_is_filtered_unless_rcpt_or_the_status_says_so(
    step: str, status: str, name: str
) -> None:
    said = refusal("no-such-mailbox", "550 user unknown", step=step, status=status)
    assert sisimai_name(said) == name


def test_a_notice_without_a_reply_is_believed() -> None:
    assert sisimai_name(refusal("no-such-mailbox", "Unknown recipient")) == "userunknown"


def test_words_of_a_system_count_before_the_step() -> None:
    said = "550 <a@ezweb.ne.jp>: User unknown"
    assert sisimai_name(refusal("no-such-mailbox", said, step="")) == "userunknown"
    assert sisimai_name(refusal("no-such-mailbox", "550 : User unknown")) == "filtered"


def test_the_host_must_fit() -> None:
    said = "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred"
    near = refusal("low-reputation", said, host="mta6.am0.yahoodns.net")
    assert sisimai_name(near) == "rejected"
    assert sisimai_name(refusal("low-reputation", said, host="192.0.2.7")) == "badreputation"


def test_what_the_message_says_to_people_must_fit() -> None:
    notice = "This is the mail delivery agent at messagelabs.com."
    said = refusal("no-such-mailbox", "542 a@example.com Rejected", notice=notice)
    assert sisimai_name(said) == "userunknown"


def test_without_a_row_the_name_is_that_of_the_reason() -> None:
    for name, reason in reasons().items():
        if name != "no-such-mailbox":
            assert sisimai_name(refusal(name, "550 no")) == reason.sisimai


def test_every_row_can_be_met_and_is_not_hidden_by_one_before_it() -> None:
    rows = sisimai_names._rows()
    for at, row in enumerate(rows):
        met = Refusal(
            row.reasons[0],
            (row.steps or ("rcpt",))[0],
            EnhancedStatus.parse(next(iter(row.statuses), "")),
            row.coded is not False,
            (row.words or ("",))[0],
            (row.hosts or ("",))[0],
            (row.notice or ("",))[0],
        )
        status = (row.statuses or ("",))[0]
        first = next(
            index
            for index, one in enumerate(rows)
            if one.holds(met, status, met.words.lower(), met.notice.lower())
        )
        assert first == at
        assert row.sisimai in {reason.sisimai for reason in reasons().values()}


@pytest.mark.parametrize(
    "row",
    [
        {"sisimai": "filtered", "reasons": ["no-such"], "source": "x"},
        {"sisimai": "filtered", "source": "x"},
        {"sisimai": "filtered", "reasons": ["unknown"], "coded": "yes", "source": "x"},
        {"sisimai": "filtered", "reasons": ["unknown"], "word": ["x"], "source": "x"},
    ],
)
def test_a_faulty_row_is_told(row: tables.Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "rows", lambda table, name: (row,))
    with pytest.raises(tables.FaultyTable):
        sisimai_names._rows.__wrapped__()

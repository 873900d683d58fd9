"""MAIL and RCPT: parameters only where offered, refusals known beforehand, no way to break out."""

from __future__ import annotations

import pytest
from client_dialogue import CONTENT, EVERYTHING, outcome, ready, say, to

from waypost.smtp.client import Transaction, refusal_before_sending
from waypost.smtp.envelope import Envelope, Recipient

EVERY = Envelope(
    "a@x.example",
    (Recipient("b@y.example", frozenset({"FAILURE", "DELAY"}), "rfc822;b+2Bc@y.example"),),
    body="8BITMIME",
    require_tls=True,
    returned="HDRS",
    envelope_id="id=1 +",
    parameters=(("MT-PRIORITY", "3"), ("HOLD", None)),
)


def test_each_parameter_goes_where_it_is_offered() -> None:
    client = ready(*EVERYTHING, "REQUIRETLS", "MT-PRIORITY MIXER")
    client.begin(Transaction(EVERY, 100, has_eight_bit=True, submitter=""), CONTENT)
    assert client.take() == (
        b"MAIL FROM:<a@x.example> SIZE=100 BODY=8BITMIME REQUIRETLS RET=HDRS"
        b" ENVID=id+3D1+20+2B AUTH=<> MT-PRIORITY=3\r\n"
        b"RCPT TO:<b@y.example> NOTIFY=DELAY,FAILURE ORCPT=rfc822;b+2Bc@y.example\r\nDATA\r\n"
    )


def test_no_parameter_goes_where_it_is_not_offered() -> None:
    client = ready()
    envelope = Envelope(
        EVERY.reverse_path,
        EVERY.recipients,
        body="8BITMIME",
        returned="HDRS",
        envelope_id="id",
        parameters=EVERY.parameters,
    )
    client.begin(Transaction(envelope, 100, has_eight_bit=True, submitter="me"), CONTENT)
    assert client.take() == b"MAIL FROM:<a@x.example>\r\n"
    say(client, "250 ok")
    assert client.take() == b"RCPT TO:<b@y.example>\r\n"


def test_utf8_addresses_go_with_smtputf8_and_the_null_sender_as_it_is() -> None:
    client = ready("SMTPUTF8", "PIPELINING")
    client.begin(to("bücher@y.example", sender=""), CONTENT)
    assert client.take() == (
        "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<bücher@y.example>\r\nDATA\r\n".encode()
    )


@pytest.mark.parametrize(
    ("transaction", "keywords", "code", "enhanced"),
    [
        (to("b@y.example", size=1001), ("SIZE 1000",), 552, "5.3.4"),
        (to("bücher@y.example"), (), 553, "5.6.7"),
        (to("b@y.example", sender="ä@x.example"), (), 553, "5.6.7"),
        (
            Transaction(Envelope("", (Recipient("b@y.example"),), smtputf8=True), 1),
            ("SIZE",),
            553,
            "5.6.7",
        ),
        (
            Transaction(Envelope("", (Recipient("b@y.example"),), require_tls=True), 1),
            (),
            550,
            "5.7.30",
        ),
        (
            Transaction(Envelope("", (Recipient("b@y.example"),), body="BINARYMIME"), 1),
            ("CHUNKING", "BINARYMIME"),
            554,
            "5.6.1",
        ),
    ],
)
def test_what_the_server_cannot_take_is_known_before_anything_is_sent(
    transaction: Transaction, keywords: tuple[str, ...], code: int, enhanced: str
) -> None:
    client = ready(*keywords)
    result = outcome(client.begin(transaction, CONTENT))
    assert client.take() == b""
    assert client.can_begin
    assert client.transactions == 0
    assert result.local
    decision = result.final_for(0)
    assert decision.stage == "MAIL"
    assert decision.reply is not None
    assert decision.reply.code == code
    assert str(decision.reply.enhanced) == enhanced
    assert client.capabilities is not None
    assert refusal_before_sending(transaction, client.capabilities) == decision.reply


@pytest.mark.parametrize("keyword", ["SIZE", "SIZE 0", "SIZE 1000000"])
def test_a_size_without_limit_refuses_nothing(keyword: str) -> None:
    client = ready(keyword)
    assert client.begin(to("b@y.example", size=999_999), CONTENT) == []
    assert client.take().endswith(b" SIZE=999999\r\n")


BREAKING = ["\r\nQUIT", "\n", "\r", "\0", "\x85", "\udc80", " ", ">", "<"]


@pytest.mark.parametrize("breaking", BREAKING)
@pytest.mark.parametrize("extensions", [(), EVERYTHING])
def test_no_value_can_speak_a_command_or_a_parameter(
    breaking: str, extensions: tuple[str, ...]
) -> None:
    ordinary = (Recipient("b@y.example"),)
    envelopes = [
        Envelope(f"a{breaking}@x.example", ordinary),
        Envelope(f"a@x{breaking}.example", ordinary),
        Envelope("", (Recipient(f"b{breaking}@y.example"),)),
        Envelope("", (Recipient(f"b@y.example{breaking}"),)),
        Envelope("", (*ordinary, Recipient(f"b@y.example{breaking}"))),
        Envelope("", ordinary, parameters=((f"KEY{breaking}", None),)),
    ]
    if breaking not in "<>":  # a value may hold brackets: AUTH=<>
        envelopes += [
            Envelope("", (Recipient("b@y.example", None, f"rfc822;b{breaking}"),)),
            Envelope("", ordinary, parameters=(("KEY", f"value{breaking}"),)),
        ]
    client = ready(*extensions)
    for envelope in envelopes:
        with pytest.raises(ValueError, match="not a"):
            client.begin(Transaction(envelope, 1), CONTENT)
        assert client.take() == b""
        assert client.can_begin


@pytest.mark.parametrize(
    "address",
    ["postmaster", '"a b"@x.example', '"a\\"b>"@x.example', "a@[IPv6:::1]", "ü@ü.example"],
)
def test_unusual_addresses_are_sent_as_they_are(address: str) -> None:
    client = ready("SMTPUTF8")
    client.begin(to("b@y.example", sender=address), CONTENT)
    assert client.take().startswith(f"MAIL FROM:<{address}>".encode())


def test_a_transaction_without_recipients_is_an_error() -> None:
    client = ready()
    with pytest.raises(ValueError, match="recipient"):
        client.begin(to(), CONTENT)


def test_notify_takes_only_its_own_words() -> None:
    client = ready("DSN")
    envelope = Envelope("", (Recipient("b@y.example", frozenset({"SUCCESS\r\nQUIT"})),))
    with pytest.raises(ValueError, match="NOTIFY"):
        client.begin(Transaction(envelope, 1), CONTENT)

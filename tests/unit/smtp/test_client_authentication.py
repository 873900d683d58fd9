"""AUTH: what is said, what is believed, and what never shows."""

from __future__ import annotations

import base64

import pytest
from client_dialogue import ready, say

from waypost.smtp.auth import AuthenticationFailure, CramMd5, Password, ScramSha256
from waypost.smtp.client import ClientSettings, WrongState
from waypost.smtp.client_events import (
    Authenticated,
    AuthenticationRefused,
    ProtocolBroken,
)


class Scripted:
    """A mechanism that says what it is told to, and remembers the challenges."""

    complete = True

    def __init__(self, name: str, initial: bytes | None, *responses: bytes) -> None:
        self.name = name
        self.initial = initial
        self.responses = list(responses)
        self.challenges: list[bytes] = []

    def initial_response(self) -> bytes | None:
        return self.initial

    def respond(self, challenge: bytes) -> bytes:
        self.challenges.append(challenge)
        if not self.responses:
            raise AuthenticationFailure("the mechanism has nothing more to say")
        return self.responses.pop(0)


def test_an_initial_response_goes_with_the_command_and_is_not_recorded() -> None:
    record: list[str] = []
    client = ready("AUTH PLAIN", record=record)
    client.authenticate(Scripted("PLAIN", b"\0user\0secret"))
    line = client.take()
    assert line == b"AUTH PLAIN " + base64.b64encode(b"\0user\0secret") + b"\r\n"
    (event,) = say(client, "235 2.7.0 welcome")
    assert isinstance(event, Authenticated)
    assert client.authenticated
    assert record[-2:] == ["> AUTH PLAIN [redacted]", "< 235 2.7.0 welcome"]
    with pytest.raises(WrongState):
        client.authenticate(Scripted("PLAIN", b"\0user\0secret"))


def test_an_empty_initial_response_is_an_equals_sign() -> None:
    client = ready("AUTH EXTERNAL")
    client.authenticate(Scripted("EXTERNAL", b""))
    assert client.take() == b"AUTH EXTERNAL =\r\n"


def test_challenges_are_decoded_and_responses_redacted() -> None:
    record: list[str] = []
    client = ready("AUTH LOGIN", record=record)
    mechanism = Scripted("LOGIN", None, b"user", b"secret")
    client.authenticate(mechanism)
    assert client.take() == b"AUTH LOGIN\r\n"
    assert say(client, "334 VXNlcm5hbWU6") == []
    assert client.take() == base64.b64encode(b"user") + b"\r\n"
    assert client.stage == "auth"
    assert say(client, "334 UGFzc3dvcmQ6") == []
    assert client.take() == base64.b64encode(b"secret") + b"\r\n"
    assert [type(event) for event in say(client, "235 ok")] == [Authenticated]
    assert mechanism.challenges == [b"Username:", b"Password:"]
    assert "> [redacted]" in record
    assert base64.b64encode(b"secret").decode() not in "".join(record)


def test_the_servers_challenges_are_not_recorded_but_that_they_came_is() -> None:
    record: list[str] = []
    client = ready("AUTH CRAM-MD5", record=record)
    client.authenticate(CramMd5(Password("user", "secret")))
    client.take()
    challenge = base64.b64encode(b"<1896.697170952@mx.example>").decode()
    say(client, f"334 {challenge}")
    client.take()
    say(client, "235 ok")
    assert record[-4:] == ["> AUTH CRAM-MD5", "< 334 [redacted]", "> [redacted]", "< 235 ok"]


def test_an_empty_challenge_is_recorded_as_it_is() -> None:
    record: list[str] = []
    client = ready("AUTH PLAIN", record=record)
    client.authenticate(Scripted("PLAIN", None, b"x"))
    client.take()
    say(client, "334 ")
    assert "< 334 " in record


def test_an_initial_response_too_long_for_the_command_waits_for_an_empty_challenge() -> None:
    token = b"t" * 600
    client = ready("AUTH XOAUTH2")
    mechanism = Scripted("XOAUTH2", token)
    client.authenticate(mechanism)
    assert client.take() == b"AUTH XOAUTH2\r\n"
    say(client, "334 ")
    assert client.take() == base64.b64encode(token) + b"\r\n"
    assert mechanism.challenges == []


@pytest.mark.parametrize("challenge", ["not base64!", "YQ=", "aGVsbG8=", "\x80"])
def test_a_challenge_without_an_answer_cancels_the_exchange(challenge: str) -> None:
    client = ready("AUTH LOGIN")
    client.authenticate(Scripted("LOGIN", None))
    client.take()
    say(client, f"334 {challenge}")
    assert client.take() == b"*\r\n"
    (event,) = say(client, "501 cancelled")
    assert isinstance(event, AuthenticationRefused)
    assert event.reason
    assert client.can_begin


def test_a_server_cannot_ask_for_ever() -> None:
    client = ready("AUTH LOGIN")
    client.authenticate(Scripted("LOGIN", None, *[b"more"] * 100))
    for _ in range(50):
        client.take()
        say(client, "334 ")
        if client.take() == b"*\r\n":
            break
    else:
        pytest.fail("the exchange has no end")


def test_a_refusal_leaves_another_try() -> None:
    client = ready("AUTH PLAIN")
    client.authenticate(Scripted("PLAIN", b"x"))
    client.take()
    (event,) = say(client, "535 5.7.8 wrong")
    assert isinstance(event, AuthenticationRefused)
    assert event.reply.code == 535
    assert event.reason is None
    client.authenticate(Scripted("PLAIN", b"y"))


def test_a_235_from_a_server_that_has_not_proved_itself_is_not_believed() -> None:
    client = ready("AUTH SCRAM-SHA-256")
    client.authenticate(ScramSha256(Password("user", "secret"), "nonce"))
    client.take()
    (event,) = say(client, "235 come in")
    assert isinstance(event, ProtocolBroken)
    assert not client.authenticated
    assert client.is_over


def test_without_tls_only_mechanisms_that_hide_the_secret_are_used() -> None:
    client = ready("AUTH CRAM-MD5", encrypted=False)
    client.authenticate(CramMd5(Password("user", "secret")))
    assert client.take() == b"AUTH CRAM-MD5\r\n"


def test_auth_never_goes_in_the_clear_unless_the_settings_allow_it() -> None:
    with pytest.raises(WrongState, match="TLS"):
        ready("AUTH PLAIN", encrypted=False).authenticate(Scripted("PLAIN", b"x"))
    settings = ClientSettings("client.example", auth_in_clear=True)
    client = ready("AUTH PLAIN", settings=settings, encrypted=False)
    client.authenticate(Scripted("PLAIN", b"x"))
    assert client.take().startswith(b"AUTH PLAIN ")


def test_a_mechanism_that_is_not_offered_is_an_error_of_the_program() -> None:
    with pytest.raises(WrongState, match="does not offer"):
        ready("AUTH PLAIN").authenticate(Scripted("LOGIN", None))

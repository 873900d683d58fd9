"""SASL: the published examples, client against server, and lies on either side."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.smtp.auth import (
    AuthenticationFailure,
    BearerToken,
    CramMd5,
    Login,
    NoCommonMechanism,
    OAuthBearer,
    Password,
    Plain,
    ScramSha256,
    XOAuth2,
    choose_mechanism,
)
from waypost.smtp.scram import ScramFault, ScramServer, ScramVerifier

USER = Password("tim", "tanstaaftanstaaf")


def test_plain_as_in_rfc_4616() -> None:
    assert Plain(USER).initial_response() == b"\0tim\0tanstaaftanstaaf"
    acting = Password("Kurt", "xipj3plmq", "Ursel")
    assert Plain(acting).initial_response() == b"Ursel\0Kurt\0xipj3plmq"


def test_login_answers_two_prompts_and_no_third() -> None:
    mechanism = Login(USER)
    assert mechanism.respond(b"Username:") == b"tim"
    assert mechanism.respond(b"Password:") == b"tanstaaftanstaaf"
    with pytest.raises(AuthenticationFailure):
        mechanism.respond(b"Again:")


def test_cram_md5_as_in_rfc_2195() -> None:
    answer = CramMd5(USER).respond(b"<1896.697170952@postoffice.reston.mci.net>")
    assert answer == b"tim b913a602c7eda7a495b4e6e7334d3890"


def test_scram_sha_256_as_in_rfc_7677() -> None:
    mechanism = ScramSha256(Password("user", "pencil"), "rOprNGfwEbeRWgbNEkqO")
    assert mechanism.initial_response() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    final = mechanism.respond(
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert final == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert not mechanism.complete
    assert mechanism.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") == b""
    assert mechanism.complete


def test_a_server_that_does_not_know_the_password_is_found_out() -> None:
    mechanism = ScramSha256(Password("user", "pencil"), "abc")
    mechanism.respond(b"r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    with pytest.raises(AuthenticationFailure, match="signature"):
        mechanism.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(
    "challenge",
    [
        b"r=other,s=QUJD,i=4096", b"r=abc,s=QUJD,i=4096", b"r=abcd,s=QUJD,i=1",
        b"r=abcd,s=QUJD,i=99999999", b"r=abcd,s=!,i=4096", b"e=unknown-user", b"\xff", b"",
    ],
)  # fmt: skip
def test_a_scram_client_refuses_what_makes_no_sense(challenge: bytes) -> None:
    with pytest.raises(AuthenticationFailure):
        ScramSha256(Password("user", "pencil"), "abc").respond(challenge)


def test_bearer_tokens_as_published() -> None:
    given_token = BearerToken("user@example.com", "vF9dft4qmT")
    assert XOAuth2(given_token).initial_response() == (
        b"user=user@example.com\x01auth=Bearer vF9dft4qmT\x01\x01"
    )
    mechanism = OAuthBearer(given_token)
    assert mechanism.initial_response() == (
        b"n,a=user@example.com,\x01auth=Bearer vF9dft4qmT\x01\x01"
    )
    assert mechanism.respond(b'{"status":"invalid_token"}') == b"\x01"
    assert mechanism.server_error == '{"status":"invalid_token"}'


def scram_dialogue(client: ScramSha256, verifier: ScramVerifier) -> bytes | None:
    server = ScramServer("server-nonce")
    server.first(client.initial_response())
    return server.final(client.respond(server.challenge(verifier)))


@settings(max_examples=15, deadline=None)
@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_scram_client_and_server_agree_exactly_when_the_password_is_right(
    password: str, other: str
) -> None:
    try:
        verifier = ScramVerifier.derive(password, b"salt-salt-salt", 4096)
        right = ScramSha256(Password("us=er,x", password), "nonce")
        wrong = ScramSha256(Password("us=er,x", other + "x" + password), "nonce")
    except ScramFault:
        return  # a character that no password may hold
    signature = scram_dialogue(right, verifier)
    assert signature is not None
    right.respond(signature)
    assert right.complete
    assert scram_dialogue(wrong, verifier) is None


def test_an_unknown_user_looks_like_one_with_a_wrong_password() -> None:
    pretended = ScramVerifier.pretended("ghost", b"secret of the server")
    assert pretended == ScramVerifier.pretended("ghost", b"secret of the server")
    assert pretended.salt != ScramVerifier.pretended("other", b"secret of the server").salt
    assert scram_dialogue(ScramSha256(Password("ghost", "x"), "n"), pretended) is None


def test_a_verifier_survives_storage() -> None:
    verifier = ScramVerifier.derive("pencil", b"0123456789abcdef", 4096)
    assert ScramVerifier.parse(verifier.encode()) == verifier
    with pytest.raises(ScramFault):
        ScramVerifier.parse("SCRAM-SHA-1$4096:x$y:z")


@pytest.mark.parametrize(
    ("offered", "encrypted", "expected"),
    [
        (["PLAIN", "LOGIN", "SCRAM-SHA-256"], True, "SCRAM-SHA-256"),
        (["LOGIN", "PLAIN"], True, "PLAIN"),
        (["LOGIN"], True, "LOGIN"),
        (["PLAIN", "CRAM-MD5"], False, "CRAM-MD5"),
        (["plain"], True, "PLAIN"),
    ],
)
def test_the_strongest_fitting_mechanism_is_chosen(
    offered: list[str], encrypted: bool, expected: str
) -> None:
    assert choose_mechanism(USER, offered, encrypted=encrypted, nonce="n").name == expected


@pytest.mark.parametrize(
    ("credentials", "offered", "advice"),
    [
        (USER, ["PLAIN", "LOGIN"], "use TLS"),
        (USER, ["XOAUTH2"], "OAuth"),
        (USER, [], "submission server"),
        (BearerToken("u", "t"), ["PLAIN"], "submission server"),
    ],
)
def test_no_mechanism_says_what_to_do(
    credentials: Password | BearerToken, offered: list[str], advice: str
) -> None:
    with pytest.raises(NoCommonMechanism, match=advice):
        choose_mechanism(credentials, offered, encrypted=False, nonce="n")


def test_secrets_do_not_show() -> None:
    assert "tanstaaf" not in repr(USER)
    assert "secret" not in repr(BearerToken("u", "secret"))
    assert "k1" not in repr(ScramVerifier(b"", 1, b"k1", b"k2"))


def test_a_nul_cannot_shift_the_fields_of_plain() -> None:
    with pytest.raises(AuthenticationFailure):
        Plain(Password("a\0b", "c"))


def test_without_md5_another_mechanism_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a system that keeps to FIPS 140."""
    monkeypatch.setattr("waypost.smtp.auth.CRAM_MD5_WORKS", False)
    chosen = choose_mechanism(USER, ["CRAM-MD5", "SCRAM-SHA-256"], encrypted=False, nonce="n")
    assert chosen.name == "SCRAM-SHA-256"
    with pytest.raises(NoCommonMechanism):
        choose_mechanism(USER, ["CRAM-MD5"], encrypted=False, nonce="n")

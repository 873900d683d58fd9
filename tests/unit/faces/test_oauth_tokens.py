"""OAuth 2.0 tokens: asked for once, kept, renewed when they end or are refused."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from token_server import TokenServer, token, token_server

from waypost.faces.library import oauth
from waypost.faces.library.oauth import FileCache, OAuth2, OAuthTokens, TokenFailure
from waypost.faces.library.oauth_grants import ClientGrant, RefreshGrant
from waypost.knowledge.oauth import token_endpoint


class Now:
    def __init__(self) -> None:
        self.moment = 1_000_000.0

    def __call__(self) -> float:
        return self.moment


def client(server: TokenServer, now: Callable[[], float] | None = None) -> OAuthTokens:
    return OAuthTokens(ClientGrant(server.url, "id", "secret", "mail"), now=now or Now())


# --- how long a token is used -------------------------------------------------------------------


def test_a_token_is_asked_for_once() -> None:
    with token_server(token("one"), token("two")) as server:
        tokens = client(server)
        assert [tokens.token(), tokens.token()] == ["one", "one"]
        assert asyncio.run(tokens.token_async()) == "one"
        assert server.asked == [
            {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret",
             "scope": "mail"},
        ]  # fmt: skip


def test_a_token_is_renewed_a_minute_before_it_ends() -> None:
    now = Now()
    with token_server(token("one"), token("two")) as server:
        tokens = client(server, now)
        assert tokens.token() == "one"
        now.moment += 3600 - 61
        assert tokens.token() == "one"
        now.moment += 2
        assert tokens.token() == "two"


def test_a_token_that_was_refused_is_not_given_again() -> None:
    with token_server(token("one"), token("two")) as server:
        access = OAuth2("a@example.com", client(server))
        first = access.bearer()
        assert (first.username, first.token) == ("a@example.com", "one")
        access.forget(first)
        assert access.bearer().token == "two"
        access.forget(first)  # said late, of a token that is gone: the new one stays
        assert access.bearer().token == "two"
        assert len(server.asked) == 2


def test_many_at_once_make_one_request() -> None:
    with token_server(token("one")) as server:
        tokens = client(server)

        async def many() -> list[str]:
            return await asyncio.gather(*(tokens.token_async() for _ in range(20)))

        assert set(asyncio.run(many())) == {"one"}
        assert len(server.asked) == 1
    with token_server(token("two")) as server:
        tokens = client(server)
        got: list[str] = []
        threads = [threading.Thread(target=lambda: got.append(tokens.token())) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(20)
        assert got == ["two"] * 8
        assert len(server.asked) == 1


@pytest.mark.parametrize("told", [None, "soon", -1, "7200"])
def test_a_lifetime_that_is_not_told_is_an_hour(told: object) -> None:
    now = Now()
    with token_server(token("one", expires_in=told), token("two")) as server:
        tokens = client(server, now)
        assert tokens.token() == "one"
        now.moment += 3600
        assert tokens.token() == ("one" if told == "7200" else "two")


# --- grants -------------------------------------------------------------------------------------


def test_a_refresh_token_that_changes_is_followed() -> None:
    now = Now()
    answers = [token("one", refresh_token="r2"), token("two"), token("three")]
    with token_server(*answers) as server:
        tokens = OAuthTokens(RefreshGrant(server.url, "id", "r1"), now=now)
        for expected in ("one", "two", "three"):
            assert tokens.token() == expected
            now.moment += 3600
        assert [one["refresh_token"] for one in server.asked] == ["r1", "r2", "r2"]


def test_a_service_account_signs_for_its_user() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    described = {
        "client_email": "robot@x.example",
        "private_key": pem.decode(),
        "private_key_id": "7",
    }
    with token_server(token("one")) as server:
        access = oauth.google_service_account("a@example.com", described, token_url=server.url)
        assert access.bearer().token == "one"
        asked = server.asked[0]
    assert asked["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claims, signature = asked["assertion"].split(".")
    key.public_key().verify(
        _decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    assert json.loads(_decoded(head)) == {"alg": "RS256", "typ": "JWT", "kid": "7"}
    said = json.loads(_decoded(claims))
    assert said["exp"] - said.pop("iat") == 3600
    del said["exp"]
    assert said == {
        "iss": "robot@x.example", "sub": "a@example.com", "aud": server.url,
        "scope": "https://mail.google.com/",
    }  # fmt: skip


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def test_what_is_no_service_account_is_said(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    for content, said in [
        ("hello", "is no JSON"),
        ("[]", "is no JSON object"),
        ("{}", "lacks client_email or private_key"),
        ('{"client_email": "a", "private_key": "b"}', "is damaged"),
    ]:
        file.write_text(content)
        with pytest.raises(TokenFailure, match=said):
            oauth.google_service_account("a@example.com", file)


def test_microsoft_takes_an_application_or_a_user() -> None:
    with token_server(token("one")) as server:
        given = {"tenant": "t", "client_id": "id", "token_url": server.url}
        assert oauth.microsoft("a@b.example", client_secret="s", **given).bearer().token == "one"
        assert oauth.microsoft("a@b.example", refresh_token="r", **given).bearer().token == "one"
        assert server.asked[0]["scope"] == "https://outlook.office365.com/.default"
        assert server.asked[1]["scope"] == "https://outlook.office.com/SMTP.Send offline_access"
        assert "client_secret" not in server.asked[1]
    with pytest.raises(TokenFailure, match="neither a client secret nor a refresh token"):
        oauth.microsoft("a@b.example", tenant="t", client_id="id")


def test_the_endpoints_are_those_that_the_providers_publish() -> None:
    assert token_endpoint("google").token_url == "https://oauth2.googleapis.com/token"
    url = token_endpoint("microsoft").token_url.format(tenant="t")
    assert url == "https://login.microsoftonline.com/t/oauth2/v2.0/token"


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said", "temporary"),
    [
        ((400, {"error": "invalid_grant"}), "expired, revoked.*sign in once more", False),
        ((401, {"error": "invalid_client", "error_description": "AADSTS7000215: bad"}),
         "not the right one.*Value, not its Secret ID", False),
        ((400, {"error": "odd", "error_description": "As\r\nit is"}), r"odd \(As it is\)", False),
        ((200, b"<html>Login</html>"), "no JSON object: <html>Login", False),
        ((200, {"access_token": ""}), "answered 200", False),
        ((200, {"access_token": "x", "token_type": "mac"}), "of the type 'mac'", False),
        ((503, b"busy"), "answered 503; try again later", True),
        ((429, {}), "answered 429; try again later", True),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(answer: tuple[int, object], said: str, temporary: bool) -> None:
    with token_server(answer) as server:
        tokens = client(server)
        with pytest.raises(TokenFailure, match=said) as failed:
            tokens.token()
        assert failed.value.temporary is temporary
        with pytest.raises(TokenFailure, match=said):
            asyncio.run(tokens.token_async())


def test_an_endpoint_out_of_reach_is_temporary() -> None:
    server = TokenServer()
    server._server.server_close()
    for attempt in (client(server).token, lambda: asyncio.run(client(server).token_async())):
        with pytest.raises(TokenFailure, match="check that this machine reaches it") as failed:
            attempt()
        assert failed.value.temporary


def test_nothing_shows_a_secret() -> None:
    grants = [
        RefreshGrant("u", "id", "topsecret", "topsecret"),
        ClientGrant("u", "id", "topsecret"),
        OAuth2("a@b.example", lambda: "topsecret"),
        OAuth2("a@b.example", lambda: "topsecret").bearer(),
    ]
    assert all("topsecret" not in repr(one) for one in grants)


# --- own providers ------------------------------------------------------------------------------


def test_own_tokens_come_from_a_function_or_a_coroutine() -> None:
    async def later() -> str:
        return "later"

    assert OAuth2("a@b.example", lambda: "now").bearer().token == "now"
    assert asyncio.run(OAuth2("a@b.example", lambda: "now").credentials(None)).password == "now"
    assert asyncio.run(OAuth2("a@b.example", later).credentials(None)).password == "later"
    with pytest.raises(TokenFailure, match="use AsyncMailer"):
        OAuth2("a@b.example", later).bearer()
    with pytest.raises(TokenFailure, match="returned NoneType instead of a token"):
        OAuth2("a@b.example", lambda: None).bearer()  # type: ignore[arg-type, return-value]


# --- the token file -----------------------------------------------------------------------------


def test_a_token_file_is_its_owners_and_outlives_the_program(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    with token_server(token("one", refresh_token="r2"), token("two")) as server:
        now = Now()

        def started() -> OAuthTokens:
            return OAuthTokens(RefreshGrant(server.url, "id", "r1"), now=now, cache=FileCache(file))

        assert started().token() == "one"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert started().token() == "one"
        now.moment += 3600
        assert started().token() == "two"
        assert server.asked[1]["refresh_token"] == "r2"
        other = OAuthTokens(RefreshGrant(server.url, "id", "new"), now=now, cache=FileCache(file))
        assert other.token() == "two"
        assert server.asked[2]["refresh_token"] == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("{}")
    file.chmod(0o640)
    with pytest.raises(TokenFailure, match="chmod 600"):
        FileCache(file).get("x")


@pytest.mark.parametrize("content", ["", "[]", "junk"])
def test_what_is_no_token_file_is_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(TokenFailure, match="is no token file"):
        FileCache(file).get("x")
    assert file.read_text() == content


@pytest.mark.parametrize(
    "entry", [7, {}, {"access": 1, "expires_at": 1}, {"access": "x", "expires_at": "y"}]
)
def test_an_entry_that_is_none_is_asked_for_again(tmp_path: Path, entry: object) -> None:
    file = tmp_path / "tokens"
    file.write_text(json.dumps({"x": entry}))
    file.chmod(0o600)
    assert FileCache(file).get("x") is None

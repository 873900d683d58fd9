"""A mailer that logs in with an access token, and with a new one where the first is refused."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from scripted_server import ScriptedServer, scripted, self_signed

import waypost
from waypost.errors import AuthenticationFailed
from waypost.oauth import OAuth2, TokenFailure

OFFER = b"250-here\r\n250 AUTH PLAIN XOAUTH2 OAUTHBEARER\r\n"
REFUSED = b"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n"
MESSAGE = {"from_": "a@example.com", "to": "b@example.org", "subject": "Hello", "text": "Hi"}


def sent_tokens(server: ScriptedServer) -> list[bytes]:
    return [base64.b64decode(line.split()[2]) for line in server.lines if line[:5] == b"AUTH "]


@pytest.mark.parametrize("kind", ["threads", "asyncio"])
def test_a_token_that_is_refused_is_renewed_once(tmp_path: Path, kind: str) -> None:
    context, certificate = self_signed(tmp_path)
    tokens = iter(["old", "new"])
    logins = OAuth2("a@example.com", lambda: next(tokens))
    with scripted(tls=context, ehlo=OFFER, auth=[REFUSED, b"235 in\r\n"]) as server:
        server.answers[""] = [b"220 here\r\n", b"535 5.7.8 expired\r\n"]  # then to an empty line
        url = f"smtps://127.0.0.1:{server.port}"
        if kind == "threads":
            with waypost.Mailer(url, logins=logins, ca_file=str(certificate)) as mailer:
                assert mailer.send(MESSAGE)
        else:

            async def send() -> None:
                mailer = waypost.AsyncMailer(url, logins=logins, ca_file=str(certificate))
                async with mailer:
                    assert await mailer.send(MESSAGE)

            asyncio.run(send())
        assert sent_tokens(server) == [
            b"user=a@example.com\x01auth=Bearer old\x01\x01",
            b"user=a@example.com\x01auth=Bearer new\x01\x01",
        ]
        assert len(server.messages) == 1


def test_a_token_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)

    def none() -> str:
        raise TokenFailure("the refresh token is expired", "let the user sign in once more")

    with scripted(tls=context, ehlo=OFFER) as server:
        url = f"smtps://127.0.0.1:{server.port}"
        logins = OAuth2("a@example.com", none)
        mailer = waypost.Mailer(url, logins=logins, ca_file=str(certificate))
        with pytest.raises(AuthenticationFailed, match="let the user sign in once more"), mailer:
            mailer.send(MESSAGE)
        assert server.messages == []

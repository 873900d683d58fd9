"""Cases of what goes wrong at the login."""

from __future__ import annotations

from broken_servers import Script
from cause_cases import STARTTLS, finds, good_tls, offer, with_sender
from check_lab import CheckLab, evidence

from waypost.doctor.check.run import Checked


async def with_login(lab: CheckLab, answer: bytes, offered: str = "AUTH PLAIN LOGIN") -> Checked:
    port = await lab.serve(Script(answers={"EHLO": offer(offered), "AUTH": answer}))
    return await lab.check(f"smtp+plain://127.0.0.1:{port}", user="me@mail.test")


@finds("auth.not_offered")
async def a_server_without_a_login(lab: CheckLab) -> Checked:
    return await with_login(lab, b"503 5.5.1 AUTH not available\r\n", "ENHANCEDSTATUSCODES")


@finds("auth.not_offered")
async def a_server_without_a_login_under_tls(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(answers={"EHLO": STARTTLS}, tls=good_tls(lab)))
    return await lab.check(f"smtp://127.0.0.1:{port}", user="me@mail.test")


@finds("auth.not_offered_before_tls")
async def a_server_that_offers_the_login_behind_starttls(lab: CheckLab) -> Checked:
    port = await lab.serve(
        Script(
            answers={"EHLO": STARTTLS}, tls=good_tls(lab), under_tls={"EHLO": offer("AUTH PLAIN")}
        )
    )
    return await lab.check(f"smtp+plain://127.0.0.1:{port}", user="me@mail.test")


@finds("auth.not_offered_before_tls")
async def a_server_that_wants_starttls_before_the_login(lab: CheckLab) -> Checked:
    return await with_login(lab, b"530 5.7.0 Must issue a STARTTLS command first\r\n")


@finds("auth.no_common_mechanism")
async def a_server_with_other_mechanisms(lab: CheckLab) -> Checked:
    return await with_login(lab, b"504 5.5.4\r\n", "AUTH GSSAPI NTLM")


@finds("auth.mechanism_fails")
async def a_mechanism_that_is_offered_and_refused(lab: CheckLab) -> Checked:
    answers = {
        "EHLO": offer("AUTH CRAM-MD5 PLAIN"),
        "AUTH": b"504 5.5.4 Unrecognized authentication type\r\n",
        "AUTH CRAM-MD5": b"235 2.7.0 ok\r\n",
    }
    port = await lab.serve(Script(answers=answers))
    return await lab.check(f"smtp+plain://127.0.0.1:{port}", user="me@mail.test")


@finds("auth.bad_credentials")
async def a_wrong_password(lab: CheckLab) -> Checked:
    return await with_login(lab, b"535 5.7.8 Error: authentication failed: \r\n")


@finds("auth.bad_credentials")
async def a_wrong_password_at_google(lab: CheckLab) -> Checked:
    return await with_login(
        lab,
        b"535-5.7.8 Username and Password not accepted. For more information, go to\r\n"
        b"535 5.7.8  https://support.google.com/mail/?p=BadCredentials a1-20020 - gsmtp\r\n",
    )


@finds("auth.bad_credentials")
async def a_wrong_password_with_the_old_syntax(lab: CheckLab) -> Checked:
    answers = {
        "EHLO": offer("AUTH=LOGIN"),
        "AUTH": b"334 VXNlcm5hbWU6\r\n",
        "bWVAbWFpbC50ZXN0": b"334 UGFzc3dvcmQ6\r\n",
        "c2VjcmV0IHdvcmQ=": b"535 authentication failed\r\n",
    }
    port = await lab.serve(Script(answers=answers))
    return await lab.check(f"smtp+plain://127.0.0.1:{port}", user="me@mail.test")


@finds("auth.app_password_required")
async def an_account_that_wants_an_app_password(lab: CheckLab) -> Checked:
    return await with_login(
        lab,
        b"534-5.7.9 Application-specific password required. For more information, go to\r\n"
        b"534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor x - gsmtp\r\n",
    )


@finds("auth.oauth_required")
async def a_server_with_tokens_only(lab: CheckLab) -> Checked:
    return await with_login(lab, b"504 5.7.4\r\n", "AUTH XOAUTH2 OAUTHBEARER")


@finds("auth.oauth_required")
async def a_server_whose_basic_authentication_is_gone(lab: CheckLab) -> Checked:
    return await with_login(
        lab,
        b"550 5.7.30 Basic authentication is not supported for Client Submission.\r\n",
    )


@finds("auth.disabled_for_tenant")
async def a_tenant_with_smtp_login_off(lab: CheckLab) -> Checked:
    return await with_login(
        lab,
        b"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
        b"Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. "
        b"[AM0PR01CA0001.eurprd01.prod.exchangelabs.com]\r\n",
    )


@finds("auth.account_locked")
async def an_account_that_is_locked(lab: CheckLab) -> Checked:
    return await with_login(
        lab, b"535 5.7.8 Authentication failed: account is locked, too many login failures\r\n"
    )


@finds("auth.account_locked")
async def a_password_that_has_expired(lab: CheckLab) -> Checked:
    return await with_login(lab, b"535 5.7.8 Authentication failed: password expired\r\n")


@finds("auth.token_refused")
async def a_token_that_is_over(lab: CheckLab) -> Checked:
    answers = {
        "EHLO": offer("AUTH XOAUTH2"),
        "AUTH": b"334 eyJzdGF0dXMiOiI0MDAifQ==\r\n",
        "": b"535-5.7.8 Username and Password not accepted. For more information, go to\r\n"
        b"535 5.7.8  https://support.google.com/mail/?p=BadCredentials a1 - gsmtp\r\n",
    }
    port = await lab.serve(Script(answers=answers))
    checked = await lab.check(
        f"smtp+plain://127.0.0.1:{port}", user="me@mail.test", mechanism="XOAUTH2"
    )
    assert '{"status":"400"}' in evidence(checked, "auth")
    return checked


@finds("auth.temporary_failure")
async def a_login_that_fails_for_now(lab: CheckLab) -> Checked:
    return await with_login(lab, b"454 4.7.0 Temporary authentication failure: busy\r\n")


@finds("auth.too_weak")
async def a_mechanism_that_is_too_weak(lab: CheckLab) -> Checked:
    return await with_login(lab, b"534 5.7.9 Authentication mechanism is too weak\r\n")


@finds("auth.required")
async def a_server_that_wants_a_login(lab: CheckLab) -> Checked:
    port = await lab.serve(Script().with_(MAIL=b"530 5.7.0 Authentication required\r\n"))
    return await lab.check(f"127.0.0.1:{port}")


@finds("auth.required")
async def exchange_without_a_login(lab: CheckLab) -> Checked:
    return await with_sender(
        lab, b"530 5.7.57 Client not authenticated to send mail. [AM0PR01CA0001]\r\n"
    )

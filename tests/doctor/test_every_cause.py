"""Each cause is produced by a server or a name server on loopback, and found as the first cause."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from broken_servers import DROP, HANG, RESET, Script, start_tls
from check_lab import CheckLab
from made_certificates import context_of, issue
from refusals import REFUSALS

from waypost.doctor.check.run import Checked
from waypost.knowledge.causes import causes

Case = Callable[[CheckLab], Awaitable[Checked]]
CASES: dict[str, tuple[str, Case]] = {}


def finds(cause: str) -> Callable[[Case], Case]:
    """Mark a case with the cause that is to be found first."""

    def mark(case: Case) -> Case:
        assert case.__name__ not in CASES
        CASES[case.__name__] = (cause, case)
        return case

    return mark


HOST = {("mail.test", "A"): ["127.0.0.1"]}


# --- DNS ----------------------------------------------------------------------------------------


@finds("dns.no_such_host")
async def a_name_that_does_not_exist(lab: CheckLab) -> Checked:
    await lab.name(HOST)
    return await lab.check("mial.test:587")


@finds("dns.no_such_host")
async def a_domain_that_does_not_exist(lab: CheckLab) -> Checked:
    await lab.name(HOST)
    return await lab.check("someone@nowhere.test")


@finds("dns.no_address")
async def a_name_without_an_address(lab: CheckLab) -> Checked:
    await lab.name({("mail.test", "TXT"): ['"no address"']})
    return await lab.check("mail.test:587")


@finds("dns.timeout")
async def a_name_server_that_never_answers(lab: CheckLab) -> Checked:
    await lab.name({("mail.test", "*"): "SILENCE"})
    return await lab.check("mail.test:587")


@finds("dns.servfail")
async def a_name_server_that_fails(lab: CheckLab) -> Checked:
    await lab.name({("mail.test", "*"): "SERVFAIL"})
    return await lab.check("mail.test:587")


@finds("dns.servfail")
async def a_domain_whose_name_server_fails(lab: CheckLab) -> Checked:
    await lab.name({("broken.test", "*"): "SERVFAIL"})
    return await lab.check("someone@broken.test")


@finds("dns.null_mx")
async def a_domain_with_a_null_mx(lab: CheckLab) -> Checked:
    await lab.name({("example.test", "MX"): ["0 ."]})
    return await lab.check("example.test")


@finds("dns.no_mx")
async def a_domain_with_neither_mx_nor_address(lab: CheckLab) -> Checked:
    await lab.name({("example.test", "TXT"): ['"v=spf1 -all"']})
    return await lab.check("example.test")


@finds("dns.no_mx")
async def a_domain_with_an_address_only(lab: CheckLab) -> Checked:
    port = await lab.serve(Script())
    await lab.name({("example.test", "A"): ["127.0.0.1"]})
    return await lab.check("example.test", port=port)


@finds("dns.mx_is_cname")
async def a_domain_whose_mx_is_an_alias(lab: CheckLab) -> Checked:
    port = await lab.serve(Script())
    await lab.name(
        {
            ("example.test", "MX"): ["10 mx.example.test."],
            ("mx.example.test", "CNAME"): ["mail.test."],
            **HOST,
        }
    )
    return await lab.check("example.test", port=port)


# --- TCP ----------------------------------------------------------------------------------------


def closed_port(lab: CheckLab) -> int:
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    lab.hold(held)
    return int(held.getsockname()[1])


@finds("tcp.refused")
async def a_port_that_nobody_listens_on(lab: CheckLab) -> Checked:
    return await lab.check(f"127.0.0.1:{closed_port(lab)}")


@finds("tcp.timeout_filtered")
async def a_port_that_never_answers(lab: CheckLab) -> Checked:
    # The queue of a socket that never accepts is full: the system drops what else comes.
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    lab.hold(listener)
    for _ in range(4):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
        lab.hold(waiting)
    await asyncio.sleep(0.05)
    return await lab.check(f"127.0.0.1:{listener.getsockname()[1]}", seconds=1.0)


@finds("tcp.unreachable")
async def a_network_without_a_way(lab: CheckLab) -> Checked:
    lab.network.places["192.0.2.1", 587] = OSError(errno.ENETUNREACH, "Network is unreachable")
    return await lab.check("192.0.2.1:587", seconds=0.5)


@finds("tcp.reset")
async def a_connection_that_is_cut_at_once(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=RESET))
    return await lab.check(f"127.0.0.1:{port}")


@finds("tcp.port25_blocked")
async def a_host_whose_port_25_alone_is_shut(lab: CheckLab) -> Checked:
    submission = await lab.serve(Script())
    lab.network.places["127.0.0.1", 25] = ("127.0.0.1", closed_port(lab))
    lab.network.places["127.0.0.1", 587] = ("127.0.0.1", submission)
    await lab.name(HOST)
    return await lab.check("mail.test:25")


# --- the greeting -------------------------------------------------------------------------------


@finds("greeting.timeout")
async def a_server_that_never_speaks(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=HANG))
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.timeout")
async def a_server_that_never_ends_its_greeting(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=b"220 mail.te" + HANG))
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.slow")
async def a_server_that_greets_late(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(delays={"": 1.2}))
    return await lab.check(f"127.0.0.1:{port}", seconds=5)


@finds("greeting.not_smtp")
async def a_server_for_ssh(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" + HANG))
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.not_smtp")
async def a_server_for_files(lab: CheckLab) -> Checked:
    port = await lab.serve(
        Script(
            b"220 (vsFTPd 3.0.3)\r\n", {"EHLO": b"530 Please login with USER and PASS.\r\n",
            "HELO": b"530 Please login with USER and PASS.\r\n"},
        )
    )  # fmt: skip
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.not_smtp")
async def a_server_of_garbage(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=b"J\0\0\0\n8.0.36\0\x1c\0\0\0caching_sha2" + HANG))
    return await lab.check(f"127.0.0.1:{port}")


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


@finds("greeting.http_server")
async def a_web_server(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(talk=_http))
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.http_server")
async def a_web_server_asked_for_tls(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(talk=_http))
    return await lab.check(f"smtps://127.0.0.1:{port}")


@finds("greeting.imap_or_pop3_server")
async def a_server_for_imap(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n"))
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.imap_or_pop3_server")
async def a_server_for_pop3(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=b"+OK Dovecot ready.\r\n"))
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.rejected_421")
async def a_server_that_greets_with_421(lab: CheckLab) -> Checked:
    port = await lab.serve(
        Script(greeting=b"421 4.3.2 Service not available, closing channel\r\n" + DROP)
    )
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.rejected_554")
async def a_server_that_greets_with_554(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=b"554 No SMTP service here\r\n" + DROP))
    return await lab.check(f"127.0.0.1:{port}")


# --- TLS ----------------------------------------------------------------------------------------


def good_tls(lab: CheckLab) -> ssl.SSLContext:
    return context_of(lab.folder, lab.certificate("mail.test", "127.0.0.1"))


STARTTLS = b"250-mail.test\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 STARTTLS\r\n"


@finds("tls.wrong_mode_implicit_expected")
async def a_tls_port_asked_in_the_clear(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(tls=good_tls(lab), implicit=True))
    return await lab.check(f"smtp://127.0.0.1:{port}")


@finds("tls.wrong_mode_implicit_expected")
async def a_tls_port_that_serves_one_after_the_other(lab: CheckLab) -> Checked:
    context, turn = good_tls(lab), asyncio.Lock()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with turn:
            await start_tls(writer, context)
            writer.write(b"220 mail.test ESMTP\r\n")
            await reader.readline()

    port = await lab.serve(Script(talk=talk))
    return await lab.check(f"smtp://127.0.0.1:{port}")


@finds("greeting.http_server")
async def a_web_server_that_serves_one_after_the_other(lab: CheckLab) -> Checked:
    turn = asyncio.Lock()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with turn:
            await _http(reader, writer)
            writer.close()

    port = await lab.serve(Script(talk=talk))
    return await lab.check(f"127.0.0.1:{port}")


@finds("tls.wrong_mode_starttls_expected")
async def a_clear_port_asked_for_tls(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(answers={"EHLO": STARTTLS}))
    return await lab.check(f"smtps://127.0.0.1:{port}")


@finds("tls.wrong_mode_starttls_expected")
async def a_slow_clear_port_asked_for_tls(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(answers={"EHLO": STARTTLS}, delays={"": 0.3}))
    return await lab.check(f"smtps://127.0.0.1:{port}")


@finds("tls.starttls_not_offered")
async def a_server_without_starttls(lab: CheckLab) -> Checked:
    port = await lab.serve(Script())
    return await lab.check(f"smtp://127.0.0.1:{port}", user="me@mail.test")


@finds("tls.starttls_not_offered")
async def a_server_without_starttls_and_without_a_login_to_lose(lab: CheckLab) -> Checked:
    port = await lab.serve(Script())
    await lab.name(HOST)
    return await lab.check(f"smtp://mail.test:{port}")


@finds("tls.starttls_refused")
async def a_server_that_refuses_starttls(lab: CheckLab) -> Checked:
    port = await lab.serve(
        Script(answers={"EHLO": STARTTLS, "STARTTLS": b"454 4.7.0 TLS not available\r\n"})
    )
    return await lab.check(f"smtp://127.0.0.1:{port}")


@finds("tls.starttls_refused")
async def a_server_that_does_not_know_what_it_offers(lab: CheckLab) -> Checked:
    port = await lab.serve(
        Script(answers={"EHLO": STARTTLS, "STARTTLS": b"502 5.5.1 Unrecognized command\r\n"})
    )
    return await lab.check(f"smtp://127.0.0.1:{port}")


async def with_certificate(lab: CheckLab, context: ssl.SSLContext, **options: bool) -> Checked:
    port = await lab.serve(Script(answers={"EHLO": STARTTLS}, tls=context))
    await lab.name(HOST)
    return await lab.check(f"smtp://mail.test:{port}", **options)


@finds("tls.certificate_expired")
async def a_certificate_that_has_expired(lab: CheckLab) -> Checked:
    own = lab.certificate("mail.test", begins=-100, days=90)
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.certificate_expired")
async def an_expired_certificate_that_nobody_signed(lab: CheckLab) -> Checked:
    own = issue("mail.test", names=("mail.test",), begins=-100, days=90)
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.certificate_expired")
async def an_expired_certificate_under_implicit_tls(lab: CheckLab) -> Checked:
    own = lab.certificate("127.0.0.1", begins=-100, days=90)
    port = await lab.serve(Script(tls=context_of(lab.folder, own), implicit=True))
    return await lab.check(f"smtps://127.0.0.1:{port}")


@finds("tls.certificate_not_yet_valid")
async def a_certificate_of_tomorrow(lab: CheckLab) -> Checked:
    own = lab.certificate("mail.test", begins=2)
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.self_signed")
async def a_certificate_that_nobody_signed(lab: CheckLab) -> Checked:
    own = issue("mail.test", names=("mail.test",))
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.hostname_mismatch")
async def a_certificate_for_another_name(lab: CheckLab) -> Checked:
    own = lab.certificate("other.test")
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.incomplete_chain")
async def a_chain_without_its_middle(lab: CheckLab) -> Checked:
    middle = issue("Test Issuing CA 1", by=lab.authority, authority=True)
    own = issue("mail.test", by=middle, names=("mail.test",))
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.incomplete_chain")
async def a_public_chain_without_its_middle(lab: CheckLab) -> Checked:
    middle = issue("X1", by=lab.authority, authority=True)
    own = issue("mail.test", by=middle, names=("mail.test",), issuer_url="http://ca.test/x1.der")
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.unknown_issuer")
async def a_private_authority(lab: CheckLab) -> Checked:
    private = issue("Our Own Authority", authority=True)
    own = issue("mail.test", by=private, names=("mail.test",))
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.unknown_issuer")
async def a_private_authority_that_is_sent_along(lab: CheckLab) -> Checked:
    private = issue("Our Own Authority", authority=True)
    own = issue("mail.test", by=private, names=("mail.test",))
    return await with_certificate(lab, context_of(lab.folder, own, private))


def weak(context: ssl.SSLContext, ciphers: str, newest: ssl.TLSVersion) -> ssl.SSLContext:
    context.set_ciphers(ciphers)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = newest
    return context


@finds("tls.protocol_too_old")
async def a_server_with_tls_1_0(lab: CheckLab) -> Checked:
    context = context_of(lab.folder, lab.certificate("mail.test", old_key=True))
    return await with_certificate(lab, weak(context, "ALL:@SECLEVEL=0", ssl.TLSVersion.TLSv1))


@finds("tls.protocol_too_old")
async def a_server_with_tls_1_1_from_the_first_byte(lab: CheckLab) -> Checked:
    context = context_of(lab.folder, lab.certificate("127.0.0.1", old_key=True))
    old = weak(context, "ALL:@SECLEVEL=0", ssl.TLSVersion.TLSv1_1)
    port = await lab.serve(Script(tls=old, implicit=True))
    return await lab.check(f"smtps://127.0.0.1:{port}")


@finds("tls.no_shared_cipher")
async def a_server_with_old_ciphers(lab: CheckLab) -> Checked:
    context = context_of(lab.folder, lab.certificate("mail.test", old_key=True))
    return await with_certificate(
        lab, weak(context, "AES128-SHA:@SECLEVEL=0", ssl.TLSVersion.TLSv1_2)
    )


@finds("tls.handshake_closed")
async def a_server_that_hangs_up_during_the_handshake(lab: CheckLab) -> Checked:
    answer = b"220 2.0.0 go ahead\r\n"
    port = await lab.serve(Script(answers={"EHLO": STARTTLS, "STARTTLS": answer + DROP}))
    return await lab.check(f"smtp://127.0.0.1:{port}")


@finds("tls.handshake_closed")
async def a_server_that_hangs_up_on_implicit_tls(lab: CheckLab) -> Checked:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)

    port = await lab.serve(Script(talk=talk))
    return await lab.check(f"smtps://127.0.0.1:{port}")


# --- the login ----------------------------------------------------------------------------------


def offer(*lines: str) -> bytes:
    words = ["mail.test", "SIZE 1000", "8BITMIME", *lines]
    last = len(words) - 1
    return "".join(
        f"250{' ' if number == last else '-'}{word}\r\n" for number, word in enumerate(words)
    ).encode()


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


# --- MAIL and RCPT ------------------------------------------------------------------------------


async def with_sender(lab: CheckLab, answer: bytes) -> Checked:
    port = await lab.serve(Script().with_(MAIL=answer))
    return await lab.check(f"127.0.0.1:{port}", sender="me@mail.test", recipient="you@there.test")


async def with_recipient(lab: CheckLab, answer: bytes) -> Checked:
    port = await lab.serve(Script().with_(RCPT=answer))
    return await lab.check(f"127.0.0.1:{port}", sender="me@mail.test", recipient="you@there.test")


async def with_content(lab: CheckLab, answer: bytes) -> Checked:
    port = await lab.serve(Script(answers={".": answer}))
    return await lab.check(
        f"127.0.0.1:{port}", sender="me@mail.test", recipient="you@there.test",
        message=b"Subject: test\r\n\r\ntest\r\n",
    )  # fmt: skip


def refused(cause: str, name: str, at: Callable[[CheckLab, bytes], Awaitable[Checked]],
            answer: bytes) -> None:  # fmt: skip
    """A case that is only an answer."""

    async def case(lab: CheckLab) -> Checked:
        return await at(lab, answer)

    case.__name__ = name
    finds(cause)(case)


AT = {"sender": with_sender, "recipient": with_recipient, "content": with_content}
for cause, name, at, answer in REFUSALS:
    refused(cause, name, AT[at], answer)


@finds("policy.helo_rejected")
async def a_server_that_does_not_like_our_name(lab: CheckLab) -> Checked:
    answer = b"550 5.7.1 client.test: Helo command rejected: Host not found\r\n"
    port = await lab.serve(Script().with_(EHLO=answer, HELO=answer))
    return await lab.check(f"127.0.0.1:{port}")


@finds("policy.client_blocklisted")
async def a_greeting_that_names_a_blocklist(lab: CheckLab) -> Checked:
    port = await lab.serve(
        Script(
            greeting=b"554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using "
            b"zen.spamhaus.org\r\n" + DROP
        )
    )
    return await lab.check(f"127.0.0.1:{port}")


@finds("capacity.too_many_connections")
async def a_greeting_that_speaks_of_too_many_connections(lab: CheckLab) -> Checked:
    port = await lab.serve(
        Script(greeting=b"421 4.7.0 mail.test Error: too many connections from 192.0.2.7\r\n")
    )
    return await lab.check(f"127.0.0.1:{port}")


@finds("size.message_too_big")
async def a_message_beyond_what_is_offered(lab: CheckLab) -> Checked:
    port = await lab.serve(
        Script(answers={"MAIL": b"552 5.3.4 Message too big for system\r\n", "EHLO": STARTTLS})
    )
    return await lab.check(f"smtp+plain://127.0.0.1:{port}", sender="me@mail.test", size=5000)


@finds("size.not_advertised")
async def a_server_without_size(lab: CheckLab) -> Checked:
    port = await lab.serve(Script().with_(EHLO=b"250-mail.test\r\n250 8BITMIME\r\n"))
    return await lab.check(f"127.0.0.1:{port}")


@finds("smtputf8.not_supported")
async def an_international_address_without_smtputf8(lab: CheckLab) -> Checked:
    port = await lab.serve(Script().with_(EHLO=offer("PIPELINING")))
    return await lab.check(f"127.0.0.1:{port}", sender="me@mail.test", recipient="jörg@there.test")


@finds("eightbit.not_supported")
async def a_server_without_8bitmime(lab: CheckLab) -> Checked:
    port = await lab.serve(Script().with_(EHLO=b"250-mail.test\r\n250 SIZE 1000\r\n"))
    return await lab.check(f"127.0.0.1:{port}")


@finds("eightbit.not_supported")
async def a_server_that_only_knows_helo(lab: CheckLab) -> Checked:
    port = await lab.serve(Script().with_(EHLO=b"502 5.5.2 Error: command not recognized\r\n"))
    return await lab.check(f"127.0.0.1:{port}")


# --- protocol and time --------------------------------------------------------------------------


@finds("protocol.malformed_reply")
async def a_reply_that_is_none(lab: CheckLab) -> Checked:
    port = await lab.serve(Script().with_(EHLO=b"hello there\r\n"))
    return await lab.check(f"127.0.0.1:{port}")


@finds("protocol.malformed_reply")
async def garbage_under_tls(lab: CheckLab) -> Checked:
    port = await lab.serve(
        Script(
            answers={"EHLO": STARTTLS}, tls=good_tls(lab),
            under_tls={"EHLO": bytes(range(128, 256)) * 100 + b"\r\n"},
        )
    )  # fmt: skip
    return await lab.check(f"smtp://127.0.0.1:{port}")


@finds("protocol.unexpected_code")
async def a_greeting_with_250(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=b"250 mail.test\r\n"))
    return await lab.check(f"127.0.0.1:{port}")


@finds("protocol.connection_dropped")
async def a_server_that_hangs_up_at_ehlo(lab: CheckLab) -> Checked:
    port = await lab.serve(Script().with_(EHLO=DROP))
    return await lab.check(f"127.0.0.1:{port}")


@finds("protocol.connection_dropped")
async def a_server_that_hangs_up_at_once(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=DROP))
    return await lab.check(f"127.0.0.1:{port}")


@finds("latency.slow_response")
async def a_server_that_takes_its_time(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(delays={"EHLO": 1.2}))
    return await lab.check(f"127.0.0.1:{port}", seconds=5)


@finds("latency.slow_response")
async def a_server_that_never_answers_ehlo(lab: CheckLab) -> Checked:
    port = await lab.serve(Script().with_(EHLO=HANG))
    return await lab.check(f"127.0.0.1:{port}", seconds=1)


def test_every_cause_has_a_broken_server() -> None:
    assert {cause for cause, _ in CASES.values()} == set(causes())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # old TLS is what some servers are for
def test_a_check_finds(name: str, tmp_path: Path) -> None:
    cause, case = CASES[name]

    async def run() -> Checked:
        lab = CheckLab(tmp_path)
        try:
            return await case(lab)
        finally:
            await lab.end()

    checked = asyncio.run(run())
    found = checked.diagnosis
    assert found.cause is not None, checked.steps
    assert found.cause.id == cause, (found, checked.steps[-2:])
    assert found.cause.id not in found.alternatives
    assert found.fix
    assert "secret word" not in str(checked.steps)

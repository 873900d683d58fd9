"""Cases of what goes wrong with TLS: its beginning, its certificate, its versions."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress

from broken_servers import DROP, HANG, Script, start_tls
from cause_cases import HOST, STARTTLS, finds, good_tls, offer
from check_lab import CheckLab
from cryptography.x509.oid import ExtendedKeyUsageOID
from made_certificates import context_of, issue

from waypost.doctor.check.run import Checked


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


async def with_blocking_tls(lab: CheckLab, context: ssl.SSLContext) -> Checked:
    """A server without asyncio, whose TLS hangs up before it has told why."""
    listener = socket.create_server(("127.0.0.1", 0))
    lab.hold(listener)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)

    serving = asyncio.get_running_loop().run_in_executor(None, serve)
    checked = await lab.check(f"smtps://127.0.0.1:{listener.getsockname()[1]}")
    await serving
    return checked


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


@finds("tls.certificate_expires_soon")
async def a_certificate_that_nobody_has_renewed(lab: CheckLab) -> Checked:
    own = lab.certificate("mail.test", begins=-85, days=90)
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.certificate_weak")
async def a_certificate_with_a_short_key(lab: CheckLab) -> Checked:
    own = lab.certificate("mail.test", weak_key=True)
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.certificate_refused")
async def a_certificate_for_clients(lab: CheckLab) -> Checked:
    own = lab.certificate("mail.test", purpose=ExtendedKeyUsageOID.CLIENT_AUTH)
    return await with_certificate(lab, context_of(lab.folder, own))


@finds("tls.hostname_mismatch")
async def a_server_that_does_not_know_the_name(lab: CheckLab) -> Checked:
    context = context_of(lab.folder, lab.certificate("127.0.0.1"))

    def refuse(*_: object) -> ssl.AlertDescription:
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.set_servername_callback(refuse)
    return await with_blocking_tls(lab, context)


@finds("tls.handshake_closed")
async def a_firewall_that_swallows_starttls(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(answers={"EHLO": STARTTLS, "STARTTLS": HANG}))
    return await lab.check(f"smtp://127.0.0.1:{port}", seconds=1)


@finds("tls.client_certificate_required")
async def a_server_that_wants_a_certificate_of_the_client(lab: CheckLab) -> Checked:
    context = context_of(lab.folder, lab.certificate("127.0.0.1"))
    context.load_verify_locations(str(lab.ca_file))
    context.verify_mode = ssl.CERT_REQUIRED
    return await with_blocking_tls(lab, context)


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


@finds("tls.old_versions_allowed")
async def a_server_with_every_version_of_tls(lab: CheckLab) -> Checked:
    context = context_of(lab.folder, lab.certificate("127.0.0.1", old_key=True))
    every = weak(context, "ALL:@SECLEVEL=0", ssl.TLSVersion.TLSv1_3)
    port = await lab.serve(Script(tls=every, implicit=True).with_(EHLO=offer("AUTH PLAIN")))
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

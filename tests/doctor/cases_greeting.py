"""Cases of what goes wrong at the greeting: who is there, and whether it speaks."""

from __future__ import annotations

import asyncio

from broken_servers import DROP, HANG, Script
from cause_cases import finds, good_tls
from check_lab import CheckLab

from waypost.doctor.check.run import Checked


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


@finds("greeting.outdated_server")
async def a_server_that_nobody_has_updated(lab: CheckLab) -> Checked:
    greeting = b"220 mail.test ESMTP Exim 4.84_2 Tue, 24 Nov 2026 09:00:00 +0000\r\n"
    port = await lab.serve(Script(greeting=greeting))
    return await lab.check(f"127.0.0.1:{port}")


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


@finds("greeting.http_server")
async def a_web_server_that_serves_one_after_the_other(lab: CheckLab) -> Checked:
    turn = asyncio.Lock()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with turn:
            await _http(reader, writer)
            writer.close()

    port = await lab.serve(Script(talk=talk))
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.http_server")
async def a_web_server_behind_tls(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(tls=good_tls(lab), implicit=True, talk=_http))
    return await lab.check(f"smtps://127.0.0.1:{port}")


@finds("greeting.not_smtp")
async def a_server_that_answers_requests_in_its_own_way(lab: CheckLab) -> Checked:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(b"-ERR unknown command\r\n")

    port = await lab.serve(Script(talk=talk))
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.not_smtp")
async def a_server_that_speaks_another_protocol_when_asked(lab: CheckLab) -> Checked:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"RTSP/1.0 400 Bad Request\r\n\r\n")

    port = await lab.serve(Script(talk=talk))
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.not_smtp")
async def a_server_for_mailboxes(lab: CheckLab) -> Checked:
    answer = b"500 5.5.2 use LHLO\r\n"
    port = await lab.serve(Script(b"220 mail.test LMTP ready\r\n").with_(EHLO=answer, HELO=answer))
    return await lab.check(f"127.0.0.1:{port}")


@finds("greeting.imap_or_pop3_server")
async def a_server_for_imap_behind_tls(lab: CheckLab) -> Checked:
    greeting = b"* OK Dovecot ready.\r\n"
    port = await lab.serve(Script(greeting, tls=good_tls(lab), implicit=True))
    return await lab.check(f"127.0.0.1:{port}")


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

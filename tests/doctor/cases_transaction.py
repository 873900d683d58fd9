"""Cases of what goes wrong with senders, recipients, content, replies and time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from broken_servers import DROP, HANG, Script
from cause_cases import STARTTLS, finds, good_tls, offer, with_sender
from check_lab import CheckLab
from refusals import REFUSALS

from waypost.doctor.check.run import Checked

# --- MAIL and RCPT --------------------------------------------------------------------------------


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


@finds("policy.client_blocklisted")
async def a_greeting_in_the_words_of_one_provider(lab: CheckLab) -> Checked:
    greeting = (
        b"554 IP=192.0.2.7 - A problem occurred. (Ask your postmaster for help or to contact "
        b"tosa@rx.t-online.de to clarify.)\r\n"
    )
    port = await lab.serve(Script(greeting=greeting + DROP))
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


# --- protocol and time ----------------------------------------------------------------------------


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


@finds("protocol.malformed_reply")
async def a_server_that_says_more_than_it_was_asked(lab: CheckLab) -> Checked:
    port = await lab.serve(Script().with_(EHLO=b"250 mail.test\r\n250 and more\r\n500 what?\r\n"))
    return await lab.check(f"127.0.0.1:{port}")


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

"""A server that is well is said to be; what is shown of it is true, and holds no secret."""

from __future__ import annotations

import asyncio
import base64
import ssl
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

from broken_servers import Script
from check_lab import CheckLab, evidence, statuses
from made_certificates import context_of, issue

from waypost.doctor.check.run import Checked

OFFER = (
    b"250-mail.test\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
    b"250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"
)


def run(work: Callable[[CheckLab], Awaitable[Checked]], folder: Path) -> Checked:
    async def inside() -> Checked:
        lab = CheckLab(folder)
        try:
            return await work(lab)
        finally:
            await lab.end()

    return asyncio.run(inside())


def good(lab: CheckLab) -> Script:
    context = context_of(lab.folder, lab.certificate("mail.test", "127.0.0.1"))
    return Script(answers={"EHLO": OFFER, "AUTH": b"235 2.7.0 welcome\r\n"}, tls=context)


def test_all_steps_of_a_good_server(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Checked:
        port = await lab.serve(good(lab))
        return await lab.check(
            f"smtp://127.0.0.1:{port}", user="me@mail.test", recipient="you@there.test"
        )

    found = run(work, tmp_path)
    assert found.diagnosis.verdict == "ok", found
    assert found.diagnosis.cause is None
    names = [step.name for step in found.steps]
    assert names == ["dns", "tcp", "greeting", "ehlo", "tls", "ehlo", "auth", "mail", "rcpt",
                     "latency"]  # fmt: skip
    assert set(statuses(found).values()) == {"ok"}
    assert "TLSv1.3" in evidence(found, "tls")
    assert "MAIL FROM:<me@mail.test>" in evidence(found, "mail")
    assert found.capabilities["auth"] == ["PLAIN", "LOGIN"]
    assert found.capabilities["size"] == 1000


def test_a_good_server_with_tls_from_the_first_byte(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Checked:
        script = good(lab)
        port = await lab.serve(Script(answers=script.answers, tls=script.tls, implicit=True))
        return await lab.check(f"smtps://127.0.0.1:{port}")

    assert run(work, tmp_path).diagnosis.verdict == "ok"


def test_no_mail_is_sent_without_being_asked_for(tmp_path: Path) -> None:
    servers: list[CheckLab] = []

    async def work(lab: CheckLab) -> Checked:
        servers.append(lab)
        port = await lab.serve(good(lab))
        return await lab.check(f"127.0.0.1:{port}", recipient="you@there.test")

    run(work, tmp_path)
    heard = servers[0].servers[0].heard
    assert not any(line.startswith("DATA") for line in heard)
    assert heard[-2:] == ["RSET", "QUIT"]


def test_a_test_message_is_sent_when_asked_for(tmp_path: Path) -> None:
    labs: list[CheckLab] = []

    async def work(lab: CheckLab) -> Checked:
        labs.append(lab)
        port = await lab.serve(Script())
        return await lab.check(
            f"127.0.0.1:{port}", sender="me@mail.test", recipient="you@there.test",
            message=b"Subject: a\r\n\r\n.dot\r\n",
        )  # fmt: skip

    found = run(work, tmp_path)
    assert statuses(found)["message"] == "ok"
    assert labs[0].servers[0].contents == [b"Subject: a\r\n\r\n..dot\r\n.\r\n"]


def test_a_secret_that_the_server_says_again_is_not_shown(tmp_path: Path) -> None:
    secret = "secret word"
    encoded = base64.b64encode(secret.encode()).decode()

    async def work(lab: CheckLab) -> Checked:
        answer = f"535 5.7.8 no: {secret} {encoded}\r\n".encode()
        port = await lab.serve(Script().with_(EHLO=OFFER, AUTH=answer))
        return await lab.check(f"smtp+plain://127.0.0.1:{port}", user="me", password=secret)

    found = run(work, tmp_path)
    shown = str([step.evidence for step in found.steps])
    assert secret not in shown
    assert encoded not in shown
    assert "[redacted]" in evidence(found, "auth")


def test_a_password_never_goes_to_a_server_whose_certificate_was_refused(tmp_path: Path) -> None:
    labs: list[CheckLab] = []

    async def work(lab: CheckLab) -> Checked:
        labs.append(lab)
        context = context_of(lab.folder, issue("mail.test", names=("127.0.0.1",)))
        port = await lab.serve(Script(answers={"EHLO": OFFER}, tls=context))
        return await lab.check(f"smtp://127.0.0.1:{port}", user="me@mail.test")

    found = run(work, tmp_path)
    assert found.diagnosis.verdict == "fail"
    assert not any(line.startswith("AUTH") for line in labs[0].servers[0].heard)
    assert "auth" not in statuses(found)


def test_a_certificate_that_is_not_insisted_on_is_a_warning(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Checked:
        context = context_of(lab.folder, issue("mail.test", names=("127.0.0.1",)))
        port = await lab.serve(Script(answers={"EHLO": OFFER}, tls=context))
        return await lab.check(f"smtp://127.0.0.1:{port}", insecure=True)

    found = run(work, tmp_path)
    assert found.diagnosis.verdict == "warn"
    assert found.diagnosis.cause is not None
    assert found.diagnosis.cause.id == "tls.self_signed"
    assert statuses(found)["mail"] == "ok"


def test_a_server_that_ends_lines_with_lf_alone_is_understood(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Checked:
        port = await lab.serve(
            Script(b"220 mail.test\n").with_(EHLO=OFFER.replace(b"\r\n", b"\n"), MAIL=b"250 ok\n")
        )
        return await lab.check(f"smtp+plain://127.0.0.1:{port}")

    assert run(work, tmp_path).diagnosis.verdict == "ok"


def test_one_exchanger_that_is_down_is_a_warning_where_another_takes_mail(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Checked:
        port = await lab.serve(good(lab), "127.0.0.2")
        await lab.name(
            {
                ("example.test", "MX"): ["10 a.example.test.", "20 b.example.test."],
                ("a.example.test", "A"): ["127.0.0.1"],
                ("b.example.test", "A"): ["127.0.0.2"],
            }
        )
        return await lab.check("someone@example.test", port=port)

    found = run(work, tmp_path)
    assert found.diagnosis.verdict == "warn"
    assert found.diagnosis.cause is not None
    assert found.diagnosis.cause.id == "tcp.refused"
    assert "RCPT TO:<someone@example.test>" in evidence(found, "rcpt")


def test_an_exchanger_that_refuses_starttls_still_takes_mail_in_the_clear(tmp_path: Path) -> None:
    async def work(lab: CheckLab) -> Checked:
        answer = b"454 4.7.0 TLS not available\r\n"
        port = await lab.serve(Script(answers={"EHLO": OFFER, "STARTTLS": answer}))
        await lab.name(
            {("example.test", "MX"): ["10 mail.test."], ("mail.test", "A"): ["127.0.0.1"]}
        )
        return await lab.check("someone@example.test", port=port)

    found = run(work, tmp_path)
    assert found.diagnosis.verdict == "warn"
    assert found.diagnosis.cause is not None
    assert found.diagnosis.cause.id == "tls.starttls_refused"
    assert statuses(found)["rcpt"] == "ok"


def test_old_tls_is_no_matter_where_nobody_logs_in(tmp_path: Path) -> None:
    """Between servers it is better than none."""

    async def work(lab: CheckLab) -> Checked:
        context = context_of(lab.folder, lab.certificate("127.0.0.1", old_key=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        port = await lab.serve(Script(tls=context, implicit=True))
        return await lab.check(f"smtps://127.0.0.1:{port}")

    assert run(work, tmp_path).diagnosis.verdict == "ok"

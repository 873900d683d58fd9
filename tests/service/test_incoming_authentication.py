"""Mail from other servers is judged, and what was found stands in front of it."""

from __future__ import annotations

import asyncio
import functools
import smtplib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dkim
import pytest

from waypost.config import Flags, load
from waypost.mail.dkim import DkimSigner, RelaxedBodyHash, signature_field
from waypost.mail.dkim_keys import generate_key
from waypost.mail.headers import HeaderBlock
from waypost.net.resolver import ResolutionTemporaryFailure
from waypost.net.static_resolver import StaticResolver
from waypost.relay.domain_keys import NAME, DomainKeys, KeyState
from waypost.relay.incoming import IncomingAuthentication
from waypost.service import Service
from waypost.smtp.envelope import Envelope
from waypost.smtp.reply import Reply

Test = Callable[..., Coroutine[Any, Any, None]]


def in_loop(test: Test) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*given: object, **named: object) -> None:
        asyncio.run(asyncio.wait_for(test(*given, **named), 60))

    return run


KEY = DkimSigner("example.com", "s", generate_key("ed25519"))
HEADER = b"From: Ann <ann@example.com>\r\nTo: you@here.example\r\nSubject: x\r\n"
BODY = b"Hello.\r\n"


def zone(policy: str = "none", sends: str = "v=spf1 ip4:127.0.0.1 -all") -> StaticResolver:
    texts = {
        "example.com": [sends],
        "_dmarc.example.com": [f"v=DMARC1; p={policy}"],
        KEY.record.name: [KEY.record.value],
    }
    return StaticResolver({}, {}, {}, texts)


def signed(body: bytes = BODY) -> bytes:
    digest = RelaxedBodyHash()
    digest.update(body)
    return signature_field(KEY, HEADER, digest.digest()) + HEADER + b"\r\n" + body


@asynccontextmanager
async def relay(
    folder: Path, resolver: StaticResolver, enforce: str = "false", trusted: str = "[]"
) -> AsyncIterator[Service]:
    file = folder / "waypost.toml"
    file.write_text(
        f'data = "{folder}/data"\nhostname = "relay.example"\n'
        '[[listener]]\naddress = "127.0.0.1:0"\nkind = "relay"\n'
        f'[access]\nrelay_domains = ["here.example"]\ntrusted_networks = {trusted}\n'
        f"[incoming]\nenforce = {enforce}\n"
    )
    made = Service(load(file, {}, Flags()).service_settings(), resolver=resolver)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def receive(
    service: Service, content: bytes, sender: str = "ann@example.com", hello: str = "mx.example.com"
) -> bytes:
    """Send as another server would; what was kept of it. Raises what smtplib does."""
    port = int(service.listeners[0].bound[0].rpartition(":")[2])

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname=hello, timeout=30) as client:
            client.sendmail(sender, ["you@here.example"], content)

    await asyncio.to_thread(send)
    for _ in range(3000):
        found = await service.spool.captured(1)
        if found:
            body = await service.spool.captured_content(found[0].identifier)
            return b"".join([piece async for piece in body.chunks()])
        await asyncio.sleep(0.01)
    raise AssertionError("it was not kept")


def results(content: bytes) -> Mapping[str, str]:
    """The words of our own field, by method; the content must begin with it."""
    block = HeaderBlock.scan(content, maximum_size=100_000, maximum_fields=1000)
    assert block is not None
    name, value = block.fields()[0]
    assert name == b"Authentication-Results"
    words = value.decode().replace("\r\n", "").split(";")
    assert words[0] == "relay.example"
    return {one.split("=")[0].strip(): one.strip() for one in words[1:]}


@in_loop
async def test_all_three_speak_for_it(tmp_path: Path) -> None:
    async with relay(tmp_path, zone()) as service:
        content = await receive(service, signed())
    found = results(content)
    assert found["spf"] == "spf=pass smtp.mailfrom=ann@example.com"
    assert found["dkim"].startswith("dkim=pass header.d=example.com header.s=s")
    assert found["dmarc"] == "dmarc=pass header.from=example.com"
    assert content.endswith(signed())


@pytest.mark.parametrize("size", [100, 400_000])
@in_loop
async def test_large_mail_is_kept_whole(tmp_path: Path, size: int) -> None:
    body = b"0123456789 abcdef\r\n" * (size // 19)
    async with relay(tmp_path, zone()) as service:
        content = await receive(service, signed(body))
    assert results(content)["dkim"].startswith("dkim=pass")
    assert content.endswith(signed(body))


@in_loop
async def test_mail_that_nothing_speaks_for(tmp_path: Path) -> None:
    async with relay(tmp_path, zone("quarantine", "v=spf1 ip4:192.0.2.1 -all")) as service:
        content = await receive(service, HEADER + b"\r\n" + BODY)
    found = results(content)
    assert found["spf"].startswith("spf=fail")
    assert found["dkim"] == "dkim=none"
    assert found["dmarc"] == "dmarc=fail (p=quarantine) header.from=example.com"


@in_loop
async def test_it_is_refused_where_its_domain_asks_for_it_and_we_enforce(tmp_path: Path) -> None:
    async with relay(tmp_path, zone("reject", "v=spf1 -all"), enforce="true") as service:
        with pytest.raises(smtplib.SMTPDataError) as caught:
            await receive(service, HEADER + b"\r\n" + BODY)
        assert caught.value.smtp_code == 550
        assert b"5.7.26" in caught.value.smtp_error
        assert (await service.spool.counts()).queued == 0
        content = await receive(service, signed())
    assert results(content)["dmarc"].startswith("dmarc=pass")


@in_loop
async def test_a_field_that_claims_to_be_ours_is_taken_out(tmp_path: Path) -> None:
    forged = (
        b"Authentication-Results: relay.example; dmarc=pass\r\n"
        b"Authentication-Results: other.example; spf=pass\r\n"
        b"AUTHENTICATION-RESULTS:\r\n\tRELAY.EXAMPLE; dkim=pass\r\n"
    )
    async with relay(tmp_path, zone("quarantine", "v=spf1 -all")) as service:
        content = await receive(service, forged + HEADER + b"\r\n" + BODY)
    assert content.lower().count(b"relay.example;") == 1
    assert b"other.example; spf=pass" in content
    assert results(content)["dmarc"].startswith("dmarc=fail")


@in_loop
async def test_two_authors_are_none(tmp_path: Path) -> None:
    twice = b"From: eve@example.net\r\n" + HEADER + b"\r\n" + BODY
    async with relay(tmp_path, zone()) as service:
        content = await receive(service, twice)
    assert results(content)["dmarc"] == "dmarc=permerror"


@in_loop
async def test_what_a_stranger_calls_itself_breaks_out_of_nothing(tmp_path: Path) -> None:
    async with relay(tmp_path, zone()) as service:
        content = await receive(
            service, HEADER + b"\r\n" + BODY, sender="", hello="x;dmarc=pass(y)"
        )
    assert "smtp.helo=x_dmarc=pass_y_" in results(content)["spf"]


@in_loop
async def test_mail_of_trusted_clients_is_not_judged(tmp_path: Path) -> None:
    async with relay(tmp_path, zone(), trusted='["127.0.0.0/8"]') as service:
        content = await receive(service, signed())
    assert b"Authentication-Results" not in content


@in_loop
async def test_silent_name_servers_cost_the_verdict_and_not_the_mail(tmp_path: Path) -> None:
    class Silent(StaticResolver):
        async def records(self, name: str, record_type: str) -> object:  # type: ignore[override]
            raise ResolutionTemporaryFailure(name, record_type, "no answer")

        async def text(self, name: str) -> tuple[str, ...]:
            raise ResolutionTemporaryFailure(name, "TXT", "no answer")

    async with relay(tmp_path, Silent({}, {}, {}, {}), enforce="true") as service:
        content = await receive(service, signed())
    found = results(content)
    assert [one.split()[0] for one in found.values()] == [
        "spf=temperror", "dkim=temperror", "dmarc=temperror",
    ]  # fmt: skip


@pytest.mark.parametrize("size", [100, 400_000])
@in_loop
async def test_what_was_found_is_sealed_where_there_is_a_key(tmp_path: Path, size: int) -> None:
    body = b"0123456789 abcdef\r\n" * (size // 19 + 1)
    keys = DomainKeys(tmp_path / "data" / NAME, lambda: 1.0, lambda: 1.0)
    keys.add("relay.example")
    own = keys.add_key("relay.example", "seal", "rsa").signer.record
    keys.set_state("relay.example", "seal", KeyState.ACTIVE)
    keys.close()
    async with relay(tmp_path, zone()) as service:
        content = await receive(service, signed(body))
    assert results(content)["dmarc"].startswith("dmarc=pass")
    assert content.count(b"ARC-Seal: i=1;") == 1
    assert content.endswith(signed(body))

    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        return own.value.encode() if name.decode().rstrip(".") == own.name else None

    status, _, reason = dkim.arc_verify(content, dnsfunc=look_up)
    assert (status, reason) == (b"pass", "success")


@in_loop
async def test_a_chain_is_judged_and_told(tmp_path: Path) -> None:
    broken = b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.example; s=s; b=AA==\r\n"
    async with relay(tmp_path, zone()) as service:
        content = await receive(service, broken + signed())
    assert results(content)["arc"] == 'arc=fail reason="the set 1 is not whole"'


@in_loop
async def test_the_longest_field_has_room() -> None:
    name = b".".join([b"d" * 60, b"e" * 60, b"f" * 60, b"example"])
    field = (
        b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=" + name + b"; s=" + name
        + b"; h=from; bh=AAAA; b=AAAA\r\n"
    )  # fmt: skip
    block = HeaderBlock.scan(field * 20 + HEADER + b"\r\n", maximum_size=10**6, maximum_fields=999)
    assert block is not None
    incoming = IncomingAuthentication("r" * 200 + ".example", zone(), enforce=False)
    message = incoming.begin(
        block, b"", Envelope("x" * 500 + "@" + name.decode(), ()),
        client=("127.0.0.1", "h" * 300), user=None, now=1.0,
    )  # fmt: skip
    assert message is not None
    given: asyncio.Future[bytes | Reply] = asyncio.get_running_loop().create_future()
    message.finish(given.set_result)
    fields = await given
    assert isinstance(fields, bytes)
    padded = message.padded(fields)
    assert len(padded) == message.room
    assert max(map(len, padded.split(b"\r\n"))) <= 998
    assert padded.replace(b" ", b"") == fields.replace(b" ", b"")

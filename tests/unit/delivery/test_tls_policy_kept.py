"""MTA-STS policies in a real spool: they are there after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

from waypost.delivery.strict_transport import StrictTransport
from waypost.net.clock import SystemClock
from waypost.net.static_resolver import StaticResolver
from waypost.net.static_web import StaticWeb
from waypost.spool.sqlite import SqliteSettings, SqliteSpool

URL = "https://mta-sts.one.example/.well-known/mta-sts.txt"
POLICY = b"version: STSv1\nmode: enforce\nmx: *.one.example\nmax_age: 604800\n"
RECORD = StaticResolver(texts={"_mta-sts.one.example": ("v=STSv1; id=1",)})


def test_a_policy_holds_after_a_restart_although_record_and_server_are_gone(
    tmp_path: Path,
) -> None:
    async def asked(resolver: StaticResolver, web: StaticWeb) -> tuple[str, ...]:
        clock = SystemClock()
        spool = SqliteSpool(SqliteSettings(tmp_path / "spool"), clock.now)
        await spool.open()
        try:
            policy = await StrictTransport(resolver, web, clock, spool).policy("one.example")
        finally:
            await spool.close()
        return () if policy is None else policy.exchangers

    assert asyncio.run(asked(RECORD, StaticWeb({URL: POLICY}))) == ("*.one.example",)
    assert asyncio.run(asked(StaticResolver(), StaticWeb())) == ("*.one.example",)

"""The section about the sandbox: faults on purpose, so that applications can be tested."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from waypost.config.kinds import (
    Count,
    Part,
    Pattern,
    PerPeriod,
    Positive,
    Seconds,
    Text,
    Truth,
    array,
)
from waypost.config.section import WORD, Section, setting
from waypost.faults.rule import Command


class FaultRuleSection(Section):
    """[[sandbox.rule]]: what goes wrong on purpose at the listeners; the first that fits decides.
    Without any: nothing."""

    on: Annotated[Command, WORD] = Field(
        description="Where: `connect`, `ehlo`, `starttls`, `auth`, `mail`, `rcpt`, `data`, or "
        "`content`, which is the end of the message."
    )
    reply: Text | None = setting(
        None,
        'The answer, such as "450 4.7.1 Greylisted".',
        unset="the relay's own, after the delay",
    )
    delay: Seconds | None = setting(None, "How long the answer is late.", unset="not at all")
    drop: Truth = setting(False, "Close the connection in place of an answer.")
    sender: Pattern | None = setting(
        None, "Only mail from there, as in route.match.senders.", unset="any sender"
    )
    recipient: Pattern | None = setting(
        None, "Only recipients there, likewise; of several, one is enough.", unset="any recipient"
    )
    after: Count = setting(0, "Let so many pass first.")
    times: Positive | None = setting(None, "Strike so often, then never again.", unset="always")
    share: Part = setting(1.0, "Strike this part of the times, by chance.")
    rate: PerPeriod | None = setting(None, "Strike only what exceeds this.", unset="everything")


class SandboxSection(Section):
    """[sandbox]: faults on purpose, for tests of the programs that send here."""

    allow_beside_real_routes: Truth = setting(
        False,
        "Follow the rules also where a route leads beyond the sandbox; real mail fails by them.",
    )
    rule: Annotated[tuple[FaultRuleSection, ...], BeforeValidator(array)] = ()

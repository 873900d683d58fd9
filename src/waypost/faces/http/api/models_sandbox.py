"""The forms of the fault rules: what goes wrong on purpose at the relay's listeners."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from waypost.faces.http.api.models import Given, Told
from waypost.faults.rule import MAXIMUM_DELAY, MAXIMUM_REPLY, Command

MAXIMUM_PATTERN = 320
MAXIMUM_NUMBER = 1_000_000_000


class FaultRuleForm(Given):
    """One rule. What is left out does not restrict; the first rule that fits decides."""

    on: Command = Field(description="Where; `content` is the end of the message.")
    reply: str = Field(
        default="",
        max_length=MAXIMUM_REPLY,
        description="The answer; without one the relay's own, after the delay.",
        examples=["450 4.7.1 Greylisted"],
    )
    delay: float = Field(
        default=0.0, ge=0, le=MAXIMUM_DELAY, description="How many seconds the answer is late."
    )
    drop: bool = Field(default=False, description="Close the connection in place of an answer.")
    sender: str = Field(
        default="",
        max_length=MAXIMUM_PATTERN,
        description="Only mail from there: `joe@example.com`, `example.com`, `.example.com`, with "
        "`*` and `?`.",
        examples=["example.com"],
    )
    recipient: str = Field(
        default="",
        max_length=MAXIMUM_PATTERN,
        description="Only recipients there, likewise; of several, one is enough.",
        examples=["*@slow.example"],
    )
    after: int = Field(default=0, ge=0, le=MAXIMUM_NUMBER, description="Let so many pass first.")
    times: int | None = Field(
        default=None, ge=1, le=MAXIMUM_NUMBER, description="Strike so often; null: always."
    )
    share: float = Field(
        default=1.0, gt=0, le=1, description="Strike this part of the times, by chance."
    )
    rate: str = Field(
        default="",
        max_length=40,
        description="Strike only what exceeds this.",
        examples=["10/minute"],
    )


class FaultRuleTold(FaultRuleForm):
    """A rule that is set, and what it has met since it was set or reset."""

    number: int = Field(description="Its name in this API while the relay runs.")
    origin: Literal["configuration", "api"] = Field(
        description="What the configuration has is changed there; the rest ends with the process."
    )
    seen: int = Field(description="Commands that it was about.")
    struck: int = Field(description="Commands that it has answered.")


class FaultRuleList(Told):
    """The rules in the order in which they are asked."""

    items: list[FaultRuleTold]
    followed: bool = Field(
        description="False: a route leads beyond the sandbox, so no rule is followed."
    )

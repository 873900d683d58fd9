"""The fault rules of the sandbox as a page: what is to go wrong for the programs under test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, get_args

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces.http.panel.pages import page, told
from waypost.faces.http.security import Caller, page_caller
from waypost.faults.rule import Command, FaultRule, InvalidRule
from waypost.faults.rules import NoSuchRule, RuleIsConfigured, TooManyRules
from waypost.relay.sandbox_rules import NotInSandbox

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.READ)]
Changer = Annotated[Caller, page_caller(Permission.SANDBOX)]

COMMANDS: Final = tuple(
    (name, {
        "connect": "at the connection", "ehlo": "at EHLO", "starttls": "at STARTTLS",
        "auth": "at the login", "mail": "at MAIL, the sender", "rcpt": "at RCPT, a recipient",
        "data": "at DATA, before the content", "content": "behind the content",
    }.get(name, name))
    for name in get_args(Command)
)  # fmt: skip

EXAMPLES: Final = (
    ("Greylisting: the first two attempts for each server are put off",
     {"on": "rcpt", "reply": "451 4.7.1 Greylisted, try again later", "times": "2"}),
    ("A full mailbox", {"on": "rcpt", "reply": "452 4.2.2 Mailbox full", "recipient": "full@*"}),
    ("No such recipient",
     {"on": "rcpt", "reply": "550 5.1.1 User unknown", "recipient": "nobody@*"}),
    ("Refused as spam behind the content",
     {"on": "content", "reply": "554 5.7.1 Message refused as spam"}),
    ("A slow server: each message takes five seconds", {"on": "content", "delay": "5"}),
    ("The connection breaks behind the content", {"on": "content", "drop": "true"}),
    ("No more than ten messages a minute",
     {"on": "mail", "reply": "450 4.7.1 Too many messages, slow down", "rate": "10/minute"}),
    ("A wrong password", {"on": "auth", "reply": "535 5.7.8 Authentication failed"}),
)  # fmt: skip
"""What people mostly want, as values of the form."""


@dataclass(frozen=True, slots=True)
class Entered:
    """The form as it was filled in."""

    on: str = "rcpt"
    reply: str = ""
    delay: str = ""
    drop: str = ""
    sender: str = ""
    recipient: str = ""
    after: str = ""
    times: str = ""
    share: str = ""
    rate: str = ""

    def rule(self) -> FaultRule:
        """The rule that it means. Raises InvalidRule."""
        if self.on not in get_args(Command):
            raise InvalidRule(f"{self.on[:40]!r} is nothing that a rule can strike at")
        on: Command = self.on  # type: ignore[assignment]
        return FaultRule(
            on=on,
            reply=self.reply.strip(),
            delay=_number(self.delay, "The delay", 0.0),
            drop=bool(self.drop),
            sender=self.sender.strip(),
            recipient=self.recipient.strip(),
            after=int(_number(self.after, "What passes first", 0)),
            times=int(_number(self.times, "How often", 0)) or None,
            share=_number(self.share, "The share", 100.0) / 100.0,
            rate=self.rate.strip(),
        )


def _number(text: str, name: str, default: float) -> float:
    try:
        value = float(text) if text.strip() else default
    except ValueError as fault:
        raise InvalidRule(f"{name} must be a number, not {text[:40]!r}") from fault
    if not 0 <= value < 1e9:
        raise InvalidRule(f"{name} must be from 0 to 1,000,000,000, not {text[:40]}")
    return value


@router.get("/sandbox/rules")
async def rules(request: Request, caller: Reader, example: int = 0) -> HTMLResponse:
    """The rules, and a form for another."""
    entered = Entered()
    if 0 < example <= len(EXAMPLES):
        entered = Entered(**EXAMPLES[example - 1][1])
    return _page(request, caller, entered)


@router.post("/sandbox/rules")
async def add(
    request: Request,
    caller: Changer,
    on: Annotated[str, Form()] = "",
    reply: Annotated[str, Form()] = "",
    delay: Annotated[str, Form()] = "",
    drop: Annotated[str, Form()] = "",
    sender: Annotated[str, Form()] = "",
    recipient: Annotated[str, Form()] = "",
    after: Annotated[str, Form()] = "",
    times: Annotated[str, Form()] = "",
    share: Annotated[str, Form()] = "",
    rate: Annotated[str, Form()] = "",
) -> Response:
    """Add one."""
    room: ControlRoom = request.app.state.room
    entered = Entered(on, reply, delay, drop, sender, recipient, after, times, share, rate)
    try:
        made = room.service.sandbox_rules.add(entered.rule())
    except (InvalidRule, NotInSandbox, TooManyRules) as fault:
        return _page(request, caller, entered, str(fault), status=422)
    await room.audit.record(caller.name, "fault rule added", str(made.number), described(made.rule))
    return told(request, "/sandbox/rules", f"Rule {made.number} is set: {described(made.rule)}.")


@router.post("/sandbox/rules/remove")
async def remove(request: Request, caller: Changer, number: Annotated[int, Form()]) -> Response:
    """Take one away."""
    room: ControlRoom = request.app.state.room
    try:
        gone = room.service.sandbox_rules.state(number)
        room.service.sandbox_rules.remove(number)
    except (NoSuchRule, RuleIsConfigured) as fault:
        return told(request, "/sandbox/rules", f"{fault}.", "wait")
    await room.audit.record(caller.name, "fault rule removed", str(number), described(gone.rule))
    return told(request, "/sandbox/rules", f"Rule {number} is removed.")


@router.post("/sandbox/rules/clear")
async def clear(request: Request, caller: Changer) -> Response:
    """Take away all that were added here."""
    room: ControlRoom = request.app.state.room
    room.service.sandbox_rules.clear()
    await room.audit.record(caller.name, "fault rules cleared", "", "")
    return told(request, "/sandbox/rules", "All added rules are removed.")


@router.post("/sandbox/rules/reset")
async def reset(request: Request, caller: Changer) -> Response:
    """Let all begin anew."""
    room: ControlRoom = request.app.state.room
    room.service.sandbox_rules.reset()
    await room.audit.record(caller.name, "fault rules reset", "", "")
    return told(request, "/sandbox/rules", "All rules begin anew.")


def _page(
    request: Request, caller: Caller, entered: Entered, fault: str = "", status: int = 200
) -> HTMLResponse:
    room: ControlRoom = request.app.state.room
    found = room.service.sandbox_rules
    return page(
        request, "sandbox_rules.html", caller, status=status, entered=entered, fault=fault,
        commands=COMMANDS, examples=[title for title, _ in EXAMPLES], followed=found.may_act,
        states=[(one, described(one.rule)) for one in found.states],
        may_clear=any(not one.is_configured for one in found.states),
    )  # fmt: skip


def described(rule: FaultRule) -> str:
    """A rule as a sentence."""
    parts = [dict(COMMANDS)[rule.on]]
    if rule.sender:
        parts.append(f"from {rule.sender}")
    if rule.recipient:
        parts.append(f"to {rule.recipient}")
    if rule.rate:
        parts.append(f"beyond {rule.rate}")
    if rule.after:
        parts.append(f"after the first {rule.after}")
    if rule.times is not None:
        parts.append("once" if rule.times == 1 else f"{rule.times} times")
    if rule.share < 1:
        parts.append(f"in {rule.share:.0%} of the cases")
    does = []
    if rule.delay:
        does.append(f"wait {rule.delay:g} s")
    if rule.drop:
        does.append("close the connection")
    elif rule.reply:
        does.append(f"answer {rule.reply}")
    return f"{', '.join(parts)}: {' and '.join(does) or 'nothing'}"

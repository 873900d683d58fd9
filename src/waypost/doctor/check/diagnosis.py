"""From the steps of a check to one verdict with one cause: a pure function.

Each sign stands for a cause (causes.toml); the words of a server are judged by the classification
that delivery uses, and by the code alone where they tell nothing. Then one is chosen:

1. what stops mail before what only troubles it;
2. of what stops mail, the last: the walk ended there, what came before did not end it;
3. of warnings, the most precise cause.

All others, and what the cause is easily mistaken for, are the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from waypost.doctor.check.steps import NO_FACTS, Sign, Step
from waypost.knowledge.causes import Cause, cause, causes_by_sign, causes_of_code
from waypost.knowledge.reply_contexts import Stage
from waypost.knowledge.special_addresses import is_loopback
from waypost.smtp.reply import Reply

Verdict = Literal["ok", "warn", "fail"]

MAXIMUM_ALTERNATIVES: Final = 5

_TOLD_AT_GREETING: Final = frozenset({
    "policy.client_blocklisted", "policy.ptr_missing", "policy.rate_limited",
    "policy.greylisted", "capacity.too_many_connections", "capacity.insufficient_storage",
})  # fmt: skip
"""What the words of a refused greeting can tell more exactly than its code."""

_GENERAL_AT_LOGIN: Final = ("recipient.", "policy.content", "policy.relay", "greeting.", "size.")

_OF_A_SENDER: Final = (
    "auth.required", "policy.sender", "policy.relay", "policy.spf", "policy.dmarc", "recipient.",
)  # fmt: skip
"""What may be said of one sender or stranger and not of another."""

_AT_LOGIN: Final = {"recipient.disabled": "auth.account_locked"}
"""What a cause of a recipient is when it is said of who logs in."""

_BY_STATUS: Final = {
    ("recipient.unknown", 1, 3): "recipient.syntax",
    ("dns.no_such_host", 1, 8): "policy.sender_domain_unresolvable",
}  # fmt: skip
"""Where the words of a reply are general, and its enhanced status (RFC 3463 3.2) tells."""

_WEAKER: Final = (("auth:not-offered", "tls:not-offered"),)
"""The first comes from the second: without TLS many servers offer no login."""


_TRIAL: Final = "No sender was given, so a trial was made with one that may not fit: give --from. "

_ON_THE_WAY: Final = frozenset({"tcp.timeout_filtered", "tcp.unreachable", "tcp.port25_blocked"})
"""What comes from the network between here and there; there is none to this very machine."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What it comes to."""

    verdict: Verdict
    cause: Cause | None
    """None where all is well."""
    fix: str
    command: str
    """The exact setting or command; "" where there is none."""
    alternatives: tuple[str, ...]
    """Ids of what it may be as well, or is beside it; the most probable first."""


ALL_WELL: Final = Diagnosis("ok", None, "", "", ())


@dataclass(frozen=True, slots=True)
class _Candidate:
    cause: Cause
    sign: Sign
    fails: bool
    step: int
    place: int
    others: tuple[str, ...]

    @property
    def order(self) -> tuple[int, int, int]:
        if self.fails:
            return (0, -self.step, self.place)
        return (1, -self.cause.rank, self.step)


def diagnose(steps: Sequence[Step], facts: Mapping[str, str] = NO_FACTS) -> Diagnosis:
    """The verdict on one server. `facts` fill what the signs leave open in a fix."""
    found = sorted(_candidates(steps), key=lambda one: one.order)
    if not found:
        return ALL_WELL
    first = found[0]
    for weaker, stronger in _WEAKER:
        if first.sign.name == weaker:
            better = [one for one in found if one.sign.name == stronger and one.fails]
            first = better[0] if better else first
    known = {**facts, **first.sign.facts}
    alternatives = [*first.others, *(one.cause.id for one in found)]
    near = is_loopback(known.get("address", ""))
    alternatives += [one for one in first.cause.instead if not (near and one in _ON_THE_WAY)]
    tried = first.sign.reply is not None and not first.sign.given
    trial = _TRIAL if tried and first.cause.id.startswith("policy.sender") else ""
    return Diagnosis(
        "fail" if first.fails else "warn",
        first.cause,
        trial + first.cause.fix_with(known),
        first.cause.command_with(known),
        _without(first.cause.id, alternatives),
    )


def combine(diagnoses: Sequence[Diagnosis]) -> Diagnosis:
    """The verdict on several servers of which any one will do, as the exchangers of a domain.

    Where one takes mail, the failure of another is a warning.
    """
    if not diagnoses:
        return ALL_WELL
    worst = [one for one in diagnoses if one.verdict == "fail"]
    warned = [one for one in diagnoses if one.verdict == "warn"]
    chosen = (worst or warned or list(diagnoses))[0]
    verdict: Verdict = chosen.verdict
    if verdict == "fail" and len(worst) < len(diagnoses):
        verdict = "warn"
    others = [one.cause.id for one in (*worst, *warned) if one.cause is not None]
    name = chosen.cause.id if chosen.cause is not None else ""
    alternatives = _without(name, [*chosen.alternatives, *others])
    return Diagnosis(verdict, chosen.cause, chosen.fix, chosen.command, alternatives)


def beside(one: Diagnosis, other: Diagnosis) -> Diagnosis:
    """The verdict on a thing of which both are true, neither of them a failure."""
    if one.cause is None or other.cause is None:
        return one if other.cause is None else other
    first, second = (one, other) if one.cause.rank >= other.cause.rank else (other, one)
    assert first.cause is not None, "both have one"
    assert second.cause is not None, "both have one"
    names = [*first.alternatives, second.cause.id, *second.alternatives]
    return replace(first, alternatives=_without(first.cause.id, names))


def with_alternative(found: Diagnosis, other: Diagnosis) -> Diagnosis:
    """A failure, and what was seen beside it."""
    if found.cause is None or other.cause is None:
        return found
    names = (other.cause.id, *found.alternatives)
    return replace(found, alternatives=_without(found.cause.id, names))


def _without(name: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(one for one in dict.fromkeys(names) if one != name)[:MAXIMUM_ALTERNATIVES]


def _candidates(steps: Sequence[Step]) -> Iterable[_Candidate]:
    for number, step in enumerate(steps):
        for place, sign in enumerate(step.signs):
            fails = sign.status == "fail"
            if sign.name != "reply":
                found = causes_by_sign().get(sign.name)
                if found is not None:
                    yield _Candidate(found, sign, fails, number, place, ())
                continue
            assert sign.reply is not None, "the sign has what was said"
            names = causes_of_reply(sign.reply, sign.stage)
            if sign.facts.get("token") and names[0] == "auth.bad_credentials":
                names = ("auth.token_refused", *names)
            # A sender of ours tells little of senders; of this client it tells the same.
            fails = fails and (sign.given or not names[0].startswith(_OF_A_SENDER))
            yield _Candidate(cause(names[0]), sign, fails, number, place, names[1:])


def causes_of_reply(reply: Reply, stage: Stage | None) -> tuple[str, ...]:
    """What a refusal comes from: by its words, else by its code; the most probable first."""
    from waypost.knowledge.classification import classify  # its rules take time to read
    from waypost.knowledge.reply_reason import OWN_WORDS

    judged = classify(reply, stage=stage, through="smarthost")
    by_code = causes_of_code(reply.code, stage or "") or ("protocol.unexpected_code",)
    name = judged.cause
    if not name or judged.rule.startswith("code-"):
        return by_code
    if stage == "greeting":
        vague = judged.reason == "client-blocked" and judged.confidence < OWN_WORDS
        if vague or name not in _TOLD_AT_GREETING:
            return by_code  # "access denied" says no more than the code
    if stage == "auth":
        name = _AT_LOGIN.get(name, name)
        wrong_kind = reply.code == 504 and name == "auth.too_weak"
        if name.startswith(_GENERAL_AT_LOGIN) or name == "auth.required" or wrong_kind:
            return by_code
    status = reply.enhanced
    if status is not None:
        name = _BY_STATUS.get((name, status.subject, status.detail), name)
    return tuple(dict.fromkeys((name, *by_code)))

"""SPF: the domain's policy on who may send for it (RFC 7208), as receivers will read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from waypost.doctor.domain_health.finding import (
    Finding,
    fail,
    note,
    ok,
    text_record,
    unknown,
    warn,
)
from waypost.doctor.domain_health.mail_exchangers import Exchangers
from waypost.net.resolver import Resolver
from waypost.sender_policy import Result, Sending, Survey, evaluate, survey
from waypost.sender_policy.evaluation import MAXIMUM_LOOKUPS, MAXIMUM_VOID_LOOKUPS
from waypost.sender_policy.record import VERSION

NEAR_THE_LIMIT: Final = 8
"""Look-ups from which on one more provider may be too much."""

_STRICTNESS: Final = ("+all", "?all", "~all", "-all")


async def look_at_sender_policy(
    resolver: Resolver, domain: str, exchangers: Exchangers, senders: Iterable[str] = ()
) -> tuple[Finding, ...]:
    """The policy of a domain; for each sending address in `senders`, what it says of that."""
    walked = await survey(resolver, domain)
    senders = tuple(senders)
    own = walked.leaves[0]
    if own.temporary:
        fix = "Ask again later; check the domain's name servers."
        return (unknown("spf.unknown", "the name servers do not say", own.fault, fix=fix),)
    if not walked.records:
        return (_missing(domain, exchangers, senders),)
    if len(walked.records) > 1:
        return (_several(domain, walked),)
    findings = _faults(walked)
    if not findings:
        findings = [*_costs(walked), *_ending(walked), *_habits(walked)]
    findings += [await _of_sender(resolver, domain, address) for address in senders]
    if not any(one.status in ("fail", "warn", "unknown") for one in findings):
        text = f"an SPF record that costs {walked.lookups} of {MAXIMUM_LOOKUPS} look-ups"
        findings.insert(0, ok("spf.found", text, walked.records[0]))
    else:
        findings.insert(0, note("spf.found", "there is an SPF record", walked.records[0]))
    return tuple(findings)


def _missing(domain: str, exchangers: Exchangers, senders: tuple[str, ...]) -> Finding:
    if exchangers.null or not exchangers.records:
        record = f"{VERSION} -all"
        fix = "Publish one that says that nobody sends for it; or name those who do, before -all."
    else:
        named = "".join(f" {'ip6' if ':' in one else 'ip4'}:{one}" for one in senders)
        record = f"{VERSION} mx{named} ~all"
        fix = (
            "Publish one. Add an include: for each provider that sends for you (its page says "
            "which); when all your mail passes, turn ~all into -all."
        )
    return warn(
        "spf.missing",
        "there is no SPF record: large receivers refuse mail that nothing authenticates",
        fix=fix,
        suggestion=text_record(domain, record),
        cause="policy.spf_fail",
    )


def _several(domain: str, walked: Survey) -> Finding:
    terms: list[str] = []
    endings: list[str] = []
    for record in walked.records:
        for term in record[len(VERSION) :].split():
            bare = f"+{term}" if term.lower() == "all" else term.lower()
            if bare in _STRICTNESS:
                endings.append(bare)
            elif term not in terms:
                terms.append(term)
    # The laxer ending, so that nothing is refused that one of them let through.
    ending = min(endings, key=_STRICTNESS.index, default="~all")
    merged = " ".join((VERSION, *terms, "~all" if ending == "+all" else ending))
    return fail(
        "spf.several",
        f"there are {len(walked.records)} SPF records, so none of them counts (RFC 7208 4.5)",
        *walked.records,
        fix="Keep one that holds the terms of all; delete the others.",
        suggestion=text_record(domain, merged),
        cause="policy.spf_fail",
    )


def _faults(walked: Survey) -> list[Finding]:
    """What makes a receiver give up on the whole policy (permerror)."""
    findings: list[Finding] = []
    for leaf in walked.leaves:
        if not leaf.fault:
            continue
        place = leaf.domain if leaf.depth == 0 else f"{leaf.term}: {leaf.domain}"
        make = unknown if leaf.temporary else fail
        findings.append(
            make(
                "spf.malformed" if leaf.record else "spf.dead_end",
                f"the policy cannot be evaluated: {place} {leaf.fault}",
                *((leaf.record,) if leaf.record else ()),
                fix="Correct that term."
                if leaf.record
                else f"Take {leaf.term} away, or correct the name in it.",
                cause="policy.spf_fail",
            )
        )
    return findings


def _costs(walked: Survey) -> list[Finding]:
    findings: list[Finding] = []
    tree = [f"{'  ' * leaf.depth}{leaf.term or walked.domain}: {leaf.record}"
            for leaf in walked.leaves]  # fmt: skip
    if walked.lookups > MAXIMUM_LOOKUPS:
        findings.append(
            fail(
                "spf.too_many_lookups",
                f"the policy needs {walked.lookups} look-ups; after {MAXIMUM_LOOKUPS} receivers "
                "give up (RFC 7208 4.6.4)",
                *tree,
                fix="Take away includes that are no longer used; write addresses (ip4:, ip6:) "
                "in place of a: and mx:.",
                cause="policy.spf_fail",
            )
        )
    elif walked.lookups >= NEAR_THE_LIMIT:
        text = f"the policy needs {walked.lookups} of the {MAXIMUM_LOOKUPS} look-ups it may"
        findings.append(note("spf.many_lookups", text, *tree))
    if walked.void:
        many = len(walked.void) > MAXIMUM_VOID_LOOKUPS
        findings.append(
            (fail if many else warn)(
                "spf.void_lookups",
                f"{len(walked.void)} terms lead nowhere"
                + (f"; receivers give up after {MAXIMUM_VOID_LOOKUPS}" if many else ""),
                *walked.void,
                fix="Take them away, or give their names the records that they ask for.",
            )
        )
    return findings


def _ending(walked: Survey) -> list[Finding]:
    ending = walked.ending
    if ending is Result.PASS:
        return [
            fail(
                "spf.passes_all",
                "the policy ends in +all: everybody on the Internet may send for the domain",
                fix="End it in ~all; in -all when all your mail passes.",
            )
        ]
    if ending in (None, Result.NEUTRAL):
        return [
            warn(
                "spf.no_ending",
                "the policy does not say what becomes of mail from other hosts",
                fix="End it in ~all; in -all when all your mail passes.",
            )
        ]
    return []


def _habits(walked: Survey) -> list[Finding]:
    findings: list[Finding] = []
    names = {
        one.text
        for leaf in walked.leaves
        if leaf.policy is not None
        for one in leaf.policy.mechanisms
        if one.name == "ptr"
    }
    if names:
        findings.append(
            warn(
                "spf.uses_ptr",
                "the policy uses ptr, which receivers may ignore (RFC 7208 5.5)",
                *sorted(names),
                fix="Name the addresses instead.",
            )
        )
    policy = walked.policy
    if policy is not None:
        behind = [one.name for one in policy.mechanisms]
        if "all" in behind and behind.index("all") < len(behind) - 1:
            text = "terms behind all are never looked at"
            findings.append(warn("spf.behind_all", text, fix="Move them before all."))
        if policy.redirect is not None and "all" in behind:
            text = "redirect= beside all is never looked at"
            findings.append(warn("spf.behind_all", text, fix="Keep one of them."))
        if policy.unknown:
            text = "the policy holds modifiers that mean nothing"
            findings.append(note("spf.unknown_modifier", text, *policy.unknown))
    return findings


async def _of_sender(resolver: Resolver, domain: str, address: str) -> Finding:
    verdict = await evaluate(resolver, Sending(address, f"postmaster@{domain}", domain))
    evidence = [f"{address}: {verdict.result}"]
    if verdict.term:
        evidence.append(f"by {verdict.term} in the record of {verdict.place}")
    if verdict.reason:
        evidence.append(verdict.reason)
    if verdict.result is Result.PASS:
        return ok("spf.sender", f"{address} may send for the domain", *evidence)
    if verdict.result is Result.TEMPERROR:
        return unknown("spf.sender", f"whether {address} may send is not known now", *evidence)
    term = f"{'ip6' if ':' in address else 'ip4'}:{address}"
    fix = f"Add {term} before all, or the include: of the provider whose address it is."
    if verdict.result is Result.PERMERROR:
        fix = "Mend the policy first: as it is, it passes nobody."
    return fail(
        "spf.sender",
        f"{address} may not send for the domain ({verdict.result})",
        *evidence,
        fix=fix,
        cause="policy.spf_fail",
    )

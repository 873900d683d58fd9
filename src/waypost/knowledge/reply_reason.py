"""Which reason a negative reply gives: the one judgement that delivery and explanation share.

What is asked, in this order; the first answer counts:

1. words that one system says, or that many say (reply_rules/);
2. a precise enhanced status code (enhanced_codes.toml), such as 5.2.2;
3. weak words: a general one such as "rejected" that many systems add to everything;
4. a vague enhanced status code, such as 5.7.1, which is said of nearly everything, unless the
   reply code says more, as 530 does;
5. the reply code at its stage (reply_codes.toml).

Words come before codes because many servers send one code for all refusals: 550 5.7.1 for a user
that is unknown, 554 5.4.14 for a loop, 550 5.1.1 for spam. Where words and code agree, the finding
is surer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from waypost.knowledge.enhanced_codes import enhanced_code
from waypost.knowledge.reply_codes import reason_of_code, reply_codes
from waypost.knowledge.reply_contexts import Stage
from waypost.knowledge.reply_rules import ReplyRule, reply_rules
from waypost.knowledge.reply_text import plain_words
from waypost.smtp.reply import EnhancedStatus

BEFORE_MAIL: Final = ("greeting", "ehlo", "starttls", "auth")
"""Stages at which a vague status says less than the stage does."""

OWN_WORDS: Final = 0.95
COMMON_WORDS: Final = 0.9
PRECISE_STATUS: Final = 0.85
WEAK_WORDS: Final = 0.7
VAGUE_STATUS: Final = 0.55
CODE: Final = 0.4
AGREED: Final = 0.04
"""What is added where words and a precise status say the same."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The reason, and what decided."""

    reason: str
    rule: str
    """The id of a row in reply_rules/, "status-5.1.1" or "code-550"."""
    confidence: float
    """0 to 1. An order of trust, not a measured frequency."""
    source: str


def find_reason(
    text: str,
    code: int | None,
    enhanced: EnhancedStatus | None,
    stage: Stage | None,
    around: str = "",
) -> Finding | None:
    """Judge a refusal; None where there are no codes and no rule knows the words.

    `around` is the report that quotes the text, where there is one; it may name the host. `code`
    and the class of `enhanced` are 4yz or 5yz; what is not known is None.
    """
    weak: ReplyRule | None = None
    status = None if enhanced is None else enhanced_code(enhanced)
    coded = "" if status is None or enhanced is None else status.reason_for(enhanced.class_)
    precise = coded if status is not None and status.precise else ""
    words = plain_words(text)
    for rule in reply_rules().matching(words) if words else ():
        if not rule.fits(words, around.lower(), code, enhanced, stage):
            continue
        if not rule.weak:
            return _by_rule(rule, precise)
        weak = weak or rule
    if status is not None and precise:
        return Finding(precise, f"status-{enhanced}", PRECISE_STATUS, status.source)
    if weak is not None:
        return _by_rule(weak, precise)
    known = None if code is None else reply_codes().get(code)
    own = known is not None and known.reason
    if status is not None and coded and not own and stage not in BEFORE_MAIL:
        return Finding(coded, f"status-{enhanced}", VAGUE_STATUS, status.source)
    if code is None and enhanced is None:
        return None
    # A status alone stands for the code that says least in its class.
    number = code if code is not None else 550 if enhanced is None else enhanced.class_ * 100 + 50
    reason, source = reason_of_code(stage or "", number)
    decided = f"status-{enhanced}" if code is None else f"code-{code}"
    return Finding(reason, decided, CODE, source)


def _by_rule(rule: ReplyRule, precise: str) -> Finding:
    trust = WEAK_WORDS if rule.weak else OWN_WORDS if rule.system else COMMON_WORDS
    agreed = AGREED if rule.reason == precise else 0.0
    return Finding(rule.reason, rule.id, trust + agreed, rule.source)

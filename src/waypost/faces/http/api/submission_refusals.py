"""Why a message was not taken: the reply that SMTP would have given, as a problem, with the fix."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from waypost.doctor.explanation.heard import Heard
from waypost.doctor.explanation.wording import finding_of
from waypost.faces.documents import Document
from waypost.faces.http.problems import RETRY_SECONDS, Problem, problem_type
from waypost.knowledge.classification import classify
from waypost.smtp.reply import Reply

_OWNED: Final = (
    "Send from an address of the user that the key is bound to, or have the operator give the user "
    "this one: waypost user add NAME --sender ADDRESS."
)
_SECONDS: Final = re.compile(r"try again in (\d{1,6}) s")


def problem_of(refusal: Reply, maximum_size: int) -> Problem:
    """A message that was refused as a whole."""
    status = str(refusal.enhanced) if refusal.enhanced is not None else ""
    found = finding_of(
        Heard("reply", str(refusal), refusal.text, refusal.code, refusal.enhanced),
        classify(refusal),
    )
    told: dict[str, Any] = {"reply": str(refusal), "reason": found.reason, "fix": found.fix}
    if refusal.code == 552 and status == "5.3.4":
        return Problem(
            413, refusal.text, type=problem_type("too-large"), maximum=maximum_size, **told
        )
    if refusal.is_temporary:
        wait = _SECONDS.search(refusal.text)
        seconds = wait[1] if wait is not None else str(RETRY_SECONDS)
        status_code, name = 503, "not-now"
        if status == "4.3.1":
            status_code, name = 507, "spool-full"
        elif status == "4.7.1":
            status_code, name = 429, "too-many-messages"
        return Problem(
            status_code, refusal.text, type=problem_type(name), headers={"Retry-After": seconds},
            **told,
        )  # fmt: skip
    if refusal.code == 553 and status == "5.7.1":
        return Problem(
            403, refusal.text, title="The sender is not yours", type=problem_type("sender"),
            **told | {"reason": "sender-refused", "fix": _OWNED},
        )  # fmt: skip
    return Problem(
        422, refusal.text, title="The message was refused", type=problem_type("refused"), **told
    )


def refused_whole(refused: list[Document], replies: Iterable[Reply]) -> Problem:
    """No recipient is left."""
    later = all(one.is_temporary for one in replies)
    return Problem(
        503 if later else 422,
        "no recipient was taken; `refused` says of each why, and what to do",
        title="The message was refused",
        type=problem_type("no-recipients"),
        headers={"Retry-After": str(RETRY_SECONDS)} if later else None,
        refused=refused,
    )


def invalid_message(pointer: str, problem: str, advice: str) -> Problem:
    """The parts make no message."""
    detail = f"{problem}; {advice}" if advice else problem
    return Problem(
        422,
        f"{pointer}: {detail}",
        title="The parts make no message",
        type=problem_type("invalid-message"),
        errors=[{"in": "body", "pointer": pointer, "detail": detail}],
    )


def belongs_in_body(names: list[str]) -> Problem:
    """What stands beside a whole message was given with one in parts."""
    told = "it is for a message that comes whole; in JSON it is a field of the body"
    return Problem(
        422,
        f"{', '.join(names)}: {told}",
        title="The request is not of the described form",
        type=problem_type("invalid-request"),
        errors=[{"in": "query", "parameter": name, "detail": told} for name in names],
    )


def under_way() -> Problem:
    """The same key is in use just now."""
    return Problem(
        409,
        "a request with this Idempotency-Key is being answered, or was cut off by a restart; "
        "repeat yours in a moment",
        type=problem_type("in-progress"),
        headers={"Retry-After": "1"},
    )


def replaced_key() -> Problem:
    """The key was used for another request."""
    return Problem(
        422,
        "this Idempotency-Key was used for another request within 24 hours; take a new one for "
        "each message",
        title="The key belongs to another request",
        type=problem_type("key-reused"),
    )


def reading_ended() -> Problem:
    """The client has gone; nobody hears it."""
    return Problem(400, "the request ended before its body did; nothing was stored")

"""What the client raises: one tree, by what a program does next.

    ApiError
        Unreachable          no answer came; the relay is not there, or the network broke
        NotAuthenticated     the key is missing, revoked or expired
        NotPermitted         the key may not do this
        NotFound             there is no such thing, or no longer
        Conflict             it cannot be done as things stand; or the same request is under way
        TooLarge             the message has more bytes than the relay takes
        InvalidRequest       what was asked is wrong, or the relay refuses the message
        NotNow               too much, too full, too early: the same may be done later
        ServerFault          a fault of the relay; its log has the cause

`str(error)` says what happened and what to do. `problem` has the whole answer (RFC 9457), with what
else it tells: `errors`, `refused`, `fix`, `reply`.
"""

from __future__ import annotations

from typing import Any, Final

from waypost.errors import WaypostError
from waypost.faces.http.api.models import ProblemDetails


class ApiError(WaypostError):
    """What all errors of the client are."""

    def __init__(
        self, what: str, *, problem: ProblemDetails | None = None, after: float | None = None,
        **rest: Any,
    ) -> None:  # fmt: skip
        super().__init__(what, **rest)
        self.problem = problem
        """What the relay answered; None where no answer came."""
        self.after = after
        """Seconds after which it may be tried again, where the relay says so."""

    @property
    def status(self) -> int | None:
        """The HTTP status."""
        return None if self.problem is None else self.problem.status


class Unreachable(ApiError):
    """No answer came. Whether the request was done is not known, unless it had a key."""


class NotAuthenticated(ApiError):
    """Nobody is known to call."""


class NotPermitted(ApiError):
    """The caller may not do this."""


class NotFound(ApiError):
    """There is no such thing, or no longer."""


class Conflict(ApiError):
    """It cannot be done as things stand."""


class TooLarge(ApiError):
    """It has too many bytes."""


class InvalidRequest(ApiError):
    """What was asked cannot be."""


class NotNow(ApiError):
    """The same may be done later; `after` says when."""


class ServerFault(ApiError):
    """A fault of the relay."""


_BY_STATUS: Final[dict[int, type[ApiError]]] = {
    401: NotAuthenticated, 403: NotPermitted, 404: NotFound, 410: NotFound, 409: Conflict,
    413: TooLarge, 429: NotNow, 503: NotNow, 504: NotNow, 507: NotNow,
}  # fmt: skip


def error_of(status: int, body: bytes, after: str | None) -> ApiError:
    """The error that an answer comes to."""
    try:
        problem = ProblemDetails.model_validate_json(body)
    except ValueError:
        # Not from the relay: a proxy in front of it, or another server.
        said = body[:200].decode("utf-8", "replace")
        problem = ProblemDetails(
            type="about:blank", title=f"status {status}", status=status, detail=said
        )
    kind = _BY_STATUS.get(status, ServerFault if status >= 500 else InvalidRequest)
    fix = str((problem.model_extra or {}).get("fix", ""))
    return kind(
        problem.detail or problem.title,
        problem=problem,
        after=float(after) if after and after.isdecimal() else None,
        fix=fix,
        reason=problem.type.rpartition(":")[2],
        temporary=kind is NotNow,
    )

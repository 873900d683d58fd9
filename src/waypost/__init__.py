"""Waypost: mail from an application to the recipient's server, reliably, over SMTP.

    import waypost

    waypost.send(from_="app@example.com", to="ann@example.org", subject="Hello", text="Hi",
                 via="smtp://user:password@mail.example.com:587")

What stands here is loaded when it is used first (PEP 562): `import waypost` itself costs nothing.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers know the name; `typing` would be most of the cost

if TYPE_CHECKING:
    from typing import Any

    from waypost import errors
    from waypost.faces.library.async_mailer import AsyncMailer
    from waypost.faces.library.bulk import Tally
    from waypost.faces.library.mailer import Mailer
    from waypost.faces.library.outbox import Outbox
    from waypost.faces.library.prepared import raw
    from waypost.faces.library.result import RecipientResult, Result
    from waypost.faces.library.retry import Retry
    from waypost.faces.library.sending import send

_HOMES = {
    "AsyncMailer": "waypost.faces.library.async_mailer",
    "Mailer": "waypost.faces.library.mailer",
    "Outbox": "waypost.faces.library.outbox",
    "RecipientResult": "waypost.faces.library.result",
    "Result": "waypost.faces.library.result",
    "Retry": "waypost.faces.library.retry",
    "Tally": "waypost.faces.library.bulk",
    "raw": "waypost.faces.library.prepared",
    "send": "waypost.faces.library.sending",
}

__all__ = [
    "AsyncMailer",
    "Mailer",
    "Outbox",
    "RecipientResult",
    "Result",
    "Retry",
    "Tally",
    "errors",
    "raw",
    "send",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is not None:
        found = getattr(import_module(home), name)
    elif name == "errors":
        found = import_module("waypost.errors")
    else:
        raise AttributeError(f"module 'waypost' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

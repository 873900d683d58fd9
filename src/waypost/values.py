"""Values that are made for every message: frozen for the type checker, cheap at run time.

The guard that a frozen dataclass carries makes each of its fields five times as dear to set in
`__init__`, and a message makes a dozen such values with seventy fields between them. mypy refuses
an assignment to them before the program runs, so the guard itself may go.
"""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass
from typing import Any, TypeVar

_Value = TypeVar("_Value")


def unguarded(value: type[_Value]) -> type[_Value]:
    """Take the run-time guard off a frozen dataclass; put above `@dataclass(frozen=True, ...)`.

    Equality, hash, `replace` and what a type checker allows stay as they are.
    """
    made: Any = value
    guarded: tuple[Any, ...] = fields(made)
    plain = make_dataclass(
        value.__name__,
        [
            (one.name, one.type, field(default=one.default, default_factory=one.default_factory))
            for one in guarded
        ],
        repr=False,
        eq=False,
        match_args=False,  # only its `__init__` is wanted
    )
    made.__init__ = vars(plain)["__init__"]
    del made.__setattr__, made.__delattr__
    return value

"""The language of templates: Jinja2's syntax, and of it what cannot do harm.

Who writes a template and who sends by it may be two, and both share a process with the mail. So a
template can put values in, choose and repeat, and nothing else: there are no calls, no arithmetic
that grows, no imports, no attributes of Python. What a rendering costs is bounded by the size of
the template, by the steps of its loops and filters, and by the length of what comes out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jinja2 import (
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    nodes,
    pass_context,
)
from jinja2 import filters as known
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAXIMUM_STEPS: Final = 100_000
"""Of one rendering: a piece of syntax in a loop is one each time, and so are CHARACTERS that a
filter or a comparison works on, and the entries of what is joined; ENTRIES that are compared are
one."""

CHARACTERS: Final = 100
ENTRIES: Final = 10

MAXIMUM_RENDERED: Final = 1024 * 1024
"""Characters that come out."""

MAXIMUM_NODES: Final = 5000
"""Of a template's syntax."""

MAXIMUM_DEPTH: Final = 12
"""Of loops and conditions inside each other."""

_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.If, nodes.For, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And,
    nodes.Or, nodes.Not, nodes.Neg, nodes.Filter, nodes.Test, nodes.Tuple, nodes.List,
)  # fmt: skip
_OF_LOOPS: Final = frozenset({"index", "index0", "first", "last", "length"})
_STEPS: Final = "(steps)"
"""The name of what counts the steps; no template can say it."""
_BOUNDED: Final = "(bounded)"
_WEIGHED: Final = "(weighed)"
_PLACE: Final = re.compile(r"'([^']{1,100})' is undefined")


class TemplateFault(ValueError):
    """A template cannot be used as it is; the text says what is wrong and where."""

    def __init__(self, text: str, line: int = 0) -> None:
        self.line = line
        super().__init__(f"line {line}: {text}" if line else text)


@dataclass(frozen=True, slots=True)
class Needs:
    """Which variables a template has."""

    required: frozenset[str]
    optional: frozenset[str]
    """Those with a `default`, or that the template asks whether they are defined."""


class _Steps:
    """What is left of the steps of a rendering."""

    def __init__(self) -> None:
        self.left = MAXIMUM_STEPS

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise TemplateFault(f"its loops and filters take more than {MAXIMUM_STEPS} steps")


class _Environment(ImmutableSandboxedEnvironment):
    """Members of objects and entries of lists, and nothing else of Python."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, LoopContext) and argument in _OF_LOOPS:
            return getattr(obj, argument)
        if isinstance(obj, list) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)


@pass_context
def _bounded(context: Context, given: Any, weight: int) -> Sequence[Any]:
    """What a loop goes through; `weight` is how much stands in it."""
    if not isinstance(given, list | Mapping):
        raise TemplateFault(f"a loop goes through a list or an object, not {_kind(given)}")
    steps: _Steps = context[_STEPS]
    steps.take(len(given) * weight)
    return list(given)


@pass_context
def _weighed(context: Context, given: Any) -> Any:
    """What is compared, or looked for in something: Python goes through all of it."""
    if isinstance(given, str | list | Mapping):
        steps: _Steps = context[_STEPS]
        steps.take(_weight(given))
    return given


def _weight(given: Any) -> int:
    weight = 0
    waiting = [given]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            weight += len(one) // CHARACTERS
        elif isinstance(one, list | Mapping):
            weight += 1 + len(one) // ENTRIES
            waiting += one if isinstance(one, list) else one.values()
    return weight


@pass_context
def _join(context: Context, given: Any, separator: str = "") -> str:
    if not isinstance(given, list) or not isinstance(separator, str):
        raise TemplateFault("join takes a list, and puts a text between its entries")
    steps: _Steps = context[_STEPS]
    steps.take(len(given))
    words = [str(_written(one)) for one in given]
    if sum(map(len, words)) + len(separator) * len(words) > MAXIMUM_RENDERED:
        raise TemplateFault(f"join makes more than {MAXIMUM_RENDERED} characters")
    return separator.join(words)


def _round(given: Any, places: int = 0) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= places <= 10:
        raise TemplateFault("round takes a number, and 0 to 10 places")
    return round(float(given), places)


def _written(value: Any) -> Any:
    """A value as it is written; what has no form for people is refused."""
    if value is None:
        return ""
    if isinstance(value, list | Mapping):
        raise TemplateFault(f"{_kind(value)} cannot be written; name a member, or loop through it")
    if not isinstance(value, str | int | float | Undefined):
        raise TemplateFault("this is nothing that can be written")  # `self`, `loop`
    return value


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else "a single value"


def _of_text(name: str) -> Any:
    """A filter of Jinja2 for texts, whose work is counted."""
    work: Any = known.FILTERS[name]
    takes_environment = name == "truncate"

    @pass_context
    def counted(context: Context, given: Any, *rest: Any, **named: Any) -> Any:
        if isinstance(given, Mapping | list):
            raise TemplateFault(f"{name} takes a text, not {_kind(given)}")
        if isinstance(given, str):
            steps: _Steps = context[_STEPS]
            steps.take(len(given) // CHARACTERS)
        first = (context.environment,) if takes_environment else ()
        return work(*first, given, *rest, **named)

    return counted


def _length(given: Any) -> int:
    if not isinstance(given, str | list | Mapping):
        raise TemplateFault(f"length takes a text, a list or an object, not {_kind(given)}")
    return len(given)


def _first(given: Any) -> Any:
    return _end(given, 0)


def _last(given: Any) -> Any:
    return _end(given, -1)


def _end(given: Any, place: int) -> Any:
    if not isinstance(given, list) or not given:
        raise TemplateFault("first and last take a list with something in it")
    return given[place]


_TEXTS: Final = (
    "upper", "lower", "capitalize", "title", "trim", "int", "urlencode", "truncate", "escape",
)  # fmt: skip
_FILTERS: Final = {
    **{name: _of_text(name) for name in _TEXTS},
    "e": _of_text("escape"), "default": known.do_default, "d": known.do_default,
    "length": _length, "first": _first, "last": _last, "join": _join, "round": _round,
    _BOUNDED: _bounded, _WEIGHED: _weighed,
}  # fmt: skip
_TESTS: Final = (
    "defined", "undefined", "none", "odd", "even", "string", "number", "boolean", "true", "false",
)  # fmt: skip


def _environment(*, html: bool) -> _Environment:
    made = _Environment(autoescape=html, undefined=StrictUndefined, finalize=_written)
    made.filters = dict(_FILTERS)
    made.tests = {name: made.tests[name] for name in _TESTS}
    made.globals = {}
    return made


_HTML: Final = _environment(html=True)
_TEXT: Final = _environment(html=False)


def needs_of(source: str) -> Needs:
    """The variables of a template. Raises TemplateFault."""
    return _compiled(source, html=False)[1]


def render(source: str, variables: Mapping[str, Any], *, html: bool) -> str:
    """Put the variables in; in HTML they are escaped. Raises TemplateFault."""
    template, _ = _compiled(source, html=html)
    pieces: list[str] = []
    size = 0
    try:
        for piece in template.generate({**variables, _STEPS: _Steps()}):
            size += len(piece)
            if size > MAXIMUM_RENDERED:
                raise TemplateFault(f"it makes more than {MAXIMUM_RENDERED} characters")
            pieces.append(piece)
    except TemplateError as fault:
        text = str(fault)
        if (found := _PLACE.search(text)) is not None:
            text = f"the variable {found[1]!r} is not given"
        raise TemplateFault(text[:300]) from None
    except (TypeError, ValueError, OverflowError, ArithmeticError) as fault:
        if isinstance(fault, TemplateFault):
            raise
        raise TemplateFault(f"a value does not fit its place: {str(fault)[:200]}") from None
    return "".join(pieces)


@lru_cache(maxsize=128)
def _compiled(source: str, *, html: bool) -> tuple[Template, Needs]:
    environment = _HTML if html else _TEXT
    try:
        tree = environment.parse(source)
        _check(tree)
        needs = _needs(tree)
        for loop in list(tree.find_all(nodes.For)):
            weight = nodes.Const(sum(1 for _ in _walk(loop, 0)))
            loop.iter = nodes.Filter(
                loop.iter, _BOUNDED, [weight], [], None, None, lineno=loop.lineno
            )
        for compared in list(tree.find_all(nodes.Compare)):
            compared.expr = _counted(compared.expr)
            for operand in compared.ops:
                operand.expr = _counted(operand.expr)
        return environment.from_string(tree), needs
    except TemplateSyntaxError as fault:
        raise TemplateFault(fault.message or "it is not understood", fault.lineno) from None
    except (RecursionError, SyntaxError, MemoryError):
        raise TemplateFault("it has too much inside each other") from None


def _counted(node: nodes.Expr) -> nodes.Expr:
    """An operand whose size is counted."""
    return nodes.Filter(node, _WEIGHED, [], [], None, None, lineno=node.lineno)


def _check(tree: nodes.Template) -> None:
    """Only what is allowed stands in it, and not too much of it."""
    for count, (node, depth) in enumerate(_walk(tree, 0)):
        if count >= MAXIMUM_NODES:
            raise TemplateFault(f"it has more than {MAXIMUM_NODES} places and conditions")
        if depth > MAXIMUM_DEPTH:
            raise TemplateFault(
                f"more than {MAXIMUM_DEPTH} loops and conditions stand in each other", node.lineno
            )
        if not isinstance(node, _ALLOWED):
            raise TemplateFault(
                f"{type(node).__name__.lower()} is not part of the language; there are values, "
                "filters, if and for",
                node.lineno,
            )
        value = node.value if isinstance(node, nodes.Const) else None
        if isinstance(value, float) and not math.isfinite(value):
            raise TemplateFault("a number in it is too large", node.lineno)
        if isinstance(node, nodes.For) and node.recursive:
            raise TemplateFault("loops do not call themselves", node.lineno)
        if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            names = ", ".join(sorted(name for name in _FILTERS if name.isalpha()))
            raise TemplateFault(f"there is no filter {node.name!r}; there are {names}", node.lineno)
        if isinstance(node, nodes.Test) and node.name not in _TESTS:
            names = ", ".join(_TESTS)
            raise TemplateFault(f"there is no test {node.name!r}; there are {names}", node.lineno)


def _walk(node: nodes.Node, depth: int) -> Iterator[tuple[nodes.Node, int]]:
    waiting = [(node, depth)]
    while waiting:
        one, level = waiting.pop()
        yield one, level
        inner = level + isinstance(one, nodes.If | nodes.For)
        waiting += [(child, inner) for child in one.iter_child_nodes()]


def _needs(tree: nodes.Template) -> Needs:
    names = frozenset(find_undeclared_variables(tree))
    asked = {
        node.node.name
        for node, _ in _walk(tree, 0)
        if isinstance(node, nodes.Filter | nodes.Test)
        and node.name in ("default", "d", "defined", "undefined")
        and isinstance(node.node, nodes.Name)
    }
    return Needs(names - asked, names & asked)

"""The letter: templates of Jinja2 (https://jinja.palletsprojects.com) filled in for one person.

Templates run in Jinja2's sandbox. A name that no column has is an error and not an empty place,
so that nobody is greeted with "Dear ,". In the HTML form values are escaped.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from waypost.faces.merge.people import Person
from waypost.mail.compose import InvalidMessage, compose

UNSUBSCRIBE: Final = "unsubscribe"
"""The name by which a template writes the address of --unsubscribe into the letter itself."""


class InvalidLetter(ValueError):
    """A template cannot be used; the text says which, where and why."""


@dataclass(frozen=True, slots=True)
class LetterParts:
    """What the letter is made of, as given."""

    sender: str
    subject: str
    text: Path | None
    html: Path | None
    reply_to: Sequence[str] = ()
    attachments: Sequence[Path] = ()
    headers: Sequence[tuple[str, str]] = ()
    unsubscribe: str | None = None
    """A template of a https: or mailto: address (RFC 2369; with https: one-click, RFC 8058)."""


@dataclass(frozen=True, slots=True)
class Words:
    """What one person reads."""

    subject: str
    text: str | None
    html: str | None
    unsubscribe: str | None


class Letter:
    """See the module. Raises InvalidLetter, and OSError for a file that cannot be read."""

    def __init__(self, parts: LetterParts, columns: Sequence[str]) -> None:
        self._parts = parts
        self._columns = frozenset(columns)
        if parts.unsubscribe is not None and UNSUBSCRIBE in self._columns:
            raise InvalidLetter(
                f"--unsubscribe: a column is named {UNSUBSCRIBE} as well; give it another name"
            )
        if parts.text is None and parts.html is None:
            raise InvalidLetter("there is no template: give --template, --html or both")
        self._unsubscribe = (
            self._template("--unsubscribe", parts.unsubscribe, html=False)
            if parts.unsubscribe is not None
            else None
        )
        if parts.unsubscribe is not None:
            self._columns |= {UNSUBSCRIBE}
        self._subject = self._template("--subject", parts.subject, html=False)
        self._text = self._file("--template", parts.text, html=False)
        self._html = self._file("--html", parts.html, html=True)

    def to(self, person: Person, date: dt.datetime, message_id: str) -> EmailMessage:
        """One person's copy. Raises InvalidLetter."""
        words = self.words(person)
        try:
            return compose(
                from_=self._parts.sender,
                to=[person.address],
                reply_to=list(self._parts.reply_to) or None,
                subject=words.subject,
                text=words.text,
                html=words.html,
                attachments=list(self._parts.attachments),
                headers=list(self._parts.headers),
                list_unsubscribe=words.unsubscribe,
                date=date,
                message_id=message_id,
            )
        except InvalidMessage as fault:
            raise InvalidLetter(str(fault)) from fault

    def words(self, person: Person) -> Words:
        """What one person's copy says. Raises InvalidLetter."""
        values = dict(person.fields)
        unsubscribe = self._optional("--unsubscribe", self._unsubscribe, values)
        if unsubscribe is not None:
            unsubscribe = values[UNSUBSCRIBE] = unsubscribe.strip()
        subject = " ".join(self._filled("--subject", self._subject, values).split())
        text = self._optional(f"--template {self._parts.text}", self._text, values)
        html = self._optional(f"--html {self._parts.html}", self._html, values)
        return Words(subject, text, html, unsubscribe)

    def _file(self, option: str, path: Path | None, *, html: bool) -> Template | None:
        if path is None:
            return None
        try:
            return self._template(f"{option} {path}", path.read_text("utf-8"), html=html)
        except UnicodeDecodeError as fault:
            raise InvalidLetter(f"{option}: {path} is no UTF-8 text: {fault}") from fault

    def _template(self, what: str, text: str, *, html: bool) -> Template:
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, autoescape=html, keep_trailing_newline=True
        )
        try:
            unknown = meta.find_undeclared_variables(environment.parse(text)) - self._columns
            template = environment.from_string(text)
        except TemplateError as fault:
            line = getattr(fault, "lineno", None)
            raise InvalidLetter(f"{what}{f':{line}' if line else ''}: {fault}") from fault
        unknown -= set(environment.globals)
        if unknown:
            raise InvalidLetter(
                f"{what}: no column is named {', '.join(sorted(unknown))}; the columns are "
                f"{', '.join(sorted(self._columns))}"
            )
        return template

    def _optional(
        self, what: str, template: Template | None, values: Mapping[str, str]
    ) -> str | None:
        return None if template is None else self._filled(what, template, values)

    def _filled(self, what: str, template: Template, values: Mapping[str, str]) -> str:
        try:
            return template.render(values)
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as fault:
            raise InvalidLetter(f"{what}: {fault}") from fault

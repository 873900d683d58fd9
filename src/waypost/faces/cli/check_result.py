"""What `waypost check` shows: each step as it ends, then the cause, the fix, and what else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from waypost.doctor.check.run import Checked
from waypost.doctor.check.steps import Status, Step
from waypost.faces.cli.failure import CHECKED_BAD
from waypost.faces.cli.output import on_terminal, print_json, print_line, shown
from waypost.knowledge.causes import cause

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status as Spinner

MARKS: Final[dict[Status, str]] = {"ok": "ok", "warn": "warn", "fail": "FAIL", "skipped": "-"}
_COLOURS: Final[dict[str, str]] = {
    "ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim",
}  # fmt: skip


def exit_code(checked: Checked) -> int:
    """0 where mail goes, with or without a warning."""
    return CHECKED_BAD if checked.diagnosis.verdict == "fail" else 0


def document(checked: Checked) -> dict[str, Any]:
    """The result as docs/reference/check.md describes it."""
    found = checked.diagnosis
    made: dict[str, Any] = {
        "target": checked.target,
        "verdict": found.verdict,
        "cause": found.cause.id if found.cause is not None else None,
        "fix": _fix(checked),
        "alternatives": list(found.alternatives),
        "steps": [
            {
                "name": step.name,
                "status": step.status,
                "milliseconds": round(step.seconds * 1000, 1),
                "evidence": list(step.evidence),
            }
            for step in checked.steps
        ],
        "capabilities": dict(checked.capabilities),
    }
    if checked.health is not None:
        from waypost.faces.cli.domain_report import document as domain_document

        made["domain_health"] = domain_document(checked.health)
    return made


def _fix(checked: Checked) -> str | None:
    found = checked.diagnosis
    if found.verdict == "ok":
        return None
    return f"{found.fix}\n{found.command}" if found.command else found.fix


class Display(Protocol):
    """Where a check is shown."""

    def __enter__(self) -> object:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End, also where something went wrong."""

    def host(self, place: str) -> None:
        """A server or a domain is begun."""

    def begun(self, name: str) -> None:
        """A step is taken."""

    def ended(self, step: Step) -> None:
        """A step is done."""

    def result(self, checked: Checked) -> None:
        """All is done."""


def display_for(*, json: bool) -> Display:
    """The display that fits who reads."""
    if json:
        return _Json()
    return _Picture() if on_terminal() else _Lines()


class _Json:
    """One object at the end."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def host(self, place: str) -> None:
        pass

    def begun(self, name: str) -> None:
        pass

    def ended(self, step: Step) -> None:
        pass

    def result(self, checked: Checked) -> None:
        print_json(document(checked))


class _Lines:
    """Plain lines, for a pipe."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def line(self, text: str, style: str = "") -> None:
        """One line; `style` is for who can show it."""
        del style
        print_line(text)
        sys.stdout.flush()

    def host(self, place: str) -> None:
        self.line(shown(place), "bold")

    def begun(self, name: str) -> None:
        pass

    def ended(self, step: Step) -> None:
        time = "" if step.status == "skipped" else f"{step.seconds * 1000:.0f} ms"
        self.line(f"  {MARKS[step.status]:<5}{step.name:<10}{time:>9}", _COLOURS[step.status])
        for text in step.evidence:
            self.line(f"         {shown(text, 300)}", "dim" if step.status == "ok" else "")

    def result(self, checked: Checked) -> None:
        found = checked.diagnosis
        self.line("")
        if checked.health is not None:
            from waypost.faces.cli.domain_report import print_report

            print_report(checked.health)
            self.line("")
        if found.verdict == "ok":
            self.line("ok: all is well", "bold green")
            return
        if found.cause is None:
            self.line(f"{found.verdict}: see the records above", f"bold {_COLOURS['warn']}")
            self._fix(checked)
            return
        self.line(
            f"{found.verdict}: {found.cause.title[:1].lower()}{found.cause.title[1:]} "
            f"({found.cause.id})",
            f"bold {_COLOURS[found.verdict].removeprefix('bold ')}",
        )
        self.line(f"  {found.cause.meaning}")
        self._fix(checked)
        if found.alternatives:
            self.line("it may also be:")
            for name in found.alternatives:
                self.line(f"  {cause(name).title} ({name})")

    def _fix(self, checked: Checked) -> None:
        self.line(f"fix: {shown(checked.diagnosis.fix)}", "bold")
        for text in checked.diagnosis.command.splitlines():
            self.line(f"  {shown(text)}", "cyan")


class _Picture(_Lines):
    """Colours, and what is being done, for a terminal."""

    def __init__(self) -> None:
        self._console: Console | None = None
        self._spinner: Spinner | None = None

    def __enter__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, soft_wrap=True)
        self._spinner = self._console.status("")
        self._spinner.start()

    def __exit__(self, *_: object) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def line(self, text: str, style: str = "") -> None:
        assert self._console is not None, "begun"
        self._console.print(text, style=style or None, markup=False)

    def begun(self, name: str) -> None:
        if self._spinner is not None:
            self._spinner.update(f"{name} ...")

"""The shell's own commands, those that begin with a slash or a dot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from waypost.doctor.shell.commands import IN_CLEAR, OWN, SMTP, Described, OwnCommand, resembling

if TYPE_CHECKING:
    from waypost.doctor.shell.logins import LoginWanted
    from waypost.doctor.shell.session import ShellSession

_WIDTH: Final = 36
"""Of the forms in a list of commands."""


async def run_own(session: ShellSession, command: OwnCommand) -> LoginWanted | None:
    """Do what a command of the shell's own says."""
    name, arguments = command.name, command.arguments
    if name == "hello":
        greeting = arguments[0] if arguments else session.hostname
        await session.ask(f"EHLO {greeting}", "EHLO")
    elif name == "tls":
        if session.tls is not None:
            session.tell_tls()
        elif await session.start_tls(typed=False):
            await session.ask(f"EHLO {session.hostname}", "EHLO")
    elif name == "auth":
        words = [word for word in arguments if word.lower() != IN_CLEAR]
        in_clear = len(words) < len(arguments)
        return await session.login(words[0].upper() if words else "", in_clear=in_clear)
    elif name == "reconnect":
        await session.connect()
    elif name in ("quit", "exit"):
        await session.end_of_input()
    elif name == "raw":
        _raw(session, arguments)
    elif name == "timing":
        _timing(session)
    elif name == "help":
        _help(session, arguments)
    else:
        near = resembling(name)
        hint = f"did you mean /{near}?" if near else "/help lists what there is"
        session.say("trouble", f"there is no /{name}; {hint}")
    return None


def _raw(session: ShellSession, arguments: tuple[str, ...]) -> None:
    if arguments not in (("on",), ("off",)):
        session.say("trouble", "write /raw on or /raw off")
        return
    session.raw = arguments == ("on",)
    words = (
        "lines go out as they are typed: dots are not stuffed, STARTTLS and AUTH are yours to do"
        if session.raw
        else "dots are stuffed, and STARTTLS and AUTH are done for you"
    )
    session.say("explanation", words)


def _timing(session: ShellSession) -> None:
    if not session.timings:
        session.say("explanation", "nothing has been answered yet")
    for said, seconds, code in session.timings:
        session.say("explanation", f"{seconds * 1000:10.1f} ms  {code}  {said[:60]}")


def _help(session: ShellSession, arguments: tuple[str, ...]) -> None:
    if arguments:
        name = arguments[0].lstrip("/.")
        found = OWN.get(name.lower()) or SMTP.get(name.upper())
        if found is None:
            session.say("trouble", f"nothing is known of {name[:40]}; /help lists what there is")
            return
        session.say("explanation", _line(found))
        return
    session.say("explanation", "To the server, as you type it:")
    for one in SMTP.values():
        session.say("explanation", f"  {_line(one)}")
    session.say("explanation", "To this shell:")
    for one in OWN.values():
        session.say("explanation", f"  {_line(one)}")


def _line(one: Described) -> str:
    return f"{one.form:<{_WIDTH}} {one.use}"

"""The command `waypost-sendmail`: exit codes of sysexits.h, words on standard error."""

from __future__ import annotations

import os
import pwd
import secrets
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from waypost.faces.sendmail.arguments import Arguments, WrongArguments, parse
from waypost.faces.sendmail.place import Place, place

if TYPE_CHECKING:
    import socket

    from waypost.faces.sendmail.handover import HandedOver
    from waypost.faces.sendmail.message import Letter

USAGE: Final = 64
DATA_ERROR: Final = 65
NO_USER: Final = 67
UNAVAILABLE: Final = 69
CANNOT_CREATE: Final = 73
TEMPORARY: Final = 75

COPY_BYTES: Final = 64 * 1024


def run() -> None:
    """The entry point."""
    try:
        code = main(Path(sys.argv[0]).name, sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def main(program: str, given: Sequence[str]) -> int:
    """One call; the exit code."""
    if list(given) in (["--help"], ["--version"]):
        return _about(given[0])
    try:
        arguments = parse(program, given)
    except WrongArguments as fault:
        return _fail(f"{fault} (`waypost-sendmail --help` lists what is understood)", USAGE)
    if arguments.mode == "aliases":
        return 0  # there is no alias database to rebuild
    if arguments.mode == "list-queue":
        return _waypost("queue", "list")
    if arguments.mode == "run-queue":
        return _waypost("queue", "retry", "--state", "queued", "--yes")
    where = place(os.environ)
    if arguments.mode == "smtp":
        return _bridge(where)
    return _send(arguments, where)


def _about(asked: str) -> int:
    if asked == "--version":
        from importlib.metadata import version

        print(f"waypost-sendmail {version('waypost')}")
        return 0
    print(HELP, end="")
    return 0


HELP: Final = """\
Usage: waypost-sendmail [options] [recipient ...] < message

Hands a message to the Waypost relay of this machine, as programs do with /usr/sbin/sendmail.
While no relay runs, the message is left in the relay's drop folder, and taken at its start.

  -t            take the recipients from To, Cc and Bcc; Bcc is removed
  -i, -oi       a line with a single dot does not end the message
  -f ADDRESS    the envelope sender (also -r); <> for none
  -F NAME       the sender's name, where the message has no From
  -N WISHES     delivery reports: never, or success,failure,delay
  -R full|hdrs  what a report carries of the message
  -V ID         the envelope's identifier in reports
  -B 8bitmime   the message holds 8-bit text
  -bs           speak SMTP on standard input and output
  -bp, mailq    list the queue        -q    try the queue now
  -bi           nothing: there are no aliases

Other options of sendmail are taken and have no effect. WAYPOST_CONFIG names the relay's
configuration; without it /etc/waypost/waypost.toml is read, and without that the relay is looked
for on 127.0.0.1:2525. Exit codes are those of sysexits.h: 0 the relay has the message, 64 wrong
usage, 65 no message that can be sent, 67 no such recipient, 69 refused, 75 try again later.
"""


def _send(arguments: Arguments, where: Place) -> int:
    from waypost.faces.sendmail.handover import NoRelay, hand_over
    from waypost.faces.sendmail.message import InvalidMessage, letter, read

    try:
        content = read(sys.stdin.buffer, ignore_dots=arguments.ignore_dots)
        message = letter(content, arguments, _user(), where.hostname)
    except InvalidMessage as fault:
        return _fail(str(fault), DATA_ERROR)
    try:
        result = hand_over(
            where.host, where.port, where.hostname, message.envelope, message.content
        )
    except NoRelay as fault:
        return _leave(message, where, str(fault))
    except ValueError as fault:  # an address that cannot be written in a command
        return _fail(str(fault), DATA_ERROR)
    return _judge(result, message)


def _judge(result: HandedOver, message: Letter) -> int:
    """Say who was refused. The message is handed over where all were taken."""
    outcome = result.outcome
    if outcome is None:
        return _fail(f"the relay did not take the message: {result.lost}", TEMPORARY)
    recipients = message.envelope.recipients
    refused = [n for n in range(len(recipients)) if not outcome.delivered(n)]
    code = 0
    for number in refused:
        decision = outcome.final_for(number)
        said = f"{decision.reply.code} {decision.reply.text}" if decision.reply else result.lost
        print(
            f"waypost-sendmail: <{recipients[number].address}>: {said or 'no answer came'}",
            file=sys.stderr,
        )
        if decision.reply is None or not decision.reply.is_permanent:
            code = TEMPORARY
        elif code != TEMPORARY:
            code = NO_USER if decision.stage == "RCPT" else UNAVAILABLE
    return code


def _leave(message: Letter, where: Place, why: str) -> int:
    """Nobody listens: the message waits in the drop."""
    from waypost.relay.drop_file import leave

    if where.drop is None:
        return _fail(f"{why}; and no drop folder is known (WAYPOST_CONFIG)", TEMPORARY)
    name = f"{os.getpid():x}.{secrets.token_hex(8)}"
    try:
        if not where.drop.exists():
            where.drop.mkdir(parents=True, mode=0o700)
        leave(where.drop, name, message.envelope, message.content)
    except OSError as fault:
        return _fail(
            f"{why}; and the message cannot be left for it in {where.drop}: {fault}. Start it with "
            "`waypost serve`, and send again",
            TEMPORARY,
        )
    return 0


def _bridge(where: Place) -> int:
    """-bs: what speaks SMTP on standard input speaks with the relay."""
    from waypost.faces.sendmail.handover import connect

    try:
        connection = connect(where.host, where.port)
    except OSError as fault:
        print(f"421 4.3.2 {where.hostname} no relay answers: {fault}\r", flush=True)
        return TEMPORARY
    with connection:
        connection.settimeout(None)
        threading.Thread(target=_copy_input, args=(connection,), daemon=True).start()
        output = sys.stdout.buffer
        while data := connection.recv(COPY_BYTES):
            output.write(data)
            output.flush()
    return 0


def _copy_input(connection: socket.socket) -> None:
    try:
        while data := os.read(0, COPY_BYTES):
            connection.sendall(data)
        connection.shutdown(1)  # SHUT_WR: nothing more comes, and the last reply is awaited
    except OSError:
        return  # the relay has closed; the other direction ends as well


def _waypost(*arguments: str) -> int:
    """Go on as the `waypost` command beside this one."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "waypost", *arguments])  # noqa: S606


def _user() -> str:
    """Who calls us."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid{os.getuid()}"


def _fail(text: str, code: int) -> int:
    print(f"waypost-sendmail: {text}", file=sys.stderr)
    return code

"""The drop: a folder in which programs of this machine leave mail while no relay runs.

A file holds one message: a line of JSON with the envelope, then the content in CRLF lines. It is
written under another name, synced and renamed, so that a file that is there is whole. The relay
looks at its start and now and then; it takes a file, keeps the message durably, and then removes
it. A crash in between takes it twice, and never loses it.

Who may write to the folder may send, as who may connect to a submission listener on loopback.
Recipients that the relay refuses are told to the sender by a notification, since nobody is left
who could read a reply.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from waypost.mail.notification import NotificationRequest, RecipientStatus, build_notification
from waypost.net.clock import Clock
from waypost.outbox.entry import UnreadableEntry
from waypost.relay.drop_file import SUFFIX, leave, read
from waypost.relay.submission import SubmissionRefused, Submissions
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.reply import EnhancedStatus, Reply

SET_ASIDE: Final = ".unreadable"
LOOK_SECONDS: Final = 2.0

_REFUSED: Final = EnhancedStatus(5, 0, 0)


class Drop:
    """The relay's side. `look` for ever, or `collect` once."""

    def __init__(self, folder: Path, hostname: str, submissions: Submissions, clock: Clock) -> None:
        self._folder = folder
        self._hostname = hostname
        self._submissions = submissions
        self._clock = clock
        self._told: set[Path] = set()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.drop")

    async def look(self) -> None:
        """Take what is there, again and again."""
        while True:
            try:
                await self.collect()
            except OSError as fault:
                self._log.error("the drop cannot be read", why=str(fault))
            await self._clock.sleep(LOOK_SECONDS)

    async def collect(self) -> int:
        """Take what is there, the oldest first; how many messages. Raises OSError."""
        taken = 0
        try:
            paths = sorted(self._folder.glob(f"*{SUFFIX}"))
        except FileNotFoundError:
            return 0
        for path in paths:
            taken += await self._collect_one(path)
        if taken:
            self._log.info("messages taken from the drop", messages=taken)
        return taken

    async def _collect_one(self, path: Path) -> bool:
        try:
            envelope, content = await asyncio.to_thread(read, path, self._submissions.maximum_size)
        except UnreadableEntry as fault:
            self._log.error("a file of the drop is set aside", file=path.name, why=str(fault))
            await asyncio.to_thread(path.rename, path.with_suffix(SET_ASIDE))
            return False
        except OSError as fault:
            if path not in self._told:  # somebody else's, perhaps; once is enough
                self._told.add(path)
                self._log.error("a file of the drop cannot be read", why=str(fault))
            return False
        try:
            submitted = await self._submissions.submit(envelope, content, source="drop", user=None)
        except SubmissionRefused as refused:
            if not refused.reply.is_permanent:
                return False  # the disk is full, for one; it stays for the next look
            refusals = dict.fromkeys(range(len(envelope.recipients)), refused.reply)
        else:
            refusals = dict(submitted.refusals)
        if any(not one.is_permanent for one in refusals.values()):
            # The others have been taken: only who was put off is left for the next look.
            self._leave_rest(path, envelope, content, refusals)
        refused_for_good = {n: one for n, one in refusals.items() if one.is_permanent}
        if refused_for_good:
            await self._tell_sender(envelope, content, refused_for_good)
        await asyncio.to_thread(path.unlink)
        return len(refusals) < len(envelope.recipients)

    def _leave_rest(
        self, path: Path, envelope: Envelope, content: bytes, refusals: dict[int, Reply]
    ) -> None:
        rest = tuple(
            one
            for number, one in enumerate(envelope.recipients)
            if number in refusals and not refusals[number].is_permanent
        )
        leave(self._folder, f"{path.stem}-rest", replace(envelope, recipients=rest), content)

    async def _tell_sender(
        self, envelope: Envelope, content: bytes, refusals: dict[int, Reply]
    ) -> None:
        now = self._clock.now()
        self._log.warning(
            "recipients of a message from the drop are refused",
            sender=envelope.reverse_path,
            recipients=[envelope.recipients[number].address for number in refusals],
            why=next(iter(refusals.values())).text,
        )
        if not envelope.reverse_path:
            return
        notification = build_notification(
            NotificationRequest(
                hostname=self._hostname,
                sender=envelope.reverse_path,
                identifier=f"drop.{now:.6f}",
                now=now,
                arrival=now,
                recipients=[
                    RecipientStatus(
                        envelope.recipients[number].address, "failed",
                        refusal.enhanced or _REFUSED, f"{refusal.code} {refusal.text}",
                        said_by_server=True,
                    )
                    for number, refusal in refusals.items()
                ],
                original=content,
                smtputf8=envelope.smtputf8,
            )
        )  # fmt: skip
        answer = Envelope("", (Recipient(envelope.reverse_path),), smtputf8=envelope.smtputf8)
        try:
            await self._submissions.submit(answer, notification, source="notice", user=None)
        except SubmissionRefused as fault:
            self._log.error("the sender could not be told", why=fault.reply.text)

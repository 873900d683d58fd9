"""Notices to the sender: bounces, delays and, where asked for, successes.

They are made from the outcome of an attempt and committed in the same transaction with it, so
neither can be without the other. A notice about a message from the null sender is never made
(RFC 5321 6.1), which keeps two servers from bouncing bounces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from waypost.delivery.route import Route
from waypost.knowledge.advice import advice_for
from waypost.mail.notification import (
    MAXIMUM_RETURNED,
    Action,
    NotificationRequest,
    RecipientStatus,
    build_notification,
    may_notify,
)
from waypost.smtp.envelope import Envelope, Recipient
from waypost.smtp.reply import EnhancedStatus
from waypost.spool.contract import (
    AttemptRecord,
    BodyWriter,
    NewMessage,
    QueuedMessage,
    RecipientResult,
    RecipientState,
    Spool,
)
from waypost.spool.identifiers import identifier_text

NOTICE_LIFETIME: Final = 2 * 86400.0
"""Seconds for which a notice is tried."""

_FALLBACK: Final = {
    RecipientState.BOUNCED: EnhancedStatus(5, 0, 0),
    RecipientState.EXPIRED: EnhancedStatus(4, 4, 7),
    RecipientState.QUEUED: EnhancedStatus(4, 0, 0),
    RecipientState.DELIVERED: EnhancedStatus(2, 0, 0),
}


@dataclass(frozen=True, slots=True)
class Notices:
    """Makes notices. `hostname` is the reporting MTA."""

    hostname: str
    spool: Spool
    signatures: Callable[[bytes, float], bytes] = lambda _content, _now: b""
    """Fields to put in front of a notice, of its content and the moment."""

    def wanted(
        self, message: QueuedMessage, record: AttemptRecord, route: Route | None, now: float
    ) -> list[tuple[RecipientResult, Action]]:
        """What the sender is to be told of this attempt."""
        reverse_path = message.envelope.reverse_path
        if not reverse_path:
            return []
        delayed = (
            route is not None
            and not message.warned
            and route.retry.warning_is_due(message.begins_at, now)
        )
        told: list[tuple[RecipientResult, Action]] = []
        for result, recipient in zip(record.results, message.envelope.recipients, strict=True):
            action: Action
            if result.state is RecipientState.DELIVERED:
                if recipient.notify is None:
                    continue
                action = "relayed"
            elif result.state is RecipientState.QUEUED:
                if not delayed:
                    continue
                action = "delayed"
            else:
                action = "failed"
            if may_notify(reverse_path, recipient.notify, action):
                told.append((result, action))
        return told

    def make(
        self,
        message: QueuedMessage,
        record: AttemptRecord,
        told: list[tuple[RecipientResult, Action]],
        original: bytes,
        now: float,
    ) -> tuple[NewMessage, BodyWriter]:
        """The notice as a new message; its body is small and in memory.

        Where an attempt gives several actions, the gravest leads; each recipient has its own.
        """
        order: dict[Action, int] = {"failed": 0, "delayed": 1, "relayed": 2, "delivered": 3}
        told = sorted(told, key=lambda pair: order[pair[1]])
        envelope = message.envelope
        recipients = {
            result.number: recipient
            for result, recipient in zip(record.results, envelope.recipients, strict=True)
        }
        body = self.spool.body_writer(None)
        identifier = body.identifier
        content = build_notification(
            NotificationRequest(
                hostname=self.hostname,
                sender=envelope.reverse_path,
                identifier=identifier_text(identifier),
                now=now,
                arrival=message.received_at,
                recipients=[
                    _status(result, action, recipients[result.number], record, message)
                    for result, action in told
                ],
                original=original[: MAXIMUM_RETURNED + 1024],
                original_is_whole=envelope.returned == "FULL"
                and len(original) <= MAXIMUM_RETURNED
                and len(original) >= message.size,
                envelope_id=envelope.envelope_id,
                message_id=message.message_id,
                smtputf8=envelope.smtputf8,
            )
        )
        content = self.signatures(content, now) + content
        body.write(content)
        notice = NewMessage(
            identifier=identifier,
            envelope=Envelope("", (Recipient(envelope.reverse_path),), smtputf8=envelope.smtputf8),
            received_at=now,
            expires_at=now + NOTICE_LIFETIME,
            due_at=now,
            user=None,
            client="notice",
            size=len(content),
            subject="",
            message_id=f"<{identifier_text(identifier)}@{self.hostname}>",
            started=False,
        )
        return notice, body


def _status(
    result: RecipientResult,
    action: Action,
    recipient: Recipient,
    record: AttemptRecord,
    message: QueuedMessage,
) -> RecipientStatus:
    code, _, rest = result.reply.partition(" ")
    said_by_server = len(code) == 3 and code.isdigit()
    status = EnhancedStatus.parse(rest) if said_by_server else None
    if status is None or (action == "failed" and status.class_ == 2):
        status = _FALLBACK[result.state]
    if result.state is RecipientState.BOUNCED and status.class_ == 4:
        status = EnhancedStatus(5, status.subject, status.detail)
    return RecipientStatus(
        address=recipient.address,
        action=action,
        status=status,
        diagnostic=result.reply,
        said_by_server=said_by_server,
        advice=_advice(result.reason, action),
        original=recipient.original,
        remote_mta=record.next_hop.partition("[")[0].partition(":")[0] if said_by_server else "",
        last_attempt=record.started_at,
        will_retry_until=message.expires_at if action == "delayed" else None,
    )


def _advice(reason: str, action: Action) -> str:
    if action != "failed" or not reason:
        return ""
    return advice_for(reason)

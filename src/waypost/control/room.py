"""The control room of one running relay: everything that the HTTP API and the panel are made of.

Opened after the service has started and closed before it stops.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from waypost.administration import Administration
from waypost.control.accounts_access import Accounts
from waypost.control.audit import AuditLog
from waypost.control.database import NAME, ControlDatabase
from waypost.control.event_log import EventLog
from waypost.control.event_log_labels import SubmittedLabels
from waypost.control.inbox import Inbox
from waypost.control.search import Search
from waypost.control.settings import ControlSettings
from waypost.control.statistics import Statistics
from waypost.control.submissions import SubmissionRecords
from waypost.control.templates import Templates
from waypost.control.webhooks import Webhooks
from waypost.control.webhooks_client import HttpxPoster
from waypost.service import Service
from waypost.spool.contract import MessageFilter


class ControlRoom:
    """See the module."""

    def __init__(
        self, service: Service, administration: Administration, settings: ControlSettings
    ) -> None:
        self.service = service
        self.administration = administration
        self.settings = settings
        self.clock = service.clock
        self.database = ControlDatabase(settings.data / NAME)
        self.submissions = SubmissionRecords(
            self.database, self.clock, self._existing, service.settings.retention
        )
        self.templates = Templates(self.database, self.clock)
        self.accounts = Accounts(self.database, self.clock, settings.lifetimes)
        self.audit = AuditLog(self.database, self.clock)
        self.statistics = Statistics(administration, service.spool, self.database, self.clock)
        self.search = Search(administration, service.spool, self.clock)
        self.events = EventLog(administration, service.spool, self.clock)
        self.inbox = Inbox(self.database, service, administration)
        self.webhooks = Webhooks(
            self.database, self.events, self.clock, random.SystemRandom(),
            lambda: HttpxPoster(service.resolver, self.clock, settings.webhook_networks),
            SubmittedLabels(self.submissions.notes),
        )  # fmt: skip

    async def open(self) -> None:
        """Make ready. Raises sqlite3.Error, OSError."""
        self.accounts.open()
        self.audit.open()
        self.templates.open()
        await self.submissions.open()
        await self.statistics.open()
        await self.search.open()
        await self.events.open()
        self.inbox.open()
        await self.webhooks.open()

    async def _existing(self, messages: Sequence[int]) -> set[int]:
        """Which of these messages the spool has."""
        wanted = MessageFilter(identifiers=tuple(messages), limit=len(messages))
        return {row.identifier for row in await self.administration.messages(wanted)}

    async def close(self) -> None:
        """End what is under way and close the file."""
        await self.webhooks.close()
        self.inbox.close()
        self.events.close()
        await self.search.close()
        await self.statistics.close()
        await self.submissions.close()
        self.accounts.close()
        self.database.close()

"""What goes along with a relay's mail where the configuration wants it: a mail log, traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from waypost.administration import Administration
from waypost.config import Configuration
from waypost.net.clock import Clock

if TYPE_CHECKING:
    from waypost.faces.maillog import MailLog
    from waypost.faces.telemetry import Traces


class Following:
    """See the module. What nobody wants is not even loaded."""

    def __init__(
        self,
        configuration: Configuration,
        worker: str,
        clock: Clock,
        administration: Administration,
    ) -> None:
        self._clock = clock
        self._worker = worker
        self._mail_log = self._start_mail_log(configuration, administration)
        self._traces = self._start_traces(configuration, administration)

    def _start_mail_log(
        self, configuration: Configuration, administration: Administration
    ) -> MailLog | None:
        log = configuration.settings.log
        if log.mail == "off":
            return None
        from waypost.faces.maillog import MailLog, MailLogSettings

        made = MailLog(
            MailLogSettings(
                configuration.hostname, log.mail, log.mail_to, log.mail_name, log.format,
                self._worker,
            ),
            self._clock,
        )  # fmt: skip
        administration.watch(made.take)
        administration.watch_refusals(made.take_refusal)
        return made

    def _start_traces(
        self, configuration: Configuration, administration: Administration
    ) -> Traces | None:
        endpoint = configuration.settings.telemetry.endpoint
        if endpoint is None:
            return None
        log: structlog.stdlib.BoundLogger = structlog.get_logger("waypost.telemetry")
        try:
            from waypost.faces.telemetry import Traces
        except ImportError as fault:
            log.error(
                "no traces", why=f"telemetry.endpoint is set, and {fault.name} is not installed",
                fix='install it: pip install "waypost[telemetry]"',
            )  # fmt: skip
            return None
        made = Traces(endpoint, configuration.hostname, self._clock, worker=self._worker)
        administration.watch(made.take)
        return made

    def reopen(self) -> None:
        """SIGHUP: files may have been moved away."""
        if self._mail_log is not None:
            self._mail_log.reopen()

    def close(self) -> None:
        """After the last message: write and send what is left."""
        if self._mail_log is not None:
            self._mail_log.close()
        if self._traces is not None:
            self._traces.close()

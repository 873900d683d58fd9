"""OpenTelemetry: a span for each message accepted and for each attempt to deliver it.

All spans of a message are one trace, and its identifiers come from the message's own, so attempts
of tomorrow, after a restart too, belong to the trace of today. The relay's loop only puts events
aside (gathering.py); spans are made in another thread and leave in a third, the exporter's. A
collector that does not answer costs spans, never mail. Domains are told, addresses are not.

It needs the extra `telemetry`. Headers for the collector, tokens among them, come from
OTEL_EXPORTER_OTLP_HEADERS, as for every program.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from waypost.faces.gathering import Attempted, Gathering, Happening
from waypost.net.clock import Clock
from waypost.relay.refusals import Refusal
from waypost.spool.contract import NewMessage, RecipientState
from waypost.spool.identifiers import identifier_text

EXPORT_SECONDS: Final = 5
"""How long the collector may take for a batch."""

CLOSE_SECONDS: Final = 1.0
"""How long the end of the relay waits for the last one; it has ten seconds for everything."""

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class _Identifiers(RandomIdGenerator):
    """Random, but for the span of a message, whose identifiers are its own."""

    def __init__(self) -> None:
        self.next: tuple[int, int] | None = None

    def generate_trace_id(self) -> int:
        return self.next[0] if self.next is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.next[1] if self.next is not None else super().generate_span_id()


class Traces:
    """See the module. `take` is what `Administration.watch` is given."""

    def __init__(
        self,
        endpoint: str,
        hostname: str,
        clock: Clock,
        *,
        worker: str = "",
        exporter: SpanExporter | None = None,
    ) -> None:
        self._hostname = hostname
        self._identifiers = _Identifiers()
        resource = {
            "service.name": "waypost",
            "service.version": version("waypost"),
            "host.name": hostname,
        }
        if worker:
            resource["service.instance.id"] = f"{hostname}/{worker}"
        self._provider = TracerProvider(
            resource=Resource.create(resource),
            id_generator=self._identifiers,
            shutdown_on_exit=False,
        )
        exporter = exporter or OTLPSpanExporter(place(endpoint), timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("waypost", version("waypost"))
        self._gathering = Gathering(clock, self._record, "waypost-telemetry")
        self.take = self._gathering.take

    def close(self) -> None:
        """Send what is left, for CLOSE_SECONDS at most."""
        self._gathering.finish()
        # It waits for a collector that does not answer, and takes no limit for that.
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)

    def _record(self, happenings: Sequence[Happening], _left_out: int) -> None:
        for one in happenings:
            if isinstance(one, NewMessage):
                self._accepted(one)
            elif not isinstance(one, Refusal):
                self._attempted(one)

    def _names(self, message: int) -> tuple[int, int]:
        """The trace of a message and its first span; never zero, which would mean none."""
        digest = blake2b(f"{self._hostname}/{message}".encode(), digest_size=24).digest()
        return int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:]) or 1

    def _accepted(self, message: NewMessage) -> None:
        self._identifiers.next = self._names(message.identifier)
        at = _nanoseconds(message.received_at)
        try:
            span = self._tracer.start_span("accept", kind=SpanKind.SERVER, start_time=at)
        finally:
            self._identifiers.next = None
        span.set_attributes(
            {
                "waypost.message": identifier_text(message.identifier),
                "waypost.recipients": len(message.envelope.recipients),
                "messaging.message.body.size": message.size,
                "messaging.message.id": message.message_id,
                "client.address": message.client,
                "enduser.id": message.user or "",
            }
        )
        span.end(at)

    def _attempted(self, attempted: Attempted) -> None:
        record = attempted.record
        trace_id, span_id = self._names(record.message)
        parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=_SAMPLED)
        span = self._tracer.start_span(
            "deliver",
            trace.set_span_in_context(NonRecordingSpan(parent)),
            SpanKind.CLIENT,
            start_time=_nanoseconds(record.started_at),
        )
        states = Counter(result.state for result in record.results)
        domains = {one.domain.lower() for one in attempted.envelope.recipients}
        host, port = _host_and_port(record.next_hop)
        first = next(
            (one for one in record.results if one.state is not RecipientState.DELIVERED),
            record.results[0],
        )
        span.set_attributes(
            {
                "waypost.message": identifier_text(record.message),
                "waypost.route": record.route,
                "waypost.destinations": sorted(domains)[:10],
                "waypost.uncertain": record.uncertain,
                "waypost.reply": first.reply,
                "waypost.reason": first.reason,
                "server.address": host,
                "server.port": port,
                "tls.protocol.name": record.tls,
                **{f"waypost.{state.name.lower()}": count for state, count in states.items()},
            }
        )
        if first.state is not RecipientState.DELIVERED:
            span.set_status(Status(StatusCode.ERROR, first.reason or first.state.name.lower()))
        span.end(_nanoseconds(record.started_at + record.seconds))


def place(endpoint: str) -> str:
    """The address for traces; a collector's own address gets the path that OTLP has."""
    return endpoint if urlsplit(endpoint).path.strip("/") else f"{endpoint.rstrip('/')}/v1/traces"


def _nanoseconds(at: float) -> int:
    return int(at * 1_000_000) * 1000


def _host_and_port(next_hop: str) -> tuple[str, int]:
    """Of host[address]:port; 0 where there is none."""
    host, _, port = next_hop.rpartition(":")
    if not port.isdecimal():
        return next_hop, 0
    name = host.partition("[")[0] or host.strip("[]")
    return name, int(port)

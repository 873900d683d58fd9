"""Traces: which spans a message makes, that they belong together, that no collector holds us up."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from test_maillog import NOW, HandClock, accepted, attempted

from waypost.faces.gathering import Happening
from waypost.faces.telemetry import EXPORT_SECONDS, Traces, place
from waypost.relay.refusals import Refusal
from waypost.smtp.reply import reply
from waypost.spool.contract import RecipientState


def spans(*happenings: Happening, hostname: str = "relay.example") -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    traces = Traces("http://127.0.0.1:9", hostname, HandClock(), exporter=exporter)
    traces._record(happenings, 0)
    traces.close()
    return list(exporter.get_finished_spans())


def values(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_message_and_its_attempts_are_one_trace() -> None:
    message = accepted("b@There.example", "c@there.example", user="shop")
    later = attempted(RecipientState.QUEUED, "450 4.7.1 Later", "b@There.example")
    done = attempted(RecipientState.DELIVERED, "250 Ok", "b@There.example", "c@there.example")
    first, second, third = spans(message, later, done)
    assert [one.name for one in (first, second, third)] == ["accept", "deliver", "deliver"]
    assert first.parent is None
    assert len({one.context.trace_id for one in (first, second, third)}) == 1
    assert second.parent is not None
    assert third.parent is not None
    assert {second.parent.span_id, third.parent.span_id} == {first.context.span_id}
    assert (first.kind, second.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert values(first)["waypost.recipients"] == 2
    assert values(first)["enduser.id"] == "shop"


def test_an_attempt_tells_where_how_long_and_what_it_came_to() -> None:
    failed, done = spans(
        attempted(RecipientState.BOUNCED, "550 5.1.1 Unknown", "b@There.example"),
        attempted(RecipientState.DELIVERED, "250 Ok", "b@There.example"),
    )
    assert failed.status.status_code is StatusCode.ERROR
    assert done.status.status_code is StatusCode.UNSET
    assert values(failed)["waypost.reply"] == "550 5.1.1 Unknown"
    assert values(failed)["waypost.bounced"] == 1
    assert values(done)["server.address"] == "mx.there.example"
    assert values(done)["server.port"] == 25
    assert values(done)["waypost.route"] == "default"
    assert done.start_time == int((NOW + 1) * 1e6) * 1000
    assert (done.end_time or 0) - (done.start_time or 0) == 250_000_000


def test_no_address_of_a_person_is_told() -> None:
    (span,) = spans(attempted(RecipientState.DELIVERED, "250 Ok", "ann@there.example"))
    assert "ann" not in str(values(span))
    assert values(span)["waypost.destinations"] == ("there.example",)


def test_relays_have_traces_of_their_own_and_a_restart_goes_on() -> None:
    late = attempted(RecipientState.DELIVERED, "250 Ok", "b@there.example")
    (here,), (again,) = spans(accepted("b@there.example")), spans(late)
    (elsewhere,) = spans(accepted("b@there.example"), hostname="other.example")
    assert here.context.trace_id == again.context.trace_id
    assert here.context.trace_id != elsewhere.context.trace_id
    refusal = Refusal(NOW, "192.0.2.7", "x", "a@b.example", "", reply(550, None, "No"))
    assert spans(refusal) == []


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://collector.example/otlp/x", "https://collector.example/otlp/x"),
    ],
)
def test_a_collector_is_named_with_or_without_the_path(endpoint: str, address: str) -> None:
    assert place(endpoint) == address


def test_a_collector_that_does_not_answer_holds_nobody_up() -> None:
    clock = HandClock()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        traces = Traces(f"http://127.0.0.1:{port}", "relay.example", clock)
        for _ in range(1000):
            traces.take(accepted("b@there.example"), None)
        clock.advance(1.0)
        ended = threading.Thread(target=traces.close)
        begun = time.monotonic()
        ended.start()
        ended.join(60)
        # It would wait for the collector for EXPORT_SECONDS, again and again.
        assert time.monotonic() - begun < EXPORT_SECONDS

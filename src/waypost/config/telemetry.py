"""The table [telemetry]."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import PlainValidator

from waypost.config.kinds import Kind, toml_text
from waypost.config.section import Section, setting
from waypost.delivery.url_options import redacted


def _collector(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('must be a URL such as "http://127.0.0.1:4318", in quotes')
    parts = urlsplit(value)
    if parts.username or parts.password:
        raise ValueError("must not hold a password; set OTEL_EXPORTER_OTLP_HEADERS")
    if parts.scheme not in ("http", "https") or not parts.hostname or not value.isprintable():
        raise ValueError(f"{redacted(value)[:80]!r} is no address; write http://HOST:PORT")
    return value


Collector = Annotated[str, PlainValidator(_collector), Kind("URL", toml_text)]


class TelemetrySection(Section):
    """[telemetry]: traces for a collector of OpenTelemetry; needs the extra `telemetry`."""

    endpoint: Collector | None = setting(
        None,
        "Where OTLP over HTTP is taken, such as `http://127.0.0.1:4318`. A token for it comes from "
        "the variable OTEL_EXPORTER_OTLP_HEADERS.",
        unset="no traces",
    )

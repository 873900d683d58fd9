"""The page docs/reference/http-api.md, made from the description of the API, so that it says what
is so.

`python -m waypost.faces.http.openapi_reference > docs/reference/http-api.md` writes it anew; a test
holds the page against the description.
"""

from __future__ import annotations

import re
import sys
import textwrap
from typing import Any, Final

from waypost.faces.http.openapi import described_api

Schema = dict[str, Any]

_AHEAD: Final = """\
# The HTTP API

Below `/api/v1` at the address of the panel (`waypost serve --panel`, `[web]` of the configuration).
A running relay gives the same as OpenAPI 3.1 at `/api/v1/openapi.json`, for generators of clients.
[Send over HTTP](../howto/send-over-http.md) shows how to begin; `waypost.api` is the client for
Python.

Every request brings an API key, `Authorization: Bearer wpk_...`, or the session of the panel with
its `X-CSRF-Token`. A key of a user (`waypost key add NAME --user USER`) sends as that user and sees
that user's mail alone.

## In all requests

- Times are UTC (RFC 3339), sizes bytes, durations seconds. Bodies are JSON (`application/json`) of
  at most 1 MiB; messages may be larger. A field that is not described is refused.
- What goes wrong comes as `application/problem+json` (RFC 9457): `type` for programs, `detail` for
  people, `errors` with the place of each fault. Types are `urn:waypost:problem:` and one of the
  names [below](#problems), or `about:blank`: what the status says.
- Lists come in pages: `items`, and `next`, which is the `cursor` of the following request; `null`
  ends the list.
- `RateLimit` says how many requests are left. A key may make 200 a second, and 1,000 at once;
  beyond that the answer is `429` with `Retry-After`.
- Statuses that any request may have: `401` (no key, or none that is good), `403` (the key lacks the
  permission), `421` (a wrong `Host`), `422` (not of the described form), `429`, `500` (a fault of
  the relay; its log has the `id`), `503` (the spool cannot be asked now). Only further ones are
  listed below.

## The promise of 202

`POST /messages` answers `202` when the message is on stable storage, as SMTP's `250` after the
final dot. With `Idempotency-Key` the same request may be repeated for 24 hours and has the same
answer, also after a crash of the relay; it never sends twice. A key with another request is refused
(`422`, `key-reused`), one whose request is under way answers `409`. Refused submissions are not
remembered.

## What the doctor may reach

`/doctor/check`, `/doctor/ping` and `/doctor/discover` connect to where the caller says. They need
`doctor:run`, and still open nothing of the inside of your network to a key that has leaked: over
HTTP only mail ports of public addresses are reached (25, 465, 587, 2465, 2525, 2587), and the next
hops of the configured routes, wherever they are; with `allow_private_addresses` on a route, all
addresses on mail ports. What a name stands for is looked at when the connection is made. Four
checks run at a time, each for 60 seconds at most. The commands on the relay's machine reach
everything.
"""

PROBLEMS: Final = {
    "busy": "503: as much of this is under way as may be at the same time",
    "conflict": "409: it cannot be done as things stand",
    "content-gone": "410: the content of a finished message is no longer kept",
    "csrf": "403: the request lacks the token of its session",
    "empty-filter": "422: an action would be for every message; say so with `all`",
    "forbidden": "403: a key of one user asks for what tells of everybody",
    "foreign-origin": "403: a page of another site has made the request",
    "in-progress": "409: a request with this Idempotency-Key is under way",
    "internal": "500: a fault of the relay; its log has the cause under `id`",
    "invalid-message": "422: the parts make no message; `errors` says which",
    "invalid-request": "422: the request is not of the described form; `errors` says where",
    "invalid-rule": "422: the fault rule means nothing",
    "invalid-template": "422: a template, or a variable of it, cannot be used so",
    "invalid-webhook": "422: the webhook cannot be used so",
    "key-reused": "422: the Idempotency-Key belongs to another request",
    "link-invalid": "410: the one-time link is not good, or no longer",
    "no-recipients": "422 or 503: no recipient was taken; `refused` says why",
    "not-authenticated": "401: nobody is known to call",
    "not-found": "404: there is no such thing, or no longer",
    "not-now": "503: the message was refused for now; `reply` has the reply of SMTP",
    "not-permitted": "403: the caller lacks a permission, or sees one user's mail alone",
    "nothing-known": "422: nothing in the text can be explained",
    "out-of-reach": "403: a check would connect to where it may not",
    "plain-connection": "403: the connection is not encrypted, and comes from another machine",
    "refused": "422: the message was refused; `reply` has the reply of SMTP",
    "rule-not-changed": "409: the fault rule cannot be changed so",
    "sender": "403: the sender address is not one of the key's user",
    "spool-full": "507: the spool has no room",
    "spool-unavailable": "503: the spool cannot be asked, or cannot store",
    "timeout": "504: it has taken too long",
    "too-large": "413: more bytes than may be; `maximum` says how many",
    "too-many-messages": "429: the user has sent as many messages as may be in this time",
    "too-many-pauses": "409: as many queues are paused as may be",
    "too-many-requests": "429: the key has made as many requests as may be in this time",
    "too-many-templates": "409: as many templates are kept as may be",
    "two-lengths": "400: `Content-Length` and `Transfer-Encoding` in one request",
    "unknown-host": "421: the name in `Host` is none of this server",
    "unsupported-media-type": "415: the body is of a type that is not taken",
}
"""Names of types, with status and meaning; a test holds them against the code."""

_COMMON: Final = frozenset({"401", "403", "421", "422", "429", "500", "503"})
_LONGEST: Final = 100


def page() -> str:
    """The whole page."""
    described = described_api()
    parts = [_AHEAD]
    for tag in described["tags"]:
        operations = [
            (method, path, operation)
            for path, methods in described["paths"].items()
            for method, operation in methods.items()
            if operation["tags"] == [tag["name"]]
        ]
        parts.append(f"## Requests: {tag['name']}\n\n{tag['description']}\n")
        parts += [_operation(*one) for one in operations]
    parts.append(_problems())
    parts.append("## Forms\n")
    schemas: dict[str, Schema] = described["components"]["schemas"]
    parts += [
        _form(name, schemas[name])
        for name in sorted(schemas)
        if schemas[name].get("properties") and not name.startswith("Page_")
    ]
    return "\n".join(parts)


def _problems() -> str:
    lines = ["## Problems", "", "| name | status | meaning |", "| --- | --- | --- |"]
    for name, told in PROBLEMS.items():
        status, _, meaning = told.partition(": ")
        lines.append(f"| `{name}` | {status} | {meaning} |")
    lines.append("")
    return "\n".join(lines)


def _operation(method: str, path: str, operation: Schema) -> str:
    lines = [f"### {method.upper()} {path.removeprefix('/api/v1')}", ""]
    told = f"{operation['summary']}. {operation.get('description', '')}"
    lines += [textwrap.fill(one, 100, break_on_hyphens=False) + "\n" for one in told.split("\n\n")]
    parameters = [one for one in operation.get("parameters", ()) if one["in"] != "cookie"]
    if parameters:
        lines += ["| parameter | in | kind | meaning |", "| --- | --- | --- | --- |"]
        for one in parameters:
            name = f"`{one['name']}`" + ("" if one.get("required") else " (optional)")
            schema = one["schema"]
            text = one.get("description") or schema.get("description", "")
            lines.append(f"| {name} | {one['in']} | {_kind(schema)} | {_cell(text)} |")
        lines.append("")
    body = operation.get("requestBody")
    if body is not None:
        kinds = [
            f"{_kind(one['schema'])} (`{kind}`)" for kind, one in sorted(body["content"].items())
        ]
        optional = "" if body.get("required") else ", or nothing"
        lines += [f"Takes {' or '.join(kinds)}{optional}.", ""]
    answers = operation["responses"]
    for status in sorted(one for one in answers if one < "300"):
        content = answers[status].get("content", {})
        given = [_kind(one.get("schema", {})) for one in content.values()] or ["nothing"]
        lines += [f"Gives `{status}` with {' or '.join(given)}.", ""]
    further = sorted(one for one in answers if one >= "300" and one not in _COMMON)
    if further:
        told = "; ".join(f"`{one}`: {_lowered(answers[one]['description'])}" for one in further)
        lines += [f"Further {told}.", ""]
    return "\n".join(lines)


def _form(name: str, schema: Schema) -> str:
    lines = [f"### {name}", ""]
    if schema.get("description"):
        lines += [schema["description"], ""]
    lines += ["| field | kind | meaning |", "| --- | --- | --- |"]
    required = schema.get("required", ())
    for field, one in schema["properties"].items():
        label = f"`{field}`" + ("" if field in required else " (optional)")
        lines.append(f"| {label} | {_kind(one)} | {_cell(one.get('description', ''))} |")
    lines.append("")
    return "\n".join(lines)


def _kind(schema: Schema) -> str:
    """What a value is, in few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "any JSON" if name == "JsonValue" else _link(name)
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if several:
        kinds = [_kind(one) for one in several if one.get("type") != "null"]
        null = ", null" if any(one.get("type") == "null" for one in several) else ""
        return " or ".join(dict.fromkeys(kinds)) + null
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"object of {_kind(inner)}" if isinstance(inner, dict) and inner else "object"
    return {
        "date-time": "time", "uri": "address",
    }.get(schema.get("format", ""), _bounded(kind, schema))  # fmt: skip


def _bounded(kind: str, schema: Schema) -> str:
    name = {"string": "text", "integer": "number", "boolean": "true or false"}.get(kind, kind)
    if schema.get("contentEncoding"):
        return schema["contentEncoding"]  # type: ignore[no-any-return]
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{name} from {low:g} to {high:g}"
    if "maxLength" in schema:
        return f"{name}, up to {schema['maxLength']}"
    return name


def _link(name: str) -> str:
    page_of = re.fullmatch(r"Page_(\w+?)_", name)
    if page_of is not None:
        return f"a page of {_link(page_of[1])}"
    return f"[{name}](#{name.lower()})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _lowered(text: str) -> str:
    text = text.rstrip(".")
    return text[:1].lower() + text[1:]


if __name__ == "__main__":
    sys.stdout.write(page())

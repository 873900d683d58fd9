"""Suppressions: addresses to which nothing is sent; to search, add, remove, bring and take away.

They come and go as CSV with the columns address, reason and added. A spreadsheet takes a field
that begins with = + - or @ for a formula, so such fields go out with an apostrophe before them,
and it is taken off again on the way in.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from waypost.administration import BATCH, Administration
from waypost.control.permissions import Permission
from waypost.control.room import ControlRoom
from waypost.faces import documents
from waypost.faces.http.panel.pages import page, told
from waypost.faces.http.security import Caller, page_caller
from waypost.mail.address import InvalidAddress, parse_address
from waypost.spool.contract import Suppression

MAXIMUM_FILE: Final = 8 << 20
"""Bytes of a file that is brought."""

TOGETHER: Final = 500
"""Addresses of a file that share their commits."""

MAXIMUM_REASON: Final = 500

FAULTS_SHOWN: Final = 20

SEARCHED: Final = 200
"""Batches that a search looks through, at most: a hundred thousand addresses."""

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection)."""

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, page_caller(Permission.READ)]
Changer = Annotated[Caller, page_caller(Permission.SUPPRESS)]


@dataclass(frozen=True, slots=True)
class Brought:
    """What a file of suppressions holds."""

    rows: tuple[tuple[str, str], ...]
    """Address and reason."""
    faults: tuple[str, ...]
    """In words, with the line; FAULTS_SHOWN at most."""
    refused: int


@router.get("/suppressions")
async def suppressions(
    request: Request, caller: Reader, q: str = "", after: str = ""
) -> HTMLResponse:
    """The list, by name."""
    administration: Administration = request.app.state.room.administration
    text = q.strip()[:320]
    found, following = await _found(administration, text, after[:320])
    return page(
        request, "suppressions.html", caller, q=text, after=after, found=found, next=following
    )


async def _found(
    administration: Administration, text: str, after: str
) -> tuple[list[Suppression], str]:
    """A page of them, and what the next one begins after; "" where there is none."""
    if not text:
        found = await administration.suppressions(after)
        return found, found[-1].address if len(found) >= BATCH else ""
    matching: list[Suppression] = []
    wanted = text.lower()
    for _ in range(SEARCHED):
        batch = await administration.suppressions(after)
        for one in batch:
            if wanted in one.address or wanted in one.reason.lower():
                matching.append(one)
                if len(matching) >= BATCH:
                    return matching, one.address
        if len(batch) < BATCH:
            return matching, ""
        after = batch[-1].address
    return matching, after


@router.post("/suppressions/add")
async def add(
    request: Request,
    caller: Changer,
    address: Annotated[str, Form()],
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Suppress one address."""
    room: ControlRoom = request.app.state.room
    try:
        wanted = str(parse_address(address.strip(), smtputf8=True))
    except InvalidAddress as fault:
        text = f"{address.strip()[:100]!r} is no mail address: {fault.reason}."
        return told(request, "/suppressions", text, "bad")
    why = reason.strip()[:MAXIMUM_REASON] or f"added by {caller.name}"
    await room.administration.suppress(wanted, why)
    await room.audit.record(caller.name, "suppression added", wanted, why)
    return told(request, "/suppressions", f"Nothing is sent to {wanted} any more.")


@router.post("/suppressions/remove")
async def remove(
    request: Request,
    caller: Changer,
    address: Annotated[str, Form()],
) -> Response:
    """Send to an address again."""
    room: ControlRoom = request.app.state.room
    if not await room.administration.unsuppress(address):
        return told(request, "/suppressions", f"{address[:100]} was not suppressed.", "wait")
    await room.audit.record(caller.name, "suppression removed", address)
    return told(request, "/suppressions", f"Mail for {address[:320]} is sent again.")


@router.post("/suppressions/import")
async def bring(request: Request, caller: Changer, file: UploadFile) -> Response:
    """Suppress all addresses of a CSV file, or of one with an address a line."""
    room: ControlRoom = request.app.state.room
    content = await file.read(MAXIMUM_FILE + 1)
    if len(content) > MAXIMUM_FILE:
        text = f"The file is larger than {MAXIMUM_FILE >> 20} MiB; bring it in parts."
        return told(request, "/suppressions", text, "bad")
    # Reading a large file takes seconds, which the relay must not wait for.
    brought = await asyncio.to_thread(read_csv, content.decode("utf-8-sig", "replace"))
    otherwise = f"imported by {caller.name}"
    for first in range(0, len(brought.rows), TOGETHER):
        await asyncio.gather(*(
            room.administration.suppress(address, reason or otherwise)
            for address, reason in brought.rows[first : first + TOGETHER]
        ))  # fmt: skip
    counted = f"{len(brought.rows)} address{'' if len(brought.rows) == 1 else 'es'}"
    await room.audit.record(caller.name, "suppressions imported", counted)
    text = f"{counted} suppressed."
    if brought.refused:
        more = brought.refused - len(brought.faults)
        lines = "1 line was" if brought.refused == 1 else f"{brought.refused} lines were"
        text += f" {lines} not taken: " + "; ".join(brought.faults)
        text += f"; and {more} more." if more else "."
    return told(request, "/suppressions", text, "wait" if brought.refused else "good")


@router.get("/suppressions.csv")
async def take_away(request: Request, caller: Reader) -> StreamingResponse:
    """All of them, as a file."""
    del caller
    administration: Administration = request.app.state.room.administration

    async def lines() -> AsyncIterator[str]:
        yield _line(["address", "reason", "added"])
        after = ""
        while batch := await administration.suppressions(after):
            yield "".join(
                _line([one.address, one.reason, documents.time_text(one.added_at) or ""])
                for one in batch
            )
            after = batch[-1].address

    return StreamingResponse(
        lines(), media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": 'attachment; filename="suppressions.csv"',
            "Cache-Control": "no-store",
        },
    )  # fmt: skip


def _line(fields: list[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow([harmless(one) for one in fields])
    return written.getvalue()


def harmless(text: str) -> str:
    """A field that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def read_csv(text: str) -> Brought:
    """The addresses of a file: a header names the columns; without one the first is the address
    and the second the reason."""
    rows: list[tuple[str, str]] = []
    faults: list[str] = []
    refused, columns = 0, {"address": 0, "reason": 1}
    reader = csv.reader(io.StringIO(text))
    try:
        for fields in reader:
            if not any(one.strip() for one in fields):
                continue
            names = [one.strip().lower() for one in fields]
            if not rows and not refused and "address" in names:
                columns = {name: place for place, name in reversed(list(enumerate(names)))}
                continue
            address = _field(fields, columns.get("address", 0))
            try:
                parsed = str(parse_address(address, smtputf8=True))
            except InvalidAddress as fault:
                refused += 1
                if len(faults) < FAULTS_SHOWN:
                    faults.append(f"line {reader.line_num}, {address[:60]!r}: {fault.reason}")
                continue
            reason = _field(fields, columns["reason"]) if "reason" in columns else ""
            rows.append((parsed, reason[:MAXIMUM_REASON]))
    except csv.Error as fault:
        refused += 1
        faults.append(f"line {reader.line_num}: {fault}; what follows was not read")
    return Brought(tuple(rows), tuple(faults), refused)


def _field(fields: list[str], place: int) -> str:
    text = fields[place].strip() if place < len(fields) else ""
    if text.startswith("'") and text[1:].startswith(FORMULA):
        return text[1:]
    return text

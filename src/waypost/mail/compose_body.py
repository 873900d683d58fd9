"""The body of a composed message: text, HTML with its images, invitation, attachments (RFC 2046).

    multipart/mixed                   where there are attachments
      multipart/alternative           where there is more than one of these, the best one last
        text/plain
        multipart/related             where there are inline images (RFC 2387)
          text/html
          image/png, by its Content-ID
        text/calendar; method=REQUEST
      application/pdf

Text goes out as it is where every server and reader takes it so: US-ASCII in lines of at most 78.
All else is quoted-printable, or base64 where that is shorter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from waypost.mail.compose_attachments import AttachmentLike, FilePart, attachment
from waypost.mail.compose_encodings import base64_lines, quoted_printable
from waypost.mail.compose_faults import InvalidMessage
from waypost.mail.html_text import text_of_html

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_CONTROLS: Final = bytes(one for one in (*range(32), 127) if one not in b"\t\r\n")
_LONGEST_AS_IT_IS: Final = 78

_CONTENT_ID: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")
_REFERENCE: Final = re.compile(r"""(?:["'(=]|\burl\()\s*cid:([^"'\s)<>]+)""", re.IGNORECASE)
_METHOD: Final = re.compile(
    r"^METHOD(?:;[^:\r\n]*)?:([A-Za-z-]{1,30})[ \t]*$", re.MULTILINE | re.IGNORECASE
)


def body(
    *,
    text: str | None,
    html: str | None,
    attachments: Sequence[AttachmentLike],
    inline: Mapping[str, AttachmentLike],
    calendar: str | bytes | None,
) -> EmailMessage:
    """The root of the body, without the fields of the message. Raises InvalidMessage, OSError."""
    alternatives: list[EmailMessage] = []
    if html is not None and text is None:
        text = text_of_html(_checked(html, "html"))
    if text is not None or (html is None and calendar is None):
        alternatives.append(text_part(_checked(text or "", "text"), "plain"))
    if html is not None:
        alternatives.append(_html(_checked(html, "html"), inline))
    elif inline:
        raise InvalidMessage("inline", "images stand in HTML, and there is none", "give html too")
    if calendar is not None:
        alternatives.append(_invitation(calendar))
    root = alternatives[0] if len(alternatives) == 1 else _multipart("alternative", alternatives)
    if not attachments:
        return root
    files = [FilePart(attachment(one), "attachment") for one in attachments]
    return _multipart("mixed", [root, *files])


def text_part(text: str, subtype: str, parameters: str = "") -> EmailMessage:
    """A part of text in UTF-8, encoded as it needs to be."""
    text = text.replace("\n", "\r\n") if "\r" not in text else _LINE_END.sub("\r\n", text)
    if text and not text.endswith("\r\n"):
        text += "\r\n"
    part = EmailMessage(policy=SMTP)
    part.set_raw("Content-Type", f'text/{subtype}; charset="utf-8"{parameters}')
    encoding, payload = _encoded(text)
    part.set_raw("Content-Transfer-Encoding", encoding)
    part.set_payload(payload)
    return part


def _encoded(text: str) -> tuple[str, str]:
    if _goes_as_it_is(text):
        return "7bit", text
    octets = text.encode()
    quoted = quoted_printable(octets)
    if len(quoted) <= len(octets) * 4 // 3:
        return "quoted-printable", quoted.decode("ascii")
    encoded = base64_lines(octets)
    if len(encoded) < len(quoted):
        return "base64", encoded.decode("ascii")
    return "quoted-printable", quoted.decode("ascii")


def _goes_as_it_is(text: str) -> bool:
    """US-ASCII in lines of at most 78, without controls, and none that a mailbox file would change
    (RFC 4155)."""
    if not text.isascii() or text.startswith("From ") or "\nFrom " in text:
        return False
    octets = text.encode("ascii")
    if len(octets.translate(None, _CONTROLS)) < len(octets):  # a tenth of what a search takes
        return False
    return max(map(len, text.split("\r\n"))) <= _LONGEST_AS_IT_IS


def _html(html: str, inline: Mapping[str, AttachmentLike]) -> EmailMessage:
    part = text_part(html, "html")
    referred = set(_REFERENCE.findall(html))
    missing = sorted(referred - set(inline))
    if missing:
        raise InvalidMessage(
            "html",
            f"cid:{missing[0]} refers to an inline image that is not there",
            f"give inline={{{missing[0]!r}: ...}}",
        )
    if not inline:
        return part
    images: list[EmailMessage] = []
    for content_id, given in inline.items():
        if not _CONTENT_ID.fullmatch(content_id):
            raise InvalidMessage(
                "inline", f"{content_id!r:.100} is no content id", "use letters, digits, - and ."
            )
        field = f"inline[{content_id!r}]"
        images.append(FilePart(attachment(given, field=field), "inline", content_id))
    return _multipart("related", [part, *images], '; type="text/html"')


def _invitation(calendar: str | bytes) -> EmailMessage:
    """A part of iCalendar (RFC 5545). Its METHOD says what it asks, and a mail program only acts on
    it where the parameter says the same (RFC 6047 2.4)."""
    if isinstance(calendar, bytes):
        try:
            calendar = calendar.decode("utf-8")
        except UnicodeDecodeError as fault:
            raise InvalidMessage("calendar", f"it is not UTF-8 ({fault})") from fault
    calendar = _checked(calendar, "calendar")
    if not calendar.lstrip("\ufeff \r\n").upper().startswith("BEGIN:VCALENDAR"):
        raise InvalidMessage("calendar", "it does not begin with BEGIN:VCALENDAR")
    found = _METHOD.search(_LINE_END.sub("\n", calendar))
    if found is None:
        raise InvalidMessage(
            "calendar",
            "it has no METHOD, so no program would show it as an invitation",
            "write METHOD:REQUEST after BEGIN:VCALENDAR (RFC 5546 1.4)",
        )
    return text_part(calendar, "calendar", f"; method={found[1].upper()}")


def _multipart(kind: str, parts: Iterable[EmailMessage], parameters: str = "") -> EmailMessage:
    """Parts together; the boundary is chosen when the message is written."""
    whole = EmailMessage(policy=SMTP)
    whole.set_raw("Content-Type", f"multipart/{kind}{parameters}")
    whole.set_payload(list(parts))
    return whole


def _checked(text: str, field: str) -> str:
    if not isinstance(text, str):
        raise InvalidMessage(field, f"it is a text, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise InvalidMessage(
            field, f"it is not valid Unicode ({fault.reason} at character {fault.start})"
        ) from fault
    return text

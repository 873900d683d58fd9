"""The forms of what is submitted over the API, and of the answer."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from waypost.faces.http.api.models import Given, Tag, Told

MAXIMUM_RECIPIENTS: Final = 1000
MAXIMUM_ATTACHMENTS: Final = 100
MAXIMUM_HEADERS: Final = 100
MAXIMUM_VARIABLES: Final = 200


def _octets(given: Any) -> Any:
    """The octets of base64, in whose lines white space does not count (RFC 4648 3.3)."""
    if isinstance(given, bytes):
        return given
    if not isinstance(given, str):
        raise ValueError("the content is a text in base64")
    try:
        return base64.b64decode("".join(given.split()), validate=True)
    except (binascii.Error, ValueError) as fault:
        raise ValueError(f"the content is not base64: {fault}") from None


Content = Annotated[
    bytes,
    BeforeValidator(_octets),
    PlainSerializer(lambda octets: base64.b64encode(octets).decode("ascii"), return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]

AddressText = Annotated[str, StringConstraints(min_length=1, max_length=1000)]

Addresses = (
    AddressText | Annotated[list[AddressText], Field(min_length=1, max_length=MAXIMUM_RECIPIENTS)]
)


class AttachmentToSend(Given):
    """A file of a message."""

    name: str = Field(max_length=500, examples=["invoice.pdf"])
    content: Content = Field(description="The file in base64.", examples=["SGVsbG8="])
    type: str | None = Field(
        default=None,
        max_length=130,
        description="Its media type; by default found by the name and the first bytes.",
        examples=["application/pdf"],
    )
    content_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="It is an image that stands in the HTML as `cid:` and this.",
        examples=["logo"],
    )


class TemplateToSend(Given):
    """Subject, text and HTML come from a template."""

    name: str = Field(min_length=1, max_length=100, examples=["welcome"])
    variables: dict[str, JsonValue] = Field(default={}, max_length=MAXIMUM_VARIABLES)


class MessageToSend(Given):
    """A message of its parts. What is missing is made: Message-ID, Date, text of the HTML."""

    sender: AddressText = Field(alias="from", examples=["Shop <shop@example.com>"])
    to: Addresses | None = Field(default=None, examples=[["Ann Lee <ann@example.org>"]])
    cc: Addresses | None = None
    bcc: Addresses | None = Field(default=None, description="In the envelope, not in the message.")
    reply_to: Addresses | None = None
    subject: str = Field(default="", max_length=2000, examples=["Your order"])
    text: str | None = Field(default=None, examples=["Thank you."])
    html: str | None = None
    headers: dict[str, str] = Field(
        default={},
        max_length=MAXIMUM_HEADERS,
        description="Further fields. Those that others of these make cannot be given.",
        examples=[{"X-Order": "4711"}],
    )
    attachments: list[AttachmentToSend] = Field(default=[], max_length=MAXIMUM_ATTACHMENTS)
    list_unsubscribe: (
        Annotated[str, Field(max_length=800)]
        | Annotated[list[Annotated[str, Field(max_length=800)]], Field(min_length=1, max_length=5)]
        | None
    ) = Field(
        default=None,
        description="Where the recipient leaves a list: https: (with one click, RFC 8058), mailto:",
    )
    template: TemplateToSend | None = None
    tags: list[Tag] = Field(default=[], max_length=10)
    metadata: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=1000)],
    ] = Field(
        default={},
        max_length=20,
        description="Given back with the message; never sent.",
        examples=[{"order": "4711"}],
    )
    send_at: AwareDatetime | None = Field(
        default=None,
        description="No earlier than this, within 30 days. It can be cancelled until then.",
        examples=["2026-12-01T08:00:00Z"],
    )
    envelope_from: str | None = Field(
        default=None,
        max_length=500,
        description="Where bounces go; by default the address of `from`. Empty: nowhere.",
    )
    notify: list[Literal["never", "success", "failure", "delay"]] | None = Field(
        default=None,
        min_length=1,
        max_length=3,
        description="When `envelope_from` is told (DSN, RFC 3461); never stands alone.",
    )
    ret: Literal["full", "hdrs"] | None = Field(
        default=None, description="How much of the message a notice of failure carries."
    )
    envelope_id: str | None = Field(
        default=None, min_length=1, max_length=100, description="Given back in notices (ENVID)."
    )
    require_tls: bool = Field(
        default=False, description="Only over verified TLS, all the way (REQUIRETLS, RFC 8689)."
    )

    @model_validator(mode="after")
    def _consistent(self) -> MessageToSend:
        if not (self.to or self.cc or self.bcc):
            raise ValueError("nobody to send to; give to, cc or bcc")
        if self.template is not None and (
            self.subject or self.text is not None or self.html is not None
        ):
            raise ValueError("the template makes subject, text and html; leave them out")
        if self.notify is not None and "never" in self.notify and len(self.notify) > 1:
            raise ValueError("notify: never stands alone (RFC 3461 4.1)")
        return self


class RecipientRefused(Told):
    """A recipient that the message was not taken for."""

    address: str
    code: int
    enhanced: str | None
    text: str
    reason: str
    fix: str


class Accepted(Told):
    """The message is durable; it is delivered from now on, or from `send_at`."""

    id: str
    refused: list[RecipientRefused] = Field(
        description="Recipients that will not get it. All others will, or their sender is told."
    )
    send_at: datetime | None = None

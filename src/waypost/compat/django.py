"""Django's EMAIL_BACKEND over a Waypost mailer.

    EMAIL_BACKEND = "waypost.compat.django.EmailBackend"
    WAYPOST_URL = "smtp://user:password@mail.example.com:587"

Without WAYPOST_URL the settings that Django has already are used (EMAIL_HOST, EMAIL_PORT,
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_USE_TLS, EMAIL_USE_SSL, EMAIL_TIMEOUT). WAYPOST may hold
further arguments of `waypost.Mailer`, such as {"pool_size": 5}.

The mailer is one for the whole process and its threads: connections are kept between requests, a
stale one is replaced without an error, and what fails for the moment is tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings  # type: ignore[import-untyped]
from django.core.mail.backends.base import BaseEmailBackend  # type: ignore[import-untyped]
from django.core.mail.message import EmailMessage  # type: ignore[import-untyped]

from waypost.errors import InvalidMessage, WaypostError
from waypost.faces.library.mailer import Mailer
from waypost.faces.library.prepared import raw
from waypost.mail import compose as composing
from waypost.mail.compose import Outgoing

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})

_mailers: dict[tuple[object, ...], Mailer] = {}
_lock = threading.Lock()


class EmailBackend(BaseEmailBackend):  # type: ignore[misc]
    """See the module. Arguments stand for the settings of their names, as in Django's own."""

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        use_tls: bool | None = None,
        fail_silently: bool = False,
        use_ssl: bool | None = None,
        timeout: float | None = None,
        url: str | None = None,
        **options: Any,
    ) -> None:
        """Raises ConfigurationError with the first message, as Django makes backends for no reason
        at times."""
        super().__init__(fail_silently=fail_silently)
        told = any(one is not None for one in (host, port, username, password, use_tls, use_ssl))
        self.url = url or (None if told else getattr(settings, "WAYPOST_URL", None))
        if self.url is None:
            self.url = _url(host, port, username, password, use_tls, use_ssl)
        self.timeout = settings.EMAIL_TIMEOUT if timeout is None else timeout
        self.options = {**getattr(settings, "WAYPOST", {}), **options}

    @property
    def mailer(self) -> Mailer:
        """The mailer of these settings, shared by the process. Raises ConfigurationError."""
        options = dict(self.options)
        if self.timeout is not None:
            options.setdefault("timeout", float(self.timeout))
        key = (self.url, *sorted((name, repr(value)) for name, value in options.items()))
        with _lock:
            mailer = _mailers.get(key)
            if mailer is None:
                mailer = _mailers[key] = Mailer(self.url, **options)
            return mailer

    def open(self) -> bool:
        """Nothing to do: connections are made as they are needed."""
        return False

    def close(self) -> None:
        """Nothing to do: idle connections close by themselves."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send them, several at once; the number that every recipient's server has accepted, at
        least one. Each is tried; then the first failure is raised, unless the backend is silent."""
        numbered: list[int] = []
        failures: dict[int, Exception] = {}

        def outgoing() -> Iterator[Outgoing]:
            for number, message in enumerate(email_messages):
                if not message.recipients():
                    continue
                try:
                    made = _outgoing(message, self.mailer.settings.hostname)
                except (InvalidMessage, ValueError) as fault:
                    failures[number] = fault
                    continue
                numbered.append(number)
                yield made

        sent = 0
        try:
            for result in self.mailer.send_many(outgoing()):
                if result.error is None:
                    sent += 1
                else:
                    failures[numbered[result.number]] = result.error
        except WaypostError:
            if not self.fail_silently:
                raise
        if failures and not self.fail_silently:
            raise failures[min(failures)]
        return sent


def _outgoing(message: EmailMessage, hostname: str) -> Outgoing:
    """A message of Django's, as it writes it. Raises InvalidMessage, and what Django raises for
    one with a line break in a header."""
    content = message.message().as_bytes(linesep="\r\n")
    sender = _whole(message.from_email, hostname)
    try:
        return raw(
            content, from_=sender, to=[_whole(one, hostname) for one in message.recipients()]
        )
    except composing.InvalidMessage as fault:
        raise InvalidMessage(
            f"the message cannot be sent: {fault.field}: {fault.problem}",
            fix=fault.advice,
            reason="invalid-message",
        ) from fault


def _whole(address: object, hostname: str) -> str:
    """The address as text (Django takes lazy ones); a local name such as root, which RFC 5321 2.3.5
    allows in no envelope, is completed by the name of this host."""
    text = str(address)
    return text if "@" in text else f"{text}@{hostname}"


def _url(
    host: str | None,
    port: int | None,
    username: str | None,
    password: str | None,
    use_tls: bool | None,
    use_ssl: bool | None,
) -> str:
    """A URL of the settings that Django has. Without TLS in them, TLS is still used where it is
    offered, but for a server on this machine, whose certificate rarely has a name."""
    given: Mapping[str, Any] = {
        "host": settings.EMAIL_HOST if host is None else host,
        "port": settings.EMAIL_PORT if port is None else port,
        "user": settings.EMAIL_HOST_USER if username is None else username,
        "password": settings.EMAIL_HOST_PASSWORD if password is None else password,
    }
    tls = settings.EMAIL_USE_TLS if use_tls is None else use_tls
    implicit = settings.EMAIL_USE_SSL if use_ssl is None else use_ssl
    if tls and implicit:
        raise ValueError(
            "EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other: TLS is for port 587, SSL for 465"
        )
    plain = not tls and given["host"] in _LOCAL
    scheme = "smtps" if implicit else "smtp+plain" if plain else "smtp"
    login = ""
    if given["user"]:
        login = f"{quote(given['user'], safe='')}:{quote(given['password'], safe='')}@"
    name = f"[{given['host']}]" if ":" in given["host"].strip("[]") else given["host"]
    return f"{scheme}://{login}{name}:{given['port']}"

"""A name server on loopback, in a thread of its own, that answers from a zone written as text."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset


class NameServer:
    """Each line of the zone is `name TYPE value`; `signed` names get AD, `failing` SERVFAIL.

    Names that stand in no line do not exist; an alias is followed within the zone.
    """

    def __init__(
        self, zone: str, *, signed: Iterable[str] = (), failing: Iterable[str] = ()
    ) -> None:
        self._records: dict[tuple[str, str], list[str]] = {}
        for line in zone.strip().splitlines():
            name, kind, value = line.split(None, 2)
            self._records.setdefault((name.rstrip(".").lower(), kind), []).append(value)
        self._signed = frozenset(signed)
        self._failing = frozenset(failing)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def place(self) -> str:
        """For --dns."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                data, peer = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            try:
                question = dns.message.from_wire(data)
            except dns.exception.DNSException:
                continue
            answer = self._answer(question)
            wire = answer.to_wire()
            if len(wire) > 1200:
                answer.flags |= dns.flags.TC
            self._socket.sendto(wire, peer)

    def _answer(self, question: dns.message.Message) -> dns.message.Message:
        asked = question.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(asked.rdtype)
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        answer.flags &= ~dns.flags.AD
        if name in self._failing:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer
        if name in self._signed:
            answer.flags |= dns.flags.AD
        for _ in range(4):
            alias = self._records.get((name, "CNAME"))
            if alias is None or kind == "CNAME":
                break
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", *alias))
            name = alias[0].rstrip(".").lower()
        values = self._records.get((name, kind))
        if values is not None:
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, *values))
        elif not any(known == name or known.endswith(f".{name}") for known, _ in self._records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

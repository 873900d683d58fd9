"""A server that says what it is told to, on loopback, and keeps the lines that it read."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class ScriptedServer:
    """`answers` by the verb of a command, in lower case; `.` is what ends a message. A list is
    answered in turn. What is not in it gets 250."""

    def __init__(
        self, answers: Mapping[str, bytes | list[bytes]], tls: ssl.SSLContext | None = None
    ) -> None:
        self.answers = {
            name: [one] if isinstance(one, bytes) else list(one) for name, one in answers.items()
        }
        self._tls = tls
        self._open: list[socket.socket] = []
        self.lines: list[bytes] = []
        self.reads: list[bytes] = []
        self.messages: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        for one in (self._socket, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes who waits on it; close alone does not
            one.close()
        self._thread.join(10)

    def _answer(self, verb: str) -> bytes:
        known = self.answers.get(verb)
        if not known:
            return {"data": b"354 go\r\n", "quit": b"221 bye\r\n"}.get(verb, b"250 ok\r\n")
        return known.pop(0) if len(known) > 1 else known[0]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._meet, args=(connection,), daemon=True).start()

    def _meet(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.sendall(self._answer("") if "" in self.answers else b"220 here\r\n")
        held, message, inside = b"", b"", False
        while data := connection.recv(65536):
            self.reads.append(data)
            held += data
            while b"\r\n" in held:
                line, _, held = held.partition(b"\r\n")
                if inside:
                    if line != b".":
                        message += line + b"\r\n"
                        continue
                    self.messages.append(message)
                    inside, message = False, b""
                    connection.sendall(self._answer("."))
                    continue
                self.lines.append(line)
                verb = line.split(b" ")[0].lower().decode()
                answer = self._answer(verb)
                inside = verb == "data" and answer.startswith(b"354")
                if answer == b"":
                    return
                connection.sendall(answer)
                if verb == "quit":
                    return


@contextmanager
def scripted(
    tls: ssl.SSLContext | None = None, **answers: bytes | list[bytes]
) -> Iterator[ScriptedServer]:
    """`dot` stands for `.`, `greeting` for the first line."""
    names = {"dot": ".", "greeting": ""}
    server = ScriptedServer({names.get(name, name): one for name, one in answers.items()}, tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def self_signed(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A context for a server at 127.0.0.1, and the certificate that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    now = dt.datetime.now(dt.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1))
    builder = builder.not_valid_after(now + dt.timedelta(days=1))
    certificate = builder.add_extension(here, critical=False).sign(key, hashes.SHA256())
    both = folder / "both.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    both.write_bytes(
        key.private_bytes(pem, pkcs8, serialization.NoEncryption()) + certificate.public_bytes(pem)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(both)
    return context, both

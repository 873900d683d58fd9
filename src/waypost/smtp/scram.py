"""SCRAM-SHA-256 (RFC 5802, RFC 7677), both sides, without channel binding.

The server keeps a `ScramVerifier`, from which the password cannot be had. For an unknown user it
goes on with a verifier made up from a secret of its own, so that nobody learns which users exist.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import stringprep
import unicodedata
from dataclasses import dataclass, field
from typing import Final

MINIMUM_ITERATIONS: Final = 4096
"""RFC 7677 4."""

MAXIMUM_ITERATIONS: Final = 1_000_000
"""A server that asks for more wants our time, not our proof."""

DEFAULT_ITERATIONS: Final = 15_000


class ScramFault(ValueError):
    """The other side's message is wrong, or proves nothing."""


def prepared(text: str) -> str:
    """SASLprep (RFC 4013) of a user name or password; unassigned characters pass (as a query).

    Raises ScramFault for characters that no password may hold.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter
        for letter in text
        if not stringprep.in_table_b1(letter)
    )
    mapped = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    for letter in mapped:
        if (
            stringprep.in_table_c21_c22(letter)
            or stringprep.in_table_c3(letter)
            or stringprep.in_table_c4(letter)
            or stringprep.in_table_c5(letter)
            or stringprep.in_table_c6(letter)
            or stringprep.in_table_c7(letter)
            or stringprep.in_table_c8(letter)
            or stringprep.in_table_c9(letter)
        ):
            raise ScramFault(f"the character U+{ord(letter):04X} is not allowed (RFC 4013)")
    return mapped


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _attributes(message: str, names: str) -> list[str]:
    """The values of attributes that must come in this order. Raises ScramFault."""
    parts = message.split(",")
    if len(parts) < len(names):
        raise ScramFault("a SCRAM message lacks attributes")
    values = []
    for name, part in zip(names, parts, strict=False):
        if not part.startswith(f"{name}="):
            raise ScramFault(f"a SCRAM message has no {name}= where it belongs")
        values.append(part[2:])
    return values


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as fault:
        raise ScramFault("a SCRAM attribute is not base64") from fault


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What a server stores of a password (RFC 5802 3)."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def derive(
        cls, password: str, salt: bytes, iterations: int = DEFAULT_ITERATIONS
    ) -> ScramVerifier:
        """Make it from a password; takes some 10 ms."""
        salted = hashlib.pbkdf2_hmac("sha256", prepared(password).encode(), salt, iterations)
        client_key = _hmac(salted, b"Client Key")
        return cls(
            salt, iterations, hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key")
        )

    @classmethod
    def pretended(cls, username: str, secret: bytes) -> ScramVerifier:
        """For a user who does not exist: always the same salt, and a key that nothing matches."""
        salt = _hmac(secret, b"salt" + username.encode())[:16]
        return cls(
            salt, DEFAULT_ITERATIONS, _hmac(secret, b"stored" + username.encode()),
            _hmac(secret, b"server" + username.encode()),
        )  # fmt: skip

    def encode(self) -> str:
        """As text, in the form that others use too: SCRAM-SHA-256$4096:salt$stored:server."""
        salt, stored, server = (
            base64.b64encode(part).decode()
            for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def parse(cls, text: str) -> ScramVerifier:
        """Read `encode`'s form. Raises ScramFault."""
        try:
            name, salting, keys = text.split("$")
            iterations, salt = salting.split(":")
            stored, server = keys.split(":")
            count = int(iterations)
        except ValueError as fault:
            raise ScramFault("not a stored SCRAM verifier") from fault
        if name != "SCRAM-SHA-256":
            raise ScramFault(f"a verifier of {name[:20]!r} is not for SCRAM-SHA-256")
        return cls(_decoded(salt), count, _decoded(stored), _decoded(server))


class ScramClient:
    """The client's side of one exchange. `verified` once the server has proved itself."""

    def __init__(self, username: str, password: str, nonce: str) -> None:
        name = prepared(username).replace("=", "=3D").replace(",", "=2C")
        self._password = prepared(password)
        self._nonce = nonce
        self._first_bare = f"n={name},r={nonce}"
        self._server_signature: bytes | None = None
        self.verified = False

    def first_message(self) -> bytes:
        """client-first-message."""
        return f"n,,{self._first_bare}".encode()

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge of the server. Raises ScramFault."""
        try:
            message = challenge.decode()
        except UnicodeDecodeError as fault:
            raise ScramFault("the server's message is not UTF-8") from fault
        if message.startswith("e="):
            raise ScramFault(f"the server refused: {message[2:100]}")
        if self._server_signature is not None:
            if self.verified:
                raise ScramFault("the server sent a message too many")
            (signature,) = _attributes(message, "v")
            if not hmac.compare_digest(_decoded(signature), self._server_signature):
                raise ScramFault("the server's signature is wrong: it does not know the password")
            self.verified = True
            return b""
        nonce, salt, count = _attributes(message, "rsi")
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramFault("the server's nonce does not continue ours")
        if not count.isdigit() or not MINIMUM_ITERATIONS <= int(count) <= MAXIMUM_ITERATIONS:
            raise ScramFault(
                f"the server asks for {count[:12]} iterations "
                f"({MINIMUM_ITERATIONS} to {MAXIMUM_ITERATIONS} are accepted)"
            )
        salted = hashlib.pbkdf2_hmac("sha256", self._password.encode(), _decoded(salt), int(count))
        final_bare = f"c=biws,r={nonce}"
        text = f"{self._first_bare},{message},{final_bare}".encode()
        client_key = _hmac(salted, b"Client Key")
        proof = _xor(client_key, _hmac(hashlib.sha256(client_key).digest(), text))
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), text)
        return f"{final_bare},p={base64.b64encode(proof).decode()}".encode()


class ScramServer:
    """The server's side of one exchange: `first`, then `final`."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._first_bare = ""
        self._server_first = ""
        self._gs2 = ""
        self._verifier: ScramVerifier | None = None

    def first(self, message: bytes) -> str:
        """Read client-first-message; the user whose verifier is wanted. Raises ScramFault."""
        try:
            text = message.decode()
        except UnicodeDecodeError as fault:
            raise ScramFault("the message is not UTF-8") from fault
        flag, _, rest = text.partition(",")
        identity, _, bare = rest.partition(",")
        if flag not in ("n", "y"):
            raise ScramFault("channel binding is not offered")
        self._gs2 = f"{flag},{identity},"
        name, client_nonce = _attributes(bare, "nr")
        if not client_nonce:
            raise ScramFault("the nonce is empty")
        self._first_bare = bare
        self._nonce = client_nonce + self._nonce
        return name.replace("=2C", ",").replace("=3D", "=")

    def challenge(self, verifier: ScramVerifier) -> bytes:
        """server-first-message, with the verifier of the user or a pretended one."""
        self._verifier = verifier
        salt = base64.b64encode(verifier.salt).decode()
        self._server_first = f"r={self._nonce},s={salt},i={verifier.iterations}"
        return self._server_first.encode()

    def final(self, message: bytes) -> bytes | None:
        """Read client-final-message: our signature, or None where the proof is wrong.

        Raises ScramFault for a malformed message.
        """
        verifier = self._verifier
        assert verifier is not None, "challenge() comes first"
        try:
            text = message.decode()
        except UnicodeDecodeError as fault:
            raise ScramFault("the message is not UTF-8") from fault
        binding, nonce = _attributes(text, "cr")
        without_proof, _, proof = text.rpartition(",p=")
        if _decoded(binding) != self._gs2.encode() or nonce != self._nonce or not without_proof:
            raise ScramFault("the final message does not fit the first")
        given = _decoded(proof)
        if len(given) != 32:
            raise ScramFault("the proof has the wrong length")
        signed = f"{self._first_bare},{self._server_first},{without_proof}".encode()
        client_key = _xor(given, _hmac(verifier.stored_key, signed))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), verifier.stored_key):
            return None
        return b"v=" + base64.b64encode(_hmac(verifier.server_key, signed))

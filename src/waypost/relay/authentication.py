"""AUTH on the relay: a SASL mechanism of the protocol layer, with the users' store behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from waypost.relay.credentials import CredentialStore
from waypost.smtp.reply import Reply, reply

"""What a caller may do: permissions, and the roles that people have."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """One thing that a person or a key may be allowed."""

    READ = "messages:read"
    CONTENT = "content:read"
    SEND = "messages:send"
    STEER = "queue:write"
    SUPPRESS = "suppressions:write"
    DOCTOR = "doctor:run"
    SANDBOX = "sandbox:write"
    EVENTS = "events:read"
    WEBHOOKS = "webhooks:write"
    TEMPLATES = "templates:write"
    SETTINGS = "settings:read"
    ACCOUNTS = "accounts:write"
    AUDIT = "audit:read"


PERMISSION_MEANINGS: Final = {
    Permission.READ: "see messages, their attempts, queues and figures",
    Permission.CONTENT: "read what messages say, and their transcripts",
    Permission.SEND: "submit messages",
    Permission.STEER: "retry, hold, release, cancel and re-route mail; pause queues",
    Permission.SUPPRESS: "change the suppression list",
    Permission.DOCTOR: "have servers and domains checked, which connects to them",
    Permission.SANDBOX: "change the fault rules of the sandbox, and empty it",
    Permission.EVENTS: "follow events and the log",
    Permission.WEBHOOKS: "change webhooks and replay what they missed",
    Permission.TEMPLATES: "change templates",
    Permission.SETTINGS: "see the configuration, without its secrets",
    Permission.ACCOUNTS: "change the people of the panel and API keys",
    Permission.AUDIT: "read the audit log",
}


class Role(StrEnum):
    """What a person of the panel is."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


ROLE_MEANINGS: Final = {
    Role.VIEWER: "sees messages, queues, figures and events; changes nothing, reads no content",
    Role.OPERATOR: "reads content, sends, steers the queue, runs checks",
    Role.ADMIN: "may do everything, and decides who else may do what",
}

_VIEWER: Final = frozenset({Permission.READ, Permission.EVENTS, Permission.SETTINGS})

_OPERATOR: Final = _VIEWER | {
    Permission.CONTENT, Permission.SEND, Permission.STEER, Permission.SUPPRESS,
    Permission.DOCTOR, Permission.SANDBOX, Permission.TEMPLATES,
}  # fmt: skip

ROLE_PERMISSIONS: Final = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: frozenset(Permission),
}

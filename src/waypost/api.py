"""The typed client of a relay's HTTP API.

    from waypost import api

    with api.Client("http://127.0.0.1:8025", key="wpk_...") as relay:
        accepted = relay.send(from_="shop@example.com", to="ann@example.org", subject="Your order",
                              text="Thank you.")
        print(relay.message(accepted.id).recipients)

docs/reference/http-api.md has every request; docs/howto/send-over-http.md shows how.
"""

from waypost.faces.http.api.models import (
    Attempt,
    Changed,
    Filter,
    Message,
    ProblemDetails,
    Recipient,
)
from waypost.faces.http.api.models_queues import Queues, QueueSteered, Route, Status, Suppression
from waypost.faces.http.api.models_sending import Accepted, MessageToSend, RecipientRefused
from waypost.faces.http.api.models_templates import Rendered, Template
from waypost.faces.http_client.async_client import AsyncClient
from waypost.faces.http_client.client import Client
from waypost.faces.http_client.errors import (
    ApiError,
    Conflict,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    NotNow,
    NotPermitted,
    ServerFault,
    TooLarge,
    Unreachable,
)

__all__ = [
    "Accepted",
    "ApiError",
    "AsyncClient",
    "Attempt",
    "Changed",
    "Client",
    "Conflict",
    "Filter",
    "InvalidRequest",
    "Message",
    "MessageToSend",
    "NotAuthenticated",
    "NotFound",
    "NotNow",
    "NotPermitted",
    "ProblemDetails",
    "QueueSteered",
    "Queues",
    "Recipient",
    "RecipientRefused",
    "Rendered",
    "Route",
    "ServerFault",
    "Status",
    "Suppression",
    "Template",
    "TooLarge",
    "Unreachable",
]

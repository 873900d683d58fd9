"""How a domain's mail is set up, and what is wrong with it.

`health_report` asks the DNS and a few web pages and gives findings, each with its evidence, its
remedy and, where a record is missing or wrong, the record to publish.
"""

from waypost.doctor.domain_health.dane_check import Live
from waypost.doctor.domain_health.finding import Finding, Status, Suggestion
from waypost.doctor.domain_health.report import (
    AREAS,
    HealthReport,
    HealthRequest,
    NotADomain,
    domain_name,
    health_report,
)

__all__ = [
    "AREAS",
    "Finding",
    "HealthReport",
    "HealthRequest",
    "Live",
    "NotADomain",
    "Status",
    "Suggestion",
    "domain_name",
    "health_report",
]

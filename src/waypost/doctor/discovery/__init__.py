"""Finds over which server one sends for an address, from presets, DNS, web and probes."""

from waypost.doctor.discovery.autoconfig import ReadingServer
from waypost.doctor.discovery.discovery import (
    Attempt,
    Discovery,
    DiscoveryOptions,
    discover,
)
from waypost.doctor.discovery.setting import PASSWORD, Setting, Source, Statement
from waypost.doctor.discovery.subject import InvalidSubject, Subject, parse_subject

__all__ = [
    "PASSWORD",
    "Attempt",
    "Discovery",
    "DiscoveryOptions",
    "InvalidSubject",
    "ReadingServer",
    "Setting",
    "Source",
    "Statement",
    "Subject",
    "discover",
    "parse_subject",
]

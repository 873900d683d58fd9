"""Finds over which server one sends for an address, from presets, DNS, web and probes."""

from waypost.doctor.discovery.autoconfig import ReadingServer
from waypost.doctor.discovery.discovery import discover
from waypost.doctor.discovery.result import Attempt, Discovery, DiscoveryOptions
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

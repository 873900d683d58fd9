"""Waypost: mail from an application to the recipient's server, reliably, over SMTP."""

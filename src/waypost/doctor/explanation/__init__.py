"""Explains what people paste: codes, replies, log lines, exceptions, whole bounce messages."""

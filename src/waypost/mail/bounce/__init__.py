"""Reads what comes back: bounce messages, delivery reports, complaints, receipts, auto-replies."""

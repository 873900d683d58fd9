"""What is durable: messages, recipients, attempts.

`contract` says what a spool is; `sqlite` and `memory` are two; one test suite holds both to it.
"""

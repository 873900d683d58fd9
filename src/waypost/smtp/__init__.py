"""The protocol: bytes in, events out. No socket, no clock, no randomness.

`reply`, `grammar` and `framing` know the syntax of RFC 5321; `extensions` and `auth` what may be
added to it; `server` and `client` are the two state machines that use them.
"""

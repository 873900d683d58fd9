"""Seams to the world: clock, network, resolver, TLS.

Everything above takes these as arguments. Production passes the asyncio ones of this package, the
simulator its own; the code between cannot tell.
"""

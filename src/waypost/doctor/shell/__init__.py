"""Talking to a server by hand, for those who used telnet or openssl s_client.

What is typed goes to the server as it is, and what comes back is explained; the steps that nobody
can do by hand, the TLS handshake and the logins, are done. The session (session.py) knows no
terminal: it is given lines and shows entries, so a person and a script drive the same one.
"""

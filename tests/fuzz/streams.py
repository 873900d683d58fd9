"""What hostile, broken and honest clients send: streams of commands, content and noise."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

COMMANDS = (
    b"EHLO client.example\r\n", b"HELO c\r\n", b"EHLO [127.0.0.1]\r\n", b"EHLO\r\n",
    b"MAIL FROM:<a@here.example>\r\n", b"MAIL FROM:<>\r\n", b"MAIL FROM:<a@here> SIZE=10\r\n",
    b"MAIL FROM:<a@here> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+2By\r\n",
    "MAIL FROM:<ä@here.example> SMTPUTF8\r\n".encode(), b"MAIL FROM:<a@here> SIZE=99999999\r\n",
    b"MAIL FROM:a\r\n", b"MAIL\r\n", b"mail from: <a@here>\r\n",
    b"RCPT TO:<b@there.example>\r\n", b"RCPT TO:<c@there.example> NOTIFY=NEVER\r\n",
    b"RCPT TO:<c@there> ORCPT=rfc822;c+40there\r\n", b"RCPT TO:<>\r\n", b"RCPT TO:<@x:y@z>\r\n",
    b'RCPT TO:<"q \\" q"@there>\r\n', b"RCPT TO:<postmaster>\r\n",
    b"DATA\r\n", b"DATA now\r\n", b"RSET\r\n", b"RSET \r\n", b"NOOP\r\n", b"NOOP x y\r\n",
    b"VRFY someone\r\n", b"VRFY \r\n", b"EXPN all\r\n", b"HELP\r\n", b"HELP me\r\n",
    b"AUTH PLAIN AGEAYg==\r\n", b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"AUTH LOGIN =\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj1hLHI9YQ==\r\n", b"AUTH NOSUCH\r\n", b"AUTH\r\n", b"*\r\n",
    b"AGEAYg==\r\n", b"!!!\r\n", b"=\r\n", b"\r\n", b" \r\n", b"\xff\xfe\r\n", b"\0\r\n",
    b"BDAT 0\r\n", b"BDAT 0 LAST\r\n", b"BDAT 5\r\nab\r\nc", b"BDAT 7 LAST\r\nab\r\nc\r\n",
    b"BDAT 3 LAST\r\n\n.\n", b"BDAT 2\r\nx\r", b"BDAT 99 LAST\r\n", b"BDAT -1\r\n", b"BDAT x\r\n",
    b"BDAT 184467440737095516160 LAST\r\n", b"NOOP\n", b"NOOP \r \r\n", b"X" * 700 + b"\r\n",
    b"Y" * 13000, b"XCLIENT ADDR=1.2.3.4\r\n", b"ETRN x\r\n", b"Subject: x\r\n",
)  # fmt: skip
"""One line, or a line with a chunk behind it."""

CONTENT = (
    b"Subject: x\r\n\r\nhi\r\n.\r\n", b".\r\n", b"..\r\n.\r\n", b"\r\n.\r\n", b"\r\n", b"x\r\n",
    b"\n.\n", b"\r.\r", b"\r\n.\n", b"\n.\r\n", b"\r", b"\n", b".", b"\r\n.\r", b"x" * 300,
    b"Received: by x\r\n" * 5 + b"\r\n", b"\xc3\xa4 \0\x7f\r\n",
)  # fmt: skip

CLOSING = (b"QUIT\r\n", b"QUIT now\r\n", b"GET / HTTP/1.1\r\n", b"STARTTLS\r\n", b"STARTTLS x\r\n")
"""Rarely, or nothing would come after them."""

HONEST = (
    b"EHLO client.example\r\n",
    b"EHLO c\r\nMAIL FROM:<a@here.example>\r\nRCPT TO:<b@there.example>\r\n",
    b"EHLO c\r\nMAIL FROM:<a@here.example>\r\nRCPT TO:<b@there.example>\r\nDATA\r\n",
    b"RSET\r\nMAIL FROM:<a@here.example>\r\nRCPT TO:<b@there.example>\r\nDATA\r\nS: x\r\n.\r\n",
    b"EHLO c\r\nMAIL FROM:<a@here.example>\r\nRCPT TO:<b@there.example>\r\nBDAT 4\r\nab\r\n",
)  # fmt: skip
"""Runs of commands that lead somewhere."""

_messages = st.lists(st.sampled_from(CONTENT), max_size=5).map(
    lambda pieces: HONEST[2] + b"".join(pieces) + b"\r\n.\r\n"
)
_chunks = st.lists(st.sampled_from(CONTENT), max_size=4).map(
    lambda pieces: (
        HONEST[1] + b"".join(b"BDAT %d\r\n%b" % (len(p), p) for p in pieces) + b"BDAT 0 LAST\r\n"
    )
)

_pieces = st.one_of(
    _messages, _chunks, st.sampled_from(HONEST), st.sampled_from(COMMANDS),
    st.sampled_from(COMMANDS), st.sampled_from(CONTENT), st.sampled_from(CONTENT),
    st.binary(max_size=40),
)  # fmt: skip


def streams(*, closing: bool) -> st.SearchStrategy[bytes]:
    """Up to forty pieces, joined. `closing` lets some of them end the session or begin TLS."""
    piece = st.one_of(_pieces, _pieces, _pieces, st.sampled_from(CLOSING)) if closing else _pieces
    return st.lists(piece, max_size=40).map(b"".join)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces, cut at places that are taken modulo its length."""
    at = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[start:end] for start, end in itertools.pairwise(at)]

"""Reads what programs print: exceptions of Python, PHP, Node, Java, .NET, Go and Ruby, curl, msmtp.

Many quote the server: `(535, b'5.7.8 ...')`, `with message "554 ..."`, `responseCode: 550`. The
quoted reply is what counts then; the exception's own words tell the step. Where no server has said
anything, the table of programs' texts knows the cause.
"""

from __future__ import annotations

import re
from typing import Final

from waypost.doctor.explanation.heard import MAXIMUM_EVIDENCE, MAXIMUM_FINDINGS, Heard
from waypost.knowledge.outcomes import Stage
from waypost.knowledge.program_texts import ProgramText, program_text
from waypost.knowledge.reply_contexts import STAGES
from waypost.mail.bounce.addresses import address_in
from waypost.mail.encoded_words import displayable
from waypost.smtp.reply import EnhancedStatus

_PYTHON_REPLY: Final = re.compile(
    r"\((?P<code>[245]\d\d), {0,2}b?(?P<quote>['\"])(?P<text>.{0,2000}?)(?P=quote)"
    r"(?:, ['\"](?P<address>[^'\"]{0,320})['\"])?\)",
    re.DOTALL,
)
_PYTHON_RECIPIENT: Final = re.compile(r"['\"](?P<address>[^'\"\s]{1,320})['\"]: {0,2}\($")
_QUOTES: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"with message:? [\"'](?P<text>[245]\d\d.{0,2000}?)[\"'](?:\.|,|$|\s)",
        r"\bresponse: ['\"`](?P<text>[245]\d\d.{0,2000}?)['\"`]\s*(?:,|\}|$)",
        r"server response was: (?P<text>[^\n]{3,2000})",
        (
            r"(?:server message|remote server|smtp server response|response from server|returned"
            r"|server (?:said|replied|returned|responded))[: ]{1,3}['\"]?"
            r"(?P<text>[245]\d\d[- ][^\n]{0,2000})"
        ),
        (
            r"(?:invalid login|message failed|mail command failed|rejected|command failed|error"
            r"|exception|failure)[^\n]{0,40}?: "
            r"(?P<text>[245]\d\d[- ](?:[^\n]|\n[ \t]*[245]\d\d[- ]){0,2000})"
        ),
    )
)
_PHPMAILER: Final = re.compile(
    r"SMTP code: (?P<code>\d{3})(?: Additional SMTP info: (?P<more>[^\n]{0,1000}))?"
)
_GOT_CODE: Final = re.compile(r"got (?:code )?[\"'](?P<code>[245]\d\d)[\"']")
_RESPONSE_CODE: Final = re.compile(
    r"responseCode: (?P<code>[245]\d\d)|statusCode[:=] ?(?P<other>\w+)"
)
_LANGUAGES: Final = (
    (
        "python",
        (
            r"smtplib|Traceback \(most recent|aiosmtplib|socket\.gaierror|_ssl\.c:|\[Errno |\[SSL"
            r"|django|Python"
        ),
    ),
    (
        "node",
        (
            r"code: '[A-Z]|responseCode|nodemailer|\bat .+\.js:\d|node:internal|ERR_[A-Z]"
            r"|E(?:AUTH|SOCKET|CONNECTION|ENVELOPE|TIMEDOUT|DNS|TLS|PROTOCOL|CONNREFUSED)\b"
        ),
    ),
    (
        "php",
        r"PHPMailer|Swift_|Symfony|stream_socket|mail\(\)|php|fsockopen|Expected response code",
    ),
    ("java", r"\bjavax?\.|jakarta\.|com\.sun\.mail|\bat [\w.$]+\([\w.]+\.java"),
    ("dotnet", r"System\.|MailKit|SmtpException|Microsoft\."),
    ("ruby", r"Net::|\.rb:\d|OpenSSL::SSL"),
    ("go", r"x509:|\btls: |dial tcp|gomail|goroutine"),
    ("curl", r"\bcurl: \(|\bcurl\b"),
    ("msmtp", r"msmtp: "),
    ("swaks", r"=== Trying|\*\*\* (?:Error|Remote)"),
    ("openssl", r"CONNECTED\(|verify error:num|:error:[0-9A-F]{8}:|s_client"),
)
_PATTERNS: Final = tuple((name, re.compile(pattern)) for name, pattern in _LANGUAGES)


def heard_in_exception(text: str) -> tuple[tuple[Heard, ProgramText | None], ...]:
    """What a program's text tells, each with the row of the table that knows it; () where it is no
    such text."""
    program = next((name for name, pattern in _PATTERNS if pattern.search(text)), "")
    row = program_text(_last_lines(text))
    replies = _replies(text)
    if not replies and row is None:
        return ()
    if not replies:
        assert row is not None
        return (
            (
                Heard(
                    "exception",
                    _evidence(text, row),
                    text,
                    stage=_stage(row),
                    side=row.side,
                    program=program,
                ),
                row,
            ),
        )
    return tuple(
        (
            Heard(
                "exception", displayable(text)[:MAXIMUM_EVIDENCE], words, code,
                EnhancedStatus.parse(words), _step(text) or (_stage(row) if row else None),
                program=program, recipient=address,
            ),
            row,
        )
        for code, words, address in replies[:MAXIMUM_FINDINGS]
    )  # fmt: skip


def _replies(text: str) -> list[tuple[int | None, str, str]]:
    """The replies that it quotes: code, words, recipient."""
    found: list[tuple[int | None, str, str]] = []
    for one in _PYTHON_REPLY.finditer(text[:20_000]):
        before = _PYTHON_RECIPIENT.search(text[max(0, one.start() - 330) : one.start() + 1])
        address = before["address"] if before is not None else ""
        found.append((int(one["code"]), _unescaped(one["text"]), address))
    if found:
        return found
    php = _PHPMAILER.search(text)
    if php is not None:
        detail = text[max(0, php.start() - 1000) : php.start()].rpartition("Detail: ")
        words = " ".join(part for part in (php["more"], detail[2] if detail[1] else "") if part)
        return [(int(php["code"]), words.strip(), "")]
    for pattern in _QUOTES:
        quoted = pattern.search(text[:20_000])
        if quoted is not None:
            words = _unescaped(quoted["text"])
            code = re.match(r"([245]\d\d)(?:[- ]|$)", words)
            return [
                (
                    int(code[1]) if code else None,
                    words[4:] if code else words,
                    address_in(text[: quoted.start()]),
                )
            ]
    coded = _GOT_CODE.search(text) or _RESPONSE_CODE.search(text)
    if coded is not None and coded.groupdict().get("code"):
        return [(int(coded["code"]), displayable(text)[:1000], "")]
    return []


def _unescaped(text: str) -> str:
    text = text.replace("\\r\\n", "\n").replace("\\n", "\n").replace("\\r", "\n")
    return displayable(re.sub(r"\n[ \t]*(?:[245]\d\d[- ])?", " ", text))


def _stage(row: ProgramText | None) -> Stage | None:
    """The stage of a session at which the row stands; a handshake stands at none."""
    if row is None:
        return None
    return STAGES.get(row.step)


_STEP_WORDS: Final = (
    (
        "auth",
        (
            r"SMTPAuthenticationError|EAUTH|AUTH (?:PLAIN|LOGIN|XOAUTH2|CRAM)|AuthenticationFailed"
            r"|uthenticat|Invalid login|Login denied"
        ),
    ),
    (
        "mail",
        (
            r"SMTPSenderRefused|MAIL FROM|Mail command failed|SMTPSenderFailed"
            r"|EENVELOPE.{0,200}MAIL|following From address failed"
        ),
    ),
    (
        "rcpt",
        (
            r"SMTPRecipientsRefused|RCPT TO|recipients? (?:were|was|failed)|SMTPAddressFailed"
            r"|FailedRecipient|SMTP Error: The following recipients|Recipient command failed"
        ),
    ),
    ("content", r"SMTPDataError|Message failed|data not accepted|end of data|SMTPSendFailed"),
    ("ehlo", r"SMTPHeloError|EHLO command failed|HELO"),
    ("starttls", r"STARTTLS"),
    ("greeting", r"SMTPConnectError|greeting|command: 'CONN'"),
)
_STEPS: Final = tuple((STAGES[name], re.compile(pattern)) for name, pattern in _STEP_WORDS)


def _step(text: str) -> Stage | None:
    return next((name for name, pattern in _STEPS if pattern.search(text)), None)


def _last_lines(text: str) -> str:
    """What counts of a long text: the end of a traceback, and the beginning."""
    return text if len(text) <= 3500 else f"{text[-2500:]}\n{text[:1000]}"


def _evidence(text: str, row: ProgramText) -> str:
    """The line that the row is found by; the whole text where it takes several."""
    for line in text.split("\n")[:2000]:
        known = program_text(line[:2000]) if line.strip() and len(line) < 2000 else None
        if known is row:
            return displayable(line)[:MAXIMUM_EVIDENCE]
    return displayable(text)[:MAXIMUM_EVIDENCE]

"""How programs are pointed at this relay: code to copy, with its real host and port.

The examples are run against a relay in tests/http/test_panel_start.py, where the program that they
are for is there.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from waypost.faces.http.panel.start_listener import ListenerFacts

SENDER: Final = "shop@example.com"
RECIPIENT: Final = "ada@example.net"


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way to send."""

    name: str
    """In addresses."""
    title: str
    parts: tuple[tuple[str, str], ...]
    """What a part is, and the code."""
    note: str = ""


def snippets(at: ListenerFacts, sendmail: str, api: str) -> Sequence[Snippet]:
    """All of them. `sendmail` is the path of waypost-sendmail, `api` the URL of the HTTP API."""
    return (
        _smtplib(at), _library(at), _django(at), _php(at, sendmail), _symfony(at), _node(at),
        _rails(at), _go(at), _curl(at), _swaks(at), _http(api),
    )  # fmt: skip


def _smtplib(at: ListenerFacts) -> Snippet:
    kind = "SMTP_SSL" if at.implicit_tls else "SMTP"
    login = ""
    if at.needs_login:
        starttls = "" if at.implicit_tls else "    relay.starttls()\n"
        login = f'{starttls}    relay.login("USER", "PASSWORD")\n'
    code = f"""\
import smtplib
from email.message import EmailMessage

message = EmailMessage()
message["From"] = "{SENDER}"
message["To"] = "{RECIPIENT}"
message["Subject"] = "Hello from Python"
message.set_content("It works.")
with smtplib.{kind}("{at.host}", {at.port}, timeout=30) as relay:
{login}    relay.send_message(message)
"""
    return Snippet("python", "Python", (("smtplib, of the standard library", code),))


def _library(at: ListenerFacts) -> Snippet:
    scheme = "smtps" if at.implicit_tls else "smtp" if at.needs_login else "smtp+plain"
    login = "USER:PASSWORD@" if at.needs_login else ""
    code = f"""\
import waypost

with waypost.Mailer("{scheme}://{login}{at.place}") as mailer:
    mailer.send(
        from_="{SENDER}",
        to="{RECIPIENT}",
        subject="Hello from the library",
        text="It works.",
    )
"""
    note = (
        "Connections are kept, errors say what to do, and what fails for the moment is tried again."
    )
    return Snippet("waypost", "Python, waypost", (("pip install waypost", code),), note)


def _django(at: ListenerFacts) -> Snippet:
    login = ""
    if at.needs_login:
        login = 'EMAIL_HOST_USER = "USER"\nEMAIL_HOST_PASSWORD = "PASSWORD"\n'
        login += "EMAIL_USE_SSL = True\n" if at.implicit_tls else "EMAIL_USE_TLS = True\n"
    settings = f"""\
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = "{at.host}"
EMAIL_PORT = {at.port}
{login}EMAIL_TIMEOUT = 30
"""
    code = f"""\
from django.core.mail import send_mail
send_mail("Hello from Django", "It works.", "{SENDER}", ["{RECIPIENT}"])
"""
    parts = (("settings.py", settings), ("then, in python manage.py shell", code))
    return Snippet("django", "Django", parts)


def _php(at: ListenerFacts, sendmail: str) -> Snippet:
    note = "mail() hands the message to waypost-sendmail, which keeps it while the relay is away."
    if at.port != 2525 or not at.is_loopback:
        note += (
            " It finds the relay by its configuration: set WAYPOST_CONFIG to that file, or keep it "
            "at /etc/waypost/waypost.toml."
        )
    code = f"""\
<?php
mail("{RECIPIENT}", "Hello from PHP", "It works.", "From: {SENDER}");
"""
    windows = f"""\
SMTP = {at.host}
smtp_port = {at.port}
sendmail_from = {SENDER}
"""
    parts = (
        ("php.ini", f'sendmail_path = "{sendmail} -t -i"\n'),
        ("hello.php", code),
        ("php.ini on Windows, where PHP speaks SMTP itself", windows),
    )
    return Snippet("php", "PHP, mail()", parts, note)


def _symfony(at: ListenerFacts) -> Snippet:
    login = "USER:PASSWORD@" if at.needs_login else ""
    scheme = "smtps" if at.implicit_tls else "smtp"
    # Symfony speaks STARTTLS wherever it is offered, and the certificate may be self-signed.
    quiet = "" if at.needs_login or at.implicit_tls else "?auto_tls=false"
    user, password = ("USER", "PASSWORD") if at.needs_login else ("null", "null")
    laravel = f"""\
MAIL_MAILER=smtp
MAIL_HOST={at.host}
MAIL_PORT={at.port}
MAIL_USERNAME={user}
MAIL_PASSWORD={password}
MAIL_SCHEME={scheme}
"""
    parts = (
        (".env of Symfony", f"MAILER_DSN={scheme}://{login}{at.place}{quiet}\n"),
        (".env of Laravel", laravel),
    )
    return Snippet("symfony", "Symfony, Laravel", parts)


def _node(at: ListenerFacts) -> Snippet:
    more = ""
    if not at.implicit_tls:
        more = "\n  requireTLS: true," if at.needs_login else "\n  ignoreTLS: true,"
    if at.needs_login:
        more += '\n  auth: { user: "USER", pass: "PASSWORD" },'
    code = f"""\
import nodemailer from "nodemailer";

const relay = nodemailer.createTransport({{
  host: "{at.host}",
  port: {at.port},
  secure: {"true" if at.implicit_tls else "false"},{more}
}});
await relay.sendMail({{
  from: "{SENDER}",
  to: "{RECIPIENT}",
  subject: "Hello from Node",
  text: "It works.",
}});
"""
    return Snippet("node", "Node, nodemailer", (("npm install nodemailer; hello.mjs", code),))


def _rails(at: ListenerFacts) -> Snippet:
    login = ""
    if at.needs_login:
        login = '  user_name: "USER",\n  password: "PASSWORD",\n  authentication: :plain,\n'
    tls = "  tls: true,\n" if at.implicit_tls else ""
    starttls = "true" if at.needs_login and not at.implicit_tls else "false"
    code = f"""\
config.action_mailer.delivery_method = :smtp
config.action_mailer.smtp_settings = {{
  address: "{at.host}",
  port: {at.port},
{login}{tls}  enable_starttls: {starttls},
  open_timeout: 30,
  read_timeout: 30
}}
"""
    return Snippet("rails", "Rails", (("config/environments/development.rb", code),))


def _go(at: ListenerFacts) -> Snippet:
    auth, note = "nil", ""
    if at.needs_login:
        auth = f'smtp.PlainAuth("", "USER", "PASSWORD", "{at.host}")'
    if at.implicit_tls:
        note = "net/smtp does not begin with TLS; use a listener with STARTTLS."
    code = f"""\
package main

import (
	"log"
	"net/smtp"
)

func main() {{
	message := "From: {SENDER}\\r\\nTo: {RECIPIENT}\\r\\n" +
		"Subject: Hello from Go\\r\\n\\r\\nIt works.\\r\\n"
	err := smtp.SendMail("{at.place}", {auth},
		"{SENDER}", []string{{"{RECIPIENT}"}}, []byte(message))
	if err != nil {{
		log.Fatal(err)
	}}
}}
"""
    return Snippet("go", "Go", (("main.go", code),), note)


def _curl(at: ListenerFacts) -> Snippet:
    scheme = "smtps" if at.implicit_tls else "smtp"
    login = " --user USER:PASSWORD" if at.needs_login else ""
    if at.needs_login and not at.implicit_tls:
        login = f" --ssl-reqd{login}"
    words = f"From: {SENDER}\\r\\nTo: {RECIPIENT}\\r\\nSubject: Hello from curl"
    code = f"""\
printf '{words}\\r\\n\\r\\nIt works.\\r\\n' |
  curl --silent --show-error {shlex.quote(f"{scheme}://{at.place}")}{login} \\
    --mail-from {SENDER} --mail-rcpt {RECIPIENT} --upload-file -
"""
    return Snippet("curl", "curl", (("in a shell", code),))


def _swaks(at: ListenerFacts) -> Snippet:
    login = " --auth PLAIN --auth-user USER --auth-password PASSWORD" if at.needs_login else ""
    tls = " --tls-on-connect" if at.implicit_tls else " --tls" if at.needs_login else ""
    code = f"""\
swaks --server {at.host} --port {at.port}{tls}{login} \\
  --from {SENDER} --to {RECIPIENT} --header 'Subject: Hello from swaks' --body 'It works.'
"""
    return Snippet("swaks", "swaks", (("in a shell; it shows the whole conversation", code),))


def _http(api: str) -> Snippet:
    code = f"""\
curl --silent --show-error --fail-with-body {shlex.quote(f"{api}/api/v1/messages")} \\
  --header "Authorization: Bearer $WAYPOST_KEY" \\
  --header 'Content-Type: application/json' \\
  --data '{{
    "from": "{SENDER}", "to": ["{RECIPIENT}"],
    "subject": "Hello over HTTP", "text": "It works."
  }}'
"""
    parts = (
        ("make a key once", "waypost key add my-application --scope messages:send\n"),
        ("then, in a shell", code),
    )
    note = "The answer has the message's identifier. /api/v1/openapi.json describes the whole API."
    return Snippet("http", "HTTP API", parts, note)

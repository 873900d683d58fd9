"""Each wrong key or value is told with its line, the reason and what was meant; all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from configuration_loading import HOME, problems
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.config import Configuration, ConfigurationError, Flags, load

ROUTE = '[[route]]\nname = "all"\nvia = "sandbox:"\n'
REQUIRED = "require_authentication = true"

WRONG = [
    ("[limits]\nconections = 1", 2, "limits.conections", "unknown", "limits.connections"),
    ("[limits]\nmaximum_recipients = 1", 2, "limits.maximum_recipients", "unknown",
     "listener.maximum_recipients"),
    ("[limts]\nconnections = 1", 1, "limts", "unknown", "limits"),
    ("[[listener]]\naddress = '*:25'\nkid = 'relay'", 3, "listener[0].kid", "unknown",
     "listener.kind"),
    (f"{ROUTE}[route.limits]\nrat = '1/s'", 5, "route[0].limits.rat", "unknown",
     "route.limits.rate"),
    ("qqqq = 1", 1, "qqqq", "unknown", None),
    ('"a\\u001bb" = 1', 1, '"a\\x1bb"', "unknown", None),
    ("[limits]\nconnections = 'many'", 2, "limits.connections", "whole number", None),
    ("[limits]\nconnections = '7'", 2, "limits.connections", "whole number", None),
    ("[limits]\nconnections = -1", 2, "limits.connections", "at least 0", None),
    ("[limits]\nconnections = true", 2, "limits.connections", "whole number, not true", None),
    ("[limits]\nban = '5 dais'", 2, "limits.ban", "'5 dais' is no time", None),
    ("[limits]\nban = 0", 2, "limits.ban", "longer than 0 s", None),
    ("[recipients]\nsyntax = 'yes'", 2, "recipients.syntax", "true or false", None),
    ("[recipients]\non_dns_failure = 'acept'", 2, "recipients.on_dns_failure",
     "one of accept, defer", "accept"),
    ("[content]\nmaximum_header = '1 M'", 2, "content.maximum_header", "no size", None),
    ("[access]\ntrusted_networks = [\n'::1',\n'10.0.0.1/8']", 4, "access.trusted_networks[1]",
     "write 10.0.0.0/8", None),
    ("[access]\ntrusted_networks = 'home'", 2, "access.trusted_networks[0]", "no network", None),
    ("[access]\nrelay_domains = ['']", 2, "access.relay_domains[0]", "empty pattern", None),
    ("[access]\nrelay_domains = 5", 2, "access.relay_domains", "must be a list", None),
    ("hostname = 'a b'", 1, "hostname", "no host name", None),
    ("limits = 5", 1, "limits", "must be a table: write [limits]", None),
    ("[listener]\naddress = '*:25'", 1, "listener", "write [[listener]]", None),
    ("[[listener]]\nkind = 'relay'", 1, "listener[0].address", "is required", None),
    ("[[listener]]\naddress = '127.0.0.1'", 2, "listener[0].address", "no host and port", None),
    ("[[listener]]\naddress = '*:25'\n[[listener]]\naddress = '*:25'", 4, "listener[1].address",
     "taken by the listener *:25", None),
    ("[[listener]]\naddress = '*:25'\n[[listener]]\naddress = '127.0.0.1:25'", 4,
     "listener[1].address", "taken by the listener *:25", None),
    ("[[listener]]\naddress = '*:465'\nstarttls = true", 3, "listener[0].starttls",
     "begin with TLS", None),
    ("[[listener]]\naddress = '*:587'\nauthentication = true\nstarttls = false", 4,
     "listener[0].starttls", "nobody could log in", None),
    (f"access.{REQUIRED}\n[[listener]]\naddress = '*:587'\nauthentication = false", 4,
     "listener[0].authentication", "nobody could submit", None),
    ("[tls]\ncertificate = 'none.pem'", 2, "tls.certificate", "needs tls.key", None),
    ("[tls]\nkey = 'none.pem'", 2, "tls.key", "needs tls.certificate", None),
    ("[tls]\ncertificate = 'no.pem'\nkey = 'no.key'", 2, "tls.certificate", "does not exist", None),
    ("[spool]\nurl = 'mysql:x'", 2, "spool.url", "write sqlite:PATH", None),
    ("[spool]\nurl = 'postgresql://u:geheim@h/d'", 2, "spool.url", "not supported", None),
    ("[spool]\nurl = 'sqlite:waypost.toml'", 2, "spool.url", "is a file", None),
    ("[delivery]\nwindow = 10", 2, "delivery.window", "at least delivery.load_at_once", None),
    ("[delivery]\nload_at_once = 9999", 2, "delivery.load_at_once", "at most delivery.window",
     None),
    ("[[route]]\nname = 'all'\nvia = 'smpt://x'", 3, "route[0].via[0]", "did you mean smtp?", None),
    ("[[route]]\nname = 'all'\nvia = ['smtp://a',\n'smtp://b:x']", 4, "route[0].via[1]", "port",
     None),
    ("[[route]]\nname = 'all'\nvia = []", 3, "route[0].via", "must not be empty", None),
    ("[[route]]\nname = 'all'", 1, "route[0].via", "is required", None),
    ("[[route]]\nname = 'all'\nvia = ['mx:', 'sandbox:']", 3, "route[0].via", "mixes", None),
    ("[[route]]\nname = 'all'\nvia = 'smtp://u:${NONE}@h'", 3, "route[0].via[0]", "not set", None),
    ("[[route]]\nname = 'all'\nvia = 'smtp://h?ca_file=no.pem'", 3, "route[0].via[0]", "no file",
     None),
    (f"{ROUTE}overflow = 'al'", 4, "route[0].overflow", "'al' is no route", "all"),
    (f"{ROUTE}overflow = 'all'", 1, "route[0]", "circle", None),
    (ROUTE + ROUTE, 5, "route[1].name", "two routes are called 'all'", None),
    (ROUTE + ROUTE.replace("all", "b"), 4, "route[1]", "never used", None),
    (f"{ROUTE}match.recipients = 'example.com'", 1, "route[0]", "does not take all mail", None),
    (f"{ROUTE}limits.rate = 'fast'", 4, "route[0].limits.rate", "no rate", None),
    (f"{ROUTE}limits.rate = '0/minute'", 4, "route[0].limits.rate", "let something through", None),
    (f"{ROUTE}quotas.per_day = 0", 4, "route[0].quotas.per_day", "at least 1", None),
    (f"{ROUTE}retry.jitter = 2.0", 4, "route[0].retry.jitter", "at most 1", None),
    (f"{ROUTE}strategy = 'weigthed'", 4, "route[0].strategy", "one of", "weighted"),
    ("workers = 60", 1, "workers", "60 processes would have to share it", None),
    ("[limits", 1, "", "not TOML", None),
    ("a = 1\na = 2", 2, "", "not TOML", None),
    ("a = [\n1,", 2, "", "not TOML", None),
    (f"a = {'[' * 30}{']' * 30}", None, "", "too deeply", None),
    (f"a = {'[' * 9000}", None, "", "too deeply", None),
    (f"a = {'1' * 9000}", None, "", "not TOML", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "key", "reason", "suggestion"), WRONG)
def test_a_fault_is_told_with_its_place_and_its_remedy(
    tmp_path: Path, text: str, line: int | None, key: str, reason: str, suggestion: str | None
) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1, found
    assert found[0].source == str(tmp_path / "waypost.toml")
    assert (found[0].line, found[0].key, found[0].suggestion) == (line, key, suggestion)
    assert reason in found[0].reason
    assert "geheim" not in str(found[0])


def test_everything_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "hostname = 5\n[limits]\nban = 'x'\n[tls]\nkey = 'k'\n"
        "[[route]]\nname = 'a'\nvia = 'x:'\noverflow = 'b'\n[[listener]]\naddress = 'x'\n"
    )
    found = problems(tmp_path, text, None, Flags(hostname="a b"))
    lines = str(ConfigurationError(found)).splitlines()
    places = [line.removeprefix(f"{tmp_path}/waypost.toml:").split(":")[0] for line in lines]
    assert places == ["1", "3", "5", "8", "9", "11", "flag --hostname"]


def test_the_text_of_a_fault_is_one_line_that_tools_understand(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "\n[limits]\nconections = 1")
    assert str(found) == (
        f"{tmp_path}/waypost.toml:3: limits.conections: unknown setting; "
        "did you mean limits.connections?"
    )


def test_faults_of_the_environment_and_of_flags_name_their_source(tmp_path: Path) -> None:
    variables = {"WAYPOST_LIMITS_CONNECTIONS": "many", "WAYPOST_ROUT": "sandbox:"}
    texts = [str(one) for one in problems(tmp_path, "", variables, Flags(listen=("x",)))]
    assert "environment WAYPOST_ROUT: is no setting; did you mean WAYPOST_ROUTE?" in texts
    assert (
        "environment WAYPOST_LIMITS_CONNECTIONS: limits.connections: must be a whole number, "
        "not 'many'" in texts
    )
    assert any(text.startswith("flag --listen: listener[0].address: 'x'") for text in texts)


def test_a_variable_that_resembles_nothing_of_ours_is_left_alone(tmp_path: Path) -> None:
    assert problems(tmp_path, "", {"WAYPOST_SES_PASSWORD": "x", "WAYPOST_ROUTE": ""}) == []


def test_a_file_that_is_not_there_or_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.toml", "no such file"), (tmp_path, "directory")):
        with pytest.raises(ConfigurationError, match=reason):
            load(path, HOME, Flags())


def test_a_file_in_another_encoding_is_told_with_the_place_of_its_first_strange_sign(
    tmp_path: Path,
) -> None:
    file = tmp_path / "waypost.toml"
    file.write_bytes(b"a = 1\nb = '\xe9'\n")
    with pytest.raises(ConfigurationError) as caught:
        load(file, HOME, Flags())
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (2, 6)


PIECES = st.sampled_from(
    [
        "[limits]\n", "[[route]]\n", "[[listener]]\n", "[route.match]\n", "[access]\n", "[tls]\n",
        "[spool]\n", "name = 'a'\n", "via = 'mx:'\n", "via = ['smtp://a', 5]\n", "via = {}\n",
        "address = '*:25'\n", "address = [1]\n", "url = 'sqlite:x'\n", "connections = 99\n",
        "route = 1\n", "route = [1, {}]\n", "route = [{ name = 'x', via = 'sandbox:' }]\n",
        "listener = [[]]\n", "recipients = ['a', [1]]\n", "overflow = 'b'\n", "key = '\\'\n",
        "tls.key = 'x'\n", "match = []\n", "timeouts = { mail = inf }\n", "hostname = ''\n",
        "data = '~'\n", "data = ''\n", "retention = nan\n", "workers = 0xffffffffffffffffffff\n",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(
    text=st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=60),
    variables=st.dictionaries(
        st.sampled_from(["WAYPOST_ROUTE", "WAYPOST_LISTEN", "WAYPOST_SPOOL", "WAYPOST_TLS_KEY",
                         "WAYPOST_ACCESS_RELAY_DOMAINS", "WAYPOST_WORKERS", "WAYPOST_X"]),
        st.text(max_size=20),
    ),
    route=st.none() | st.text(max_size=20),
)  # fmt: skip
def test_garbage_gives_a_configuration_or_words_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    text: str,
    variables: dict[str, str],
    route: str | None,
) -> None:
    file = tmp_path_factory.getbasetemp() / "garbage.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    found: Configuration | ConfigurationError
    try:
        found = load(file, HOME | variables, Flags(route=route))
    except ConfigurationError as fault:
        found = fault
    if isinstance(found, Configuration):
        assert found.service_settings().routes
    else:
        assert found.problems
        assert len(str(found).splitlines()) == len(found.problems)

"""What a configuration becomes: defaults, precedence, origins, the parts of the service."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from configuration_loading import HOME, loaded

from waypost.config import Configuration, Flags, load
from waypost.delivery.engine import EngineSettings
from waypost.delivery.route import (
    MxDelivery,
    Quotas,
    Rate,
    Route,
    RouteLimits,
    RouteMatch,
    Sandbox,
    Smarthost,
    Strategy,
)
from waypost.relay.access import AccessSettings
from waypost.relay.certificates import self_signed
from waypost.relay.intake import IntakeSettings
from waypost.relay.listener import ListenerSettings
from waypost.relay.peer_limits import PeerLimitSettings
from waypost.relay.recipient_policy import RecipientSettings
from waypost.smtp.client_states import DEFAULT_TIMEOUTS
from waypost.spool.sqlite import SqliteSettings


def listener(folder: Path, text: str) -> ListenerSettings:
    return loaded(folder, f"[[listener]]\n{text}").service_settings().listeners[0]


# --- defaults -----------------------------------------------------------------------------------


def test_with_nothing_given_mail_is_taken_from_this_machine_and_does_not_leave_it() -> None:
    service = load(None, HOME, Flags()).service_settings()
    assert [one.address.text for one in service.listeners] == ["127.0.0.1:2525"]
    assert service.routes == (Route("default", (Sandbox(),)),)
    assert service.data == Path("/home/ada/.local/share/waypost")
    assert service.spool.directory == service.data / "spool"


def test_what_is_not_given_is_the_default_of_its_part() -> None:
    service = load(None, HOME, Flags(hostname="relay.example")).service_settings()
    assert service.hostname == "relay.example"
    assert service.access == AccessSettings()
    assert service.limits == PeerLimitSettings()
    assert service.recipients == RecipientSettings()
    assert service.intake == IntakeSettings("relay.example")
    assert service.engine == EngineSettings("relay.example")
    assert service.spool == SqliteSettings(service.data / "spool")
    assert dict(service.timeouts) == dict(DEFAULT_TIMEOUTS)


def test_the_data_folder_follows_the_base_directory_specification() -> None:
    given = load(None, HOME | {"XDG_DATA_HOME": "/srv/data"}, Flags())
    assert given.data == Path("/srv/data/waypost")
    relative = load(None, HOME | {"XDG_DATA_HOME": "data"}, Flags())
    assert relative.data == Path("/home/ada/.local/share/waypost")


# --- precedence and origins ---------------------------------------------------------------------


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    text = "hostname = 'file.example'\n[limits]\nconnections = 7\ntracked = 8"
    environment = {"WAYPOST_HOSTNAME": "variable.example", "WAYPOST_LIMITS_CONNECTIONS": "9"}
    one = loaded(tmp_path, text)
    two = loaded(tmp_path, text, environment)
    three = loaded(tmp_path, text, environment, Flags(hostname="flag.example"))
    assert [c.hostname for c in (one, two, three)] == [
        "file.example", "variable.example", "flag.example",
    ]  # fmt: skip
    assert three.service_settings().limits == PeerLimitSettings(connections=9, tracked=8)
    file = tmp_path / "waypost.toml"
    assert [c.origins["hostname"] for c in (one, two, three)] == [
        f"{file}:1", "environment WAYPOST_HOSTNAME", "flag --hostname",
    ]  # fmt: skip
    assert three.origins["limits.connections"] == "environment WAYPOST_LIMITS_CONNECTIONS"
    assert three.origins["limits.tracked"] == f"{file}:4"
    assert three.origins["limits.ban"] == "default"


def test_a_route_that_is_given_replaces_all_of_the_file(tmp_path: Path) -> None:
    text = (
        "[[route]]\nname = 'a'\nvia = 'smtp://u:${NOT_SET_HERE}@h'\nmatch.users = 'x'\n"
        "[[route]]\nname = 'b'\nvia = 'mx:'"
    )
    given = loaded(tmp_path, text, {"WAYPOST_ROUTE": "mx:"}, Flags(route="smtp://next.example"))
    assert given.service_settings().routes == (Route("default", (Smarthost("next.example", 25),)),)
    assert given.origins["route[0].via"] == "flag --route"
    assert given.origins["route[0].match.users"] == "default"


def test_listeners_that_are_given_replace_those_of_the_file(tmp_path: Path) -> None:
    text = "[[listener]]\naddress = '*:25'\nmaximum_size = 5"
    given = loaded(tmp_path, text, {"WAYPOST_LISTEN": "127.0.0.1:1, [::1]:2"})
    assert [one.address.text for one in given.service_settings().listeners] == [
        "127.0.0.1:1", "[::1]:2",
    ]  # fmt: skip
    assert given.origins["listener[1].address"] == "environment WAYPOST_LISTEN"
    assert given.origins["listener[0].maximum_size"] == "default"


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("retention = '1 h'")
    assert load(None, HOME | {"WAYPOST_CONFIG": str(file)}, Flags()).settings.retention == 3600


def test_a_list_in_the_environment_is_separated_by_commas(tmp_path: Path) -> None:
    given = loaded(tmp_path, "", {"WAYPOST_ACCESS_RELAY_DOMAINS": "a.example, b.example"})
    assert given.service_settings().access.relay_domains == ("a.example", "b.example")


def test_relative_paths_begin_at_the_file_and_at_the_current_folder(tmp_path: Path) -> None:
    text = "data = 'd'\n[spool]\nurl = 'sqlite:s'"
    given = loaded(tmp_path, text)
    assert given.data == tmp_path / "d"
    assert given.service_settings().spool.directory == tmp_path / "s"
    flagged = loaded(tmp_path, text, None, Flags(spool="sqlite:s"))
    assert flagged.service_settings().spool.directory == Path("s")
    assert loaded(tmp_path, "data = '~/w'").data == Path("/home/ada/w")


# --- AUTH and TLS of listeners ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "implicit", "starttls", "auth", "in_clear"),
    [
        ("address = '127.0.0.1:2525'", "submission", False, False, True, True),
        ("address = 'unix:/run/w.sock'", "submission", False, False, True, True),
        ("address = '*:587'", "submission", False, True, True, False),
        ("address = '192.0.2.1:2525'", "submission", False, True, True, False),
        ("address = '*:465'", "submissions", True, False, True, False),
        ("address = '127.0.0.1:465'", "submissions", True, False, True, True),
        ("address = '*:25'", "relay", False, True, False, False),
        ("address = '*:25'\nauthentication = true", "relay", False, True, True, False),
        ("address = '*:2500'\nkind = 'relay'", "relay", False, True, False, False),
        ("address = '127.0.0.1:25'\nkind = 'submission'", "submission", False, False, True, True),
        ("address = '127.0.0.1:2525'\nstarttls = true", "submission", False, True, True, True),
        ("address = 'systemd:smtp'", "submission", False, True, True, False),
        # A load balancer on loopback brings clients from elsewhere.
        ("address = '127.0.0.1:2525'\nproxy_from = '127.0.0.1'", "submission", False, True, True,
         False),
    ],
)  # fmt: skip
def test_auth_is_offered_in_the_clear_on_loopback_only(
    tmp_path: Path, text: str, kind: str, implicit: bool, starttls: bool, auth: bool, in_clear: bool
) -> None:
    made = listener(tmp_path, text)
    assert (made.kind, made.implicit_tls, made.server.starttls) == (kind, implicit, starttls)
    assert (bool(made.server.auth_mechanisms), made.server.auth_in_clear) == (auth, in_clear)


def test_loopback_offers_starttls_once_there_is_a_certificate(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "relay.example", dt.datetime.now(dt.UTC))
    given = loaded(tmp_path, f"[tls]\ncertificate = '{certificate.name}'\nkey = '{key.name}'")
    service = given.service_settings()
    assert (service.certificate, service.key) == (certificate, key)
    assert service.listeners[0].server.starttls


def test_the_largest_message_is_that_of_the_listener_or_else_of_all(tmp_path: Path) -> None:
    text = "[content]\nmaximum_size = '1 MiB'\nbare_line_ends = 'normalise'\n"
    text += "[[listener]]\naddress = '*:1'\n[[listener]]\naddress = '*:2'\nmaximum_size = '2 MiB'"
    servers = [one.server for one in loaded(tmp_path, text).service_settings().listeners]
    assert [server.maximum_size for server in servers] == [2**20, 2**21]
    assert all(server.normalise_line_ends for server in servers)


# --- routes -------------------------------------------------------------------------------------

ROUTES = """
[delivery]
expire_after = "3 days"

[[route]]
name = "news"
via = ["smtp://ada:${SECRET}@one.example", "smtps://two.example?weight=3"]
strategy = "weighted"
overflow = "rest"
tee_sandbox = true
expire_after = "1 h"
chunking = false
match = { recipients = ".example.com", senders = ["<>"], users = ["news-*"] }
limits.connections = 4
limits.connections_per_destination = 2
limits.messages_per_connection = 9
limits.rate = "5/second"
quotas = { per_minute = 1, per_hour = 2, per_day = 3, spread = true }
retry = { delays = ["1 min", 90], afterwards = "1 h", jitter = 0.5, warn_after = "never" }

[[route]]
name = "rest"
via = "mx:"
"""


def test_a_route_with_all_its_settings(tmp_path: Path) -> None:
    news, rest = loaded(tmp_path, ROUTES, {"SECRET": "geheim"}).service_settings().routes
    assert [hop.identity for hop in news.via] == ["ada at one.example:587", "two.example:465"]
    assert isinstance(news.via[0], Smarthost)
    assert news.via[0].credentials is not None
    assert news.via[0].credentials.password == "geheim"
    assert news.strategy is Strategy.WEIGHTED
    assert (news.overflow, news.tee_sandbox, news.chunking, news.pipelining) == (
        "rest", True, False, True,
    )  # fmt: skip
    assert news.match == RouteMatch((".example.com",), ("<>",), ("news-*",))
    assert news.limits == RouteLimits(4, 2, 9, rate=Rate(5, 1.0))
    assert news.quotas == Quotas(1, 2, 3, True)
    assert (news.retry.delays, news.retry.afterwards) == ((60.0, 90.0), 3600.0)
    assert (news.retry.jitter, news.retry.warn_after) == (0.5, None)
    assert (news.expire_after, rest.expire_after) == (3600.0, 3 * 86400.0)
    assert rest.via == (MxDelivery(),)


def test_a_password_is_in_no_repr(tmp_path: Path) -> None:
    given: Configuration = loaded(tmp_path, ROUTES, {"SECRET": "geheim"})
    assert "geheim" not in repr(given) + repr(given.service_settings()) + repr(given.settings)


def test_a_password_may_stand_in_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("geheim\n")
    text = "[[route]]\nname = 'a'\nvia = 'smtp://h?user=u&password_file=secret'"
    (hop,) = loaded(tmp_path, text).service_settings().routes[0].via
    assert isinstance(hop, Smarthost)
    assert hop.credentials is not None
    assert hop.credentials.password == "geheim"

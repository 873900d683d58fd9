"""`waypost domain`: keys that sign once their records are there, and what is to be published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from name_server import NameServer
from waypost.faces.cli.domain import app
from waypost.mail.dkim_keys import dkim_record
from waypost.relay.domain_keys import NAME, DomainKeys

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("WAYPOST_DATA", str(tmp_path))
    monkeypatch.setenv("WAYPOST_HOSTNAME", "relay.example.com")

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return invoke


def document(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def zone_of(records: list[dict[str, str]]) -> str:
    lines = ["example.com MX 10 mx.example.com.", "mx.example.com A 93.184.216.34",
             "relay.example.com A 93.184.216.34"]  # fmt: skip
    for one in records:
        name, _, rest = one["zone_line"].partition(". IN TXT ")
        lines.append(f"{name} TXT {rest}")
    return "\n".join(lines)


def test_a_domain_gets_a_key_of_each_kind_and_the_records_to_publish(run: Run) -> None:
    added = document(run("add", "example.com", "--report-to", "dmarc@example.com", "--json"))
    assert [key["state"] for key in added["keys"]] == ["new", "new"]
    assert {key["algorithm"] for key in added["keys"]} == {"rsa-sha256", "ed25519-sha256"}
    by_name = {one["name"]: one["value"] for one in added["records"]}
    assert by_name["example.com"] == "v=spf1 a:relay.example.com ~all"
    assert by_name["_dmarc.example.com"] == "v=DMARC1; p=none; rua=mailto:dmarc@example.com"
    assert sum("._domainkey.example.com" in name for name in by_name) == 2


def test_addresses_that_are_given_stand_in_the_policy(run: Run) -> None:
    shown = run("add", "example.com", "--sender", "192.0.2.7", "--sender", "2001:db8::7")
    assert "v=spf1 ip4:192.0.2.7 ip6:2001:db8::7 ~all" in shown.stdout
    assert "waypost domain verify example.com" in shown.stdout


def test_keys_sign_when_the_dns_has_them_and_not_before(run: Run, tmp_path: Path) -> None:
    added = document(run("add", "example.com", "--json"))
    with NameServer("example.com MX 10 mx.example.com.\nmx.example.com A 93.184.216.34") as empty:
        missing = run("verify", "example.com", "--dns", empty.place, "--json")
    assert missing.exit_code == 1
    found = json.loads(missing.stdout)
    assert (found["signs"], found["activated"]) == (False, [])
    assert sum(one["name"] == "dkim.key_missing" for one in found["findings"]) == 2

    with NameServer(zone_of(added["records"])) as server:
        verified = document(run("verify", "example.com", "--dns", server.place, "--json"))
    assert verified["signs"]
    assert sorted(verified["activated"]) == sorted(key["selector"] for key in added["keys"])
    keys = DomainKeys(tmp_path / NAME, lambda: 1.0, lambda: 1.0)
    assert {key.signer.algorithm for key in keys.signing_keys()} == {
        "rsa-sha256", "ed25519-sha256",
    }  # fmt: skip
    keys.close()


def test_another_key_in_the_dns_is_told_and_does_not_sign(run: Run, tmp_path: Path) -> None:
    added = document(run("add", "example.com", "--json"))
    keys = DomainKeys(tmp_path / NAME, lambda: 1.0, lambda: 1.0)
    keys.add("other.example")
    other = keys.add_key("other.example", "x", "rsa").key
    keys.close()
    records = added["records"]
    wrong = next(one for one in records if "rsa._domainkey" in one["name"])
    record = dkim_record("example.com", wrong["name"].partition(".")[0], other)
    wrong["zone_line"] = record.zone_line.replace("( ", "").replace(" )", "")
    with NameServer(zone_of(records)) as server:
        verified = run("verify", "example.com", "--dns", server.place, "--json")
    found = json.loads(verified.stdout)
    assert verified.exit_code == 1
    assert len(found["activated"]) == 1
    assert any(one["name"] == "dkim.key_differs" for one in found["findings"])


def test_new_keys_take_over_from_old_ones(run: Run) -> None:
    added = document(run("add", "example.com", "--json"))
    with NameServer(zone_of(added["records"])) as server:
        document(run("verify", "example.com", "--dns", server.place, "--json"))
        rotated = document(run("rotate", "example.com", "--json"))
        assert run("rotate", "example.com").exit_code == 1, "one rotation at a time"
        still = run("verify", "example.com", "--dns", server.place, "--json")
        assert json.loads(still.stdout)["signs"], "the old keys sign meanwhile"
    with NameServer(zone_of([*added["records"], *rotated["records"]])) as server:
        verified = document(run("verify", "example.com", "--dns", server.place, "--json"))
    assert sorted(verified["retired"]) == sorted(key["selector"] for key in added["keys"])
    states = {key["selector"]: key["state"] for key in verified["keys"]}
    assert sorted(states.values()) == ["active", "active", "retired", "retired"]
    gone = verified["retired"][0]
    assert run("remove", "example.com", "--key", gone).exit_code == 0
    listed = document(run("list", "--json"))["domains"][0]
    assert gone not in [key["selector"] for key in listed["keys"]]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("add", "not a domain"), 2, "no domain name"),
        (("add", "example.com", "--sender", "here"), 2, "no IP address"),
        (("add", "example.com", "--report-to", "nobody"), 2, "--report-to"),
        (("records", "example.net"), 1, "waypost domain list"),
        (("verify", "example.net"), 1, "waypost domain list"),
        (("remove", "example.net"), 1, "waypost domain list"),
    ],
)
def test_wrong_input_gets_one_line(
    run: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert run("list").stdout.startswith("no domains")


def test_the_list_shows_no_secret(run: Run) -> None:
    run("add", "example.com")
    shown = run("list")
    assert "rsa-sha256" in shown.stdout
    assert "PRIVATE" not in shown.stdout + run("list", "--json").stdout

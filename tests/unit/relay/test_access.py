"""Who may relay where, and in whose name."""

from __future__ import annotations

import ipaddress

import pytest

from waypost.delivery.routing import Patterns
from waypost.relay.access import AccessPolicy, AccessSettings

OWNED = {"ada": Patterns(["ada@example.com", "example.org"]), "gone": Patterns(())}


DEFAULTS = AccessSettings()


def policy(settings: AccessSettings = DEFAULTS) -> AccessPolicy:
    return AccessPolicy(settings, OWNED.get)


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("unix:/run/waypost.sock", True),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
        ("fe80::1%eth0", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_only_this_machine_is_trusted_unless_told_otherwise(address: str, trusted: bool) -> None:
    assert policy().is_trusted(address) is trusted


def test_a_trusted_network_may_relay_to_anywhere_without_logging_in() -> None:
    ours = policy(AccessSettings(trusted_networks=(ipaddress.ip_network("192.0.2.0/24"),)))
    client = ours.identify("192.0.2.9", "submission", None, encrypted=False)
    assert ours.decide_sender(client, "any@example.com") is None
    assert ours.decide_recipient(client, "any@example.net") is None
    assert not ours.identify("127.0.0.1", "submission", None, encrypted=False).may_relay


def test_submission_asks_a_stranger_to_log_in_and_says_how() -> None:
    stranger = policy().identify("192.0.2.1", "submission", None, encrypted=False)
    refusal = policy().decide_sender(stranger, "a@example.com")
    assert refusal is not None
    assert (refusal.code, str(refusal.enhanced)) == (530, "5.7.0")
    assert "STARTTLS, then AUTH" in refusal.text
    secured = policy().identify("192.0.2.1", "submissions", None, encrypted=True)
    refusal = policy().decide_sender(secured, "a@example.com")
    assert refusal is not None
    assert "STARTTLS" not in refusal.text


def test_submission_may_ask_even_this_machine_to_log_in() -> None:
    strict = policy(AccessSettings(require_authentication=True))
    local = strict.identify("127.0.0.1", "submission", None, encrypted=False)
    assert strict.decide_sender(local, "a@example.com") is not None
    assert strict.identify("127.0.0.1", "relay", None, encrypted=False).may_relay


def test_a_user_may_relay_from_anywhere_to_anywhere() -> None:
    user = policy().identify("192.0.2.1", "submission", "bob", encrypted=True)
    assert policy().decide_sender(user, "any@example.com") is None
    assert policy().decide_recipient(user, "any@example.net") is None


@pytest.mark.parametrize("sender", ["ada@example.com", "ADA@Example.COM", "x@example.org", ""])
def test_a_user_may_use_their_own_addresses_and_the_null_sender(sender: str) -> None:
    ada = policy().identify("192.0.2.1", "submission", "ada", encrypted=True)
    assert policy().decide_sender(ada, sender) is None


@pytest.mark.parametrize(
    "sender", ["bob@example.com", "ada@sub.example.org", "ada@example.com.evil"]
)
def test_a_user_may_not_use_the_address_of_another(sender: str) -> None:
    ada = policy().identify("127.0.0.1", "submission", "ada", encrypted=True)
    refusal = policy().decide_sender(ada, sender)
    assert refusal is not None
    assert (refusal.code, str(refusal.enhanced)) == (553, "5.7.1")
    free = policy(AccessSettings(enforce_sender_ownership=False))
    assert free.decide_sender(ada, sender) is None


def test_a_user_with_no_address_left_may_use_none() -> None:
    gone = policy().identify("192.0.2.1", "submission", "gone", encrypted=True)
    assert policy().decide_sender(gone, "gone@example.com") is not None


def test_a_stranger_may_write_to_our_domains_and_to_no_other() -> None:
    ours = policy(AccessSettings(relay_domains=("example.com", "*.example.com")))
    stranger = ours.identify("192.0.2.1", "relay", None, encrypted=False)
    assert ours.decide_sender(stranger, "any@example.net") is None
    assert ours.decide_recipient(stranger, "Ada@EXAMPLE.com") is None
    assert ours.decide_recipient(stranger, "ada@sub.example.com") is None
    for elsewhere in (
        "a@example.net",
        "a@example.com.evil.example",
        "a@notexample.com",
        "postmaster",
    ):
        refusal = ours.decide_recipient(stranger, elsewhere)
        assert refusal is not None
        assert (refusal.code, str(refusal.enhanced)) == (554, "5.7.1")
        assert "relay access denied" in refusal.text
        assert "192.0.2.1" in refusal.text


@pytest.mark.parametrize(
    "recipient",
    ["a%evil.example@example.com", "evil.example!a@example.com", '"a@evil"@example.com'],
)
def test_nobody_is_relayed_through_an_address_of_ours(recipient: str) -> None:
    ours = policy(AccessSettings(relay_domains=("example.com",)))
    stranger = ours.identify("192.0.2.1", "relay", None, encrypted=False)
    refusal = ours.decide_recipient(stranger, recipient)
    assert refusal is not None
    assert "routed" in refusal.text


def test_without_domains_of_ours_a_stranger_writes_to_nobody() -> None:
    stranger = policy().identify("192.0.2.1", "relay", None, encrypted=False)
    assert policy().decide_recipient(stranger, "a@example.com") is not None

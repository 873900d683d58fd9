"""Values without their guard are values all the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from waypost.smtp.envelope import Envelope, Recipient
from waypost.values import unguarded


@unguarded
@dataclass(frozen=True, slots=True)
class Parcel:
    """An example."""

    to: str
    weight: int = 1
    marks: list[str] = field(default_factory=list, hash=False)


def test_defaults_are_made_for_each() -> None:
    first, second = Parcel("a"), Parcel("a")
    first.marks.append("fragile")
    assert (second.weight, second.marks) == (1, [])


def test_equality_hash_and_replace_stay() -> None:
    assert Parcel("a", 2) == Parcel("a", 2)
    assert Parcel("a", 2) != Parcel("a", 3)
    assert hash(Parcel("a", 2)) == hash(Parcel("a", 2))
    assert replace(Parcel("a", 2), weight=5) == Parcel("a", 5)
    assert repr(Parcel("a")) == "Parcel(to='a', weight=1, marks=[])"


def test_an_envelope_can_still_be_a_key_and_be_changed_by_copy() -> None:
    envelope = Envelope("a@example.com", (Recipient("b@example.org"),))
    assert {envelope: 1}[Envelope("a@example.com", (Recipient("b@example.org"),))] == 1
    assert replace(envelope, reverse_path="").recipients == envelope.recipients

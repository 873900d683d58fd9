"""The books of the space: measured once a second, and never promised twice."""

from __future__ import annotations

from waypost.spool.room import Room


class Disk:
    def __init__(self, free: int) -> None:
        self.free = free
        self.pages = (0, 0)
        self.waiting = 0
        self.time = 100.0
        self.measured = 0

    def room(self, minimum_free: int = 0, maximum: int = 0) -> Room:
        def free() -> int:
            self.measured += 1
            return self.free

        return Room(
            minimum_free, maximum, free, lambda: self.pages, lambda: self.waiting,
            lambda: self.time,
        )  # fmt: skip


def test_what_must_stay_free_is_not_given_out() -> None:
    assert Disk(1000).room(minimum_free=300).left() == 700
    assert Disk(100).room(minimum_free=300).left() == -200


def test_the_quota_counts_database_and_files() -> None:
    disk = Disk(10_000)
    disk.pages = (100, 0)
    room = disk.room(maximum=1000)
    room.files = 300
    assert room.left() == 600


def test_free_pages_within_the_database_are_room() -> None:
    disk = Disk(100)
    disk.pages = (500, 400)
    assert disk.room().left() == 500
    assert disk.room(maximum=600).left() == 100


def test_what_is_on_its_way_counts() -> None:
    disk = Disk(1000)
    disk.waiting = 50
    room = disk.room()
    room.promised = 300
    assert room.left() == 650
    room.promised -= 100
    room.taken += 100
    assert room.left() == 650


def test_the_disk_is_measured_once_a_second() -> None:
    disk = Disk(1000)
    room = disk.room()
    room.left()
    room.taken += 100
    disk.free = 900
    disk.time += 0.5
    assert room.left() == 900
    assert disk.measured == 1
    disk.time += 0.6
    assert room.left() == 900, "what was taken is on the disk now, and counted there"
    assert disk.measured == 2

"""Waypost that signs beside Postfix with OpenDKIM, in one run: `python bench/signed.py`.

Both sign every message with an RSA key of 2048 bits, relaxed/relaxed: Waypost by a key of its own
`waypost domain`, Postfix by Debian's opendkim as a milter. The loads and the measuring are those of
`make bench`. Each round runs both, one after the other.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from load import Load, free_port, program, sink_in
from postfix import Postfix, PostfixStarter
from processes import BenchError, group_of, wait_for
from relay import Waypost, WaypostStarter
from system import Starter
from throughput import measure, warm_up
from waypost.mail.dkim_keys import generate_key, key_pem
from waypost.relay.domain_keys import NAME, DomainKeys, KeyState

DOMAIN, SELECTOR = "example.com", "bench"

OPENDKIM = """\
Mode s
Domain {domain}
Selector {selector}
KeyFile {key}
Socket inet:{port}@127.0.0.1
Canonicalization relaxed/relaxed
InternalHosts 127.0.0.1
OversignHeaders From
RequireSafeKeys no
Background no
Syslog no
"""


class SigningWaypost(WaypostStarter):
    """A relay whose data folder has the key."""

    @contextmanager
    def run(self, directory: Path, next_hop: int, panel: str = "off") -> Iterator[Waypost]:
        keys = DomainKeys(directory / "data" / "waypost" / NAME, time.time, time.monotonic)
        keys.add(DOMAIN)
        keys.add_key(DOMAIN, SELECTOR, "rsa")
        keys.set_state(DOMAIN, SELECTOR, KeyState.ACTIVE)
        keys.close()
        with super().run(directory, next_hop, panel) as relay:
            yield relay


class SigningPostfix(PostfixStarter):
    """An instance with a milter that signs."""

    name = "Postfix + OpenDKIM"

    @contextmanager
    def run(self, directory: Path, next_hop: int) -> Iterator[Postfix]:
        port = free_port()
        key = directory / "key.pem"
        key.write_bytes(key_pem(generate_key("rsa")))
        configuration = directory / "opendkim.conf"
        configuration.write_text(
            OPENDKIM.format(domain=DOMAIN, selector=SELECTOR, key=key, port=port)
        )
        self.more = f"smtpd_milters = inet:127.0.0.1:{port}\nmilter_default_action = tempfail\n"
        milter = subprocess.Popen(
            [program("opendkim"), "-f", "-x", str(configuration)], start_new_session=True
        )
        with group_of(milter):
            wait_for("opendkim listens", lambda: _listens(port), 30)
            with super().run(directory, next_hop) as relay:
                yield relay


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=6000)
    options = parser.parse_args()
    starters: list[Starter] = [SigningWaypost(), SigningPostfix()]
    rates: dict[str, list[float]] = {starter.name: [] for starter in starters}
    directory = Path(tempfile.mkdtemp(prefix="waypost-bench-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        with sink_in(directory) as sink:
            for number in range(options.rounds):
                for starter in starters:
                    place = directory / f"{number}-{starter.name.split()[0]}"
                    place.mkdir()
                    with starter.run(place, sink.port) as system:
                        warm_up(system, sink)
                        figures = measure(system, sink, Load(options.messages), 300)
                    rates[starter.name].append(figures.delivered_rate)
                    print(f"round {number + 1}: {starter.name}: {figures.delivered_rate:,.0f}/s")
    except BenchError as fault:
        print(f"The benchmark broke off: {fault}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    ours, theirs = rates.values()
    pairs = sorted(one / other for one, other in zip(ours, theirs, strict=True))
    for name, found in rates.items():
        print(f"{name:<20} {statistics.median(found):7,.0f} delivered/s")
    print(f"{'ratio':<20} {statistics.median(pairs):7.2f}  ({pairs[0]:.2f}-{pairs[-1]:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

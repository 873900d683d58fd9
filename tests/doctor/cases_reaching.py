"""Cases of what goes wrong before a server speaks: names and connections."""

from __future__ import annotations

import asyncio
import errno
import socket

from broken_servers import RESET, Script
from cause_cases import HOST, closed_port, finds
from check_lab import CheckLab

from waypost.doctor.check.run import Checked

# --- DNS ------------------------------------------------------------------------------------------


@finds("dns.no_such_host")
async def a_name_that_does_not_exist(lab: CheckLab) -> Checked:
    await lab.name(HOST)
    return await lab.check("mial.test:587")


@finds("dns.no_such_host")
async def a_domain_that_does_not_exist(lab: CheckLab) -> Checked:
    await lab.name(HOST)
    return await lab.check("someone@nowhere.test")


@finds("dns.no_address")
async def a_name_without_an_address(lab: CheckLab) -> Checked:
    await lab.name({("mail.test", "TXT"): ['"no address"']})
    return await lab.check("mail.test:587")


@finds("dns.timeout")
async def a_name_server_that_never_answers(lab: CheckLab) -> Checked:
    await lab.name({("mail.test", "*"): "SILENCE"})
    return await lab.check("mail.test:587")


@finds("dns.servfail")
async def a_name_server_that_fails(lab: CheckLab) -> Checked:
    await lab.name({("mail.test", "*"): "SERVFAIL"})
    return await lab.check("mail.test:587")


@finds("dns.servfail")
async def a_domain_whose_name_server_fails(lab: CheckLab) -> Checked:
    await lab.name({("broken.test", "*"): "SERVFAIL"})
    return await lab.check("someone@broken.test")


@finds("dns.null_mx")
async def a_domain_with_a_null_mx(lab: CheckLab) -> Checked:
    await lab.name({("example.test", "MX"): ["0 ."]})
    return await lab.check("example.test")


@finds("dns.no_mx")
async def a_domain_with_neither_mx_nor_address(lab: CheckLab) -> Checked:
    await lab.name({("example.test", "TXT"): ['"v=spf1 -all"']})
    return await lab.check("example.test")


@finds("dns.no_mx")
async def a_domain_with_an_address_only(lab: CheckLab) -> Checked:
    port = await lab.serve(Script())
    await lab.name({("example.test", "A"): ["127.0.0.1"]})
    return await lab.check("example.test", port=port)


@finds("dns.mx_is_cname")
async def a_domain_whose_mx_is_an_alias(lab: CheckLab) -> Checked:
    port = await lab.serve(Script())
    await lab.name(
        {
            ("example.test", "MX"): ["10 mx.example.test."],
            ("mx.example.test", "CNAME"): ["mail.test."],
            **HOST,
        }
    )
    return await lab.check("example.test", port=port)


@finds("dns.no_such_host")
async def an_alias_of_a_name_that_does_not_exist(lab: CheckLab) -> Checked:
    await lab.name({("mail.test", "CNAME"): ["gone.test."]})
    checked = await lab.check("mail.test:587")
    assert "gone.test" in checked.diagnosis.fix
    return checked


@finds("dns.mx_is_address")
async def an_mx_that_is_an_address(lab: CheckLab) -> Checked:
    port = await lab.serve(Script())
    await lab.name({("example.test", "MX"): ["10 127.0.0.1."]})
    return await lab.check("example.test", port=port)


@finds("dns.private_address")
async def an_mx_with_a_private_address(lab: CheckLab) -> Checked:
    for port in (25, 465, 587, 2525):
        refusal = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        lab.network.places["10.0.0.1", port] = refusal
    await lab.name(
        {("example.test", "MX"): ["10 mx.example.test."], ("mx.example.test", "A"): ["10.0.0.1"]}
    )
    return await lab.check("example.test")


@finds("tcp.refused")
async def an_mx_that_refuses_while_another_port_is_open(lab: CheckLab) -> Checked:
    lab.network.places["127.0.0.1", 25] = ("127.0.0.1", closed_port(lab))
    lab.network.places["127.0.0.1", 2525] = ("127.0.0.1", await lab.serve(Script()))
    await lab.name({("example.test", "MX"): ["10 mail.test."], **HOST})
    return await lab.check("example.test")


# --- TCP ------------------------------------------------------------------------------------------


@finds("tcp.refused")
async def a_port_that_nobody_listens_on(lab: CheckLab) -> Checked:
    return await lab.check(f"127.0.0.1:{closed_port(lab)}")


@finds("tcp.timeout_filtered")
async def a_port_that_never_answers(lab: CheckLab) -> Checked:
    # The queue of a socket that never accepts is full: the system drops what else comes.
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    lab.hold(listener)
    for _ in range(4):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
        lab.hold(waiting)
    await asyncio.sleep(0.05)
    return await lab.check(f"127.0.0.1:{listener.getsockname()[1]}", seconds=1.0)


@finds("tcp.unreachable")
async def a_network_without_a_way(lab: CheckLab) -> Checked:
    lab.network.places["192.0.2.1", 587] = OSError(errno.ENETUNREACH, "Network is unreachable")
    return await lab.check("192.0.2.1:587", seconds=0.5)


@finds("tcp.reset")
async def a_connection_that_is_cut_at_once(lab: CheckLab) -> Checked:
    port = await lab.serve(Script(greeting=RESET))
    return await lab.check(f"127.0.0.1:{port}")


@finds("tcp.port25_blocked")
async def a_host_whose_port_25_alone_is_shut(lab: CheckLab) -> Checked:
    submission = await lab.serve(Script())
    lab.network.places["127.0.0.1", 25] = ("127.0.0.1", closed_port(lab))
    lab.network.places["127.0.0.1", 587] = ("127.0.0.1", submission)
    await lab.name(HOST)
    return await lab.check("mail.test:25")

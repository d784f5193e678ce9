"""The workshop's rules for every test: loopback only, a clean environment, a foreign time zone, known examples.

A test marked `live` may use the network; nothing else may, and whoever tries is told where it wanted to go.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

for _name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[_name]
# Beijing is eight hours east; a test machine is not. Whoever takes local time for Beijing's is found out here.
os.environ["TZ"] = "America/St_Johns"
if hasattr(time, "tzset"):
    time.tzset()

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")

UNRESOLVABLE = (".invalid", ".test", ".example")  # names that RFC 2606 promises nobody has


class ReachedOut(RuntimeError):
    """A test wanted to leave the machine."""


def _is_loopback(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _is_numeric(host: object) -> bool:
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True


class _Guard:
    """Stands in front of the socket doors. `is_open` for tests marked `live`."""

    def __init__(self) -> None:
        self.is_open = False

    def check(self, where: Any) -> None:
        # Unix sockets have a path for an address, and stay on the machine.
        if not self.is_open and isinstance(where, tuple) and not _is_loopback(where[0]):
            raise ReachedOut(f"tests reach loopback only, not {where[0]!r}")

    def guarded(self, name: str) -> Any:
        original = getattr(socket.socket, name)

        def door(one: socket.socket, *args: Any) -> Any:
            self.check(args[-1])
            return original(one, *args)

        return door

    def resolving(self) -> Any:
        original = socket.getaddrinfo

        def getaddrinfo(host: Any, *args: Any, **more: Any) -> Any:
            if not self.is_open and not _is_loopback(host) and not _is_numeric(host):
                if str(host).endswith(UNRESOLVABLE):
                    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
                raise ReachedOut(f"tests resolve no names, not {host!r}")
            return original(host, *args, **more)

        return getaddrinfo


@pytest.fixture(scope="session")
def _guard() -> Iterator[_Guard]:
    guard = _Guard()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, guard.guarded(name))
        patch.setattr(socket, "getaddrinfo", guard.resolving())
        yield guard


@pytest.fixture(autouse=True)
def _no_network(_guard: _Guard, request: pytest.FixtureRequest) -> Iterator[None]:
    _guard.is_open = request.node.get_closest_marker("live") is not None
    yield
    _guard.is_open = False

"""Looks at a vendor's TLS from outside: which version and cipher it takes, and which certificate it shows.

A probe is a handshake and nothing else: no request is sent, nothing is judged, and what was seen is handed back.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import httpx

from harness.run.wire import clock_of


class Handshake(StrEnum):
    """What became of a handshake."""

    DONE = "done"
    REFUSED = "refused"  # connected, but no agreement: version, cipher, or no TLS at all
    UNREACHABLE = "unreachable"  # no TCP connection
    TIMED_OUT = "timed_out"
    UNABLE = "unable"  # our own library does not speak the version asked for: says nothing about the vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server's own certificate, as it shows it (RFC 5280); names are `CN=…, O=…`."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    sha256: str  # of the DER, hex


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsProbe:
    """One handshake, or the try at one. Fields are `None` where it did not come to that."""

    handshake: Handshake
    version: str | None = None  # "TLSv1.3"
    cipher: str | None = None
    certificate: Certificate | None = None  # None too if it cannot be read
    verified: bool | None = None
    why: str | None = None  # why it was not verified, or why there was no handshake
    seconds: float  # TCP and TLS together, of the try that is reported


async def probe_tls(
    host: str,
    port: int = 443,
    *,
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    trust: bytes | None = None,
    timeout_seconds: float = 10.0,
) -> TlsProbe:
    """Shake hands with `host:port` offering only the versions from `minimum` to `maximum`.

    A certificate that does not verify costs a second handshake, unverified, to see it all the same. `trust` is a
    PEM bundle used instead of the public authorities.
    """
    try:
        strict = _context(minimum, maximum, trust)
        lax = _context(minimum, maximum, trust)
    except (ssl.SSLError, ValueError) as error:
        return TlsProbe(handshake=Handshake.UNABLE, why=str(error), seconds=0.0)
    lax.check_hostname = False
    lax.verify_mode = ssl.CERT_NONE
    probe, unverified = await _shake(host, port, strict, timeout_seconds)
    if unverified is None:
        return probe
    probe, _ = await _shake(host, port, lax, timeout_seconds, verified=False, why=unverified)
    return probe


async def _shake(
    host: str,
    port: int,
    context: ssl.SSLContext,
    timeout_seconds: float,
    *,
    verified: bool = True,
    why: str | None = None,
) -> tuple[TlsProbe, str | None]:
    """One handshake; the text beside it says why the certificate did not verify, where that was the end of it."""
    loop = asyncio.get_running_loop()
    elapsed = _watch(clock_of(loop))
    transport: asyncio.BaseTransport | None = None
    connected = False
    try:
        async with asyncio.timeout(timeout_seconds):
            transport, protocol = await loop.create_connection(asyncio.Protocol, host, port)
            connected = True
            transport = await loop.start_tls(transport, protocol, context, server_hostname=host)
        seen = transport.get_extra_info("ssl_object") if transport else None
        if seen is None:
            return TlsProbe(handshake=Handshake.REFUSED, why="closed during the handshake", seconds=elapsed()), None
        certificate = read_certificate(seen.getpeercert(binary_form=True) or b"")
        return TlsProbe(
            handshake=Handshake.DONE,
            version=seen.version(),
            cipher=seen.cipher()[0],
            certificate=certificate,
            verified=verified,
            why=why,
            seconds=elapsed(),
        ), None
    except ssl.SSLCertVerificationError as error:
        refused = TlsProbe(handshake=Handshake.REFUSED, why=error.verify_message, seconds=elapsed())
        return refused, error.verify_message
    except TimeoutError:
        return TlsProbe(handshake=Handshake.TIMED_OUT, why=None, seconds=elapsed()), None
    except ssl.SSLError as error:
        ours = error.reason in ("NO_PROTOCOLS_AVAILABLE", "UNSUPPORTED_PROTOCOL_VERSION", "NO_CIPHERS_AVAILABLE")
        outcome = Handshake.UNABLE if ours else Handshake.REFUSED
        return TlsProbe(handshake=outcome, why=error.reason or str(error), seconds=elapsed()), None
    except (OSError, ValueError, OverflowError) as error:
        outcome = Handshake.REFUSED if connected else Handshake.UNREACHABLE
        return TlsProbe(handshake=outcome, why=str(error) or type(error).__name__, seconds=elapsed()), None
    finally:
        if transport is not None:
            transport.abort()  # type: ignore[attr-defined]
            await asyncio.sleep(0)


def _watch(clock: Callable[[], float]) -> Callable[[], float]:
    began = clock()
    return lambda: clock() - began


def _context(minimum: ssl.TLSVersion, maximum: ssl.TLSVersion, trust: bytes | None) -> ssl.SSLContext:
    if trust is None:
        context = httpx.create_ssl_context(trust_env=False)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=trust.decode("ascii"))
    with warnings.catch_warnings():
        # Old versions are what we ask about, so the advice against them is beside the point.
        warnings.simplefilter("ignore", DeprecationWarning)
        if minimum < ssl.TLSVersion.TLSv1_2:
            # OpenSSL 3 keeps TLS 1.0 and 1.1 to security level 0 (their SHA-1); without it *we* would refuse.
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = minimum
        context.maximum_version = maximum
    return context


_NAMES: Final = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O", b"\x55\x04\x0b": "OU", b"\x55\x04\x06": "C"}
_UTC_TIME, _UTF16_STRING, _VERSION = 0x17, 0x1E, 0xA0


def read_certificate(der: bytes) -> Certificate | None:
    """Names and dates of an X.509 certificate in DER, verified or not; `None` if it does not read as one.

    The standard library tells these of verified certificates only.
    """
    try:
        fields = _parts(_parts(_parts(der)[0][1])[0][1])
        if fields[0][0] == _VERSION:
            fields = fields[1:]
        _serial, _algorithm, issuer, validity, subject = fields[:5]
        begins, ends = _parts(validity[1])
        return Certificate(
            subject=_name(subject[1]),
            issuer=_name(issuer[1]),
            not_before=_instant(*begins),
            not_after=_instant(*ends),
            sha256=hashlib.sha256(der).hexdigest(),
        )
    except (ValueError, IndexError):
        return None


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """The tag-length-value items side by side in DER (X.690). Raises ValueError, IndexError."""
    items: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            width = length & 0x7F
            length, at = int.from_bytes(data[at : at + width], "big"), at + width
        if length > len(data) - at:
            raise ValueError("an item longer than what holds it")
        items.append((tag, data[at : at + length]))
        at += length
    return items


def _name(data: bytes) -> str:
    """A distinguished name's common parts, `CN=…, O=…`, in the certificate's order."""
    found: list[str] = []
    for _, group in _parts(data):
        for _, pair in _parts(group):
            (_, kind), (tag, value) = _parts(pair)[:2]
            if short := _NAMES.get(kind):
                text = value.decode("utf-16-be" if tag == _UTF16_STRING else "utf-8", "replace")
                found.append(f"{short}={text}")
    return ", ".join(found)


def _instant(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year, pivot 50 (RFC 5280, 4.1.2.5.1)
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)

"""Criterion 3: how the vendor guards data 数据加密 / ISO 27001: what its endpoint takes, and what papers say.

Probes knock with our own account; a certificate on paper and a refused forgery are shown apart.
"""

from __future__ import annotations

import re

from harness.domain import Better, Scope, State, Unit
from harness.dossier import DocumentKind
from harness.judge.criteria import Absent, Told, View, exactly, measure
from harness.judge.criteria.licence import paper_of
from harness.judge.stats import NotEnough


def refused(view: View, what: str) -> Told | NotEnough:
    """Share of probes of a kind that the vendor turned down, as it should."""
    probes = view.probes[view.probes["what"] == what]
    known = probes[probes["taken"].notna()]
    if known.empty:
        return NotEnough(reason="probe_untold" if len(probes) else "no_cases")
    taken = known["taken"].astype(bool)
    value = 1.0 - float(taken.mean())
    answer = exactly(value, n=len(known), method="probe")
    return Told(answer=answer, cases=[*known["case_id"][taken], *known["case_id"][~taken]])


@measure("tls.old_refused", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("transport",), denominator="probes")
def old_tls(view: View) -> Told | NotEnough:
    """Whether handshakes older than TLS 1.2 are turned down."""
    return refused(view, "tls")


@measure("tls.version", unit=Unit.RATIO, better=Better.HIGHER, scenarios=("transport",), denominator="probes")
def tls_version(view: View) -> Told | NotEnough:
    """The lowest TLS version that was taken, as a number: 1.2."""
    probes = view.probes[view.probes["what"] == "tls"]
    found = [
        (float(version[1] or "1.0"), case)
        for case, detail in zip(probes["case_id"], probes["detail"], strict=True)
        for key, handshake in detail.items()
        if handshake == "done" and (version := re.fullmatch(r"TLSv(1\.\d)?1?", key)) is not None
    ]
    if not found:
        return NotEnough(reason="probe_untold" if len(probes) else "no_cases")
    lowest, case = min(found)
    return Told(answer=exactly(lowest, n=len(probes), method="probe"), cases=[case])


@measure("plain_http.refused", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("transport",), denominator="probes")
def plain_http(view: View) -> Told | NotEnough:
    """Whether requests over plain HTTP are turned down."""
    return refused(view, "plain_http")


@measure("replay.refused", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("transport",), denominator="probes")
def replay(view: View) -> Told | NotEnough:
    """Whether a signed request sent a second time is turned down."""
    return refused(view, "replay")


@measure("stale.refused", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("transport",), denominator="probes")
def stale(view: View) -> Told | NotEnough:
    """Whether a request signed long ago is turned down."""
    return refused(view, "stale")


@measure(
    "forged_signature.refused", unit=Unit.SHARE, better=Better.HIGHER, scenarios=("transport",), denominator="probes"
)
def forged(view: View) -> Told | NotEnough:
    """Whether a request with a wrong signature is turned down."""
    return refused(view, "forged_signature")


@measure("push.authenticated", unit=Unit.SHARE, better=Better.HIGHER, scenarios=())
def pushes(view: View) -> Told:
    """Whether the vendor's pushes prove that they come from it: as its documents say and our adapter checks."""
    if "reads_pushes" not in view.entry.capabilities:
        return Told(answer=Absent(state=State.NOT_OFFERED, reason="no_pushes"))
    # Read in the vendor's documents, not seen on the wire: never shown as measured.
    answer = exactly(float(view.entry.push_is_signed), method="documents", scope=Scope.VENDOR)
    return Told(answer=answer, attested=True)


@measure("iso27001.attested", unit=Unit.SHARE, better=Better.HIGHER, scenarios=())
def iso27001(view: View) -> Told:
    """Whether the ISO/IEC 27001 certificate is there and valid."""
    return paper_of(view, DocumentKind.ISO27001)


@measure("djbh.level", unit=Unit.RATIO, better=Better.HIGHER, scenarios=())
def djbh(view: View) -> Told:
    """The attested level of 等级保护, from 1 to 5."""
    return number_on(view, DocumentKind.DJBH, "level")


def number_on(view: View, kind: DocumentKind, name: str) -> Told:
    """A number that a valid paper names, e.g. the days of a contract's clause."""
    told = paper_of(view, kind)
    if isinstance(told.answer, Absent):
        return told
    paper = view.papers[kind]
    if told.answer == exactly(0.0, method="attested"):
        absent = Absent(state=State.INSUFFICIENT, reason="document_expired", values={"document": kind.value})
        return Told(answer=absent, attested=True)
    try:
        value = float(paper.values[name])
    except (KeyError, ValueError):
        absent = Absent(state=State.INSUFFICIENT, reason="document_silent", values={"document": kind.value})
        return Told(answer=absent, attested=True)
    return Told(answer=exactly(value, method="attested"), attested=True)

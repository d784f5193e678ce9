"""Criterion 1: the vendor's licence and the one 1069 code on all carriers 增值电信业务经营许可证、三网合一码号.

Papers are attested by a person; that messages really come from one code is measured on the phones.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.domain import Better, Carrier, State, Unit
from harness.dossier import DocumentKind
from harness.judge.criteria import Absent, Answer, Told, View, cases_of, exactly, measure, rate_of
from harness.judge.stats import NotEnough

CODE: Final = "1069"
CODE_DIGITS: Final = 8  # what MIIT assigns; the rest is the vendor's extension
THREE: Final = (Carrier.CHINA_MOBILE.value, Carrier.CHINA_UNICOM.value, Carrier.CHINA_TELECOM.value)


def paper_of(view: View, kind: DocumentKind) -> Told:
    """1 for a paper that was valid when the run ended, 0 for an expired one; no number where none counts."""
    paper = view.papers.get(kind)
    answer: Answer
    if paper is None:
        answer = Absent(state=State.INSUFFICIENT, reason="document_missing", values={"document": kind.value})
    elif (verdict := paper.verdict(view.on)) == "not_counted":
        answer = Absent(state=State.INSUFFICIENT, reason="document_not_counted", values={"document": kind.value})
    else:
        answer = exactly(1.0 if verdict == "valid" else 0.0, method="attested")
    return Told(answer=answer, attested=True)


@measure("licence.attested", unit=Unit.SHARE, better=Better.HIGHER, scenarios=())
def licence(view: View) -> Told:
    """Whether the value-added telecom licence is there and valid."""
    return paper_of(view, DocumentKind.LICENCE)


@measure("code_certificate.attested", unit=Unit.SHARE, better=Better.HIGHER, scenarios=())
def code_certificate(view: View) -> Told:
    """Whether the certificate of the 1069 code 电信网码号资源使用证书 is there and valid."""
    return paper_of(view, DocumentKind.CODE_CERTIFICATE)


@measure("sender.tri_network", unit=Unit.SHARE, better=Better.HIGHER, denominator="seen")
def tri_network(view: View) -> Told | NotEnough:
    """Share of sightings that show the one 1069 code which the vendor uses on all three carriers."""
    seen = view.accepted[view.accepted["sender"].notna()]
    seen = seen[seen["carrier"].isin(THREE)]
    carriers = seen["carrier"].nunique()
    if carriers < len(THREE):
        return NotEnough(reason="few_carriers", values={"carriers": carriers, "needed": len(THREE)})
    codes = seen["sender"].str[:CODE_DIGITS].where(seen["sender"].str.startswith(CODE))
    carriers_of = seen["carrier"].astype(str).groupby(codes).nunique()
    shared = codes[codes.isin(carriers_of[carriers_of == len(THREE)].index)].value_counts()
    is_shared = (codes == shared.index[0]).to_numpy() if len(shared) else np.zeros(len(seen), dtype=bool)
    return Told(answer=rate_of(is_shared, seen), cases=cases_of(seen, ~is_shared))

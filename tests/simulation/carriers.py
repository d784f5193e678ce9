"""A world with an HTTP vendor and five direct routes, one for each dialect: the stage of the tests of links."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from harness.judge import journeys
from tests.simulation.history import History, history_of
from tests.simulation.worlds import PANEL, SETTINGS, Scene, Stage

GATEWAYS = {
    "cmpp3": ("cmpp", "901234", 'version: "3.0"'),
    "cmpp2": ("cmpp", "901235", 'version: "2.0"'),
    "smpp": ("smpp", "esme1", ""),
    "sgip": ("sgip", "spuser", ""),
    "smgp": ("smgp", "12345678", ""),
}
LABELS = ("honest", *GATEWAYS)

TRUTH = """
  honest:
    wire: alibaba
    name: {zh-CN: 诚, en: Honest}
    credentials: {access_key: canary-honest-key, access_secret: canary-honest-secret}
    signatures: {某某科技: approved}
    mode: push
    price: 0.045
    arrival: 0.95
    latency: {median: 3, sigma: 0.4}
    acknowledgement: 0.12
    receipts: {missing: 0.02, delay: {median: 2, sigma: 0.4}}
    senders: "106900110011"
    options: {caps: lifted}
"""


def gateway(label: str, options: str = "", *, quick: bool = False) -> str:
    """The truth of one account at a gateway. `options`: YAML, with what it does wrong. `quick`: for real time."""
    wire, account, own = GATEWAYS[label]
    number = list(GATEWAYS).index(label)
    told = ", ".join(one for one in (own, options) if one)
    times = (
        "    latency: 0.05\n    acknowledgement: 0.005\n    receipts: {delay: 0.05, failure: 0.05}\n"
        if quick
        else "    latency: {median: 3, sigma: 0.4}\n    acknowledgement: 0.1\n"
        "    receipts: {missing: 0.02, delay: {median: 2, sigma: 0.4}}\n"
    )
    return (
        f"  {label}:\n    wire: {wire}\n    name: {{zh-CN: {label}, en: {label}}}\n"
        f'    credentials: {{account: "{account}", secret: canary-{label}}}\n'
        f"    signatures: {{某某科技: approved}}\n    mode: push\n    price: 0.04\n    arrival: 0.95\n{times}"
        f"    blacklist: {{where: report}}\n    words: {{where: report}}\n    opt_out: {{where: report}}\n"
        f'    senders: "10690055{number:04d}"\n    options: {{{told}}}\n'
    )


def scene(options: str = "", *, scenarios: str = "delivery: {messages: 10, over: 6 h}", faults: str = "") -> Scene:
    """The six of them; `options` for every gateway."""
    vendors = TRUTH + "".join(gateway(label, options) + (f"    {faults}\n" if faults else "") for label in GATEWAYS)
    panel = PANEL + "  apps: {smsforwarder: 3, smsgate: 2, json: 2}\n"
    return Scene(vendors=vendors, panel=panel, settings=SETTINGS, scenarios=scenarios)


def known(stage: Stage) -> History:
    """A stage's history; gateways are told no reference, so a message is found by its text."""
    history = history_of(stage)
    by_text = {(case.vendor, draft.text): draft.reference for case in history.cases.values() for draft in case.drafts}
    sendings = [
        one if one.reference else replace(one, reference=by_text[one.label, one.text]) for one in history.sendings
    ]
    refusals = [
        one if one.reference else replace(one, reference=by_text[one.label, one.text]) for one in history.refusals
    ]
    return replace(history, sendings=sendings, refusals=refusals)


def verdicts(stage: Stage) -> pd.DataFrame:
    """What is said of each message: taken or not, claimed and seen."""
    messages = journeys.read(stage.facts()).messages
    columns = ["case_id", "leg", "vendor", "outcome", "report_state", "report_code", "watch"]
    return messages[columns].astype(object).where(messages[columns].notna(), None)

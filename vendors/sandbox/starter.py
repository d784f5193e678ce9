"""The files of an evaluation against a sandbox world: what somebody would write by hand for real vendors and phones.

Nothing secret stands in them: credentials are `$NAMES`, and their values come as an environment beside the files.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.domain import Purpose
from vendors.sandbox.door import filing_of, template_id
from vendors.sandbox.world import World

TOLD: Final = ("version", "window", "service_id", "answer_seconds", "keep_alive_seconds")
"""Options of a gateway's account that its customer must know as well."""

Texts = Mapping[str, tuple[str, Purpose]]
"""Test text id → its template and purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """`files`: name → text. `environment`: the variables they need."""

    files: Mapping[str, str]
    environment: Mapping[str, str] = field(repr=False)


def file_texts(world: World, texts: Texts) -> dict[str, dict[str, str]]:
    """File every test text with every vendor, as if reviewed before; label → text id → the vendor's template id."""
    filed: dict[str, dict[str, str]] = {}
    for label in world.accounts:
        ids = {}
        for number, (name, (text, purpose)) in enumerate(texts.items(), 1):
            template = template_id(world.counterparts[label], number)
            world.file_template(label, template, text, purpose)
            ids[name] = template
        filed[label] = ids
    return filed


def write_files(
    world: World,
    texts: Texts,
    *,
    scenarios: str,
    settings: str = "",
    endpoints: Mapping[str, str] | None = None,
    dossier: str = "",
) -> Files:
    """Evaluation, recipients, forwarders and dossier for a world.

    Args:
        scenarios: the YAML lines under `scenarios:`, without indentation.
        settings: further top-level YAML lines.
        endpoints: label or "phones" → base URL on real ports; None: in memory.
        dossier: text of the dossier's file; empty: no papers are on file.
    """
    environment: dict[str, str] = {}
    filed = file_texts(world, texts)
    vendors = "".join(_vendor(world, label, filed[label], endpoints, environment) for label in world.accounts)
    head = [f"evaluation: sandbox {world.truth.name}", "mode: sandbox"]
    head += ["recipients: recipients.csv", "forwarders: forwarders.yaml"]
    head += ["dossier: dossier.yaml"] if dossier else []
    indented = "".join(f"  {line}\n" for line in scenarios.strip().splitlines())
    evaluation = "\n".join([*head, settings.strip(), "", f"vendors:\n{vendors}", f"scenarios:\n{indented}"])
    return Files(
        files={
            "evaluation.yaml": evaluation,
            "recipients.csv": _recipients(world),
            "forwarders.yaml": _forwarders(world, (endpoints or {}).get("phones"), environment),
            **({"dossier.yaml": dossier} if dossier else {}),
        },
        environment=environment,
    )


def _variable(*parts: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", "_".join(parts).upper())


def _vendor(
    world: World,
    label: str,
    templates: Mapping[str, str],
    endpoints: Mapping[str, str] | None,
    environment: dict[str, str],
) -> str:
    account = world.accounts[label]
    names = ", ".join(f"{language}: {name}" for language, name in account.truth.name.items())
    lines = [f"  {label}:", f"    name: {{{names}}}", f"    use: {account.truth.wire}", "    account:"]
    for name, value in account.credentials.items():
        variable = _variable(label, name)
        environment[variable] = value
        lines.append(f"      {name}: ${variable}")
    environment[secret := _variable(label, "push_secret")] = world.push_secret(label)
    lines.append(f"    push_secret: ${secret}")
    signature = next(name for name, approved in account.signatures.items() if approved)
    options = {**filing_of(world.counterparts[label]), **_link_options(world, label, (endpoints or {}).get(label))}
    lines += (
        ["    options: {" + ", ".join(f'{name}: "{value}"' for name, value in options.items()) + "}"] if options else []
    )
    lines += [f"    signature: {signature}", f"    price: {account.truth.price} CNY"]
    if endpoints is not None and label not in world.gateways:
        lines.append(f"    endpoint: {endpoints[label]}")
    lines += ["    templates:", *(f"      {name}: {template}" for name, template in templates.items())]
    return "\n".join(lines) + "\n"


def _link_options(world: World, label: str, address: str | None) -> dict[str, str]:
    """What a gateway's operator tells its customer. `address`: of its port, where it has a real one."""
    if label not in world.gateways:
        return {}
    account = world.accounts[label]
    told = {"source": next(iter(account.truth.senders.values()))}
    told |= {name: account.options[name] for name in TOLD if name in account.options}
    if account.truth.wire == "sgip":
        told |= {"corp_id": "12345", "listen": account.options.get("dials", "127.0.0.1:8801")}
    if address is not None:
        host, _, port = address.partition("://")[2].rpartition(":")
        told |= {"host": host, "port": port}
    return told


def _recipients(world: World) -> str:
    rows = world.panel_rows()
    columns = list(dict.fromkeys(column for row in rows for column in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _forwarders(world: World, phones_url: str | None, environment: dict[str, str]) -> str:
    text = ""
    for row in world.forwarder_rows(phones_url):
        text += f"{row['id']}:\n  app: {row['app']}\n"
        for name in ("secret", "password"):
            if row.get(name):
                environment[_variable(row["id"], name)] = row[name]
                text += f"  {name}: ${_variable(row['id'], name)}\n"
        for name in ("api", "username"):
            if row.get(name):
                text += f"  {name}: {row[name]}\n"
        if row["app"] == "json":
            text += _json_fields(row)
    return text


def _json_fields(row: Mapping[str, str]) -> str:
    fields = dict(pair.split(": ") for pair in row["fields"].split(", "))
    lines = [f"  header: {row['header']}", f"  time_format: {row.get('time_format', 'iso')}", "  fields:"]
    fields["heartbeat"] = "at"
    return "\n".join([*lines, *(f"    {name}: {path}" for name, path in fields.items())]) + "\n"

"""The numpy twin and the real pipe are two ways of drawing from one law; what a truth changes is seen by these tests.

Same plan, same people, same luck of handsets: each run of the real pipe must look like one more draw of the twin.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from harness.domain import BEIJING, Carrier
from harness.judge import journeys, scoring
from tests.simulation import twin
from tests.simulation.twin import Course, NoTwin, Size
from vendors.sandbox.truth import Spread, WorldTruth, read_truth

BEGINS = datetime(2026, 3, 2, 9, 0, tzinfo=BEIJING)
EPOCH = BEGINS.replace(hour=0)
SEEDS = (11, 12, 13)
SIZE = Size(messages=720, days=5)
DRAWS = 60
FEW = 20
GREATEST_Z = 3.6  # of some twenty statistics: one clean set in two hundred would fail, with these seeds none does
LEAST_P = 1e-3

WORLD = """
world: twin
vendors:
  doubtful:
    wire: alibaba
    credentials: {access_key: sandbox-key, access_secret: sandbox-secret}
    signatures: {某某科技: approved}
    mode: push
    options: {caps: lifted}
    arrival: {china_mobile: 0.95, china_unicom: 0.93, china_telecom: 0.9}
    ported: 0.9
    icc: 0.1
    hours:
      - {from: "17:00", to: "20:30", arrival: 0.93, slower: 1.6}
    outages:
      - {carrier: china_unicom, from: day 2 10:00, to: day 2 13:00, arrival: 0.3, slower: 2}
    random_outages: {per_week: 3, arrival: 0.2, minutes: {median: 40, sigma: 0.5}}
    latency:
      china_mobile: {median: 3, sigma: 0.5}
      china_unicom: {median: 5, sigma: 0.7}
      china_telecom: {median: 4, sigma: 1.3}
    acknowledgement: {median: 0.15, sigma: 0.4}
    duplicates: 0.03
    altered: 0.02
    receipts: {kind: share, share: 0.08, kept_back: 0.7, missing: 0.05, early: 0.02, delay: {median: 2, sigma: 0.6}}
    senders: "106900110011"
panel:
  handsets: {china_mobile: 8, china_unicom: 8, china_telecom: 8}
  invalid: 0
  unreachable: 0
  blocked: 0
  provinces: [Guangdong, Sichuan]
  ported: 0.25
  clock_offset_seconds: 12
  clock_drift_ppm: 8
  apps: {smsforwarder: 5, smsgate: 3, json: 2}
  app_miss: 0.03
  app_repeat: 0.02
  forward_delay: {median: 1.1, sigma: 0.5}
  standby: 0.01
  standby_delay: {median: 900, sigma: 0.6}
  heartbeat_minutes: 240
  controls_per_day: 0
  down:
    - {phones: 2, from: day 2 10:00, to: day 2 18:00, kind: off}
    - {phones: 1, from: day 4 09:30, to: day 4 19:00, kind: app}
  consent_by: twin panel
  consent_on: 2026-01-05
"""


def truth() -> WorldTruth:
    return read_truth(WORLD, "twin.yaml")


def told(frame: pd.DataFrame) -> dict[str, float]:
    """What one month says of each part of the truth."""
    arrived, watched = (frame["watch"] == "arrived").to_numpy(), frame["watch"].isin(("arrived", "missing")).to_numpy()
    took = (frame["arrived_at"] - frame["sent_at"]).to_numpy()[arrived]
    claimed = (frame["report_state"] == "delivered").to_numpy()
    carrier, evening = frame["carrier"].astype(str).to_numpy(), frame["hour_band"].isin(("17", "18", "19")).to_numpy()
    found = {f"arrival {one}": arrived[watched & (carrier == one)].mean() for one in sorted(set(carrier))}
    took = took[~np.isnan(took)]
    return found | {
        "arrival in the evening": arrived[watched & evening].mean(),
        "arrival of ported numbers": arrived[watched & frame["ported"].to_numpy().astype(bool)].mean(),
        "median of times": float(np.log(np.median(took))),
        "a fast tenth": float(np.log(np.quantile(took, 0.1))),
        "a slow tenth": float(np.log(np.quantile(took, 0.9))),
        "made-up receipts": (claimed & watched & ~arrived).sum() / claimed.sum(),
        "missing receipts": frame["report_state"].isna().mean(),
        "undelivered": (frame["report_state"] == "undelivered").mean(),
        "time to the report": float(np.log((frame["reported_at"] - frame["sent_at"]).median())),
        "early reports": (frame["reported_at"] < frame["arrived_at"]).mean(),
        "time to the answer": float(np.log(frame["wait"].median())),
        "altered": (frame["sighting"] == "altered").mean(),
        "copies": (frame["copies"] > 1).mean(),
        "found in an inbox": (frame["searched"] == True).mean(),  # noqa: E712
        "not found there": (frame["searched"] == False).mean(),  # noqa: E712
        "void": (frame["watch"] == "void").mean(),
        "without a time": (frame["clock"] == "interval").mean(),
        "clock bounds": float(frame["clock_bound"].mean()),
        "spread over handsets": _dispersion(arrived[watched], frame["phone"].to_numpy()[watched]),
        "spread over hours": _dispersion(
            arrived[watched], (frame["sent_at"].to_numpy()[watched] // 3600).astype(np.int64)
        ),
    }  # fmt: skip


def _dispersion(y: np.ndarray, group: np.ndarray) -> float:
    """Log of chi-square over its degrees of freedom."""
    index = np.unique(group, return_inverse=True)[1]
    n, hits, p = np.bincount(index), np.bincount(index, weights=y), y.mean()
    return float(np.log(((hits - n * p) ** 2 / (n * p * (1 - p))).sum() / (len(n) - 1)))


def drawn(course: Course, seed: int, draws: int = DRAWS) -> list[pd.DataFrame]:
    rng = np.random.default_rng([seed, 1])
    return [twin.messages(course, twin.draw(course, rng)) for _ in range(draws)]


def course(truth: WorldTruth, seed: int) -> Course:
    world = twin.world_of(truth, seed=seed, epoch=EPOCH)
    return twin.course_of(world, twin.evaluation_of(world, seed=seed, begins=BEGINS, size=SIZE), seed=seed)


def z_scores(real: list[pd.DataFrame], twins: list[list[pd.DataFrame]]) -> dict[str, float]:
    """How far the real months lie from what the twin draws of each, in standard deviations of their sum."""
    total: dict[str, float] = {}
    for month, draws in zip(real, twins, strict=True):
        seen, law = told(month), pd.DataFrame([told(one) for one in draws])
        for name, value in seen.items():
            spread = max(float(law[name].std()), 1e-9)
            total[name] = total.get(name, 0.0) + (value - float(law[name].mean())) / spread / len(real) ** 0.5
    return total


@pytest.fixture(scope="module")
def real() -> list[pd.DataFrame]:
    months = []
    for seed in SEEDS:
        world = twin.world_of(truth(), seed=seed, epoch=EPOCH)
        months.append(twin.piped(world, twin.evaluation_of(world, seed=seed, begins=BEGINS, size=SIZE)).messages)
    return months


@pytest.fixture(scope="module")
def twins() -> list[list[pd.DataFrame]]:
    return [drawn(course(truth(), seed), seed) for seed in SEEDS]


def test_a_real_month_is_one_more_draw_of_the_twin(real, twins):
    far = {name: round(z, 2) for name, z in z_scores(real, twins).items() if abs(z) > GREATEST_Z}
    assert not far


def test_arrival_times_have_one_distribution(real, twins):
    for name in sorted(set(real[0]["carrier"].astype(str))):
        samples = []
        for months in (real, [one for draws in twins for one in draws[:10]]):
            frame = pd.concat([one[["carrier", "arrived_at", "sent_at", "watch"]] for one in months])
            frame = frame[(frame["carrier"] == name) & (frame["watch"] == "arrived")]
            samples.append((frame["arrived_at"] - frame["sent_at"]).dropna().to_numpy())
        assert scipy_stats.ks_2samp(*samples).pvalue > LEAST_P, name


@pytest.mark.parametrize(
    "what, name",
    [
        ("arrival on one carrier", "arrival china_telecom"),
        ("times", "median of times"),
        ("missing receipts", "missing receipts"),
        ("made-up receipts", "made-up receipts"),
        ("what the app misses", "found in an inbox"),
        ("hours", "arrival in the evening"),
        ("one bad handset", "spread over handsets"),
    ],
)
def test_a_planted_difference_is_found(real, what, name):
    plain = truth()
    vendor, panel = plain.vendors["doubtful"], plain.panel
    match what:
        case "arrival on one carrier":
            vendor = replace(vendor, arrival={**vendor.arrival, Carrier.CHINA_TELECOM: 0.97})
        case "times":
            longer = {one: Spread(median=s.median * 1.15, sigma=s.sigma) for one, s in vendor.latency.items()}
            vendor = replace(vendor, latency=longer)
        case "missing receipts":
            vendor = replace(vendor, receipts=replace(vendor.receipts, missing=0.02))
        case "made-up receipts":
            vendor = replace(vendor, receipts=replace(vendor.receipts, kept_back=0.1))
        case "what the app misses":
            panel = replace(panel, app_miss=0.003)
        case "hours":
            vendor = replace(vendor, hours=(replace(vendor.hours[0], arrival=0.75),))
        case "one bad handset":
            panel = replace(panel, app_miss=0.0)
            vendor = replace(vendor, icc=0.6)
    other = replace(plain, vendors={"doubtful": vendor}, panel=panel)
    twins = [drawn(course(other, seed), seed, FEW) for seed in SEEDS]
    assert abs(z_scores(real, twins)[name]) > GREATEST_Z


def test_a_months_table_has_the_columns_and_types_of_the_real_one(real, twins):
    assert set(twins[0][0].columns) == set(real[0].columns)
    for name in real[0].columns:
        kinds = [frame[name].dtype.kind for frame in (real[0], twins[0][0])]
        assert kinds[0] == kinds[1], name


def test_watch_is_what_journeys_makes_of_the_same_row(twins):
    made = course(truth(), SEEDS[0])
    frame = twins[0][0]
    known = journeys._Messages(fold=None, run=made.evidence.run, silences=pd.DataFrame())._watch(  # type: ignore[arg-type]
        frame.assign(followed_for=1e9)
    )
    assert (known == frame["watch"].to_numpy()).all()


def test_the_real_judge_takes_the_evidence():
    plain = truth()
    made = course(replace(plain, panel=replace(plain.panel, down=())), SEEDS[0])
    evidence = twin.evidence(made, twin.draw(made, np.random.default_rng(1), weeks=4))
    result = scoring.judge(evidence, run_id="t", ledger_digest="")
    by_carrier = [one for one in result.findings if one.measure == "arrival.rate" and list(one.slice) == ["carrier"]]
    assert len(by_carrier) == 3 and all(one.estimate is not None for one in by_carrier)
    assert result.run.began == "2026-03-29T16:00:00Z"  # midnight in Beijing


def test_a_month_in_which_phones_are_down_is_no_other_months_course():
    with pytest.raises(NoTwin, match="no other is like"):
        twin.draw(course(truth(), SEEDS[0]), np.random.default_rng(1), weeks=4)


def test_the_same_seed_draws_the_same_month():
    made = course(truth(), SEEDS[0])
    one, other = (twin.messages(made, twin.draw(made, np.random.default_rng(5))) for _ in range(2))
    pd.testing.assert_frame_equal(one, other)


def test_what_the_twin_does_not_know_is_refused():
    plain = truth()
    vendor = replace(plain.vendors["doubtful"], faults=replace(plain.vendors["doubtful"].faults, error=0.01))
    with pytest.raises(NoTwin, match="failing endpoints"):
        course(replace(plain, vendors={"doubtful": vendor}), SEEDS[0])

"""Carrying a flow: pace, retries only of what surely was not taken, stamps, recordings without a secret."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capabilities import Pace, harmless, spaced
from harness.errors import NoAnswer, Throttled, Unauthorised, Unintelligible, Unreachable, VendorTrouble
from harness.flow import Flow, read_object
from harness.run.lines import MOST_REQUESTS, RECORDED_BODY, Carried, Limiter, Line, Redactor
from tests.harness.given import NOW, later, loop_clock, virtually

URL = "https://sms.acme.example/send"
OK = httpx.Response(200, json={"id": "m1"})


class Far(httpx.AsyncBaseTransport):
    """A far end that answers as told, one answer a request, the last for ever; each takes `seconds`."""

    def __init__(self, *answers: httpx.Response | Exception | float, seconds: float = 0.1) -> None:
        self.answers, self.seconds = list(answers), seconds
        self.asked: list[httpx.Request] = []
        self.at: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        loop = asyncio.get_running_loop()
        self.asked.append(request)
        self.at.append(loop.time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = OK
        written = loop.time()
        await asyncio.sleep(self.seconds)
        if isinstance(answer, Exception):
            raise answer
        stamps = SimpleNamespace(written=written, first_byte=loop.time(), done=loop.time())
        return httpx.Response(
            answer.status_code, content=answer.content, headers=answer.headers, extensions={"stamps": stamps}
        )


def failing(kind: type[httpx.HTTPError], *, written: bool | None = None, received: bytes = b"") -> httpx.HTTPError:
    error = kind("it broke")
    if written is not None:
        error.written = written  # type: ignore[attr-defined]
    error.received = received  # type: ignore[attr-defined]
    return error


def submit() -> Flow[str]:
    reply = yield httpx.Request("POST", URL, json={"to": "+8613800001234"})
    body = read_object(reply)
    if body.get("error") == "slow":
        raise Throttled("too fast", code="E429", retry_after=body.get("after"))
    if body.get("error") == "who":
        raise Unauthorised("who are you", code="E401")
    return str(body["id"])


def carry(
    far: Far, flow: Callable[[], Flow[Any]] = submit, *, redactor: Redactor | None = None, **more: Any
) -> Carried[Any]:
    async def scene() -> Carried[Any]:
        line = Line(far, loop_clock(), redactor or Redactor(), per_second=more.pop("per_second", 1000.0))
        return await line.carry(flow, **more)

    return virtually(scene())


def slow(after: float | None = None) -> httpx.Response:
    return httpx.Response(200, json={"error": "slow", "after": after})


# --- what is tried again --------------------------------------------------------------------------------------------


def test_a_flow_comes_to_its_result():
    carried = carry(Far(OK))
    assert (carried.result, carried.trouble) == ("m1", None)
    assert (carried.call.status, carried.call.tries, carried.call.requests) == (200, 1, 1)


def test_what_was_never_written_is_tried_again():
    far = Far(failing(httpx.ConnectError), failing(httpx.ConnectTimeout, written=False), OK)
    carried = carry(far)
    assert carried.result == "m1"
    assert carried.call.tries == len(far.asked) == 3


def test_it_is_given_up_after_four_tries_with_growing_pauses():
    far = Far(failing(httpx.ConnectError), seconds=0.0)
    carried = carry(far)
    assert isinstance(carried.trouble, Unreachable)
    assert not carried.trouble.written
    assert carried.call.written_at is carried.call.lag is None
    assert far.at == pytest.approx([0.0, 0.5, 1.5, 3.5], abs=0.01)


def with_token() -> Flow[str]:
    """A flow that fetches a token first, sends, and asks after it."""
    reply = yield harmless(httpx.Request("GET", f"{URL}/token"))
    token = str(read_object(reply).get("token"))
    reply = yield httpx.Request("POST", URL, headers={"x-token": token})
    sent = str(read_object(reply)["id"])
    reply = yield harmless(httpx.Request("GET", f"{URL}/after"))
    if read_object(reply).get("error"):
        raise Throttled("too fast")
    return sent


TOKEN = httpx.Response(200, json={"token": "t1"})


@pytest.mark.parametrize("loss", [httpx.ReadTimeout, httpx.ReadError, httpx.ConnectError])
def test_a_lost_harmless_request_is_tried_again(loss):
    far = Far(failing(loss), TOKEN, OK, OK)
    carried = carry(far, with_token)
    assert (carried.result, carried.call.tries) == ("m1", 2)
    assert [request.method for request in far.asked] == ["GET", "GET", "POST", "GET"]


def test_after_a_harmless_request_what_was_not_written_is_tried_again():
    far = Far(TOKEN, failing(httpx.ConnectError), TOKEN, OK, OK)
    assert carry(far, with_token).result == "m1"


def test_nothing_is_sent_again_because_a_harmless_request_after_it_failed():
    far = Far(TOKEN, OK, slow())
    carried = carry(far, with_token)
    assert isinstance(carried.trouble, Throttled)
    assert [request.method for request in far.asked].count("POST") == 1


def test_what_was_written_after_a_harmless_request_is_not_tried_again():
    far = Far(TOKEN, failing(httpx.ReadTimeout))
    carried = carry(far, with_token)
    assert isinstance(carried.trouble, NoAnswer) and carried.trouble.written
    assert len(far.asked) == 2


def test_trouble_with_harmless_requests_only_leaves_nothing_in_doubt():
    far = Far(failing(httpx.ReadTimeout, written=True))
    carried = carry(far, with_token)
    assert isinstance(carried.trouble, NoAnswer) and not carried.trouble.written
    assert len(far.asked) == 4


def test_a_garbled_harmless_reply_leaves_nothing_in_doubt():
    carried = carry(Far(httpx.Response(200, text="<html>")), with_token)
    assert isinstance(carried.trouble, Unintelligible) and not carried.trouble.written


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (failing(httpx.ReadTimeout, written=True), NoAnswer),
        (failing(httpx.ReadError), NoAnswer),
        (failing(httpx.WriteError), NoAnswer),  # nobody says that nothing left: it may have
        (failing(httpx.ConnectError, written=True), NoAnswer),
        (failing(httpx.RemoteProtocolError, written=True), Unintelligible),
        (failing(httpx.ReadError, written=True, received=b"HTTP/1.1 2"), Unintelligible),
    ],
)
def test_what_may_have_left_is_never_tried_again(error, kind):
    far = Far(error)
    carried = carry(far)
    assert type(carried.trouble) is kind
    assert carried.trouble.written
    assert len(far.asked) == 1


def test_a_vendor_that_says_too_fast_took_nothing_and_is_asked_again_when_it_says():
    far = Far(slow(7.0), OK, seconds=0.0)
    carried = carry(far)
    assert carried.result == "m1"
    assert far.at == pytest.approx([0.0, 7.0])
    assert carried.call.tries == 2


def test_a_vendor_that_asks_for_an_hour_is_asked_again_after_a_minute():
    far = Far(slow(3600.0), OK, seconds=0.0)
    assert carry(far).result == "m1"
    assert far.at == pytest.approx([0.0, 60.0])


def test_refused_credentials_are_not_tried_again():
    far = Far(httpx.Response(401, json={"error": "who"}))
    carried = carry(far)
    assert isinstance(carried.trouble, Unauthorised)
    assert carried.trouble.code == "E401"
    assert len(far.asked) == 1


def test_who_says_no_second_try_gets_none():
    far = Far(failing(httpx.ConnectError))
    assert isinstance(carry(far, again=False).trouble, Unreachable)
    assert len(far.asked) == 1


def pages() -> Flow[list[str]]:
    found = []
    for page in range(3):
        reply = yield httpx.Request("GET", f"{URL}?page={page}")
        found.append(read_object(reply)["id"])
    return found


def test_after_a_first_page_nothing_is_begun_again():
    far = Far(OK, failing(httpx.ConnectError))
    carried = carry(far, pages)
    assert isinstance(carried.trouble, Unreachable)
    assert [str(one.url)[-1] for one in far.asked] == ["0", "1"]


def keeping() -> Flow[list[str]]:
    found: list[str] = []
    try:
        for page in range(3):
            reply = yield httpx.Request("GET", f"{URL}?page={page}")
            found.append(read_object(reply)["id"])
    except VendorTrouble:
        return found
    return found


def test_a_flow_may_keep_what_it_had_before_trouble_came():
    carried = carry(Far(OK, OK, failing(httpx.ReadTimeout, written=True)), keeping)
    assert (carried.result, carried.trouble) == (["m1", "m1"], None)
    assert carried.call.requests == 3


def test_each_try_is_a_conversation_of_its_own():
    begun = []

    def fresh() -> Flow[str]:
        begun.append(len(begun))
        return (yield from submit())

    assert carry(Far(failing(httpx.ConnectError), OK), fresh).result == "m1"
    assert begun == [0, 1]


def test_paging_ends_somewhere():
    def endless() -> Flow[None]:
        while True:
            yield httpx.Request("GET", URL)

    far = Far(OK, seconds=0.0)
    carried = carry(far, endless)
    assert isinstance(carried.trouble, Unintelligible)
    assert len(far.asked) == MOST_REQUESTS


# --- adapters that stumble ------------------------------------------------------------------------------------------

STUMBLES = [ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, ZeroDivisionError, LookupError]
STUMBLES += [AssertionError, UnicodeError, OSError, NotImplementedError, httpx.InvalidURL]


@pytest.mark.parametrize("kind", STUMBLES, ids=lambda kind: kind.__name__)
def test_an_adapter_that_stumbles_over_a_reply_makes_trouble_and_no_crash(kind):
    def stumbles() -> Flow[None]:
        yield httpx.Request("POST", URL)
        raise kind("over my feet")

    carried = carry(Far(httpx.Response(200, content=b"strange words")), stumbles)
    assert isinstance(carried.trouble, Unintelligible)
    assert carried.trouble.written
    assert carried.trouble.body == b"strange words"
    assert kind.__name__ in carried.trouble.detail


@pytest.mark.parametrize("kind", STUMBLES, ids=lambda kind: kind.__name__)
def test_an_adapter_that_stumbles_before_it_asks_has_sent_nothing(kind):
    def stumbles() -> Flow[None]:
        raise kind("at once")
        yield

    def never_begins() -> Flow[None]:
        raise kind("before it began")

    for flow in (stumbles, never_begins):
        far = Far(OK)
        carried = carry(far, flow)
        assert not carried.trouble.written
        assert carried.trouble.kind == "trouble"
        assert far.asked == []


def test_an_adapter_that_is_no_conversation_makes_trouble():
    carried = carry(Far(OK), lambda: ["no", "generator"])  # type: ignore[arg-type, return-value]
    assert "TypeError" in carried.trouble.detail


def test_a_reply_that_is_no_json_keeps_its_bytes():
    carried = carry(Far(httpx.Response(502, content=b"<html>bad gateway</html>")))
    assert isinstance(carried.trouble, Unintelligible)
    assert carried.trouble.body == b"<html>bad gateway</html>"


# --- stopwatch and pace ---------------------------------------------------------------------------------------------


def test_the_stamps_are_the_wires_and_the_plan_ours():
    async def scene() -> Carried[str]:
        line = Line(Far(OK, seconds=0.25), loop_clock(), Redactor(), per_second=1000.0)
        planned = later(seconds=10)
        await asyncio.sleep(10.5)
        return await line.carry(submit, planned_at=planned)

    call = virtually(scene()).call
    assert call.planned_at == later(seconds=10)
    assert call.written_at == later(seconds=10.5)
    assert call.lag == pytest.approx(0.5)
    assert call.wait == call.took == pytest.approx(0.25)


def test_waiting_for_the_pace_is_our_lag_and_shown():
    async def scene() -> list[Carried[str]]:
        line = Line(Far(OK, seconds=0.0), loop_clock(), Redactor(), per_second=2.0)
        return await asyncio.gather(*(line.carry(submit) for _ in range(4)))

    assert [one.call.lag for one in virtually(scene())] == pytest.approx([0.0, 0.5, 1.0, 1.5])


def test_after_a_pause_there_is_no_burst():
    async def scene() -> list[float]:
        limiter, loop, turns = Limiter(10.0), asyncio.get_running_loop(), []
        for pause in (0.0, 5.0, 0.0, 0.0):
            await asyncio.sleep(pause)
            await limiter.turn()
            turns.append(loop.time())
        return turns

    assert virtually(scene()) == pytest.approx([0.0, 5.0, 5.1, 5.2])


def test_requests_of_a_kind_keep_their_own_distance_and_hold_up_no_other():
    pace, far = Pace(per_second=100.0, apart={"balance": 30.0}), Far(OK, seconds=0.0)

    def ask() -> Flow[str]:
        reply = yield spaced(httpx.Request("GET", URL), pace, "balance")
        return str(read_object(reply)["id"])

    async def scene() -> list[Carried[str]]:
        line = Line(far, loop_clock(), Redactor(), per_second=pace.per_second)
        return await asyncio.gather(line.carry(ask), line.carry(ask), line.carry(submit), line.carry(submit))

    virtually(scene())
    balances = [at for at, request in zip(far.at, far.asked, strict=True) if request.method == "GET"]
    sends = [at for at, request in zip(far.at, far.asked, strict=True) if request.method == "POST"]
    assert balances[1] - balances[0] == pytest.approx(30.0, abs=0.05)
    assert max(sends) < 0.1


def test_a_kind_that_the_pace_does_not_name_is_not_held_back():
    assert spaced(httpx.Request("GET", URL), Pace(per_second=1.0), "balance").extensions == {}


@given(st.floats(0.5, 200), st.lists(st.floats(0, 3), min_size=2, max_size=20))
def test_the_pace_is_never_exceeded(per_second, delays):
    async def scene() -> list[float]:
        limiter, loop, turns = Limiter(per_second), asyncio.get_running_loop(), []

        async def one(delay: float) -> None:
            await asyncio.sleep(delay)
            await limiter.turn()
            turns.append(loop.time())

        await asyncio.gather(*map(one, delays))
        return turns

    turns = sorted(virtually(scene()))
    assert all(later - earlier > 1 / per_second - 1e-6 for earlier, later in pairwise(turns))


def test_a_line_that_hangs_is_left_after_its_deadline():
    carried = carry(Far(1000.0))
    assert isinstance(carried.trouble, NoAnswer)
    assert carried.trouble.written
    assert carried.call.written_at is None


def test_the_wire_is_told_the_planned_instant_on_its_own_clock():
    async def scene() -> float:
        far = Far(OK)
        line = Line(far, loop_clock(), Redactor(), per_second=1000.0)
        await asyncio.sleep(3)
        await line.carry(submit, planned_at=later(seconds=5))
        return far.asked[0].extensions["planned"]

    assert virtually(scene()) == pytest.approx(5.0)


# --- recordings and redaction ---------------------------------------------------------------------------------------

SECRET = 's3cr€t/+="key'


def test_a_recording_holds_what_was_said():
    said = json.loads(carry(Far(OK)).recording)
    assert said[0]["request"]["method"] == "POST"
    assert said[0]["request"]["url"] == URL
    assert said[0]["reply"] == {"status": 200, "headers": said[0]["reply"]["headers"], "body": '{"id":"m1"}'}


def test_trouble_is_recorded_with_what_came_of_it():
    said = json.loads(carry(Far(failing(httpx.ReadError, written=True, received=b"HTTP/1.1 20"))).recording)
    assert said[0]["trouble"]["kind"] == "unintelligible"
    assert said[0]["trouble"]["body"] == "HTTP/1.1 20"
    assert "reply" not in said[0]


def test_every_try_is_recorded():
    assert len(json.loads(carry(Far(failing(httpx.ConnectError), OK)).recording)) == 2


def test_a_long_body_is_recorded_in_part():
    far = Far(httpx.Response(200, content=b'{"id":"' + b"x" * 40_000 + b'"}'))
    assert len(json.loads(carry(far).recording)[0]["reply"]["body"]) == RECORDED_BODY


def test_no_secret_and_no_number_stands_in_a_recording_in_any_spelling():
    redactor = Redactor(secrets=[SECRET], numbers=["+8613800001234"])

    def tells_all() -> Flow[str]:
        reply = yield httpx.Request(
            "POST",
            f"{URL}?key={quote(SECRET, safe='')}&to=%2B8613800001234",
            headers={"authorization": f"Bearer {quote(SECRET, safe='')}", "x-to": "008613800001234"},
            json={"to": ["13800001234", "+86 13800001234"], "secret": SECRET},
        )
        return str(read_object(reply)["id"])

    reply = httpx.Response(200, json={"id": "m1", "echo": "8613800001234", "serial": "99138000012347", "key": SECRET})
    recording = carry(Far(reply), tells_all, redactor=redactor).recording.decode()
    for spelling in (SECRET, quote(SECRET, safe=""), json.dumps(SECRET)[1:-1], "13800001234", "0000123"):
        assert spelling not in recording, spelling
    assert "138******34" in recording


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("13800001234", "138******34"),
        ("+8613800001234", "+86138******34"),
        ("008613800001234", "0086138******34"),
        ("%2B8613800001234", "%2B86138******34"),
        ("%252B8613800001234", "%252B86138******34"),
        ("%2213800001234%22", "%22138******34%22"),
        ("to=13800001234&x=1", "to=138******34&x=1"),
        ('["13800001234","18600001235"]', '["138******34","186******35"]'),
        ("stranger 19912345678", "stranger 199******78"),
        ("2026030213800001234", "20260302138******34"),  # a known number within a longer run
        ("code 123456, time 1772416800000", "code 123456, time 1772416800000"),
        ("id 20260302199123456789", "id 20260302199123456789"),  # digits that only look like a stranger's
    ],
)
def test_numbers_are_masked_wherever_they_stand(text, masked):
    assert Redactor(numbers=["+8613800001234"]).text(text) == masked


@given(st.text(), st.text())
def test_a_known_number_never_gets_through(before, after):
    shown = Redactor(numbers=["+8613800001234"]).text(f"{before} 13800001234 {after}")
    assert "13800001234" not in shown


@given(st.text(min_size=4, max_size=30), st.text(max_size=20))
def test_a_secret_never_gets_through(secret, around):
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    shown = Redactor(secrets=[secret]).text(f"{around}|{secret}|{quote(secret, safe='')}|{json.dumps(secret)}")
    kept = shown.split("|")
    if not set("|•") & set(secret + around) and not set(secret) & set(around):
        assert kept[1] == "•••"
        assert kept[2] == "•••"


@given(
    secrets=st.lists(st.text("abc/", min_size=4, max_size=9), min_size=1, max_size=6),
    pieces=st.lists(st.one_of(st.integers(0, 5), st.text("abc/x", max_size=6)), max_size=8),
)
def test_of_many_secrets_every_one_is_found_wherever_it_begins(secrets, pieces):
    text = "".join(secrets[one % len(secrets)] if isinstance(one, int) else one for one in pieces)
    words = {spelling for one in secrets for spelling in (one, quote(one, safe=""))}
    plain = text
    for word in sorted(words, key=lambda word: (-len(word), word)):
        plain = plain.replace(word, "•••")
    assert Redactor(secrets=secrets).text(text) == plain


def test_a_short_word_is_no_secret_worth_breaking_every_text_for():
    assert Redactor(secrets=["ab"]).text("abbey") == "abbey"


def test_the_line_knows_its_clock_and_redactor():
    async def scene() -> None:
        redactor = Redactor()
        line = Line(Far(OK), loop_clock(), redactor, per_second=1.0)
        assert line.redactor is redactor
        assert line.clock.now() == NOW + timedelta(seconds=0)

    virtually(scene())

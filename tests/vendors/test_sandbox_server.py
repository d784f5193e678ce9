"""The world answers in memory and on real loopback ports, with the faults its truth names."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.vendors.tiny_world import EPOCH, Inbox, handsets, play, tiny_world
from vendors.sandbox.phones import smsforwarder_sign
from vendors.sandbox.server import NoConnection, Serving, Silence, Stamps, WorldTransport, serve
from vendors.sandbox.world import Fault, World


def talk(world: World, story: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with httpx.AsyncClient(transport=WorldTransport(world)) as client:
            await story(client)

    play(world, whole, Inbox(world).deliver)


def send(world: World, serial: int = 1, scheme: str = "https", **extensions: Any) -> httpx.Request:
    text = f"【某某科技】您的验证码{serial:06d}"
    body = {"to": handsets(world)[0].number, "text": text}
    return httpx.Request("POST", f"{scheme}://acme.sandbox/send", json=body, extensions=extensions)


# In memory ------------------------------------------------------------------------------------------------------------


def test_an_answer_takes_the_vendors_time_and_carries_stamps():
    world = tiny_world({"acknowledgement": "0.4"})

    async def story(client: httpx.AsyncClient) -> None:
        await asyncio.sleep(10)
        response = await client.send(send(world, planned=9.75))
        assert response.json() == {"id": "1", "fee": "0.045"}
        stamps = response.extensions["stamps"]
        assert stamps == Stamps(planned=9.75, written=10.0, first_byte=10.4, done=10.4)
        assert (stamps.lag, stamps.answer_time) == (0.25, pytest.approx(0.4))
        assert response.extensions["tls_version"] == "TLSv1.3"

    talk(world, story)
    assert world.sendings[0].at == EPOCH + timedelta(seconds=10)  # taken when it came, not when it was answered
    (call,) = world.log.calls
    assert (call.label, call.method, call.path, call.fault) == ("acme", "POST", "/send", None)


def test_a_phone_is_reached_by_its_host_name():
    world = tiny_world()
    phone = next(iter(world.phones.values()))

    async def story(client: httpx.AsyncClient) -> None:
        stamp = round(world.now().timestamp() * 1000)
        body = {"data": {}, "timestamp": stamp, "sign": smsforwarder_sign(str(stamp), phone.secret)}
        api = world.forwarder_rows()[0]["api"]
        assert api == f"http://{phone.host}:5000"
        response = await client.post(f"{api}/battery/query", json=body)
        assert response.json()["code"] == 200

    talk(world, story)


@pytest.mark.parametrize(
    "faults, kind, written, taken",
    [
        ({"refused": "1"}, NoConnection, False, False),
        ({"no_answer": "1", "taken": "0"}, Silence, True, False),
        ({"no_answer": "1", "taken": "1"}, Silence, True, True),
    ],
)
def test_a_fault_tells_whether_anything_was_written(faults, kind, written, taken):
    world = tiny_world({"faults": faults})

    async def story(client: httpx.AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(kind) as error:
            await client.send(send(world, timeout={"read": 8.0}))
        assert error.value.written is written
        assert (error.value.stamps.written is not None) is written
        assert loop.time() == (8.0 if written else 0.0)

    talk(world, story)
    assert bool(world.sendings) is taken
    assert len(world.log.calls) == written  # a refused connection never reached the vendor


def test_an_error_is_an_answer_and_takes_nothing():
    world = tiny_world({"faults": {"error": "1"}})

    async def story(client: httpx.AsyncClient) -> None:
        assert (await client.send(send(world))).status_code == 500

    talk(world, story)
    assert not world.sendings
    assert [call.fault for call in world.log.calls] == [Fault.ERROR]


def test_faults_come_as_often_as_the_truth_says():
    world = tiny_world({"faults": {"refused": "0.1", "error": "0.2", "no_answer": "0.3", "taken": "0.5"}})
    faults = [world.next_call("acme")[0] for _ in range(2000)]
    for fault, share in ((Fault.REFUSED, 0.1), (Fault.ERROR, 0.2), (Fault.SILENT, 0.15), (Fault.SILENT_TAKEN, 0.15)):
        assert faults.count(fault) / 2000 == pytest.approx(share, abs=0.035)


def test_a_host_nobody_has_and_a_phone_that_is_down_take_no_connection():
    down = {"from": "day 1 09:00", "to": "day 1 10:00"}
    world = tiny_world(panel={"down": [down]})

    async def story(client: httpx.AsyncClient) -> None:
        for url in ("http://nobody.sandbox/", f"http://{next(iter(world.phones.values())).host}:5000/sms/query"):
            with pytest.raises(NoConnection) as error:
                await client.post(url)
            assert error.value.written is False

    talk(world, story)


def test_plain_http_and_old_tls_are_taken_only_where_the_options_allow_it():
    world = tiny_world({"options": {"plain_http": "refused", "tls_min": "TLSv1.1", "tls_max": "TLSv1.2"}})

    async def story(client: httpx.AsyncClient) -> None:
        assert (await client.send(send(world, 1))).extensions["tls_version"] == "TLSv1.2"
        assert (await client.send(send(world, 2, tls_maximum="TLSv1.1"))).extensions["tls_version"] == "TLSv1.1"
        for request in (send(world, 3, tls_maximum="TLSv1"), send(world, 4, scheme="http")):
            with pytest.raises(NoConnection):
                await client.send(request)

    talk(world, story)
    assert len(world.sendings) == 2


def test_plain_http_is_taken_where_nothing_is_said():
    world = tiny_world()

    async def story(client: httpx.AsyncClient) -> None:
        response = await client.send(send(world, scheme="http"))
        assert (response.status_code, response.extensions["tls_version"]) == (200, None)

    talk(world, story)


def test_the_same_seed_answers_in_the_same_times():
    seen: list[list[float]] = []
    for _ in range(2):
        world, times = tiny_world({"acknowledgement": {"median": "0.2", "sigma": "0.5"}}), list[float]()

        async def story(client: httpx.AsyncClient, world: World = world, times: list[float] = times) -> None:
            for serial in range(20):
                times.append((await client.send(send(world, serial))).extensions["stamps"].answer_time)

        talk(world, story)
        seen.append(times)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 20


# On real ports --------------------------------------------------------------------------------------------------------


def now() -> datetime:
    return datetime.now(UTC)


def real(world: World, story: Callable[[Serving, httpx.AsyncClient], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        serving = await serve(world, clock=now, **options)
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5) as client, asyncio.timeout(20):
                await story(serving, client)
        finally:
            await serving.close()

    asyncio.run(whole())


def fresh_world(**vendor: Any) -> World:
    """A quick one, whose epoch is long ago: real time is real."""
    return tiny_world({"acknowledgement": "0.01", "latency": "0.05", "receipts": {"delay": "0.05"}, **vendor})


async def post_send(client: httpx.AsyncClient, serving: Serving, serial: int, **kwargs: Any) -> httpx.Response:
    body = {"to": handsets(serving.world)[0].number, "text": f"【某某科技】您的验证码{serial:06d}"}
    return await client.post(f"{serving.addresses['acme']}/send", content=json.dumps(body).encode(), **kwargs)


def test_a_vendor_and_the_phones_answer_on_real_ports_and_push_to_a_real_inbox():
    world = fresh_world()
    pushed: dict[str, list[bytes]] = {}
    both = asyncio.Event()

    async def inbox(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
        pushed.setdefault(head.split(" ")[1], []).append(await reader.readexactly(length))
        if len(pushed) == 2:
            both.set()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nOK")
        await writer.drain()
        writer.close()

    async def story(serving: Serving, client: httpx.AsyncClient) -> None:
        listening = await asyncio.start_server(inbox, "127.0.0.1", 0)
        async with listening:
            serving.world.open_inbox(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
            assert (await post_send(client, serving, 1)).json()["id"] == "1"
            await both.wait()
        row = world.forwarder_rows(serving.addresses["phones"])[0]
        stamp = round(now().timestamp() * 1000)
        phone = world.phones[row["id"]]
        data = {"type": 1, "page_num": 1, "page_size": 10, "keyword": "000001"}
        body = {"data": data, "timestamp": stamp, "sign": smsforwarder_sign(str(stamp), phone.secret)}
        found = (await client.post(f"{row['api']}/sms/query", json=body)).json()["data"]
        assert [each["content"] for each in found] == ["【某某科技】您的验证码000001"]
        assert (await client.get(f"{serving.addresses['phones']}/phone-nobody/")).status_code == 404

    real(world, story)
    reports = f"{world.push_path('acme')}/reports"
    assert set(pushed) == {reports, f"/sightings/{handsets(world)[0].phone.id}"}
    assert json.loads(pushed[reports][0])[0]["state"] == "delivered"


def test_one_connection_carries_many_requests_and_bodies_may_come_in_chunks():
    async def story(serving: Serving, client: httpx.AsyncClient) -> None:
        await post_send(client, serving, 1)
        host, port = serving.addresses["acme"].removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps({"to": handsets(serving.world)[0].number, "text": "【某某科技】x"}).encode()
        head = f"POST /send HTTP/1.1\r\nhost: acme\r\nexpect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert await answer_on(reader) == (200, "2")
        chunked = b"POST /send HTTP/1.1\r\nhost: acme\r\ntransfer-encoding: chunked\r\n\r\n"
        chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (body[:7], body[7:]))
        writer.write(chunked + chunks + b"0\r\n\r\n")
        assert await answer_on(reader) == (200, "3")
        writer.close()
        await writer.wait_closed()

    async def answer_on(reader: asyncio.StreamReader) -> tuple[int, str]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
        return int(head.split(" ")[1]), json.loads(await reader.readexactly(length))["id"]

    real(fresh_world(), story)


@pytest.mark.parametrize(
    "sent",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000,
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_400_and_the_server_lives(sent: bytes):
    async def story(serving: Serving, client: httpx.AsyncClient) -> None:
        host, port = serving.addresses["acme"].removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()
        await writer.wait_closed()
        assert (await post_send(client, serving, 1)).status_code == 200

    real(fresh_world(), story)


def test_a_refused_connection_is_closed_unanswered_on_a_real_port_too():
    world = fresh_world(faults={"refused": "1"})

    async def story(serving: Serving, client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await post_send(client, serving, 1)

    real(world, story)
    assert not world.log.calls


def test_ports_are_as_asked_for_and_a_taken_one_is_told():
    async def story(serving: Serving, client: httpx.AsyncClient) -> None:
        port = int(serving.addresses["acme"].rsplit(":", 1)[1])
        with pytest.raises(OSError):
            await serve(fresh_world(), clock=now, ports={"acme": port})

    real(fresh_world(), story)

"""An order desk behind Trunkline: a callout, RPCs, publishing and events, over plain NATS."""

import asyncio
import itertools
import json
import os
import time
from contextlib import asynccontextmanager
from urllib.parse import unquote

import nats
import uvicorn
from fastapi import FastAPI, HTTPException
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeout

# Whose session is whose. A real backend asks its database.
SESSIONS = {"session-of-ann": "ann", "session-of-bob": "bob"}

orders: dict[int, dict] = {}
numbers = itertools.count(1)
online: dict[str, set[str]] = {}


async def on_connect(message: Msg) -> None:
    """Callout: says who a client is, by the session in the `data` of its connect command."""
    question = json.loads(message.data)
    data = question.get("data")
    user = SESSIONS.get(data.get("session")) if isinstance(data, dict) else None
    if user is None:
        answer = {"disconnect": {"code": 4501, "reason": "sign in first"}}  # 4500 to 4999: do not come back
    else:
        answer = {"user": user, "info": {"name": user.title()}, "expireAt": int(time.time()) + 3600}
    await message.respond(json.dumps(answer).encode())


async def on_create(message: Msg) -> None:
    """RPC `orders.create`: the gateway says who calls; what is in the body is the client's word."""
    user = unquote(message.headers["Trunkline-User"])
    try:
        sku = json.loads(message.data)["sku"]
        if not isinstance(sku, str):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        headers = {"Nats-Service-Error-Code": "400", "Nats-Service-Error": "sku is missing"}
        await app.state.nc.publish(message.reply, b"", headers=headers)
        return
    order = {"id": next(numbers), "user": user, "sku": sku, "status": "new"}
    orders[order["id"]] = order
    await message.respond(json.dumps(order).encode())


async def follow_events(js) -> None:
    """Reads connects and disconnects. An event is acknowledged when it is worked in, and comes again otherwise."""
    events = await js.pull_subscribe("rtevt.>", durable="desk", stream="RT_EVENTS")
    while True:
        try:
            batch = await events.fetch(100, timeout=5)
        except NatsTimeout:
            continue
        for message in batch:
            event = json.loads(message.data)
            # Working one in twice changes nothing: events are delivered at least once.
            if event["type"] == "connect":
                online.setdefault(event["user"], set()).add(event["client"])
            elif event["type"] == "disconnect":
                online.get(event["user"], set()).discard(event["client"])
            await message.ack()


@asynccontextmanager
async def lifespan(app: FastAPI):
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://localhost:4222"))
    app.state.nc, app.state.js = nc, nc.jetstream()
    # A queue group: several processes of this service share the questions.
    await nc.subscribe("rtauth.connect", queue="desk", cb=on_connect)
    await nc.subscribe("rtrpc.orders.create", queue="desk", cb=on_create)
    events = asyncio.create_task(follow_events(app.state.js))
    yield
    events.cancel()
    await nc.drain()


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{number}/status/{status}")
async def set_status(number: int, status: str) -> dict:
    """Publishes to everybody who follows the order. The id makes a repetition harmless."""
    if number not in orders:
        raise HTTPException(404)
    orders[number]["status"] = status
    body = json.dumps({"order": number, "status": status}).encode()
    stored = await app.state.js.publish(
        f"rt.orders.{number}", body, headers={"Nats-Msg-Id": f"{number}-{status}"}
    )
    return {"seq": stored.seq, "duplicate": bool(stored.duplicate)}


@app.get("/online")
async def who() -> list[str]:
    return sorted(user for user, clients in online.items() if clients)


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")

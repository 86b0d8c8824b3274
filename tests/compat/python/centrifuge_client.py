"""Runs stock centrifuge-python for the compatibility tests."""

import asyncio
import json
import sys

from centrifuge import (
    Client,
    ClientEventHandler,
    DeltaType,
    StreamPosition,
    SubscriptionEventHandler,
)
from lines import failure, say

clients = {}
protobuf = set()


def payload(ask):
    """In Protobuf the SDK wants bytes."""
    return json.dumps(ask["data"]).encode() if ask["client"] in protobuf else ask["data"]


def publication(pub):
    said = {"data": pub.data, "offset": pub.offset, "tags": pub.tags or {}}
    if pub.info:
        said["user"] = pub.info.user
    return said


class ClientEvents(ClientEventHandler):
    def __init__(self, name):
        self.name = name

    def tell(self, event, **said):
        say(client=self.name, event=event, **said)

    async def on_connecting(self, ctx):
        self.tell("connecting", code=ctx.code, reason=ctx.reason)

    async def on_connected(self, ctx):
        self.tell("connected", id=ctx.client)

    async def on_disconnected(self, ctx):
        self.tell("disconnected", code=ctx.code, reason=ctx.reason)

    async def on_error(self, ctx):
        self.tell("error", message=str(ctx.error))

    async def on_subscribed(self, ctx):
        self.tell("serverSubscribed", channel=ctx.channel, recovered=ctx.recovered, recovering=ctx.was_recovering)

    async def on_unsubscribed(self, ctx):
        self.tell("serverUnsubscribed", channel=ctx.channel)

    async def on_publication(self, ctx):
        self.tell("serverPublication", channel=ctx.channel, **publication(ctx.pub))


class SubscriptionEvents(SubscriptionEventHandler):
    def __init__(self, name, channel):
        self.name, self.channel = name, channel

    def tell(self, event, **said):
        say(client=self.name, event=event, channel=self.channel, **said)

    async def on_subscribing(self, ctx):
        self.tell("subscribing", code=ctx.code, reason=ctx.reason)

    async def on_subscribed(self, ctx):
        at = ctx.stream_position
        position = {"offset": at.offset, "epoch": at.epoch} if at else {}
        self.tell("subscribed", recovered=ctx.recovered, recovering=ctx.was_recovering, **position)

    async def on_unsubscribed(self, ctx):
        self.tell("unsubscribed", code=ctx.code, reason=ctx.reason)

    async def on_publication(self, ctx):
        self.tell("publication", **publication(ctx.pub))

    async def on_join(self, ctx):
        self.tell("join", user=ctx.info.user)

    async def on_leave(self, ctx):
        self.tell("leave", user=ctx.info.user)

    async def on_error(self, ctx):
        self.tell("subscriptionError", message=str(ctx.error))


def tokens_of(ask, **said):
    """Gives one token after the other, the last one for ever."""
    left = list(ask["tokens"])

    async def token(*_):
        say(client=ask["client"], event="token", **said)
        return left.pop(0) if len(left) > 1 else left[0]

    return token


def create(ask):
    if ask["protocol"] == "protobuf":
        protobuf.add(ask["client"])
    clients[ask["client"]] = Client(
        ask["url"],
        events=ClientEvents(ask["client"]),
        token=ask.get("token", ""),
        get_token=tokens_of(ask) if ask.get("tokens") else None,
        use_protobuf=ask["protocol"] == "protobuf",
        name=ask.get("name", "python"),
        min_reconnect_delay=0.1,
        max_reconnect_delay=1.0,
    )


async def subscribe(client, ask):
    channel = ask["channel"]
    subscription = client.get_subscription(channel)
    if subscription is None:
        subscription = client.new_subscription(
            channel,
            events=SubscriptionEvents(ask["client"], channel),
            token=ask.get("token", ""),
            get_token=tokens_of(ask, channel=channel) if ask.get("tokens") else None,
            min_resubscribe_delay=0.1,
            max_resubscribe_delay=1.0,
            positioned=ask.get("positioned", False),
            recoverable=ask.get("recoverable", False),
            join_leave=ask.get("joinLeave", False),
            delta=DeltaType.FOSSIL if ask.get("delta") else None,
        )
    await subscription.subscribe()


async def history(client, ask):
    since = ask.get("since")
    result = await client.history(
        ask["channel"],
        limit=ask.get("limit", 0),
        since=StreamPosition(**since) if since else None,
        reverse=ask.get("reverse", False),
    )
    publications = [publication(one) for one in result.publications]
    return {"publications": publications, "offset": result.offset, "epoch": result.epoch}


async def do(ask):
    what = ask["do"]
    if what == "new":
        return create(ask)
    client = clients[ask["client"]]
    if what == "connect":
        await client.connect()
    elif what == "disconnect":
        await client.disconnect()
    elif what == "subscribe":
        await subscribe(client, ask)
    elif what == "unsubscribe":
        await client.get_subscription(ask["channel"]).unsubscribe()
    elif what == "publish":
        await client.publish(ask["channel"], payload(ask))
    elif what == "rpc":
        return {"data": (await client.rpc(ask["method"], payload(ask))).data}
    elif what == "presence":
        found = await client.presence(ask["channel"])
        return {"users": {key: info.user for key, info in found.clients.items()}}
    elif what == "stats":
        stats = await client.presence_stats(ask["channel"])
        return {"clients": stats.num_clients, "users": stats.num_users}
    elif what == "history":
        return await history(client, ask)
    else:
        raise ValueError(f"unknown command {what}")


async def answer(ask):
    try:
        say(id=ask["id"], result=await do(ask) or {})
    except Exception as error:  # whatever the SDK throws is the answer
        say(id=ask["id"], error=failure(error))


async def main():
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running = set()
    while line := await reader.readline():
        task = loop.create_task(answer(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())

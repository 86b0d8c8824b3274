"""Runs stock pysher for the compatibility tests."""

import json
import logging

import pysher
from lines import say, serve

logging.disable(logging.CRITICAL)

clients = {}


class Heard(dict):
    """Callbacks for whatever event comes."""

    def __init__(self, channel, tell):
        super().__init__()
        self.channel, self.tell = channel, tell

    def keys(self):
        return Heard.Any()

    def __getitem__(self, event):
        return [(lambda data: self.tell("event", channel=self.channel, name=event, data=data), (), {})]

    class Any:
        def __contains__(self, _):
            return True


def create(ask):
    name = ask["client"]

    def tell(event, **said):
        say(client=name, event=event, **said)

    client = pysher.Pusher(
        ask["key"],
        secure=False,
        custom_host=ask["host"],
        port=ask["port"],
        secret=ask["secret"],
        user_data={"user_id": ask["user"], "user_info": ask.get("info", {})} if ask.get("user") else None,
        reconnect_interval=1,
        auto_sub=True,
        log_level=logging.CRITICAL,
    )
    client.tell = tell
    connection = client.connection
    connection.bind("pusher:connection_established", lambda data: tell("connected", id=json.loads(data)["socket_id"]))
    connection.bind("pusher:error", lambda data: tell("error", data=data))
    clients[name] = client


def do(ask):
    what = ask["do"]
    if what == "new":
        return create(ask)
    client = clients[ask["client"]]
    if what == "connect":
        client.connect()
    elif what == "disconnect":
        client.disconnect(5)
    elif what == "subscribe":
        channel = client.subscribe(ask["channel"])
        channel.event_callbacks = Heard(ask["channel"], client.tell)
    elif what == "unsubscribe":
        client.unsubscribe(ask["channel"])
    elif what == "trigger":
        client.channel(ask["channel"]).trigger(ask["name"], ask["data"])
    elif what == "state":
        return {"state": client.connection.state}
    else:
        raise ValueError(f"unknown command {what}")


serve(do)

"""Runs the stock Pusher server SDK for Python for the compatibility tests."""

import pusher
from lines import serve

clients = {}


def create(ask):
    clients["it"] = pusher.Pusher(
        app_id=ask["app"],
        key=ask["key"],
        secret=ask["secret"],
        host=ask["host"],
        port=ask["port"],
        ssl=False,
        encryption_master_key_base64=ask["masterKey"],
    )


def do(ask):
    what = ask["do"]
    if what == "new":
        return create(ask)
    client = clients["it"]
    if what == "trigger":
        return client.trigger(ask["channels"], ask["name"], ask["data"], ask.get("socket"))
    if what == "batch":
        return client.trigger_batch([dict(one) for one in ask["events"]])
    if what == "channels":
        return client.channels_info(ask.get("prefix"), ask.get("info", []))
    if what == "channel":
        return client.channel_info(ask["channel"], ask.get("info", []))
    if what == "users":
        return client.users_info(ask["channel"])
    if what == "sendToUser":
        return client.send_to_user(ask["user"], ask["name"], ask["data"])
    if what == "terminate":
        return client.terminate_user_connections(ask["user"])
    if what == "authorize":
        return client.authenticate(ask["channel"], ask["socket"], ask.get("member"))
    if what == "authenticate":
        return client.authenticate_user(ask["socket"], ask["userData"])
    if what == "webhook":
        found = client.validate_webhook(ask["key"], ask["signature"], ask["body"])
        return {"valid": found is not None, "events": found["events"] if found else []}
    raise ValueError(f"unknown command {what}")


serve(do)

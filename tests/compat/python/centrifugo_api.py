"""Runs cent, Centrifugo's stock server client for Python, for the compatibility tests."""

import cent
from lines import serve

clients = {}

REQUESTS = {
    "publish": cent.PublishRequest,
    "broadcast": cent.BroadcastRequest,
    "subscribe": cent.SubscribeRequest,
    "unsubscribe": cent.UnsubscribeRequest,
    "disconnect": cent.DisconnectRequest,
    "refresh": cent.RefreshRequest,
    "presence": cent.PresenceRequest,
    "presence_stats": cent.PresenceStatsRequest,
    "history": cent.HistoryRequest,
    "history_remove": cent.HistoryRemoveRequest,
    "channels": cent.ChannelsRequest,
    "info": cent.InfoRequest,
}


def do(ask):
    what = ask["do"]
    if what == "new":
        clients["it"] = cent.Client(ask["url"], ask["apiKey"])
        return None
    client = clients["it"]
    if what == "batch":
        requests = [REQUESTS[one["do"]](**one["params"]) for one in ask["commands"]]
        found = client.batch(cent.BatchRequest(requests=requests))
        return {"replies": [one.model_dump() for one in found.replies]}
    return getattr(client, what)(REQUESTS[what](**ask["params"])).model_dump()


serve(do)

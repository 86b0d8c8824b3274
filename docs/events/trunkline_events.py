"""Events of Trunkline, as dataclasses. Needs Python 3.9 and nothing else.

Made by: trunkline config --reference events-python
"""

import json
from dataclasses import MISSING, dataclass, fields
from typing import Any, Optional, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class ConnectEvent:
    """A client was identified."""

    # When it happened, Unix ms.
    timeMs: int
    # Name of the instance that tells it.
    instance: str
    # Region of that instance.
    region: str
    # Id of the connection.
    client: str
    # Id of the user. Empty: anonymous.
    user: str
    # Device of the user that the token names. Empty: none.
    device: str
    # Address of the client.
    ip: str
    # When the connection was opened, Unix ms.
    sinceMs: int
    # In webhooks: the same in every repetition. In NATS it is the header Nats-Msg-Id.
    id: Optional[str] = None
    type: str = "connect"


@dataclass(frozen=True)
class DisconnectEvent:
    """The client is gone. `instance` and `region` are those of the client."""

    # When it happened, Unix ms.
    timeMs: int
    # Name of the instance that tells it.
    instance: str
    # Region of that instance.
    region: str
    # Id of the connection.
    client: str
    # Id of the user. Empty: anonymous.
    user: str
    # Device of the user that the token names. Empty: none.
    device: str
    # Address of the client.
    ip: str
    # When the connection was opened, Unix ms.
    sinceMs: int
    # The close code. 0: the client's instance died.
    code: int
    # The reason of the close.
    reason: str
    # In webhooks: the same in every repetition. In NATS it is the header Nats-Msg-Id.
    id: Optional[str] = None
    type: str = "disconnect"


@dataclass(frozen=True)
class JoinEvent:
    """A user's first connection enters a channel with presence."""

    # When it happened, Unix ms.
    timeMs: int
    # Name of the instance that tells it.
    instance: str
    # Region of that instance.
    region: str
    # Name of the channel.
    channel: str
    # Id of the user. Empty: anonymous.
    user: str
    # Id of the connection.
    client: str
    # In webhooks: the same in every repetition. In NATS it is the header Nats-Msg-Id.
    id: Optional[str] = None
    type: str = "join"


@dataclass(frozen=True)
class LeaveEvent:
    """The user's last connection has left the channel."""

    # When it happened, Unix ms.
    timeMs: int
    # Name of the instance that tells it.
    instance: str
    # Region of that instance.
    region: str
    # Name of the channel.
    channel: str
    # Id of the user. Empty: anonymous.
    user: str
    # Id of the connection.
    client: str
    # In webhooks: the same in every repetition. In NATS it is the header Nats-Msg-Id.
    id: Optional[str] = None
    type: str = "leave"


@dataclass(frozen=True)
class OccupiedEvent:
    """The first member of a channel with presence came."""

    # When it happened, Unix ms.
    timeMs: int
    # Name of the instance that tells it.
    instance: str
    # Region of that instance.
    region: str
    # Name of the channel.
    channel: str
    # In webhooks: the same in every repetition. In NATS it is the header Nats-Msg-Id.
    id: Optional[str] = None
    type: str = "occupied"


@dataclass(frozen=True)
class VacatedEvent:
    """The channel's last member has left."""

    # When it happened, Unix ms.
    timeMs: int
    # Name of the instance that tells it.
    instance: str
    # Region of that instance.
    region: str
    # Name of the channel.
    channel: str
    # In webhooks: the same in every repetition. In NATS it is the header Nats-Msg-Id.
    id: Optional[str] = None
    type: str = "vacated"


@dataclass(frozen=True)
class MessageEvent:
    """A client called `send`."""

    # When it happened, Unix ms.
    timeMs: int
    # Name of the instance that tells it.
    instance: str
    # Region of that instance.
    region: str
    # Id of the connection.
    client: str
    # Id of the user. Empty: anonymous.
    user: str
    # Device of the user that the token names. Empty: none.
    device: str
    # Address of the client.
    ip: str
    # When the connection was opened, Unix ms.
    sinceMs: int
    # What the client sent, as it was written: any JSON.
    data: Any
    # In webhooks: the same in every repetition. In NATS it is the header Nats-Msg-Id.
    id: Optional[str] = None
    type: str = "message"


@dataclass(frozen=True)
class AuditEvent:
    """Somebody took or gave back a right, or did something else that operators answer for."""

    # When it happened, Unix ms.
    timeMs: int
    # Name of the instance that tells it.
    instance: str
    # Region of that instance.
    region: str
    # What was done. Today one of: restricted, lifted, replayed, moved, renewed, log_level, traced, read, published, unsubscribed, disconnected, removed, asked, reloaded.
    action: str
    # What it was done to. Today one of: token, issued, channel, user, address, webhook, connections, life, log, trace, history, presence, settings.
    kind: str
    # Which one: name of a restriction, line of webhooks, channel, user, instance or stream.
    target: Optional[str] = None
    # By which way it was asked for. Today one of: api, nats, console, command.
    via: Optional[str] = None
    # The operator, where the way knows one.
    by: Optional[str] = None
    # Name of the instance that it is about. Absent: all, or `target` says it.
    of: Optional[str] = None
    # Why it failed; part of it may have been done all the same.
    failed: Optional[str] = None
    # What whoever did it gave as the reason.
    reason: Optional[str] = None
    # Id of the user. Empty: anonymous.
    user: Optional[str] = None
    # Name of the channel.
    channel: Optional[str] = None
    # Id of the connection.
    client: Optional[str] = None
    # An address, or a range such as `192.0.2.0/24`.
    address: Optional[str] = None
    # The token's `jti`.
    token: Optional[str] = None
    # Tokens issued before this time, Unix seconds.
    before: Optional[int] = None
    # When the restriction ends, Unix seconds.
    expireAt: Optional[int] = None
    # Id of the one event that was put back. Absent: all of the line.
    event: Optional[str] = None
    # Part of the connections that was to go, up to 1.
    share: Optional[float] = None
    # Connections that were to go.
    connections: Optional[int] = None
    # How long it takes, or holds.
    seconds: Optional[float] = None
    # Level of the log.
    level: Optional[str] = None
    # Whether what is in messages was shown.
    payloads: Optional[bool] = None
    # Most messages that were shown.
    limit: Optional[int] = None
    # Settings that have changed, the first 100.
    changes: Optional[Any] = None
    # Id of the stream's new life.
    life: Optional[str] = None
    # Id of the life that ended.
    former: Optional[str] = None
    # In webhooks: the same in every repetition. In NATS it is the header Nats-Msg-Id.
    id: Optional[str] = None
    type: str = "audit"


@dataclass(frozen=True)
class RejectedEvent:
    """The body of a message that a service published was left out. Not told to webhooks."""

    # When it happened, Unix ms.
    timeMs: int
    # Name of the channel.
    channel: str
    # What is wrong with the body. Today one of: too long, not UTF-8, not JSON, nested too deep, lone surrogate.
    reason: str
    # As of the others. Absent with the embedded broker.
    instance: Optional[str] = None
    # As of the others. Absent with the embedded broker.
    region: Optional[str] = None
    # Where the message is in the channel. Absent: it was not stored.
    offset: Optional[int] = None
    # In webhooks: the same in every repetition. In NATS it is the header Nats-Msg-Id.
    id: Optional[str] = None
    type: str = "rejected"


Event = Union[
    ConnectEvent,
    DisconnectEvent,
    JoinEvent,
    LeaveEvent,
    OccupiedEvent,
    VacatedEvent,
    MessageEvent,
    AuditEvent,
    RejectedEvent,
]

KINDS = {
    "connect": ConnectEvent,
    "disconnect": DisconnectEvent,
    "join": JoinEvent,
    "leave": LeaveEvent,
    "occupied": OccupiedEvent,
    "vacated": VacatedEvent,
    "message": MessageEvent,
    "audit": AuditEvent,
    "rejected": RejectedEvent,
}


class NotAnEvent(ValueError):
    """A text that is no event, or an event that lacks a member or has one of another type."""


def read_event(text: Union[str, bytes, dict]) -> Optional["Event"]:
    """One event: the body of a message of NATS, or an element of the events of a webhook.

    None for a kind that this file does not know: newer gateways may tell more. Members that it does not know are
    passed over. Raises NotAnEvent.
    """
    try:
        value = text if isinstance(text, dict) else json.loads(text)
    except ValueError as error:
        raise NotAnEvent(f"not JSON: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise NotAnEvent("not an object with a type")
    kind = KINDS.get(value["type"])
    if kind is None:
        return None
    types = get_type_hints(kind)
    for field in fields(kind):
        if field.name not in value:
            if field.default is MISSING:
                raise NotAnEvent(f"{value['type']} has no {field.name}")
        elif not _fits(value[field.name], types[field.name]):
            raise NotAnEvent(f"{value['type']} has a {field.name} of another type")
    return kind(**{field.name: value[field.name] for field in fields(kind) if field.name in value})


def _fits(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if get_origin(kind) is Union:
        return any(_fits(value, one) for one in get_args(kind))
    if kind is float:
        kind = (int, float)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))

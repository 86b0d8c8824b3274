// Package trunklineevents has the events of Trunkline as structs. It needs the standard library alone.
//
// Made by: trunkline config --reference events-go
package trunklineevents

import (
	"encoding/json"
	"fmt"
)

// Head is what every event has. Instance and Region of a rejected event are empty with the embedded broker.
type Head struct {
	// ID is the same in every repetition. In webhooks alone: in NATS it is the header Nats-Msg-Id.
	ID string `json:"id,omitempty"`
	// Type is its kind.
	Type string `json:"type"`
	// TimeMs is when it happened, Unix ms.
	TimeMs int64 `json:"timeMs"`
	// Instance is the name of the instance that tells it; of a disconnect, that of the client.
	Instance string `json:"instance,omitempty"`
	// Region is the region of that instance.
	Region string `json:"region,omitempty"`
}

// ConnectEvent: A client was identified.
type ConnectEvent struct {
	Head
	// Id of the connection.
	Client string `json:"client"`
	// Id of the user. Empty: anonymous.
	User string `json:"user"`
	// Device of the user that the token names. Empty: none.
	Device string `json:"device"`
	// Address of the client.
	Ip string `json:"ip"`
	// When the connection was opened, Unix ms.
	SinceMs int64 `json:"sinceMs"`
}

// DisconnectEvent: The client is gone. `instance` and `region` are those of the client.
type DisconnectEvent struct {
	Head
	// Id of the connection.
	Client string `json:"client"`
	// Id of the user. Empty: anonymous.
	User string `json:"user"`
	// Device of the user that the token names. Empty: none.
	Device string `json:"device"`
	// Address of the client.
	Ip string `json:"ip"`
	// When the connection was opened, Unix ms.
	SinceMs int64 `json:"sinceMs"`
	// The close code. 0: the client's instance died.
	Code int64 `json:"code"`
	// The reason of the close.
	Reason string `json:"reason"`
}

// JoinEvent: A user's first connection enters a channel with presence.
type JoinEvent struct {
	Head
	// Name of the channel.
	Channel string `json:"channel"`
	// Id of the user. Empty: anonymous.
	User string `json:"user"`
	// Id of the connection.
	Client string `json:"client"`
}

// LeaveEvent: The user's last connection has left the channel.
type LeaveEvent struct {
	Head
	// Name of the channel.
	Channel string `json:"channel"`
	// Id of the user. Empty: anonymous.
	User string `json:"user"`
	// Id of the connection.
	Client string `json:"client"`
}

// OccupiedEvent: The first member of a channel with presence came.
type OccupiedEvent struct {
	Head
	// Name of the channel.
	Channel string `json:"channel"`
}

// VacatedEvent: The channel's last member has left.
type VacatedEvent struct {
	Head
	// Name of the channel.
	Channel string `json:"channel"`
}

// MessageEvent: A client called `send`.
type MessageEvent struct {
	Head
	// Id of the connection.
	Client string `json:"client"`
	// Id of the user. Empty: anonymous.
	User string `json:"user"`
	// Device of the user that the token names. Empty: none.
	Device string `json:"device"`
	// Address of the client.
	Ip string `json:"ip"`
	// When the connection was opened, Unix ms.
	SinceMs int64 `json:"sinceMs"`
	// What the client sent, as it was written: any JSON.
	Data json.RawMessage `json:"data"`
}

// AuditEvent: Somebody took or gave back a right, or did something else that operators answer for.
type AuditEvent struct {
	Head
	// What was done. Today one of: restricted, lifted, replayed, moved, renewed, log_level, traced, read, published, unsubscribed, disconnected, removed, asked, reloaded.
	Action string `json:"action"`
	// What it was done to. Today one of: token, issued, channel, user, address, webhook, connections, life, log, trace, history, presence, settings.
	Kind string `json:"kind"`
	// Which one: name of a restriction, line of webhooks, channel, user, instance or stream.
	Target string `json:"target,omitempty"`
	// By which way it was asked for. Today one of: api, nats, console, command.
	Via string `json:"via,omitempty"`
	// The operator, where the way knows one.
	By string `json:"by,omitempty"`
	// Name of the instance that it is about. Absent: all, or `target` says it.
	Of string `json:"of,omitempty"`
	// Why it failed; part of it may have been done all the same.
	Failed string `json:"failed,omitempty"`
	// What whoever did it gave as the reason.
	Reason string `json:"reason,omitempty"`
	// Id of the user. Empty: anonymous.
	User string `json:"user,omitempty"`
	// Name of the channel.
	Channel string `json:"channel,omitempty"`
	// Id of the connection.
	Client string `json:"client,omitempty"`
	// An address, or a range such as `192.0.2.0/24`.
	Address string `json:"address,omitempty"`
	// The token's `jti`.
	Token string `json:"token,omitempty"`
	// Tokens issued before this time, Unix seconds.
	Before *int64 `json:"before,omitempty"`
	// When the restriction ends, Unix seconds.
	ExpireAt *int64 `json:"expireAt,omitempty"`
	// Id of the one event that was put back. Absent: all of the line.
	Event string `json:"event,omitempty"`
	// Part of the connections that was to go, up to 1.
	Share *float64 `json:"share,omitempty"`
	// Connections that were to go.
	Connections *int64 `json:"connections,omitempty"`
	// How long it takes, or holds.
	Seconds *float64 `json:"seconds,omitempty"`
	// Level of the log.
	Level string `json:"level,omitempty"`
	// Whether what is in messages was shown.
	Payloads *bool `json:"payloads,omitempty"`
	// Most messages that were shown.
	Limit *int64 `json:"limit,omitempty"`
	// Settings that have changed, the first 100.
	Changes json.RawMessage `json:"changes,omitempty"`
	// Id of the stream's new life.
	Life string `json:"life,omitempty"`
	// Id of the life that ended.
	Former string `json:"former,omitempty"`
}

// RejectedEvent: The body of a message that a service published was left out. Not told to webhooks.
type RejectedEvent struct {
	Head
	// Name of the channel.
	Channel string `json:"channel"`
	// What is wrong with the body. Today one of: too long, not UTF-8, not JSON, nested too deep, lone surrogate.
	Reason string `json:"reason"`
	// Where the message is in the channel. Absent: it was not stored.
	Offset *int64 `json:"offset,omitempty"`
}

// Event is a pointer to one of the structs above.
type Event interface{ head() *Head }

func (h *Head) head() *Head { return h }

// HeadOf gives what every event has.
func HeadOf(event Event) Head { return *event.head() }

// Read reads one event: the body of a message of NATS, or an element of the events of a webhook. It gives nil, and no
// error, for a kind that this file does not know: newer gateways may tell more. Members that it does not know are passed
// over.
func Read(text []byte) (Event, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, fmt.Errorf("no event: %w", err)
	}
	var kind string
	if err := json.Unmarshal(members["type"], &kind); err != nil {
		return nil, fmt.Errorf("no event: its type: %w", err)
	}
	event, required := empty(kind)
	if event == nil {
		return nil, nil
	}
	for _, name := range required {
		if _, ok := members[name]; !ok {
			return nil, fmt.Errorf("an event %s has no %s", kind, name)
		}
	}
	if err := json.Unmarshal(text, event); err != nil {
		return nil, fmt.Errorf("an event %s: %w", kind, err)
	}
	return event, nil
}

// empty gives an event of a kind, and the members that it must have.
func empty(kind string) (Event, []string) {
	switch kind {
	case "connect":
		return &ConnectEvent{}, []string{"timeMs", "instance", "region", "client", "user", "device", "ip", "sinceMs"}
	case "disconnect":
		return &DisconnectEvent{}, []string{"timeMs", "instance", "region", "client", "user", "device", "ip", "sinceMs", "code", "reason"}
	case "join":
		return &JoinEvent{}, []string{"timeMs", "instance", "region", "channel", "user", "client"}
	case "leave":
		return &LeaveEvent{}, []string{"timeMs", "instance", "region", "channel", "user", "client"}
	case "occupied":
		return &OccupiedEvent{}, []string{"timeMs", "instance", "region", "channel"}
	case "vacated":
		return &VacatedEvent{}, []string{"timeMs", "instance", "region", "channel"}
	case "message":
		return &MessageEvent{}, []string{"timeMs", "instance", "region", "client", "user", "device", "ip", "sinceMs", "data"}
	case "audit":
		return &AuditEvent{}, []string{"timeMs", "instance", "region", "action", "kind"}
	case "rejected":
		return &RejectedEvent{}, []string{"timeMs", "channel", "reason"}
	}
	return nil, nil
}

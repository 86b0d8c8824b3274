package main

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"trunkline/compat/lines"
)

// teller says events of one client.
func teller(client string) func(string, event) {
	return func(name string, said event) {
		said["client"], said["event"] = client, name
		lines.Say(said)
	}
}

// next gives one token after the other, the last one for ever.
func next(tokens []string, asked func()) func() (string, error) {
	var mutex sync.Mutex
	return func() (string, error) {
		asked()
		mutex.Lock()
		defer mutex.Unlock()
		token := tokens[0]
		if len(tokens) > 1 {
			tokens = tokens[1:]
		}
		return token, nil
	}
}

func create(ask request) error {
	tell := teller(ask.Client)
	config := centrifuge.Config{
		Token: ask.Token, Name: ask.Name,
		MinReconnectDelay: 100 * time.Millisecond, MaxReconnectDelay: time.Second,
	}
	if len(ask.Tokens) > 0 {
		token := next(ask.Tokens, func() { tell("token", event{}) })
		config.GetToken = func(centrifuge.ConnectionTokenEvent) (string, error) { return token() }
	}
	client := centrifuge.NewJsonClient(ask.URL, config)
	if ask.Protocol == "protobuf" {
		client = centrifuge.NewProtobufClient(ask.URL, config)
	}
	client.OnConnecting(func(e centrifuge.ConnectingEvent) {
		tell("connecting", event{"code": e.Code, "reason": e.Reason})
	})
	client.OnConnected(func(e centrifuge.ConnectedEvent) { tell("connected", event{"id": e.ClientID}) })
	client.OnDisconnected(func(e centrifuge.DisconnectedEvent) {
		tell("disconnected", event{"code": e.Code, "reason": e.Reason})
	})
	client.OnError(func(e centrifuge.ErrorEvent) { tell("error", event{"message": e.Error.Error()}) })
	client.OnMessage(func(e centrifuge.MessageEvent) { tell("message", event{"data": json.RawMessage(e.Data)}) })
	client.OnSubscribed(func(e centrifuge.ServerSubscribedEvent) {
		tell("serverSubscribed", event{"channel": e.Channel, "recovered": e.Recovered, "recovering": e.WasRecovering})
	})
	client.OnUnsubscribed(func(e centrifuge.ServerUnsubscribedEvent) {
		tell("serverUnsubscribed", event{"channel": e.Channel})
	})
	client.OnPublication(func(e centrifuge.ServerPublicationEvent) {
		said := publication(e.Publication)
		said["channel"] = e.Channel
		tell("serverPublication", said)
	})
	mutex.Lock()
	defer mutex.Unlock()
	clients[ask.Client] = client
	return nil
}

func subscribe(client *centrifuge.Client, ask request) error {
	tell := teller(ask.Client)
	if sub, ok := client.GetSubscription(ask.Channel); ok {
		return sub.Subscribe()
	}
	config := centrifuge.SubscriptionConfig{
		Token: ask.Token, Recoverable: ask.Recoverable, Positioned: ask.Positioned, JoinLeave: ask.JoinLeave,
		MinResubscribeDelay: 100 * time.Millisecond, MaxResubscribeDelay: time.Second,
	}
	if ask.Delta {
		config.Delta = centrifuge.DeltaTypeFossil
	}
	if len(ask.Tokens) > 0 {
		token := next(ask.Tokens, func() { tell("token", event{"channel": ask.Channel}) })
		config.GetToken = func(centrifuge.SubscriptionTokenEvent) (string, error) { return token() }
	}
	sub, err := client.NewSubscription(ask.Channel, config)
	if err != nil {
		return err
	}
	listen(sub, tell)
	return sub.Subscribe()
}

func listen(sub *centrifuge.Subscription, tell func(string, event)) {
	on := func(name string, said event) {
		said["channel"] = sub.Channel
		tell(name, said)
	}
	sub.OnSubscribing(func(e centrifuge.SubscribingEvent) {
		on("subscribing", event{"code": e.Code, "reason": e.Reason})
	})
	sub.OnSubscribed(func(e centrifuge.SubscribedEvent) {
		said := event{"recovered": e.Recovered, "recovering": e.WasRecovering}
		if e.StreamPosition != nil {
			said["offset"], said["epoch"] = e.StreamPosition.Offset, e.StreamPosition.Epoch
		}
		on("subscribed", said)
	})
	sub.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) {
		on("unsubscribed", event{"code": e.Code, "reason": e.Reason})
	})
	sub.OnError(func(e centrifuge.SubscriptionErrorEvent) {
		on("subscriptionError", event{"message": e.Error.Error()})
	})
	sub.OnPublication(func(e centrifuge.PublicationEvent) { on("publication", publication(e.Publication)) })
	sub.OnJoin(func(e centrifuge.JoinEvent) { on("join", event{"user": e.User}) })
	sub.OnLeave(func(e centrifuge.LeaveEvent) { on("leave", event{"user": e.User}) })
}

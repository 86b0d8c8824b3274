// Runs stock centrifuge-go for the compatibility tests.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"trunkline/compat/lines"
)

// request has the members of all commands.
type request struct {
	Client      string          `json:"client"`
	URL         string          `json:"url"`
	Protocol    string          `json:"protocol"`
	Token       string          `json:"token"`
	Tokens      []string        `json:"tokens"`
	Name        string          `json:"name"`
	Channel     string          `json:"channel"`
	Method      string          `json:"method"`
	Data        json.RawMessage `json:"data"`
	Limit       int32           `json:"limit"`
	Reverse     bool            `json:"reverse"`
	Since       *position       `json:"since"`
	Recoverable bool            `json:"recoverable"`
	Positioned  bool            `json:"positioned"`
	JoinLeave   bool            `json:"joinLeave"`
	Delta       bool            `json:"delta"`
}

type position struct {
	Offset uint64 `json:"offset"`
	Epoch  string `json:"epoch"`
}

type event map[string]any

const patience = 10 * time.Second

var (
	mutex   sync.Mutex
	clients = map[string]*centrifuge.Client{}
)

func main() {
	lines.Serve(do, func(err error) lines.Failure {
		var reply *centrifuge.Error
		if errors.As(err, &reply) {
			return lines.Failure{Code: int(reply.Code), Message: reply.Message}
		}
		return lines.Failure{Message: err.Error()}
	})
}

func do(command lines.Command) (any, error) {
	var ask request
	if err := command.Into(&ask); err != nil {
		return nil, err
	}
	if command.Do == "new" {
		return nil, create(ask)
	}
	mutex.Lock()
	client := clients[ask.Client]
	mutex.Unlock()
	if client == nil {
		return nil, fmt.Errorf("no client %s", ask.Client)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch command.Do {
	case "connect":
		return nil, client.Connect()
	case "disconnect":
		return nil, client.Disconnect()
	case "subscribe":
		return nil, subscribe(client, ask)
	case "unsubscribe":
		if sub, ok := client.GetSubscription(ask.Channel); ok {
			return nil, sub.Unsubscribe()
		}
		return nil, errors.New("no such subscription")
	}
	return answered(ctx, client, command.Do, ask)
}

// answered does what is answered by the server.
func answered(ctx context.Context, client *centrifuge.Client, what string, ask request) (any, error) {
	switch what {
	case "publish":
		_, err := client.Publish(ctx, ask.Channel, ask.Data)
		return nil, err
	case "send":
		return nil, client.Send(ctx, ask.Data)
	case "rpc":
		result, err := client.RPC(ctx, ask.Method, ask.Data)
		return event{"data": json.RawMessage(result.Data)}, err
	case "presence":
		result, err := client.Presence(ctx, ask.Channel)
		users := map[string]string{}
		for id, info := range result.Clients {
			users[id] = info.User
		}
		return event{"users": users}, err
	case "stats":
		result, err := client.PresenceStats(ctx, ask.Channel)
		return event{"clients": result.NumClients, "users": result.NumUsers}, err
	case "history":
		options := []centrifuge.HistoryOption{
			centrifuge.WithHistoryLimit(ask.Limit), centrifuge.WithHistoryReverse(ask.Reverse),
		}
		if ask.Since != nil {
			since := centrifuge.StreamPosition{Offset: ask.Since.Offset, Epoch: ask.Since.Epoch}
			options = append(options, centrifuge.WithHistorySince(&since))
		}
		result, err := client.History(ctx, ask.Channel, options...)
		publications := []event{}
		for _, one := range result.Publications {
			publications = append(publications, publication(one))
		}
		return event{"publications": publications, "offset": result.Offset, "epoch": result.Epoch}, err
	}
	return nil, fmt.Errorf("unknown command %s", what)
}

func publication(one centrifuge.Publication) event {
	said := event{"data": json.RawMessage(one.Data), "offset": one.Offset, "tags": one.Tags}
	if one.Info != nil {
		said["user"] = one.Info.User
	}
	return said
}

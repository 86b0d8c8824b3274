// Runs gocent, Centrifugo's stock server client for Go, for the compatibility tests.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/centrifugal/gocent/v3"

	"trunkline/compat/lines"
)

// request has the members of all commands.
type request struct {
	URL      string    `json:"url"`
	APIKey   string    `json:"apiKey"`
	Params   params    `json:"params"`
	Commands []command `json:"commands"`
}

type command struct {
	Do     string `json:"do"`
	Params params `json:"params"`
}

type params struct {
	Channel      string                 `json:"channel"`
	Channels     []string               `json:"channels"`
	User         string                 `json:"user"`
	Client       string                 `json:"client"`
	Data         json.RawMessage        `json:"data"`
	SkipHistory  bool                   `json:"skip_history"`
	Limit        int                    `json:"limit"`
	Reverse      bool                   `json:"reverse"`
	Since        *gocent.StreamPosition `json:"since"`
	Pattern      string                 `json:"pattern"`
	Disconnect   *gocent.Disconnect     `json:"disconnect"`
	Whitelist    []string               `json:"whitelist"`
	RecoverSince *gocent.StreamPosition `json:"recover_since"`
}

var client *gocent.Client

func main() {
	lines.Serve(do, func(err error) lines.Failure {
		var reply *gocent.Error
		if errors.As(err, &reply) {
			return lines.Failure{Code: reply.Code, Message: reply.Message}
		}
		return lines.Failure{Message: err.Error()}
	})
}

func do(line lines.Command) (any, error) {
	var ask request
	if err := line.Into(&ask); err != nil {
		return nil, err
	}
	if line.Do == "new" {
		client = gocent.New(gocent.Config{Addr: ask.URL, Key: ask.APIKey})
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if line.Do == "batch" {
		return pipe(ctx, ask.Commands)
	}
	return call(ctx, line.Do, ask.Params)
}

// pipe sends several commands in one request.
func pipe(ctx context.Context, commands []command) (any, error) {
	pipe := client.Pipe()
	for _, one := range commands {
		var err error
		switch one.Do {
		case "publish":
			err = pipe.AddPublish(one.Params.Channel, one.Params.Data)
		case "history":
			err = pipe.AddHistory(one.Params.Channel, gocent.WithLimit(one.Params.Limit))
		default:
			err = fmt.Errorf("no %s in a pipe", one.Do)
		}
		if err != nil {
			return nil, err
		}
	}
	replies, err := client.SendPipe(ctx, pipe)
	return map[string]any{"replies": replies}, err
}

func call(ctx context.Context, what string, with params) (any, error) {
	switch what {
	case "publish":
		return client.Publish(ctx, with.Channel, with.Data, gocent.WithSkipHistory(with.SkipHistory))
	case "broadcast":
		return client.Broadcast(ctx, with.Channels, with.Data)
	case "subscribe":
		options := []gocent.SubscribeOption{gocent.WithSubscribeClient(with.Client)}
		if with.RecoverSince != nil {
			options = append(options, gocent.WithRecover(true), gocent.WithRecoverSince(with.RecoverSince))
		}
		return nil, client.Subscribe(ctx, with.Channel, with.User, options...)
	case "unsubscribe":
		return nil, client.Unsubscribe(ctx, with.Channel, with.User, gocent.WithUnsubscribeClient(with.Client))
	case "disconnect":
		options := []gocent.DisconnectOption{
			gocent.WithDisconnectClient(with.Client), gocent.WithDisconnectClientWhitelist(with.Whitelist),
		}
		if with.Disconnect != nil {
			options = append(options, gocent.WithDisconnect(with.Disconnect))
		}
		return nil, client.Disconnect(ctx, with.User, options...)
	}
	return look(ctx, what, with)
}

// look does what changes nothing, but history_remove.
func look(ctx context.Context, what string, with params) (any, error) {
	switch what {
	case "presence":
		return client.Presence(ctx, with.Channel)
	case "presence_stats":
		return client.PresenceStats(ctx, with.Channel)
	case "history":
		options := []gocent.HistoryOption{gocent.WithLimit(with.Limit), gocent.WithReverse(with.Reverse)}
		if with.Since != nil {
			options = append(options, gocent.WithSince(with.Since))
		}
		return client.History(ctx, with.Channel, options...)
	case "history_remove":
		return nil, client.HistoryRemove(ctx, with.Channel)
	case "channels":
		return client.Channels(ctx, gocent.WithPattern(with.Pattern))
	case "info":
		return client.Info(ctx)
	}
	return nil, fmt.Errorf("unknown command %s", what)
}

// Runs the stock Pusher server SDK for Go for the compatibility tests.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/pusher/pusher-http-go/v5"

	"trunkline/compat/lines"
)

// request has the members of all commands.
type request struct {
	App       string         `json:"app"`
	Key       string         `json:"key"`
	Secret    string         `json:"secret"`
	Host      string         `json:"host"`
	Port      int            `json:"port"`
	MasterKey string         `json:"masterKey"`
	Channels  []string       `json:"channels"`
	Channel   string         `json:"channel"`
	Name      string         `json:"name"`
	Data      any            `json:"data"`
	Socket    *string        `json:"socket"`
	Info      []string       `json:"info"`
	Prefix    *string        `json:"prefix"`
	User      string         `json:"user"`
	Events    []pusher.Event `json:"events"`
	Member    *member        `json:"member"`
	UserData  map[string]any `json:"userData"`
	Signature string         `json:"signature"`
	Body      string         `json:"body"`
}

type member struct {
	UserID   string            `json:"user_id"`
	UserInfo map[string]string `json:"user_info"`
}

var client pusher.Client

func main() {
	lines.Serve(do, func(err error) lines.Failure { return lines.Failure{Message: err.Error()} })
}

func do(line lines.Command) (any, error) {
	var ask request
	if err := line.Into(&ask); err != nil {
		return nil, err
	}
	switch line.Do {
	case "new":
		client = pusher.Client{
			AppID: ask.App, Key: ask.Key, Secret: ask.Secret, Host: fmt.Sprintf("%s:%d", ask.Host, ask.Port),
			EncryptionMasterKeyBase64: ask.MasterKey,
		}
		return nil, nil
	case "trigger":
		return client.TriggerMultiWithParams(ask.Channels, ask.Name, ask.Data, pusher.TriggerParams{SocketID: ask.Socket})
	case "batch":
		return client.TriggerBatch(ask.Events)
	case "sendToUser":
		return nil, client.SendToUser(ask.User, ask.Name, ask.Data)
	}
	return look(line.Do, ask)
}

func look(what string, ask request) (any, error) {
	var info *string
	if len(ask.Info) > 0 {
		joined := strings.Join(ask.Info, ",")
		info = &joined
	}
	switch what {
	case "channels":
		return client.Channels(pusher.ChannelsParams{FilterByPrefix: ask.Prefix, Info: info})
	case "channel":
		return client.Channel(ask.Channel, pusher.ChannelParams{Info: info})
	case "users":
		found, err := client.GetChannelUsers(ask.Channel)
		if err != nil {
			return nil, err
		}
		return map[string]any{"users": found.List}, nil
	case "authorize":
		return authorize(ask)
	case "authenticate":
		return raw(client.AuthenticateUser([]byte("socket_id="+url.QueryEscape(*ask.Socket)), ask.UserData))
	case "webhook":
		header := http.Header{"X-Pusher-Key": {ask.Key}, "X-Pusher-Signature": {ask.Signature}}
		found, err := client.Webhook(header, []byte(ask.Body))
		if err != nil {
			return map[string]any{"valid": false, "events": []any{}}, nil
		}
		return map[string]any{"valid": true, "events": found.Events}, nil
	}
	return nil, fmt.Errorf("unknown command %s", what)
}

func authorize(ask request) (any, error) {
	form := []byte(url.Values{"socket_id": {*ask.Socket}, "channel_name": {ask.Channel}}.Encode())
	if ask.Member == nil {
		return raw(client.AuthorizePrivateChannel(form))
	}
	return raw(client.AuthorizePresenceChannel(form, pusher.MemberData{
		UserID: ask.Member.UserID, UserInfo: ask.Member.UserInfo,
	}))
}

func raw(text []byte, err error) (any, error) { return json.RawMessage(text), err }

// A peer: the Go library Centrifugo is made of, with as little around it as makes it a server that does what the load
// tool measures: tokens (HS256), one inbox per user, history and recovery in memory, publishing over HTTP and by clients.
//
// HOST, PORT, TOKEN_SECRET and API_KEY come from the environment. The first line it prints is its address.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/golang-jwt/jwt/v5"
)

const (
	historySize = 1000
	historyTTL  = 10 * time.Minute
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	handle(node, []byte(os.Getenv("TOKEN_SECRET")))
	if err := node.Run(); err != nil {
		return err
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	http.HandleFunc("/api/publish", publishing(node, os.Getenv("API_KEY")))
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")))
	if err != nil {
		return err
	}
	fmt.Printf("ws://%s\n", listener.Addr())
	return http.Serve(listener, nil)
}

func handle(node *centrifuge.Node, secret []byte) {
	key := func(*jwt.Token) (any, error) { return secret, nil }
	node.OnConnecting(func(_ context.Context, event centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		var claims jwt.RegisteredClaims
		if _, err := jwt.ParseWithClaims(event.Token, &claims, key, jwt.WithValidMethods([]string{"HS256"})); err != nil {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		reply := centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: claims.Subject}}
		if claims.Subject != "" {
			inbox := "user:" + claims.Subject
			reply.Subscriptions = map[string]centrifuge.SubscribeOptions{inbox: {EnableRecovery: true}}
		}
		return reply, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(event centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
			if !strings.HasPrefix(event.Channel, "bench:") {
				done(centrifuge.SubscribeReply{}, centrifuge.ErrorPermissionDenied)
				return
			}
			done(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{EnableRecovery: true}}, nil)
		})
		client.OnPublish(func(event centrifuge.PublishEvent, done centrifuge.PublishCallback) {
			result, err := node.Publish(event.Channel, event.Data, centrifuge.WithHistory(historySize, historyTTL))
			done(centrifuge.PublishReply{Result: &result}, err)
		})
	})
}

func publishing(node *centrifuge.Node, apiKey string) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		if request.Header.Get("X-API-Key") != apiKey {
			http.Error(response, "unauthorized", http.StatusUnauthorized)
			return
		}
		var message struct {
			Channel string          `json:"channel"`
			Data    json.RawMessage `json:"data"`
		}
		err := json.NewDecoder(request.Body).Decode(&message)
		if err == nil && message.Channel == "" {
			err = errors.New("no channel")
		}
		if err == nil {
			_, err = node.Publish(message.Channel, message.Data, centrifuge.WithHistory(historySize, historyTTL))
		}
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = response.Write([]byte(`{"result":{}}`))
	}
}

// An order desk: tells users of their orders, whether they are online or not, and learns by webhook who is online.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"
)

// What subjects and channels take without being encoded.
var word = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

type desk struct {
	js       nats.JetStreamContext
	secret   []byte
	visitors *visitors
}

// token signs a connection token. A real backend first looks who is signed in.
func (d *desk) token(w http.ResponseWriter, r *http.Request) {
	claims := jwt.MapClaims{"sub": r.PathValue("user"), "exp": time.Now().Add(time.Hour).Unix()}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(d.secret)
	if err != nil {
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, token)
}

// status writes to the user's inbox, which keeps the message until the user has it. The answer comes when it is stored.
func (d *desk) status(w http.ResponseWriter, r *http.Request) {
	user, order, status := r.PathValue("user"), r.PathValue("order"), r.PathValue("status")
	for _, part := range []string{user, order, status} {
		if !word.MatchString(part) {
			http.Error(w, "letters, digits, _ and - only", http.StatusBadRequest)
			return
		}
	}
	body, _ := json.Marshal(map[string]string{"order": order, "status": status})
	// One id for one change: whoever repeats the request stores nothing twice.
	ack, err := d.js.Publish("rt.user."+user, body, nats.MsgId("order-"+order+"-"+status), nats.Context(r.Context()))
	if err != nil {
		http.Error(w, "not stored, try again", http.StatusServiceUnavailable)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"seq": ack.Sequence, "duplicate": ack.Duplicate})
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	nc, err := nats.Connect(env("NATS_URL", nats.DefaultURL), nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	js, err := nc.JetStream()
	if err != nil {
		log.Fatal(err)
	}
	visitors, err := newVisitors(env("WEBHOOK_SECRET", "whsec_dHJ1bmtsaW5lLWV4YW1wbGUtc2VjcmV0LW9ubHk="))
	if err != nil {
		log.Fatal(err)
	}
	d := &desk{js: js, secret: []byte(env("TRUNKLINE_TOKEN_SECRET", "an-example-secret-that-nobody-should-use")), visitors: visitors}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /token/{user}", d.token)
	mux.HandleFunc("POST /users/{user}/orders/{order}/{status}", d.status)
	mux.HandleFunc("GET /online/{user}", d.visitors.online)
	mux.HandleFunc("POST /webhooks", d.visitors.webhook)
	listener, err := net.Listen("tcp", "127.0.0.1:"+env("PORT", "3000"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, mux))
}

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// visitors knows who is online, from webhooks.
type visitors struct {
	key []byte
	mu  sync.Mutex
	// Connections of each user.
	clients map[string]map[string]bool
}

func newVisitors(secret string) (*visitors, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return nil, fmt.Errorf("WEBHOOK_SECRET: %w", err)
	}
	return &visitors{key: key, clients: map[string]map[string]bool{}}, nil
}

// signed says whether a request is from the gateway, and new: github.com/standard-webhooks does the same.
func (v *visitors) signed(r *http.Request, body []byte) bool {
	id, stamp := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || math.Abs(time.Since(time.Unix(seconds, 0)).Minutes()) > 5 {
		return false
	}
	mac := hmac.New(sha256.New, v.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	right := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, signature := range strings.Fields(r.Header.Get("webhook-signature")) {
		if hmac.Equal([]byte(signature), []byte(right)) {
			return true
		}
	}
	return false
}

// webhook works events in. One that comes twice changes nothing. An answer other than 2xx brings it again.
func (v *visitors) webhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil || !v.signed(r, body) {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	var request struct {
		Events []struct{ Type, User, Client string }
	}
	if err := json.Unmarshal(body, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, event := range request.Events {
		switch event.Type {
		case "connect":
			if v.clients[event.User] == nil {
				v.clients[event.User] = map[string]bool{}
			}
			v.clients[event.User][event.Client] = true
		case "disconnect":
			delete(v.clients[event.User], event.Client)
		}
	}
}

func (v *visitors) online(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprint(w, len(v.clients[r.PathValue("user")]) > 0)
}

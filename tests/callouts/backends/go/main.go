// The same backend in Go. Prints its port.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

type object = map[string]any

type question struct {
	User    string `json:"user"`
	Channel string `json:"channel"`
	Method  string `json:"method"`
	Meta    struct {
		Plan string `json:"plan"`
	} `json:"meta"`
	Data struct {
		Text string `json:"text"`
		A    int    `json:"a"`
		B    int    `json:"b"`
	} `json:"data"`
}

func result(members object) object { return object{"result": members} }

func failure(code int, message string) object {
	return object{"error": object{"code": code, "message": message}}
}

func answer(event string, asked question, headers http.Header) object {
	now := time.Now().Unix()
	switch event {
	case "connect":
		shown := headers.Get("Cookie") + " " + headers.Get("Authorization")
		if !strings.Contains(shown, "session=ann") && !strings.Contains(shown, "Bearer ann") {
			return object{"disconnect": object{"code": 4501, "reason": "who?"}}
		}
		return result(object{
			"user": "ann", "expire_at": now + 2, "info": object{"name": "Ann"},
			"data": object{"hello": "ann"}, "meta": object{"plan": "pro"},
		})
	case "refresh":
		if asked.Meta.Plan != "pro" {
			return result(object{"expired": true})
		}
		return result(object{"expire_at": now + 3600})
	case "subscribe":
		if asked.Channel == "asked:plain" {
			return result(object{})
		}
		if asked.Channel != "asked:open" {
			return failure(403, "closed")
		}
		return result(object{"info": object{"seat": 7}, "data": object{"welcome": true}, "expire_at": now + 2})
	case "sub_refresh":
		return result(object{"expired": true})
	case "publish":
		if asked.Data.Text == "bad" {
			return failure(400, "no")
		}
		return result(object{"data": object{"text": strings.ToUpper(asked.Data.Text), "by": asked.User}})
	case "rpc":
		if asked.Method == "sum" {
			return result(object{"data": object{"sum": asked.Data.A + asked.Data.B}})
		}
	}
	return nil
}

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		var asked question
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		said := answer(strings.Trim(r.URL.Path, "/"), asked, r.Header)
		w.Header().Set("Content-Type", "application/json")
		if said == nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_ = json.NewEncoder(w).Encode(said)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, nil))
}

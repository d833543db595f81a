package sink

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
)

const maxBody = 8 << 20 // bytes of a message

// posted is what the gateway reads of a message.
type posted struct {
	ID       string `json:"id"`
	To       string `json:"to"`
	Callback string `json:"callback_url"`
}

// HTTP is a gateway that takes every message posted to it, counts it by its
// "to" before it says so, and answers with an id of its own. What names no
// recipient is 422.
func HTTP(c *Counter) http.Handler { return gateway(c, func(posted) {}) }

// gateway is HTTP that also passes on what it took.
func gateway(c *Counter, took func(posted)) http.Handler {
	var last atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var message posted
		w.Header().Set("Content-Type", "application/json")
		if err != nil || json.Unmarshal(body, &message) != nil || message.To == "" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"code":"bad_message","message":"not a message with a recipient"}`)
			return
		}
		c.add([]byte(message.To), body)
		took(message)
		_, _ = io.WriteString(w, `{"id":"gw-`+strconv.FormatInt(last.Add(1), 16)+`"}`)
	})
}

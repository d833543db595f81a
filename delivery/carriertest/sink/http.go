package sink

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
)

const maxBody = 8 << 20 // bytes of a message

// HTTP is a gateway that takes every message posted to it, counts it by its
// "to" before it says so, and answers with an id of its own. What names no
// recipient is 422.
func HTTP(c *Counter) http.Handler {
	var last atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var message struct {
			To string `json:"to"`
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil || json.Unmarshal(body, &message) != nil || message.To == "" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"code":"bad_message","message":"not a message with a recipient"}`)
			return
		}
		c.add([]byte(message.To), body)
		_, _ = io.WriteString(w, `{"id":"gw-`+strconv.FormatInt(last.Add(1), 16)+`"}`)
	})
}

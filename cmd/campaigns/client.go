package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/campaigns-api/campaigns/gen/client"
	"github.com/campaigns-api/campaigns/gen/types"
)

// clientFlags say which server a command is a client of, and as whom.
type clientFlags struct{ url, key string }

func (f *clientFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.url, "url", "", "the server (default: the environment's CAMPAIGNS_URL, else http://127.0.0.1:8080)")
	c.Flags().StringVar(&f.key, "key", "", "the API key (better: the environment's CAMPAIGNS_KEY, which other users of the machine cannot see)")
}

// connect makes a client; nothing is sent yet. It follows no redirect: the key
// is meant for this server.
func (f *clientFlags) connect() (*client.ClientWithResponses, error) {
	url := cmp.Or(f.url, os.Getenv("CAMPAIGNS_URL"), "http://127.0.0.1:8080")
	if !isBaseURL(url) {
		return nil, usageError{errors.New("the server's address must be http://… or https://…")}
	}
	key := cmp.Or(f.key, os.Getenv("CAMPAIGNS_KEY"))
	if key == "" {
		return nil, usageError{errors.New("set CAMPAIGNS_KEY in the environment or give --key")}
	}
	return client.NewClientWithResponses(url,
		client.WithHTTPClient(&http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("X-API-Key", key)
			return nil
		}))
}

// refusal is an answer that is not the one hoped for, in the server's words.
type refusal struct {
	status int
	words  string
}

func (r *refusal) Error() string { return r.words }

// passing says whether the same request may well be answered later.
func (r *refusal) passing() bool { return r.status >= 500 || r.status == http.StatusTooManyRequests }

// answered is nil for an answer of the wanted status.
func answered(res *http.Response, body []byte, wanted int) error {
	if res.StatusCode == wanted {
		return nil
	}
	var e types.ErrorEnvelope
	if json.Unmarshal(body, &e) != nil || e.Error.Message == "" {
		return &refusal{res.StatusCode, "the server answered " + res.Status}
	}
	lines := []string{e.Error.Message}
	if len(e.Error.Errors) > 1 {
		for _, f := range e.Error.Errors {
			field := ""
			if f.Field != nil {
				field = strings.TrimPrefix(*f.Field, "/") + " "
			}
			lines = append(lines, "  "+field+f.Message)
		}
	}
	return &refusal{res.StatusCode, fmt.Sprintf("the server answered %d: %s", res.StatusCode, strings.Join(lines, "\n"))}
}

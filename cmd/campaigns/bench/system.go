package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/campaigns-api/campaigns/gen/client"
	"github.com/campaigns-api/campaigns/gen/types"
)

// The channels stand for the carriers: each has its own.
const (
	overSMTP     = types.ChannelEmail
	overHTTP     = types.ChannelSMS
	overReceipts = types.ChannelWhatsapp // HTTP, with a receipt for each message
	overNothing  = types.ChannelViber    // a carrier that discards
)

// system is what is measured: a server, a database of its own, and sinks, each a
// process of its own.
type system struct {
	dir      string
	url      string
	debug    string // host:port of the server's memory figures
	key      string
	database *database
	server   *process
	sinks    map[types.Channel]*sinkProcess
}

func startSystem(ctx context.Context, fail context.CancelCauseFunc, o Options) (s *system, err error) {
	s = &system{sinks: map[types.Channel]*sinkProcess{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop(ctx))
		}
	}()
	if s.dir, err = os.MkdirTemp("", "campaigns-bench-"); err != nil {
		return s, err
	}
	if s.database, err = newDatabase(ctx, o.Database); err != nil {
		return s, err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	signing := "whsec_" + base64.StdEncoding.EncodeToString(secret)
	for channel, kind := range map[types.Channel]string{overSMTP: sinkSMTP, overHTTP: sinkHTTP, overReceipts: sinkReceipts} {
		sink, err := startSink(ctx, fail, s.dir, o.Binary, kind, signing)
		if sink != nil {
			s.sinks[channel] = sink
		}
		if err != nil {
			return s, err
		}
	}
	config, err := s.configure(signing)
	if err != nil {
		return s, err
	}
	if s.key, err = makeKey(ctx, o.Binary, config); err != nil {
		return s, err
	}
	if s.server, err = launch(ctx, fail, s.dir, "server", o.Binary, "serve", "--config", config); err != nil {
		return s, err
	}
	return s, s.ready(ctx)
}

// configure writes the server's configuration, with a carrier on each channel.
func (s *system) configure(signing string) (path string, err error) {
	listen, err := freeAddress()
	if err != nil {
		return "", err
	}
	if s.debug, err = freeAddress(); err != nil {
		return "", err
	}
	s.url = "http://" + listen
	tree := map[string]any{ // JSON is YAML
		"listen": listen, "debug_listen": s.debug, "public_url": s.url, "database": s.database.dsn, "log": map[string]any{"level": "warn"},
		"carriers": []map[string]any{
			{"name": "smtp", "type": "smtp", "channels": []any{overSMTP}, "address": s.sinks[overSMTP].Messages, "tls": "off", "from": "Shop <shop@example.com>", "connections": 16},
			{"name": "http", "type": "http", "channels": []any{overHTTP}, "url": "http://" + s.sinks[overHTTP].Messages, "connections": 32},
			{"name": "receipts", "type": "http", "channels": []any{overReceipts}, "url": "http://" + s.sinks[overReceipts].Messages, "connections": 32, "receipt_secret": signing},
			{"name": "nothing", "type": "discard", "channels": []any{overNothing}},
		},
	}
	b, err := json.Marshal(tree)
	if err != nil {
		return "", err
	}
	path = filepath.Join(s.dir, "campaigns.yaml")
	return path, os.WriteFile(path, b, 0o600)
}

// freeAddress has a port that is free now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// makeKey makes an account with a live key, as an operator would.
func makeKey(ctx context.Context, binary, config string) (string, error) {
	var account struct {
		ID string `json:"id"`
	}
	if err := runJSON(ctx, &account, binary, "accounts", "create", "bench", "--config", config, "--json"); err != nil {
		return "", err
	}
	var key struct {
		Key string `json:"key"`
	}
	err := runJSON(ctx, &key, binary, "keys", "create", "--account", account.ID, "--mode", "live", "--config", config, "--json")
	return key.Key, err
}

func runJSON(ctx context.Context, to any, binary string, args ...string) error {
	out, err := exec.CommandContext(ctx, binary, args...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return fmt.Errorf("%v: %s", args[:2], failed.Stderr)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(out, to)
}

// ready waits until the server answers.
func (s *system) ready(ctx context.Context) error {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := http.NewRequestWithContext(patient, http.MethodGet, s.url+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(r); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patient.Done():
			return s.server.tell("does not answer")
		case <-tick.C:
		}
	}
}

func (s *system) newClient() (*client.ClientWithResponses, error) {
	return client.NewClientWithResponses(s.url, client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("X-API-Key", s.key)
		return nil
	}))
}

// stop drains the server, stops the sinks and removes what was written, also when
// ctx has ended.
func (s *system) stop(ctx context.Context) (err error) {
	if s.server != nil {
		err = s.server.stop()
	}
	for _, sink := range s.sinks {
		err = errors.Join(err, sink.stop())
	}
	if s.database != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		err = errors.Join(err, s.database.drop(ctx))
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

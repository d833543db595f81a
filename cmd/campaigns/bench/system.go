package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/campaigns-api/campaigns/gen/client"
)

// system is what is measured: a server and sinks, each a process of its own.
type system struct {
	dir      string
	url      string
	key      string
	database database
	server   *exec.Cmd
	sinks    *sinks
}

func startSystem(ctx context.Context, o Options) (s *system, err error) {
	s = &system{database: newDatabase(o.Database)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "campaigns-bench-"); err != nil {
		return s, err
	}
	if s.sinks, err = startSinks(ctx, o.Binary); err != nil {
		return s, err
	}
	config, err := s.configure(ctx, o)
	if err != nil {
		return s, err
	}
	if s.key, err = makeKey(ctx, o.Binary, config); err != nil {
		return s, err
	}
	s.server = exec.CommandContext(ctx, o.Binary, "serve", "--config", config)
	s.server.Cancel = func() error { return s.server.Process.Signal(syscall.SIGTERM) }
	log, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		return s, err
	}
	s.server.Stderr = log
	if err := s.server.Start(); err != nil {
		return s, fmt.Errorf("start the server: %w", err)
	}
	return s, s.ready(ctx)
}

// configure writes the server's configuration. Mail goes to the SMTP sink and
// SMS to the HTTP sink.
func (s *system) configure(ctx context.Context, o Options) (path string, err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0") // a port that is free now
	if err != nil {
		return "", err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return "", err
	}
	s.url = "http://" + address
	tree := map[string]any{ // JSON is YAML
		"listen": address, "database": o.Database, "log": map[string]any{"level": "warn"},
		"carriers": []map[string]any{
			{"name": "smtp", "type": "smtp", "channels": []string{"email"}, "address": s.sinks.SMTP, "tls": "off", "from": "Shop <shop@example.com>", "connections": 16},
			{"name": "http", "type": "http", "channels": []string{"sms"}, "url": s.sinks.HTTP, "connections": 32},
		},
	}
	b, err := json.Marshal(tree)
	if err != nil {
		return "", err
	}
	path = filepath.Join(s.dir, "campaigns.yaml")
	return path, os.WriteFile(path, b, 0o600)
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
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
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
			log, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
			return fmt.Errorf("the server does not answer: %s", log)
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

// stop drains the server, stops the sinks and removes what was written.
func (s *system) stop() (err error) {
	if s.server != nil && s.server.Process != nil {
		err = errors.Join(s.server.Process.Signal(syscall.SIGTERM), s.server.Wait())
	}
	if s.sinks != nil {
		s.sinks.stop()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

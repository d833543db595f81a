package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"time"

	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
	"github.com/campaigns-api/campaigns/gen/types"
)

// sinks are the far ends of the carriers, in a process of their own.
type sinks struct {
	SMTP   string `json:"smtp"`   // host:port
	HTTP   string `json:"http"`   // where messages are posted
	Counts string `json:"counts"` // where the counts are read

	cmd  *exec.Cmd
	hold io.Closer // the sinks end when it closes
}

// count is what one sink has seen.
type count struct {
	Total    int `json:"total"`
	Distinct int `json:"distinct"` // recipients
}

type counts struct{ SMTP, HTTP count }

func (c counts) of(channel types.Channel) count {
	if channel == types.ChannelEmail {
		return c.SMTP
	}
	return c.HTTP
}

// ServeSinks is the process of the sinks: it says on out, in one line of JSON,
// where it listens, and serves until in ends or ctx does.
func ServeSinks(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	var smtp, posts sink.Counter
	var listeners [3]net.Listener
	for i := range listeners {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		listeners[i] = l
	}
	where := sinks{SMTP: listeners[0].Addr().String(), HTTP: "http://" + listeners[1].Addr().String() + "/", Counts: "http://" + listeners[2].Addr().String() + "/"}
	if err := json.NewEncoder(out).Encode(where); err != nil {
		return err
	}
	for i, h := range []http.Handler{sink.HTTP(&posts), countsHandler(&smtp, &posts)} {
		s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
		context.AfterFunc(ctx, func() { _ = s.Close() })
		go func() { _ = s.Serve(listeners[i+1]) }()
	}
	return sink.ServeSMTP(ctx, listeners[0], &smtp)
}

func countsHandler(smtp, posts *sink.Counter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(counts{
			SMTP: count{smtp.Total(), smtp.Distinct()}, HTTP: count{posts.Total(), posts.Distinct()},
		})
	})
}

func startSinks(ctx context.Context, binary string) (*sinks, error) {
	s := &sinks{cmd: exec.CommandContext(ctx, binary, "bench", "sinks")}
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the sinks: %w", err)
	}
	s.hold = in
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, s)
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("start the sinks: %w", err)
	}
	return s, nil
}

func (s *sinks) counts(ctx context.Context) (c counts, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Counts, nil)
	if err != nil {
		return c, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return c, fmt.Errorf("ask the sinks: %w", err)
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	return c, json.NewDecoder(answer.Body).Decode(&c)
}

func (s *sinks) stop() {
	_ = s.hold.Close()
	_ = s.cmd.Wait()
}

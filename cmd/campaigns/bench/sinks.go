package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
)

// The kinds of sinks. What takes messages over smtp and http counts them; receipts
// is an http that also sends a receipt for each.
const (
	sinkSMTP     = "smtp"
	sinkHTTP     = "http"
	sinkReceipts = "receipts"
)

// sinkProcess is the far end of a carrier, in a process of its own.
type sinkProcess struct {
	*process
	sinkAddresses
}

// sinkAddresses is what a sink prints, as a line of JSON, once it listens.
type sinkAddresses struct {
	Messages string `json:"messages"` // host:port where it takes them
	Counts   string `json:"counts"`   // http://… GET reads what it counted, DELETE starts anew
}

// counts is what a sink has seen since it was started anew.
type counts struct {
	Total    int       `json:"total"`
	Distinct int       `json:"distinct"` // recipients
	First    time.Time `json:"first"`    // when the first message came
}

// ServeSink is the process of a sink. It ends with in or with ctx. secret signs
// receipts.
func ServeSink(ctx context.Context, kind, secret string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	messages, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var counter sink.Counter
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return serve(ctx, control, countsHandler(&counter)) })
	switch kind {
	case sinkSMTP:
		parts.Go(func() error { return sink.ServeSMTP(ctx, messages, &counter) })
	case sinkHTTP:
		parts.Go(func() error { return serve(ctx, messages, sink.HTTP(&counter)) })
	case sinkReceipts:
		gateway, err := sink.NewReceipts(secret)
		if err != nil {
			return err
		}
		parts.Go(func() error { return gateway.Run(ctx) })
		parts.Go(func() error { return serve(ctx, messages, gateway.Handler(&counter)) })
	default:
		return fmt.Errorf("there is no sink %q", kind)
	}
	where := sinkAddresses{Messages: messages.Addr().String(), Counts: "http://" + control.Addr().String() + "/"}
	if err := json.NewEncoder(out).Encode(where); err != nil {
		return err
	}
	return parts.Wait()
}

// serve answers on l until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func countsHandler(c *sink.Counter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			c.Reset()
		}
		_ = json.NewEncoder(w).Encode(counts{c.Total(), c.Distinct(), c.First()})
	})
}

func startSink(ctx context.Context, fail context.CancelCauseFunc, dir, program, kind, secret string) (*sinkProcess, error) {
	p, err := launch(ctx, fail, dir, "sink-"+kind, program, "bench", "sink", kind, secret)
	if err != nil {
		return nil, err
	}
	s := &sinkProcess{process: p}
	if err := p.line(&s.sinkAddresses); err != nil {
		return s, fmt.Errorf("start the sink %s: %w", kind, err)
	}
	return s, nil
}

// counted is what the sink has seen.
func (s *sinkProcess) counted(ctx context.Context) (c counts, err error) {
	return c, getJSON(ctx, http.MethodGet, s.Counts, &c)
}

// reset lets the sink count anew.
func (s *sinkProcess) reset(ctx context.Context) error {
	return getJSON(ctx, http.MethodDelete, s.Counts, &counts{})
}

func getJSON(ctx context.Context, method, url string, to any) (err error) {
	r, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", url, answer.StatusCode)
	}
	return json.NewDecoder(answer.Body).Decode(to)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// answerWithin bounds the time from the last byte of a request to the last of
// its answer. net/http starts it with the request's header; patience moves it
// while a body comes in.
const answerWithin = time.Minute

// serveHTTP answers on l until ctx ends; then it accepts nothing more, lets
// requests finish for as long as drain and returns.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, drain time.Duration, log *slog.Logger) error {
	s := &http.Server{
		Handler:           patience{grace: 30 * time.Second, bytesPerSecond: 8 << 10}.handler(h),
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      answerWithin,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients' broken connections
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := s.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("requests cut off at the end", "after", drain)
		err = s.Close()
	}
	return err
}

// patience is how slowly a body may come in: after a time of grace it must have
// a rate, over all the time spent waiting for it. What the server itself takes
// to work on it does not count, so an import may run for hours while a client
// that only holds a connection is cut off.
type patience struct {
	grace          time.Duration
	bytesPerSecond float64
}

func (p patience) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			b := &timedBody{ReadCloser: r.Body, control: http.NewResponseController(w), patience: p}
			_ = b.wait() // also for a body that is refused unread: net/http reads on to keep the connection
			r.Body = b
		}
		next.ServeHTTP(w, r)
	})
}

// timedBody is a request's body under patience.
type timedBody struct {
	io.ReadCloser
	patience
	control *http.ResponseController
	read    int64
	waited  time.Duration
}

func (b *timedBody) Read(p []byte) (int, error) {
	if err := b.wait(); err != nil {
		return 0, err
	}
	started := time.Now()
	n, err := b.ReadCloser.Read(p)
	b.read, b.waited = b.read+int64(n), b.waited+time.Since(started)
	if err == io.EOF { // net/http now watches for the client to go; a deadline would look like that
		_ = b.deadlines(time.Time{}, time.Now().Add(answerWithin)) // no error: it worked above
	}
	return n, err
}

// wait sets the deadlines for what comes next of the body.
func (b *timedBody) wait() error {
	left := b.grace + time.Duration(float64(b.read)/b.bytesPerSecond*float64(time.Second)) - b.waited
	return b.deadlines(time.Now().Add(left), time.Now().Add(left+answerWithin))
}

func (b *timedBody) deadlines(read, write time.Time) error {
	return errors.Join(b.control.SetReadDeadline(read), b.control.SetWriteDeadline(write))
}

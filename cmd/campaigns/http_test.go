package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var impatient = patience{grace: 50 * time.Millisecond, bytesPerSecond: 1 << 30}

// dial sends text to a server and gives the connection to read the answer from.
func dial(t *testing.T, s *httptest.Server, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	_, err = io.WriteString(c, text)
	require.NoError(t, err)
	return c
}

func TestBodyThatDoesNotComeIsCutOff(t *testing.T) {
	s := httptest.NewServer(impatient.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); errors.Is(err, os.ErrDeadlineExceeded) {
			w.WriteHeader(http.StatusRequestTimeout)
		}
	})))
	defer s.Close()
	c := dial(t, s, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfour")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusRequestTimeout, res.StatusCode)
}

func TestRefusedBodyThatDoesNotComeIsCutOffToo(t *testing.T) {
	s := httptest.NewServer(impatient.handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	})))
	defer s.Close()
	c := dial(t, s, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfour")
	answer, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Contains(t, string(answer), " 401 ")
}

func TestTimeTheServerTakesIsNotTheClients(t *testing.T) {
	s := httptest.NewServer(impatient.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		half := make([]byte, 5)
		_, first := io.ReadFull(r.Body, half)
		<-time.After(3 * impatient.grace) // works on it
		_, second := io.ReadAll(r.Body)
		<-time.After(3 * impatient.grace)
		fmt.Fprint(w, errors.Join(first, second, r.Context().Err()))
	})))
	defer s.Close()
	c := dial(t, s, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789")
	in := bufio.NewReader(c)
	for range 2 { // the connection serves another request afterwards
		res, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, errors.Join(err, res.Body.Close()))
		require.Equal(t, "<nil>", string(body))
		_, err = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789")
		require.NoError(t, err)
	}
}

func TestRequestOnItsWayIsAnsweredAtTheEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	arrived, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	ctx, end := context.WithCancel(t.Context())
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-goOn
		fmt.Fprint(w, "answered")
	})
	go func() { ended <- serveHTTP(ctx, l, h, time.Minute, slog.New(slog.DiscardHandler)) }()
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		answer <- string(body)
	}()
	<-arrived
	end()
	require.Eventually(t, func() bool { // nobody new gets in
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond)
	close(goOn)
	require.Equal(t, "answered", <-answer)
	require.NoError(t, <-ended)
}

func TestRequestThatNeverEndsIsCutOffAtTheEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	arrived, ended := make(chan struct{}), make(chan error, 1)
	ctx, end := context.WithCancel(t.Context())
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	go func() { ended <- serveHTTP(ctx, l, h, 10*time.Millisecond, slog.New(slog.DiscardHandler)) }()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-arrived
	end()
	require.NoError(t, <-ended)
}

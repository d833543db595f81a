package carriertest

import (
	"net"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
)

// NewSMTPSink runs a mail server for the length of the test that takes and
// counts every mail. It returns its host:port.
func NewSMTPSink(t testing.TB, c *sink.Counter) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- sink.ServeSMTP(t.Context(), l, c) }()
	t.Cleanup(func() { require.NoError(t, <-done) })
	return l.Addr().String()
}

// NewHTTPSink runs a gateway for the length of the test that takes and counts
// every message. It returns its URL.
func NewHTTPSink(t testing.TB, c *sink.Counter) string {
	t.Helper()
	server := httptest.NewServer(sink.HTTP(c))
	t.Cleanup(server.Close)
	return server.URL
}

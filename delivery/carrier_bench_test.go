package delivery_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/delivery/carriertest"
	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
)

// benchBody is a mail of half a kilobyte, as in the figures of the design.
var benchBody = strings.Repeat("Dear Ada Lovelace, enjoy 20% off this spring.\n", 12)

// sendMany sends b.N messages from so many goroutines.
func sendMany(b *testing.B, senders int, carrier delivery.Carrier, m delivery.Outgoing) {
	var n atomic.Int64
	b.SetParallelism((senders + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		m := m
		for pb.Next() {
			i := n.Add(1)
			m.ID = fmt.Sprintf("msg_%d", i)
			if _, err := carrier.Send(b.Context(), &m); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// The sink runs in the same process, so its work is in the figures.
func BenchmarkSMTP(b *testing.B) {
	for _, connections := range []int{1, 8, 16} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			var counter sink.Counter
			smtp := newTestSMTP(b, carriertest.NewSMTPSink(b, &counter), func(cfg *delivery.SMTPConfig) {
				cfg.Connections = connections
			})
			mail := testMail()
			mail.Body, mail.UnsubscribeURL = benchBody, "https://shop.example/u/abcdefgh"
			sendMany(b, connections, smtp, *mail)
			require.Equal(b, b.N, counter.Total())
		})
	}
}

func BenchmarkHTTP(b *testing.B) {
	var counter sink.Counter
	carrier, err := delivery.NewHTTP(delivery.HTTPConfig{URL: carriertest.NewHTTPSink(b, &counter)})
	require.NoError(b, err)
	sendMany(b, 32, carrier, *testText())
	require.Equal(b, b.N, counter.Total())
}

func BenchmarkSandbox(b *testing.B) {
	sandbox, stop := runSandbox(b, &inbox{})
	sendMany(b, 8, sandbox, *testText())
	require.NoError(b, stop())
}

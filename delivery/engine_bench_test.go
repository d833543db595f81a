package delivery_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// BenchmarkEngine sends 200,000 messages to nobody, from the verb to the
// completed campaign, every result durable.
func BenchmarkEngine(b *testing.B) {
	const n = 200_000
	for name, dsn := range map[string]func() string{
		"postgres": func() string { return storetest.PostgresURL(b) },
		"sqlite":   func() string { return "sqlite:" + storetest.SQLitePath(b) },
	} {
		b.Run(name, func(b *testing.B) {
			bench := newBench(b, dsn())
			bench.contacts(n)
			engine := bench.newEngine(bench.store, delivery.Lane{Name: "nothing", Carrier: delivery.Discard{}, Channels: store.Channels, Concurrency: 32})
			bench.run(engine)
			for b.Loop() {
				b.StopTimer()
				c := bench.campaign()
				bench.ready(c)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				b.StartTimer()
				start, cpu := time.Now(), processorTime(b)
				bench.do(c, (*store.Campaign).Send)
				for bench.read(c).Status != store.Completed {
					pause(b.Context(), 5*time.Millisecond)
				}
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				b.ReportMetric(n/took.Seconds(), "msg/s")
				b.ReportMetric(float64((processorTime(b)-cpu).Microseconds())/n, "cpu-µs/msg")
				b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/msg")
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n, "B/msg")
				p := bench.progress(c)
				require.EqualValues(b, n, p.Sent())
			}
		})
	}
}

// processorTime is what this process has used: with SQLite the database too.
func processorTime(t testing.TB) time.Duration {
	var r syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

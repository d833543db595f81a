package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Result is what one measure found.
type Result struct {
	Name               string  `json:"name"`
	Database           string  `json:"database"` // postgres or sqlite
	Messages           int     `json:"messages"` // or rows, or recipients
	Seconds            float64 `json:"seconds"`
	MessagesPerSecond  float64 `json:"messages_per_second"`
	CPU                CPU     `json:"cpu_us_per_message"`
	PeakRSSMB          float64 `json:"peak_rss_mb"` // of the server, 10^6 bytes
	WALBytesPerMessage float64 `json:"wal_bytes_per_message"`
}

// CPU is processor time in microseconds per message, by who spent it.
type CPU struct {
	Server   float64 `json:"server"`
	Database float64 `json:"database"` // 0 where it is part of the server
	Sink     float64 `json:"sink"`
}

func newResult(name, database string, n int, before, after reading) Result {
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
	took := after.at.Sub(before.at)
	return Result{
		Name: name, Database: database, Messages: n, Seconds: took.Seconds(), MessagesPerSecond: float64(n) / took.Seconds(),
		CPU:       CPU{per(after.server - before.server), per(after.database - before.database), per(after.sink - before.sink)},
		PeakRSSMB: float64(after.peak) / 1e6, WALBytesPerMessage: float64(after.wal-before.wal) / float64(n),
	}
}

// printer writes results as they come: a table, or JSON lines.
type printer struct {
	io.Writer
	json   bool
	headed bool
}

func (p *printer) print(r Result) {
	if p.json {
		line, err := json.Marshal(r)
		if err != nil {
			panic(err) // plain numbers and strings
		}
		fmt.Fprintf(p, "%s\n", line)
		return
	}
	if !p.headed {
		p.headed = true
		fmt.Fprintf(p, "%-13s %-9s %9s %8s %10s %8s %9s %6s %8s %8s\n", "measure", "database", "messages", "seconds", "per second", "server", "database", "sink", "peak MB", "WAL B")
	}
	fmt.Fprintf(p, "%-13s %-9s %9d %8.2f %10.0f %5.1f µs %6.1f µs %3.0f µs %8.0f %8.0f\n", r.Name, r.Database, r.Messages, r.Seconds,
		r.MessagesPerSecond, r.CPU.Server, r.CPU.Database, r.CPU.Sink, r.PeakRSSMB, r.WALBytesPerMessage)
}

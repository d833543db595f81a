package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Result is what one measure found, or the medians of several runs.
type Result struct {
	Name               string   `json:"name"`
	Database           string   `json:"database"` // postgres or sqlite
	Durable            bool     `json:"durable"`  // what it acknowledged survives the end of the machine
	Messages           int      `json:"messages"` // or rows, or recipients
	Seconds            float64  `json:"seconds"`
	MessagesPerSecond  float64  `json:"messages_per_second"`
	CPU                CPU      `json:"cpu_us_per_message"`
	PeakRSSMB          float64  `json:"peak_rss_mb"` // of the server, 10^6 bytes
	WALBytesPerMessage float64  `json:"wal_bytes_per_message"`
	AllocsPerMessage   float64  `json:"allocs_per_message"` // of the server
	AllocBytes         float64  `json:"alloc_bytes_per_message"`
	FirstMessage       *float64 `json:"first_message_ms,omitempty"` // from the answer of send to the sink
	Reads              *Reads   `json:"reads,omitempty"`
}

// CPU is processor time in microseconds per message, by who spent it.
type CPU struct {
	Server   float64 `json:"server"`
	Database float64 `json:"database"` // 0 where it is part of the server, or out of sight
	Sink     float64 `json:"sink"`
}

// Reads is how long one client waited while messages went out.
type Reads struct {
	Progress   quantiles `json:"progress"`
	Statistics quantiles `json:"statistics"`
	Messages   quantiles `json:"messages"`
}

func newResult(name string, d *database, f found, before, after reading) Result {
	per := func(n float64) float64 { return round(n / float64(f.n)) }
	us := func(from, to time.Duration) float64 { return per(float64((to - from).Microseconds())) }
	took := after.at.Sub(before.at).Seconds()
	r := Result{
		Name: name, Database: d.kind, Durable: d.durable, Messages: f.n, Seconds: round(took), MessagesPerSecond: round(float64(f.n) / took),
		CPU:                CPU{us(before.server, after.server), us(before.database, after.database), us(before.sink, after.sink)},
		PeakRSSMB:          round(float64(after.peak) / 1e6),
		WALBytesPerMessage: per(float64(after.wal - before.wal)),
		AllocsPerMessage:   per(float64(after.memory.Mallocs - before.memory.Mallocs)),
		AllocBytes:         per(float64(after.memory.TotalAlloc - before.memory.TotalAlloc)),
	}
	if f.first != nil {
		r.FirstMessage = ptr(milliseconds(*f.first))
	}
	if f.reads != nil {
		r.Reads = &Reads{quantilesOf(f.reads.progress), quantilesOf(f.reads.statistics), quantilesOf(f.reads.messages)}
	}
	return r
}

func round(x float64) float64 { return math.Round(x*1000) / 1000 }

// figures are all that differs from run to run.
func (r *Result) figures() []*float64 {
	fs := []*float64{
		&r.Seconds, &r.MessagesPerSecond, &r.CPU.Server, &r.CPU.Database, &r.CPU.Sink,
		&r.PeakRSSMB, &r.WALBytesPerMessage, &r.AllocsPerMessage, &r.AllocBytes,
	}
	if r.FirstMessage != nil {
		fs = append(fs, r.FirstMessage)
	}
	if r.Reads != nil {
		for _, q := range []*quantiles{&r.Reads.Progress, &r.Reads.Statistics, &r.Reads.Messages} {
			fs = append(fs, &q.P50, &q.P99)
		}
	}
	return fs
}

// medians are those of each figure of each measure. All runs have the same
// measures. Of an even number of runs it is the lower of the two in the middle.
func medians(runs [][]Result) []Result {
	out := slices.Clone(runs[0])
	for m := range out {
		for f, figure := range out[m].figures() {
			var all []float64
			for _, rs := range runs {
				all = append(all, *rs[m].figures()[f])
			}
			slices.Sort(all)
			*figure = all[(len(all)-1)/2]
		}
	}
	return out
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
		fmt.Fprintf(p, "%-13s %-8s %8s %7s %9s | %6s %8s %5s | %7s %6s %6s | %7s %11s %11s %11s\n", "", "", "", "", "per",
			"µs CPU", "per", "", "peak", "WAL", "allocs", "first", "progress", "statistics", "messages")
		fmt.Fprintf(p, "%-13s %-8s %8s %7s %9s | %6s %8s %5s | %7s %6s %6s | %7s %11s %11s %11s\n", "measure", "database", "messages", "seconds", "second",
			"server", "database", "sink", "MB", "bytes", "", "ms", "p50/p99 ms", "p50/p99 ms", "p50/p99 ms")
	}
	first, progress, statistics, messages := "", "", "", ""
	if r.FirstMessage != nil {
		first = fmt.Sprintf("%.1f", *r.FirstMessage)
	}
	if r.Reads != nil {
		progress, statistics, messages = r.Reads.Progress.String(), r.Reads.Statistics.String(), r.Reads.Messages.String()
	}
	fmt.Fprintf(p, "%-13s %-8s %8d %7.2f %9.0f | %6.1f %8.1f %5.1f | %7.0f %6.0f %6.1f | %7s %11s %11s %11s\n", r.Name, r.Database, r.Messages, r.Seconds,
		r.MessagesPerSecond, r.CPU.Server, r.CPU.Database, r.CPU.Sink, r.PeakRSSMB, r.WALBytesPerMessage, r.AllocsPerMessage,
		first, progress, statistics, messages)
}

func (q quantiles) String() string { return fmt.Sprintf("%.1f/%.1f", q.P50, q.P99) }

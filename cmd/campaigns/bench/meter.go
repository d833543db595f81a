package bench

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/procfs"
)

// reading is what the meters show at one moment.
type reading struct {
	at                     time.Time
	server, database, sink time.Duration // processor time so far
	peak                   uint64        // bytes, the server's most resident memory since the last reset
	wal                    int64         // bytes written to the log so far
	memory                 memory
}

// memory is what the server has allocated so far.
type memory struct{ Mallocs, TotalAlloc uint64 }

// meter reads all meters; with reset, the server's memory peak starts anew.
func (s *system) meter(ctx context.Context, reset bool) (r reading, err error) {
	r.at = time.Now()
	if reset {
		// Linux: 5 resets the peak resident set (proc(5), clear_refs).
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.server.cmd.Process.Pid), []byte("5"), 0); err != nil {
			return r, fmt.Errorf("reset the memory peak: %w", err)
		}
	}
	if r.server, r.peak, err = measureProcess(s.server); err != nil {
		return r, err
	}
	for _, sink := range s.sinks {
		used, _, err := measureProcess(sink.process)
		if err != nil {
			return r, err
		}
		r.sink += used
	}
	var vars struct {
		Memory memory `json:"memstats"`
	}
	if err := getJSON(ctx, http.MethodGet, "http://"+s.debug+"/debug/vars", &vars); err != nil {
		return r, fmt.Errorf("measure the server's memory: %w", err)
	}
	r.memory = vars.Memory
	r.database, r.wal, err = s.database.meter(ctx)
	if reset {
		r.at = time.Now() // reading takes time, too
	}
	return r, err
}

// measureProcess is a process's processor time and its most resident memory.
func measureProcess(p *process) (used time.Duration, peak uint64, err error) {
	proc, err := procfs.NewProc(p.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	stat, err := proc.Stat()
	if err != nil {
		return 0, 0, err
	}
	status, err := proc.NewStatus()
	if err != nil {
		return 0, 0, err
	}
	return ticks(stat.UTime + stat.STime), status.VmHWM, nil
}

// ticks are the hundredths of a second that Linux counts in.
func ticks(n uint) time.Duration { return time.Duration(n) * time.Second / 100 }

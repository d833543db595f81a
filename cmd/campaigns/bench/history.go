package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/procfs"
)

// record is a line of the history: what was measured when, of what, on what.
type record struct {
	Date      string   `json:"date"`
	Version   string   `json:"version"` // the commit after the +
	CPU       string   `json:"cpu"`
	Cores     int      `json:"cores"`
	GoVersion string   `json:"go"`
	Runs      int      `json:"runs"`
	Results   []Result `json:"results"`
}

// remember appends the results to the history.
func (o *Options) remember(results []Result) (err error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return fmt.Errorf("look at the processor: %w", err)
	}
	cpus, err := proc.CPUInfo()
	if err != nil {
		return fmt.Errorf("look at the processor: %w", err)
	}
	r := record{
		Date: time.Now().UTC().Format(time.RFC3339), Version: o.Version, Cores: len(cpus), GoVersion: runtime.Version(),
		Runs: o.Runs, Results: results,
	}
	if len(cpus) > 0 {
		r.CPU = cpus[0].ModelName
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(o.History, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("keep the history: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

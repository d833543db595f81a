package content

import (
	"fmt"
	"sync"
	"time"

	"github.com/osteele/liquid/expressions"
)

const (
	maxElements = 1_000   // of one array
	maxKept     = 4 << 20 // bytes that assign and capture may take in one render

	// freeSteps are done before anyone looks at the clock: a machine that stands
	// still for a moment must not fail messages whose templates do little.
	// It ends once a render keeps so much that a single step can be costly.
	freeSteps = 64
	freeKept  = 1 << 10
)

// limitError says which limit a template went over.
type limitError string

func (e limitError) Error() string { return string(e) }

var (
	errOutput   = limitError(fmt.Sprintf("gives more than %d bytes", MaxOutput))
	errKept     = limitError(fmt.Sprintf("assigns or captures more than %d bytes", maxKept))
	errElements = limitError(fmt.Sprintf("makes an array of more than %d elements", maxElements))
	errPasses   = limitError(fmt.Sprintf("passes through loops more than %d times", MaxIterations))
	errTime     = limitError(fmt.Sprintf("takes longer than %s", MaxRenderTime))
)

// run is one render under way: where its output goes, and what it has used up
// of its limits. Tags find it among the variables, under a name that no
// template can spell; filters are bound to it.
type run struct {
	html    bool
	filters expressions.Config

	out    []byte // what Render was given, and the output so far
	start  int    // where the output begins in out
	begun  time.Time
	steps  int
	passes int
	kept   int
	cycles map[string]int // how often each cycle tag was reached
}

const runVariable = " run"

var (
	textRuns = sync.Pool{New: func() any { return newRun(false) }}
	htmlRuns = sync.Pool{New: func() any { return newRun(true) }}
)

func newRun(html bool) *run {
	r := &run{html: html}
	for name := range filterTable {
		r.filters.AddFilter(name, r.filter(name))
	}
	return r
}

// beginRun returns a run that appends to dst; hand it back with end.
func beginRun(dst []byte, html bool) *run {
	pool := &textRuns
	if html {
		pool = &htmlRuns
	}
	r := pool.Get().(*run)
	*r = run{html: r.html, filters: r.filters, out: dst, start: len(dst), begun: time.Now()}
	return r
}

func (r *run) end() {
	r.out, r.cycles = nil, nil
	if r.html {
		htmlRuns.Put(r)
	} else {
		textRuns.Put(r)
	}
}

// step is called for everything that a template makes happen, so that none
// goes on for long unseen.
func (r *run) step() error {
	r.steps++
	if (r.steps > freeSteps || r.kept > freeKept) && time.Since(r.begun) > MaxRenderTime {
		return errTime
	}
	return nil
}

// pass is called before each pass through the body of a loop.
func (r *run) pass() error {
	r.passes++
	if r.passes > MaxIterations {
		return errPasses
	}
	return r.step()
}

// keep is called for bytes that stay in a variable.
func (r *run) keep(bytes int) error {
	r.kept += bytes
	if r.kept > maxKept {
		return errKept
	}
	return r.step()
}

// Write appends to the output.
func (r *run) Write(p []byte) (int, error) {
	if len(r.out)-r.start+len(p) > MaxOutput {
		return 0, errOutput
	}
	r.out = append(r.out, p...)
	return len(p), r.step()
}

// capture is the output of a capture block.
type capture struct {
	run  *run
	text []byte
}

func (c *capture) Write(p []byte) (int, error) {
	if len(c.text)+len(p) > MaxOutput {
		return 0, errOutput
	}
	c.text = append(c.text, p...)
	return len(p), c.run.keep(len(p))
}

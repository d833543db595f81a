// Package bench measures the whole program from outside, as its users meet it:
// a real server in a process of its own, a real database, and sinks at the far
// end of the carriers, each in a process of its own. It speaks to the server
// through the generated client, so what it measures is what a user gets. It
// knows nothing of the store or the engine.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/campaigns-api/campaigns/gen/client"
	"github.com/campaigns-api/campaigns/gen/types"
)

// Options is what to measure.
type Options struct {
	Binary   string   // this program
	Version  string   // of this program, for the history
	Database string   // sqlite:DIR or postgres://…; each run makes its own there
	Contacts int      // rows to import, recipients to freeze and to send nothing to
	Messages int      // to send over each carrier that has a sink
	Runs     int      // of everything; the medians are printed
	Only     []string // measures by name; none means all
	JSON     bool     // JSON lines instead of a table
	History  string   // file that a line is appended to; "" for none
	Out      io.Writer
	Progress io.Writer // what goes on, for people
	Terminal bool      // Progress is one
}

// bench is one run against one database.
type bench struct {
	Options
	system *system
	client *client.ClientWithResponses
	all    string // the list of all contacts
	some   string // the list of those to send to
}

// Run measures and prints. It leaves nothing behind but the history.
func Run(ctx context.Context, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	out := printer{Writer: o.Out, json: o.JSON}
	var runs [][]Result
	for i := range o.Runs {
		b := &bench{Options: o}
		b.step("run %d of %d", i+1, o.Runs)
		show := func(Result) {}
		if o.Runs == 1 {
			show = out.print
		}
		rs, err := b.run(ctx, show)
		if err != nil {
			return err
		}
		runs = append(runs, rs)
	}
	results := medians(runs)
	if o.Runs > 1 {
		for _, r := range results {
			out.print(r)
		}
	}
	if o.History == "" {
		return nil
	}
	return o.remember(results)
}

func (o *Options) check() error {
	names := Measures()
	for _, name := range o.Only {
		if !slices.Contains(names, name) {
			return fmt.Errorf("there is no measure %q; there are %v", name, names)
		}
	}
	if o.Contacts < 1 || o.Messages < 1 || o.Runs < 1 {
		return errors.New("contacts, messages and runs must be at least 1")
	}
	o.Messages = min(o.Messages, o.Contacts)
	return nil
}

// run measures everything once, on a system of its own.
func (b *bench) run(ctx context.Context, show func(Result)) (rs []Result, err error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer func() { // what was cut off because a part failed says little
		if cause := context.Cause(ctx); cause != nil && err != nil {
			err = cause
		}
	}()
	b.now("starting")
	if b.system, err = startSystem(ctx, fail, b.Options); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.system.stop(ctx)) }()
	if !b.system.database.durable {
		b.step("beware: fsync, synchronous_commit or full_page_writes is off, so PostgreSQL keeps nothing safe")
	}
	if b.client, err = b.system.newClient(); err != nil {
		return nil, err
	}
	if err := b.lists(ctx); err != nil {
		return nil, err
	}
	for _, m := range b.measures() {
		if !m.needed && !b.wants(m.name) {
			continue
		}
		b.step("%s", m.name)
		r, err := b.measure(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		rs = append(rs, r)
		b.now("")
		show(r)
	}
	return rs, nil
}

func (b *bench) wants(name string) bool { return len(b.Only) == 0 || slices.Contains(b.Only, name) }

// measure runs one part with the meters around it.
func (b *bench) measure(ctx context.Context, m measure) (Result, error) {
	for _, s := range b.system.sinks {
		if err := s.reset(ctx); err != nil {
			return Result{}, err
		}
	}
	before, err := b.system.meter(ctx, true)
	if err != nil {
		return Result{}, err
	}
	found, err := m.part(ctx)
	if err != nil {
		return Result{}, err
	}
	after, err := b.system.meter(ctx, false)
	if err != nil {
		return Result{}, err
	}
	return newResult(m.name, b.system.database, found, before, after), nil
}

// lists makes two lists: of all contacts, and of those to send to.
func (b *bench) lists(ctx context.Context) error {
	for name, id := range map[string]*string{"all": &b.all, "some": &b.some} {
		r, err := b.client.CreateListWithResponse(ctx, types.ListCreate{Name: name})
		if err := failed(err, r, http201); err != nil {
			return fmt.Errorf("create a list: %w", err)
		}
		*id = r.JSON201.Data.ID
	}
	return nil
}

// poll asks until done says so.
func (b *bench) poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// step tells of a step: in a terminal until the next, elsewhere on a line.
func (b *bench) step(format string, args ...any) {
	if b.Terminal {
		b.now(format, args...)
	} else {
		fmt.Fprintf(b.Progress, format+"\n", args...)
	}
}

// now tells how far it is, in a terminal, in place of what was told before.
func (b *bench) now(format string, args ...any) {
	if b.Terminal {
		fmt.Fprintf(b.Progress, "\r\x1b[K"+format, args...)
	}
}

func ptr[T any](v T) *T { return &v }

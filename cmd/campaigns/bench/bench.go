// Package bench measures the whole program from outside, as its users meet it:
// a real server in a process of its own, a real database, and sinks at the far
// end of the carriers in another process. It speaks to the server through the
// generated client, so what it measures is what a user gets. It knows nothing
// of the store or the engine.
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
	Database string   // sqlite:PATH or postgres://…, empty and for this run alone
	Contacts int      // rows to import, recipients to freeze
	Mails    int      // messages to send over SMTP and over HTTP
	Only     []string // measures by name; none means all
	JSON     bool     // JSON lines instead of a table
	Out      io.Writer
	Progress io.Writer // what goes on, for people
}

// Measures are the names of what can be measured, in the order of a run.
var Measures = []string{"import", "import-again", "freeze", "smtp", "http"}

// bench is one run against one database.
type bench struct {
	Options
	system *system
	client *client.ClientWithResponses
	all    string // the list of all contacts
	some   string // the list of those to send to
}

// Run measures and prints. It leaves the database filled.
func Run(ctx context.Context, o Options) (err error) {
	for _, name := range o.Only {
		if !slices.Contains(Measures, name) {
			return fmt.Errorf("there is no measure %q; there are %v", name, Measures)
		}
	}
	b := &bench{Options: o}
	if b.system, err = startSystem(ctx, o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.system.stop()) }()
	if b.client, err = b.system.newClient(); err != nil {
		return err
	}
	if err := b.lists(ctx); err != nil {
		return err
	}
	out := printer{Writer: o.Out, json: o.JSON}
	for _, m := range []struct {
		name    string
		measure func(context.Context) (int, error)
		needed  bool // others build on it
	}{
		{"import", b.importAll, true},
		{"import-again", b.importSome, b.wants("smtp") || b.wants("http")},
		{"freeze", b.freeze, false},
		{"smtp", func(ctx context.Context) (int, error) { return b.send(ctx, types.ChannelEmail) }, false},
		{"http", func(ctx context.Context) (int, error) { return b.send(ctx, types.ChannelSMS) }, false},
	} {
		if !m.needed && !b.wants(m.name) {
			continue
		}
		r, err := b.measure(ctx, m.name, m.measure)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		out.print(r)
	}
	return nil
}

func (b *bench) wants(name string) bool { return len(b.Only) == 0 || slices.Contains(b.Only, name) }

// measure runs one part with the meters around it.
func (b *bench) measure(ctx context.Context, name string, part func(context.Context) (int, error)) (Result, error) {
	before, err := b.system.meter(ctx, true)
	if err != nil {
		return Result{}, err
	}
	n, err := part(ctx)
	if err != nil {
		return Result{}, err
	}
	after, err := b.system.meter(ctx, false)
	if err != nil {
		return Result{}, err
	}
	return newResult(name, b.system.database.kind, n, before, after), nil
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

func (b *bench) importAll(ctx context.Context) (int, error) {
	return b.Contacts, b.importRows(ctx, b.Contacts, b.all)
}

// importSome imports the first rows once more, which changes no contact but
// puts them into the second list.
func (b *bench) importSome(ctx context.Context) (int, error) {
	n := min(b.Mails, b.Contacts)
	return n, b.importRows(ctx, n, b.some)
}

func (b *bench) importRows(ctx context.Context, n int, list string) error {
	read, write := io.Pipe()
	go func() { write.CloseWithError(writeCSV(write, n)) }()
	r, err := b.client.CreateImportWithBodyWithResponse(ctx, &types.CreateImportParams{ListID: &list}, "text/csv", read)
	if err := failed(err, r, http202); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return b.poll(ctx, func() (bool, error) {
		i, err := b.client.GetImportWithResponse(ctx, r.JSON202.Data.ID)
		if err := failed(err, i, http200); err != nil {
			return false, err
		}
		d := i.JSON200.Data
		fmt.Fprintf(b.Progress, "\rimported %d of %d ", d.Rows.Processed, n)
		if d.Status == types.ImportStatusFailed || d.Rows.Failed > 0 {
			return false, fmt.Errorf("import %s: %d rows failed", d.Status, d.Rows.Failed)
		}
		return d.Status == types.ImportStatusCompleted, nil
	})
}

// freeze sends to everybody at one message a second, looks how long the audience
// takes to be final, and cancels.
func (b *bench) freeze(ctx context.Context) (int, error) {
	id, err := b.start(ctx, types.CampaignCreate{
		Name: "freeze", Channel: types.ChannelSMS, ListID: &b.all, Body: ptr("Hi {{first_name}}"),
		Throttle: &types.Throttle{MessagesPerSecond: 1},
	})
	if err != nil {
		return 0, err
	}
	if err := b.until(ctx, id, func(c types.Campaign) bool { return c.Progress.AudienceFinal }); err != nil {
		return 0, err
	}
	r, err := b.client.CancelCampaignWithResponse(ctx, id)
	return b.Contacts, failed(err, r, http200)
}

// send sends to the second list and checks that the sink saw each recipient
// exactly once.
func (b *bench) send(ctx context.Context, channel types.Channel) (int, error) {
	before, err := b.system.sinks.counts(ctx)
	if err != nil {
		return 0, err
	}
	id, err := b.start(ctx, types.CampaignCreate{Name: "send", Channel: channel, ListID: &b.some, Body: ptr(body)})
	if err != nil {
		return 0, err
	}
	if err := b.until(ctx, id, func(c types.Campaign) bool { return c.Status == types.CampaignStatusCompleted }); err != nil {
		return 0, err
	}
	after, err := b.system.sinks.counts(ctx)
	if err != nil {
		return 0, err
	}
	n := min(b.Mails, b.Contacts)
	if got := after.of(channel); got.Total-before.of(channel).Total != n || got.Distinct != n {
		return 0, fmt.Errorf("the sink saw %d messages to %d recipients, not %d to %d", got.Total, got.Distinct, n, n)
	}
	return n, nil
}

const body = `Dear {{first_name}} {{last_name}},

spring is here, and everything in our shop is 20% off until the end of the month. Have a look at what is new
this season: jackets, shoes and bags in colours you will like. Your code is SPRING20.

Kind regards, your shop
`

func (b *bench) start(ctx context.Context, c types.CampaignCreate) (id string, err error) {
	r, err := b.client.CreateCampaignWithResponse(ctx, c)
	if err := failed(err, r, http201); err != nil {
		return "", fmt.Errorf("create a campaign: %w", err)
	}
	id = r.JSON201.Data.ID
	s, err := b.client.SendCampaignWithResponse(ctx, id)
	if err := failed(err, s, http200); err != nil {
		return "", fmt.Errorf("send: %w", err)
	}
	return id, nil
}

// until polls a campaign until done says so.
func (b *bench) until(ctx context.Context, id string, done func(types.Campaign) bool) error {
	return b.poll(ctx, func() (bool, error) {
		r, err := b.client.GetCampaignWithResponse(ctx, id)
		if err := failed(err, r, http200); err != nil {
			return false, err
		}
		p := r.JSON200.Data.Progress
		fmt.Fprintf(b.Progress, "\r%s: %d recipients, %d queued ", r.JSON200.Data.Name, p.Total, p.Queued)
		return done(r.JSON200.Data), nil
	})
}

// poll asks ten times a second.
func (b *bench) poll(ctx context.Context, done func() (bool, error)) error {
	defer fmt.Fprint(b.Progress, "\r\x1b[K")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func ptr[T any](v T) *T { return &v }

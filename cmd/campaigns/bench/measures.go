package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/campaigns-api/campaigns/gen/types"
)

// measure is one thing that can be measured.
type measure struct {
	name   string
	part   func(context.Context) (found, error)
	needed bool // others build on it
}

// found is what a part of a run tells of itself; the meters tell the rest.
type found struct {
	n     int // messages, or rows, or recipients
	first *time.Duration
	reads *reads
}

// Measures are the names of what can be measured, in the order of a run.
func Measures() (names []string) {
	for _, m := range new(bench).measures() {
		names = append(names, m.name)
	}
	return names
}

func (b *bench) measures() []measure {
	over := func(channel types.Channel, body string) func(context.Context) (found, error) {
		return func(ctx context.Context) (found, error) { return b.send(ctx, channel, &b.some, b.Messages, body) }
	}
	return []measure{
		{"import", b.importAll, true},
		{"import-again", b.importSome, slices.ContainsFunc(b.Only, overSink)},
		{"freeze", b.freeze, false},
		{"first", b.first, false},
		{"nothing", func(ctx context.Context) (found, error) {
			return b.send(ctx, overNothing, &b.all, b.Contacts, plainBody)
		}, false},
		{"smtp", over(overSMTP, plainBody), false},
		{"smtp-liquid", over(overSMTP, liquidBody), false},
		{"http", over(overHTTP, plainBody), false},
		{"http-liquid", over(overHTTP, liquidBody), false},
		{"http-receipts", over(overReceipts, plainBody), false},
	}
}

// overSink says whether a measure sends to the second list.
func overSink(name string) bool {
	return strings.HasPrefix(name, "smtp") || strings.HasPrefix(name, "http")
}

func (b *bench) importAll(ctx context.Context) (found, error) {
	return found{n: b.Contacts}, b.importRows(ctx, b.Contacts, b.all)
}

// importSome imports the first rows once more, which changes no contact but
// puts them into the second list.
func (b *bench) importSome(ctx context.Context) (found, error) {
	return found{n: b.Messages}, b.importRows(ctx, b.Messages, b.some)
}

func (b *bench) importRows(ctx context.Context, n int, list string) error {
	read, write := io.Pipe()
	go func() { write.CloseWithError(writeCSV(write, n)) }()
	r, err := b.client.CreateImportWithBodyWithResponse(ctx, &types.CreateImportParams{ListID: &list}, "text/csv", read)
	if err := failed(err, r, http202); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return b.poll(ctx, readEvery, func() (bool, error) {
		i, err := b.client.GetImportWithResponse(ctx, r.JSON202.Data.ID)
		if err := failed(err, i, http200); err != nil {
			return false, err
		}
		d := i.JSON200.Data
		b.now("imported %d of %d", d.Rows.Processed, n)
		if d.Status == types.ImportStatusFailed || d.Rows.Failed > 0 {
			return false, fmt.Errorf("import %s: %d rows failed", d.Status, d.Rows.Failed)
		}
		return d.Status == types.ImportStatusCompleted, nil
	})
}

// freeze sends to everybody at one message a second, looks how long the audience
// takes to be final, and pauses: cancelling would record a million messages
// while the next measure runs.
func (b *bench) freeze(ctx context.Context) (found, error) {
	id, _, err := b.start(ctx, types.CampaignCreate{
		Name: "freeze", Channel: overNothing, ListID: &b.all, Body: ptr("Hi {{first_name}}"),
		Throttle: &types.Throttle{MessagesPerSecond: 1},
	})
	if err != nil {
		return found{}, err
	}
	if _, err = b.watch(ctx, id, audienceFinal); err != nil {
		return found{}, err
	}
	r, err := b.client.PauseCampaignWithResponse(ctx, id)
	return found{n: b.Contacts}, failed(err, r, http200)
}

func audienceFinal(c types.Campaign) (bool, error) { return c.Progress.AudienceFinal, nil }

// first sends to everybody and pauses once the audience is final: what went out
// by then went out beside the freezing.
func (b *bench) first(ctx context.Context) (f found, err error) {
	id, answered, err := b.start(ctx, types.CampaignCreate{Name: "first", Channel: overHTTP, ListID: &b.all, Body: ptr(plainBody)})
	if err != nil {
		return f, err
	}
	sink := b.system.sinks[overHTTP]
	if _, err = b.watch(ctx, id, func(c types.Campaign) (bool, error) {
		return c.Progress.AudienceFinal && c.Progress.Sent > 0, nil
	}); err != nil {
		return f, err
	}
	// A small audience may have been sent to by now; then it is completed.
	if r, err := b.client.PauseCampaignWithResponse(ctx, id); err != nil || r.StatusCode() != http200 && r.StatusCode() != http409 {
		return f, failed(err, r, http200)
	}
	var seen counts
	_, err = b.watch(ctx, id, func(c types.Campaign) (is bool, err error) { // what was on its way has arrived and is recorded
		seen, err = sink.counted(ctx)
		return int64(seen.Total) == c.Progress.Sent, err
	})
	return found{n: seen.Total, first: ptr(seen.First.Sub(answered))}, err
}

// send sends to a list and checks that each recipient was sent to exactly once.
// Over a carrier with receipts it lasts until all of them are folded.
func (b *bench) send(ctx context.Context, channel types.Channel, list *string, n int, body string) (f found, err error) {
	id, answered, err := b.start(ctx, types.CampaignCreate{Name: "send", Channel: channel, ListID: list, Body: &body})
	if err != nil {
		return f, err
	}
	rs, err := b.watch(ctx, id, func(c types.Campaign) (bool, error) {
		return c.Status == types.CampaignStatusCompleted && (channel != overReceipts || c.Progress.Delivered == c.Progress.Total), nil
	})
	if err != nil {
		return f, err
	}
	f = found{n: n, reads: &rs}
	sink := b.system.sinks[channel]
	if sink == nil {
		return f, nil
	}
	seen, err := sink.counted(ctx)
	if err != nil {
		return f, err
	}
	if seen.Total != n || seen.Distinct != n {
		return f, fmt.Errorf("the sink saw %d messages to %d recipients, not %d to %d", seen.Total, seen.Distinct, n, n)
	}
	f.first = ptr(seen.First.Sub(answered))
	return f, nil
}

// start makes a campaign and sends it; answered is when the server said so.
func (b *bench) start(ctx context.Context, c types.CampaignCreate) (id string, answered time.Time, err error) {
	r, err := b.client.CreateCampaignWithResponse(ctx, c)
	if err := failed(err, r, http201); err != nil {
		return "", answered, fmt.Errorf("create a campaign: %w", err)
	}
	id = r.JSON201.Data.ID
	s, err := b.client.SendCampaignWithResponse(ctx, id)
	answered = time.Now()
	if err := failed(err, s, http200); err != nil {
		return "", answered, fmt.Errorf("send: %w", err)
	}
	return id, answered, nil
}

const (
	plainBody = `Dear {{first_name}} {{last_name}},
` + bodyRest
	liquidBody = `Dear {{ first_name | upcase }} {{ last_name | default: "friend" }},
{% if country == "DE" %}Versand nach Deutschland ist frei.{% else %}Shipping to {{ country }} takes a day longer.{% endif %}
` + bodyRest
	bodyRest = `
spring is here, and everything in our shop is 20% off until the end of the month. Have a look at what is new
this season: jackets, shoes and bags in colours you will like. Your code is SPRING20.

Kind regards, your shop
`
)

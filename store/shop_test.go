package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/campaigns-api/campaigns/store"
)

// shop is an account's test data with a list of contacts, ready to be sent to.
type shop struct {
	t testing.TB
	*store.Store
	sc   store.Scope
	list string
}

// newShop has n contacts with phone and mailbox on its list.
func newShop(t testing.TB, s *store.Store, n int) *shop {
	t.Helper()
	b := &shop{t: t, Store: s, sc: newScope(t, s)}
	b.list = newList(t, s, b.sc, "all")
	if n > 0 {
		b.contacts("", n)
	}
	return b
}

// contacts puts n new contacts on the list: their first names are prefix and a number.
func (b *shop) contacts(prefix string, n int) {
	b.t.Helper()
	var file strings.Builder
	file.WriteString("external_id,phone,email,first_name\n")
	for i := range n {
		fmt.Fprintf(&file, "%[1]s%[2]d,+49151%02[3]d%06[2]d,%[1]sp%[2]d@example.com,%[1]s%[2]d\n", prefix, i, len(prefix))
	}
	b.importCSV(file.String())
}

// importCSV puts the contacts of a file on the list.
func (b *shop) importCSV(file string) {
	b.t.Helper()
	_, _, err := b.CreateImport(b.t.Context(), b.sc, store.ImportOptions{Format: store.CSV, List: b.list}, strings.NewReader(file))
	require.NoError(b.t, err)
	work(b.t, b.Store)
}

// contact finds a contact of the shop by its external id.
func (b *shop) contact(externalID string) store.Contact {
	b.t.Helper()
	cs, _, err := b.Contacts(b.t.Context(), b.sc, store.ContactFilter{Search: externalID}, store.Page{Limit: 100})
	require.NoError(b.t, err)
	for _, c := range cs {
		if c.ExternalID != nil && *c.ExternalID == externalID {
			return c
		}
	}
	require.FailNow(b.t, "no contact "+externalID)
	return store.Contact{}
}

// draft is a campaign to the list that can be sent as it is.
func (b *shop) draft(changes ...func(*store.Campaign)) store.Campaign {
	b.t.Helper()
	c := store.Campaign{Name: "Spring", Channel: store.SMS, ListID: &b.list, Body: ptr("Hi {{first_name}}")}
	for _, change := range changes {
		change(&c)
	}
	c, err := b.CreateCampaign(b.t.Context(), b.sc, c)
	require.NoError(b.t, err)
	return c
}

// set changes a campaign in any way, its rules aside.
func (b *shop) set(c store.Campaign, change func(*store.Campaign)) store.Campaign {
	b.t.Helper()
	return b.do(c, func(c *store.Campaign) error {
		change(c)
		return nil
	})
}

// do applies a verb that must be taken.
func (b *shop) do(c store.Campaign, verb func(*store.Campaign) error) store.Campaign {
	b.t.Helper()
	c, err := b.UpdateCampaign(b.t.Context(), b.sc, c.PublicID, verb)
	require.NoError(b.t, err)
	return c
}

func (b *shop) read(c store.Campaign) store.Campaign {
	b.t.Helper()
	c, err := b.Campaign(b.t.Context(), b.sc, c.PublicID)
	require.NoError(b.t, err)
	return c
}

// sending is a campaign that was sent, its audience frozen.
func (b *shop) sending(changes ...func(*store.Campaign)) store.Campaign {
	b.t.Helper()
	c := b.do(b.draft(changes...), (*store.Campaign).Send)
	b.freeze(c)
	return b.read(c)
}

func (b *shop) freeze(c store.Campaign) {
	b.t.Helper()
	for more := true; more; {
		var err error
		more, err = b.FreezePage(b.t.Context(), c.ID)
		require.NoError(b.t, err)
	}
}

const (
	testWindow = 250
	longLease  = time.Minute
	testWorker = "wrk_test"
)

// claim leases a chunk that there must be.
func (b *shop) claim(c store.Campaign) *store.Chunk {
	b.t.Helper()
	k, err := b.ClaimChunk(b.t.Context(), c.ID, testWorker, longLease, testWindow)
	require.NoError(b.t, err)
	require.NotNil(b.t, k)
	return k
}

// lapse makes every lease run out.
func (b *shop) lapse() {
	b.t.Helper()
	for _, table := range []string{"campaign_chunks", "retries"} {
		at := "now() - interval '1 minute'"
		if b.Embedded() {
			at = "1"
		}
		require.NoError(b.t, b.Exec(b.t.Context(), "UPDATE "+table+" SET lease_until = "+at+" WHERE lease_until IS NOT NULL"))
	}
}

// record keeps outcomes and gives the chunk back.
func (b *shop) record(k *store.Chunk, done int, os ...store.Outcome) {
	b.t.Helper()
	held, err := b.RecordChunk(b.t.Context(), k, store.Record{Carrier: "hand", Outcomes: os, Done: done})
	require.NoError(b.t, err)
	require.True(b.t, held)
}

// outcomes are the same for each contact.
func outcomes(status store.MessageStatus, contacts ...int64) []store.Outcome {
	os := make([]store.Outcome, len(contacts))
	for i, id := range contacts {
		os[i] = store.Outcome{Contact: id, Status: status, Ref: fmt.Sprint("ref-", id)}
	}
	return os
}

// softly are outcomes that ask for another attempt at once.
func softly(contacts ...int64) []store.Outcome {
	os := outcomes(0, contacts...)
	for i := range os {
		os[i].Code, os[i].Text = "busy", "later, please"
	}
	return os
}

// sendAll works every free chunk of the campaign: all are sent.
func (b *shop) sendAll(c store.Campaign) {
	b.t.Helper()
	for {
		k, err := b.ClaimChunk(b.t.Context(), c.ID, testWorker, longLease, testWindow)
		require.NoError(b.t, err)
		if k == nil {
			return
		}
		rest, err := b.Unrecorded(b.t.Context(), k.Campaign, k.IDs[k.Done:])
		require.NoError(b.t, err)
		b.record(k, len(k.IDs), outcomes(store.MessageSent, rest...)...)
	}
}

func (b *shop) settle(c store.Campaign) bool {
	b.t.Helper()
	settled, err := b.Settle(b.t.Context(), c.ID)
	require.NoError(b.t, err)
	return settled
}

// messages are all of a campaign's messages, by contact.
func (b *shop) messages(c store.Campaign) map[int64]store.Message {
	b.t.Helper()
	all := map[int64]store.Message{}
	for p := (store.Page{Limit: 1000}); ; { // more than a client may ask for
		_, ms, next, err := b.Messages(b.t.Context(), b.sc, c.PublicID, 0, p)
		require.NoError(b.t, err)
		for _, m := range ms {
			require.NotContains(b.t, all, m.ContactID, "one message per recipient")
			all[m.ContactID] = m
		}
		if p.Cursor = next; next == "" {
			return all
		}
	}
}

// progress reads a campaign's progress and checks that its parts add up.
func (b *shop) progress(c store.Campaign) store.Progress {
	b.t.Helper()
	c = b.read(c)
	p, err := b.Progress(b.t.Context(), &c)
	require.NoError(b.t, err)
	requireSum(b.t, p.Counters)
	var sum store.Counters
	for _, v := range p.Variants {
		requireSum(b.t, v.Counters)
		sum.Total += v.Total
		sum.Accepted += v.Accepted
		sum.Rejected += v.Rejected
	}
	if p.Variants != nil {
		require.Equal(b.t, []int64{p.Total, p.Accepted, p.Rejected}, []int64{sum.Total, sum.Accepted, sum.Rejected})
	}
	return p
}

func requireSum(t testing.TB, n store.Counters) {
	t.Helper()
	parts := []int64{n.Queued(), n.Sent(), n.Delivered, n.Failed(), n.Unknown, n.Skipped(), n.Cancelled}
	var sum int64
	for _, part := range parts {
		require.GreaterOrEqual(t, part, int64(0), "%+v", n)
		sum += part
	}
	require.Equal(t, n.Total, sum, "the parts add up: %+v", n)
}

// audit reads an ended campaign whole: each recipient has exactly one row, and
// the counters say what the rows do, in all and by variant.
func (b *shop) audit(c store.Campaign) (store.Progress, map[int64]store.Message) {
	b.t.Helper()
	p, ms := b.progress(c), b.messages(c)
	require.Zero(b.t, p.Queued())
	require.Len(b.t, ms, int(p.Total))
	requireCounted(b.t, p.Counters, ms)
	for v, n := range p.Variants {
		of := map[int64]store.Message{}
		for id, m := range ms {
			if m.Variant == v {
				of[id] = m
			}
		}
		requireCounted(b.t, n.Counters, of)
	}
	return p, ms
}

// requireCounted recounts messages.
func requireCounted(t testing.TB, n store.Counters, ms map[int64]store.Message) {
	t.Helper()
	by := map[store.MessageStatus]int64{}
	reasons := map[string]int64{}
	var taken int64
	for _, m := range ms {
		by[m.Status]++
		if m.Status == store.MessageSkipped {
			reasons[*m.Code]++
		}
		if m.Taken() {
			taken++
		}
	}
	got := []int64{n.Sent(), n.Delivered, n.Failed(), n.Unknown, n.Skipped(), n.Cancelled}
	require.Equal(t, []int64{
		by[store.MessageSent], by[store.MessageDelivered], by[store.MessageFailed],
		by[store.MessageUnknown], by[store.MessageSkipped], by[store.MessageCancelled],
	}, got)
	require.Equal(t, taken, n.Accepted)
	require.Equal(t, []int64{reasons[store.SkipNoAddress], reasons[store.SkipOptedOut], reasons[store.SkipDeleted]},
		[]int64{n.SkippedNoAddress, n.SkippedOptedOut, n.SkippedDeleted})
}

// together runs f n times at once and waits for all.
func together(t testing.TB, n int, f func(ctx context.Context, i int) error) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	for i := range n {
		g.Go(func() error { return f(ctx, i) })
	}
	require.NoError(t, g.Wait())
}

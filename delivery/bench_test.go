package delivery_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/storetest"
)

// bench is a database with an account, a list and a live carrier that the test
// holds in its hands.
type bench struct {
	t       testing.TB
	dsn     string
	store   *store.Store
	scope   store.Scope
	list    store.List
	carrier *handCarrier
	engine  *delivery.Engine
}

// eachBench runs f on both databases, with an engine that is not yet running.
// Most of these tests wait most of the time, so they run beside each other.
func eachBench(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, dsn string) {
		t.Parallel()
		f(t, newBench(t, dsn))
	})
}

func newBench(t testing.TB, dsn string) *bench {
	ctx := t.Context()
	b := &bench{t: t, dsn: dsn, carrier: newHandCarrier()}
	b.store = b.open()
	_, err := b.store.Migrate(ctx)
	require.NoError(t, err)
	b.account("Acme")
	b.engine = b.newEngine(b.store)
	return b
}

// open opens the database as one more process would.
func (b *bench) open() *store.Store {
	s, err := store.Open(b.t.Context(), b.dsn)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { require.NoError(b.t, s.Close()) })
	return s
}

// account makes a new account with an empty list, whose the bench is from now on.
func (b *bench) account(name string) {
	a, err := b.store.CreateAccount(b.t.Context(), name)
	require.NoError(b.t, err)
	b.scope = store.Scope{Account: a.ID, Mode: store.Live}
	b.newList("all")
}

// rate bounds the account.
func (b *bench) rate(perSecond float64) {
	as, err := b.store.Accounts(b.t.Context())
	require.NoError(b.t, err)
	for _, a := range as {
		if a.ID == b.scope.Account {
			_, err = b.store.SetAccountRate(b.t.Context(), a.PublicID, perSecond)
		}
	}
	require.NoError(b.t, err)
}

func (b *bench) newList(name string) {
	var err error
	b.list, err = b.store.CreateList(b.t.Context(), b.scope, store.List{Name: name})
	require.NoError(b.t, err)
}

// newEngine makes an engine with these lanes; without any, with the bench's
// carrier for SMS and email.
func (b *bench) newEngine(s delivery.Store, lanes ...delivery.Lane) *delivery.Engine {
	return b.newEngineWith(s, delivery.Options{Lanes: lanes})
}

func (b *bench) newEngineWith(s delivery.Store, o delivery.Options) *delivery.Engine {
	o.PublicURL = "https://campaigns.example"
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(b.t.Output(), nil))
	}
	if o.Lanes == nil {
		o.Lanes = []delivery.Lane{b.lane()}
	}
	return delivery.New(s, o)
}

func (b *bench) lane() delivery.Lane {
	return delivery.Lane{Name: "hand", Carrier: b.carrier, Channels: []store.Channel{store.SMS, store.Email}}
}

// run starts an engine and returns what stops it and waits.
func (b *bench) run(e *delivery.Engine) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(b.t, <-done)
	})
	b.t.Cleanup(stop)
	return stop
}

// contacts puts n contacts on the list, with consecutive numbers: those of one
// account have the phones number(0) to number(n-1).
func (b *bench) contacts(n int) {
	var file strings.Builder
	file.WriteString("external_id,phone,email,first_name\n")
	for i := range n {
		fmt.Fprintf(&file, "%[1]d,%[2]s,p%[1]d@example.com,P%[1]d\n", i, number(i))
	}
	_, _, err := b.store.CreateImport(b.t.Context(), b.scope, store.ImportOptions{Format: store.CSV, List: b.list.PublicID}, strings.NewReader(file.String()))
	require.NoError(b.t, err)
	k, err := b.store.ClaimImport(b.t.Context(), store.Scope{}, time.Minute)
	require.NoError(b.t, err)
	for done := false; !done; {
		done, err = b.store.ApplyPart(b.t.Context(), k)
		require.NoError(b.t, err)
	}
}

func number(i int) string { return fmt.Sprintf("+4915112%06d", i) }

// contact finds the contact with a number.
func (b *bench) contact(i int) store.Contact {
	cs, _, err := b.store.Contacts(b.t.Context(), b.scope, store.ContactFilter{Search: number(i)}, store.Page{Limit: 1})
	require.NoError(b.t, err)
	require.Len(b.t, cs, 1)
	return cs[0]
}

// campaign makes a draft to the list.
func (b *bench) campaign(changes ...func(*store.Campaign)) store.Campaign {
	c := store.Campaign{Name: "Spring", Channel: store.SMS, ListID: &b.list.PublicID, Body: ptr("Hi {{first_name}}")}
	for _, change := range changes {
		change(&c)
	}
	c, err := b.store.CreateCampaign(b.t.Context(), b.scope, c)
	require.NoError(b.t, err)
	return c
}

// ready waits until nothing blocks a draft: a worker must be registered.
func (b *bench) ready(c store.Campaign) {
	b.eventually(func() bool { return len(b.read(c).Blockers) == 0 }, "never ready")
}

// send makes a campaign and sends it.
func (b *bench) send(changes ...func(*store.Campaign)) store.Campaign {
	c := b.campaign(changes...)
	b.ready(c)
	return b.do(c, (*store.Campaign).Send)
}

// do applies a verb that must be taken.
func (b *bench) do(c store.Campaign, verb func(*store.Campaign) error) store.Campaign {
	c, err := b.store.UpdateCampaign(b.t.Context(), b.scope, c.PublicID, verb)
	require.NoError(b.t, err)
	return c
}

func (b *bench) read(c store.Campaign) store.Campaign {
	c, err := b.store.Campaign(b.t.Context(), store.Scope{Account: c.AccountID, Mode: c.Mode}, c.PublicID)
	require.NoError(b.t, err)
	return c
}

// progress reads a campaign's progress and checks that its parts add up.
func (b *bench) progress(c store.Campaign) store.Progress {
	c = b.read(c)
	p, err := b.store.Progress(b.t.Context(), &c)
	require.NoError(b.t, err)
	require.Equal(b.t, p.Total, p.Queued()+p.Sent()+p.Delivered+p.Failed()+p.Unknown+p.Skipped()+p.Cancelled, "the parts add up")
	return p
}

// completes waits until a campaign is completed.
func (b *bench) completes(c store.Campaign) store.Progress {
	b.eventually(func() bool { return b.read(c).Status == store.Completed }, "never completed")
	return b.progress(c)
}

// patience is for machines that are busy with other things.
const patience = time.Minute

func (b *bench) eventually(is func() bool, message ...any) {
	require.Eventually(b.t, is, patience, 5*time.Millisecond, message...)
}

// messages are all messages of a campaign, by the contact's id.
func (b *bench) messages(c store.Campaign) map[int64]store.Message {
	all := map[int64]store.Message{}
	for p := (store.Page{Limit: 1000}); ; { // more than a client may ask for
		_, ms, next, err := b.store.Messages(b.t.Context(), store.Scope{Account: c.AccountID, Mode: c.Mode}, c.PublicID, 0, p)
		require.NoError(b.t, err)
		for _, m := range ms {
			all[m.ContactID] = m
		}
		if p.Cursor = next; next == "" {
			return all
		}
	}
}

// requireComplete reads a campaign that is over: each recipient has one row, and
// the counters say what the rows do.
func (b *bench) requireComplete(c store.Campaign) store.Progress {
	b.eventually(func() bool {
		p := b.progress(c)
		return p.Queued() == 0 && len(b.messages(c)) == int(p.Total)
	}, "the ledger was never complete")
	p := b.progress(c)
	by := map[store.MessageStatus]int64{}
	for _, m := range b.messages(c) {
		by[m.Status]++
	}
	require.Equal(b.t, []int64{
		by[store.MessageSent], by[store.MessageDelivered], by[store.MessageFailed], by[store.MessageUnknown], by[store.MessageSkipped], by[store.MessageCancelled],
	}, []int64{p.Sent(), p.Delivered, p.Failed(), p.Unknown, p.Skipped(), p.Cancelled})
	return p
}

package delivery_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
)

// hurried runs an engine whose second attempt comes soon.
func (b *bench) hurried(o delivery.Options) {
	engine := b.newEngineWith(b.store, o)
	engine.Hurry(8*time.Second, 30*time.Second, 10*time.Millisecond)
	b.run(engine)
}

func TestSoftFailureIsTriedAgainAndAHardOneIsFinal(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(40)
		b.carrier.answers(func(_ context.Context, m *delivery.Outgoing, times int) error {
			switch m.To[len(m.To)-1] {
			case '1':
				return &delivery.Rejected{Code: "550", Text: "no such\x00 number"}
			case '2':
				if times < 3 {
					return &delivery.Deferred{Code: "451", Text: "busy"}
				}
			case '3':
				if times == 1 {
					return errors.New("dial carrier.internal: secret") // no answer
				}
				return &delivery.Rejected{Code: "551"}
			}
			return nil
		})
		b.hurried(delivery.Options{})
		c := b.send()
		p := b.completes(c)
		require.Equal(t, []int64{32, 8}, []int64{p.Sent(), p.Failed()})
		ms := b.messages(c)
		attempts := map[byte]int{'1': 1, '2': 3, '3': 2}
		for to, times := range b.carrier.seen() {
			require.Equal(t, max(1, attempts[to[len(to)-1]]), times, to)
		}
		for i := range 40 {
			m := ms[b.contact(i).ID]
			require.Equal(t, max(1, attempts['0'+byte(i%10)]), m.Attempts)
			switch i % 10 {
			case 1:
				require.Equal(t, "550", *m.Code)
				require.Equal(t, "no such  number", *m.Text)
			case 3:
				require.Equal(t, "551", *m.Code)
			default:
				require.Equal(t, store.MessageSent, m.Status)
			}
		}
		b.requireComplete(c)
	})
}

func TestSoftFailureIsFinalWhenItIsTooOld(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(3)
		b.carrier.answers(func(context.Context, *delivery.Outgoing, int) error {
			return errors.New("dial carrier.internal: secret")
		})
		b.hurried(delivery.Options{RetryMaxAge: time.Second})
		c := b.send()
		p := b.completes(c)
		require.EqualValues(t, 3, p.Failed())
		for _, m := range b.messages(c) {
			require.Greater(t, m.Attempts, 2)
			require.Equal(t, b.carrier.seen()[number(int(m.ContactID-b.contact(0).ID))], m.Attempts)
			require.Equal(t, "no_answer", *m.Code)
			require.NotContains(t, *m.Text, "secret")
		}
	})
}

func TestCarriersWishToWaitIsHonoured(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(2)
		var mu sync.Mutex
		came := map[string][]time.Time{}
		b.carrier.answers(func(_ context.Context, m *delivery.Outgoing, times int) error {
			mu.Lock()
			defer mu.Unlock()
			came[m.To] = append(came[m.To], time.Now())
			switch {
			case m.To == number(1):
				return &delivery.Deferred{Code: "later", RetryAfter: 10 * time.Hour} // longer than the engine tries
			case times == 1:
				return &delivery.Deferred{Code: "wait", RetryAfter: 700 * time.Millisecond}
			}
			return nil
		})
		b.hurried(delivery.Options{})
		c := b.send()
		p := b.completes(c)
		require.Equal(t, []int64{1, 1}, []int64{p.Sent(), p.Failed()}, "a wish for too late is a no")
		require.Len(t, came[number(0)], 2)
		require.GreaterOrEqual(t, came[number(0)][1].Sub(came[number(0)][0]), 700*time.Millisecond)
		require.Len(t, came[number(1)], 1)
	})
}

func TestRetriesWaitWhileTheCampaignIsPaused(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(300)
		b.carrier.answers(func(_ context.Context, _ *delivery.Outgoing, times int) error {
			if times == 1 {
				return &delivery.Deferred{Code: "busy"}
			}
			return nil
		})
		b.hurried(delivery.Options{})
		c := b.send()
		b.eventually(func() bool { return b.carrier.total() >= 300 })
		b.do(c, (*store.Campaign).Pause)
		pause(t.Context(), time.Second)
		b.requireStill()
		b.do(c, (*store.Campaign).Resume)
		b.completes(c)
		for to, times := range b.carrier.seen() {
			require.Equal(t, 2, times, to)
		}
		b.requireComplete(c)
	})
}

func TestContactThatOptsOutBeforeItsRetryIsSkipped(t *testing.T) {
	eachBench(t, func(t *testing.T, b *bench) {
		b.contacts(2)
		b.carrier.answers(func(ctx context.Context, m *delivery.Outgoing, _ int) error {
			if m.To == number(0) {
				_, err := b.store.OptOut(ctx, b.scope, m.ContactID, store.SetOf(store.SMS))
				return errors.Join(errors.New("try again"), err)
			}
			return nil
		})
		b.hurried(delivery.Options{})
		c := b.send()
		p := b.completes(c)
		require.Equal(t, []int64{1, 1}, []int64{p.Sent(), p.SkippedOptedOut})
		require.Equal(t, 1, b.carrier.seen()[number(0)])
	})
}

package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/store"
)

func TestEachChunkHasOneHolder(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 2500)
		c := b.sending()
		var mu sync.Mutex
		holders := map[int]int{}
		together(t, 8, func(ctx context.Context, _ int) error {
			for range 2 {
				k, err := s.ClaimChunk(ctx, c.ID, testWorker, longLease, testWindow)
				if err != nil || k == nil {
					return err
				}
				mu.Lock()
				holders[k.N] += k.Epoch
				mu.Unlock()
			}
			return nil
		})
		require.Equal(t, map[int]int{0: 1, 1: 1, 2: 1}, holders)
	})
}

func TestOnlyACampaignThatIsSendingIsClaimed(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		for verb, claimed := range map[string]bool{"pause": false, "resume": true, "cancel": false} {
			c := b.sending()
			if verb == "resume" {
				c = b.do(c, (*store.Campaign).Pause)
			}
			b.do(c, verbs[verb])
			k, err := s.ClaimChunk(t.Context(), c.ID, testWorker, longLease, testWindow)
			require.NoError(t, err)
			require.Equal(t, claimed, k != nil, verb)
		}
	})
}

func TestLapsedLeaseIsTakenOverAndTheOldHolderIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 10)
		c := b.sending()
		old := b.claim(c)
		require.Equal(t, 1, old.Epoch)
		none, err := s.ClaimChunk(t.Context(), c.ID, testWorker, longLease, testWindow)
		require.NoError(t, err)
		require.Nil(t, none, "the lease holds")
		b.lapse()
		taken := b.claim(c)
		require.Equal(t, 2, taken.Epoch)
		require.Equal(t, old.IDs, taken.IDs)

		for _, lease := range []time.Duration{longLease, 0} {
			held, err := s.RecordChunk(t.Context(), old, store.Record{
				Outcomes: append(outcomes(store.MessageSent, old.IDs[:5]...), softly(old.IDs[5])...), Done: 10, Lease: lease,
			})
			require.NoError(t, err)
			require.False(t, held)
		}
		require.Empty(t, b.messages(c), "nothing was kept")
		require.EqualValues(t, 10, b.progress(c).Queued())
		b.record(taken, 10, outcomes(store.MessageSent, taken.IDs...)...)
		require.True(t, b.settle(c))
		b.audit(c)
	})
}

func TestLapsedLeaseHoldsUntilSomebodyTakesTheChunk(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		c := b.sending()
		k := b.claim(c)
		b.lapse()
		b.record(k, 3, outcomes(store.MessageSent, k.IDs...)...)
		require.True(t, b.settle(c))
	})
}

func TestRecordRenewsTheLease(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		c := b.sending()
		k := b.claim(c)
		b.lapse()
		held, err := s.RecordChunk(t.Context(), k, store.Record{Done: 0, Intent: 2, Lease: longLease})
		require.NoError(t, err)
		require.True(t, held)
		none, err := s.ClaimChunk(t.Context(), c.ID, testWorker, longLease, testWindow)
		require.NoError(t, err)
		require.Nil(t, none)
	})
}

func TestRecordedOutcomesAreSkippedAfterATakeOver(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 10)
		c := b.sending()
		k := b.claim(c)
		// Results come out of order: the cursor stands at 1, four more are known.
		os := outcomes(store.MessageSent, k.IDs[0], k.IDs[3], k.IDs[4])
		os = append(os, outcomes(store.MessageFailed, k.IDs[7])...)
		os = append(os, softly(k.IDs[9])...)
		held, err := s.RecordChunk(t.Context(), k, store.Record{Carrier: "hand", Outcomes: os, Done: 1, Intent: 10, Lease: longLease})
		require.NoError(t, err)
		require.True(t, held)
		b.lapse()
		k = b.claim(c)
		require.Equal(t, 1, k.Done)
		rest, err := s.Unrecorded(t.Context(), c.ID, k.IDs[k.Done:])
		require.NoError(t, err)
		require.Equal(t, []int64{k.IDs[1], k.IDs[2], k.IDs[5], k.IDs[6], k.IDs[8]}, rest)
		p := b.progress(c)
		require.Equal(t, []int64{6, 3, 1}, []int64{p.Queued(), p.Sent(), p.Failed()})
	})
}

func TestChunkGivenBackIsTakenUpWhereItStopped(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 10)
		c := b.sending()
		k := b.claim(c)
		b.record(k, 4, outcomes(store.MessageSent, k.IDs[:4]...)...)
		k = b.claim(c)
		require.Equal(t, 4, k.Done)
		require.False(t, b.settle(c), "an open chunk is left")
		b.record(k, 10, outcomes(store.MessageFailed, k.IDs[4:]...)...)
		require.True(t, b.settle(c))
		p, _ := b.audit(c)
		require.Equal(t, []int64{4, 6}, []int64{p.Sent(), p.Failed()})
	})
}

func TestMessageTellsWhatTheCarrierSaid(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		c := b.sending()
		k := b.claim(c)
		os := outcomes(store.MessageSent, k.IDs...)
		os[1] = store.Outcome{Contact: k.IDs[1], Status: store.MessageFailed, Code: "550", Text: `no "such' mailbox\ {} ,🙂`}
		os[2] = store.Outcome{Contact: k.IDs[2], Status: store.MessageSkipped, Code: store.SkipDeleted}
		b.record(k, 3, os...)
		ms := b.messages(c)
		sent, failed, skipped := ms[k.IDs[0]], ms[k.IDs[1]], ms[k.IDs[2]]
		require.Equal(t, "hand", *sent.Carrier)
		require.Equal(t, *sent.CarrierRef, os[0].Ref)
		require.Nil(t, sent.Code)
		require.Equal(t, 1, sent.Attempts)
		require.WithinDuration(t, time.Now(), sent.RecordedAt, time.Minute)
		require.Equal(t, "550", *failed.Code)
		require.Equal(t, os[1].Text, *failed.Text)
		require.Nil(t, failed.CarrierRef)
		require.Zero(t, skipped.Attempts)
		require.EqualValues(t, 1, b.progress(c).SkippedDeleted)
		for status, contact := range map[store.MessageStatus]int64{store.MessageSent: k.IDs[0], store.MessageFailed: k.IDs[1]} {
			_, some, _, err := s.Messages(t.Context(), b.sc, c.PublicID, status, store.Page{})
			require.NoError(t, err)
			require.Len(t, some, 1)
			require.Equal(t, contact, some[0].ContactID)
		}
	})
}

func TestWhatACarrierSaysIsMadeHarmless(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		c := b.sending()
		k := b.claim(c)
		const bad, good = "a\x00b\xffc\xed\xa0\x80", "a\uFFFDb\uFFFDc\uFFFD"
		hostile := func(contact int64, status store.MessageStatus) store.Outcome {
			return store.Outcome{Contact: contact, Status: status, Ref: bad, Code: bad, Text: bad}
		}
		b.record(k, 3, hostile(k.IDs[0], store.MessageSent), hostile(k.IDs[1], store.MessageFailed), hostile(k.IDs[2], 0))
		rs, err := s.ClaimRetries(t.Context(), c.ID, testWorker, 10, longLease, true)
		require.NoError(t, err)
		require.Len(t, rs, 1)
		again := hostile(k.IDs[2], 0)
		require.NoError(t, s.RecordRetries(t.Context(), c.ID, "hand", rs, []*store.Outcome{&again}))
		rs, err = s.ClaimRetries(t.Context(), c.ID, testWorker, 10, longLease, true)
		require.NoError(t, err)
		last := hostile(k.IDs[2], store.MessageSent)
		require.NoError(t, s.RecordRetries(t.Context(), c.ID, "hand", rs, []*store.Outcome{&last}))
		require.NoError(t, s.AddReceipts(t.Context(), "hand", []store.Receipt{{CampaignID: c.ID, ContactID: k.IDs[2], Status: store.MessageFailed, Code: ptr(bad), Text: ptr(bad)}}))
		b.fold()
		ms := b.messages(c)
		require.Equal(t, good, *ms[k.IDs[0]].CarrierRef)
		require.Equal(t, good, *ms[k.IDs[1]].Text)
		require.Equal(t, good, *ms[k.IDs[2]].Text)
		require.Equal(t, store.MessageFailed, ms[k.IDs[2]].Status)
	})
}

func TestRecipientsAreReadAscendingWithoutTheDeleted(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 3)
		b.importCSV("external_id,phone,country,first_name,last_name,attributes.plan\nx,+4915100999999,PT,Ada,Lovelace,gold\n")
		c := b.sending()
		k := b.claim(c)
		_, err := s.OptOut(t.Context(), b.sc, b.contact("1").PublicID, store.SetOf(store.SMS))
		require.NoError(t, err)
		gone := b.contact("0")
		require.NoError(t, s.DeleteContact(t.Context(), b.sc, gone.PublicID))

		rs, err := s.Recipients(t.Context(), k.IDs, false, nil)
		require.NoError(t, err)
		require.Len(t, rs, 3)
		require.True(t, rs[0].OptedOut.Has(store.SMS))
		require.False(t, rs[1].OptedOut.Has(store.SMS))
		ada := rs[2]
		require.Equal(t, store.Recipient{
			ID: b.contact("x").ID, PublicID: b.contact("x").PublicID, ExternalID: "x", Phone: "+4915100999999", FirstName: "Ada", LastName: "Lovelace", Country: "PT",
		}, ada)
		require.Empty(t, ada.Address(store.Email))
		rs, err = s.Recipients(t.Context(), k.IDs, true, rs)
		require.NoError(t, err)
		require.JSONEq(t, `{"plan": "gold"}`, string(rs[2].Attributes))

		b.record(k, 4, append(outcomes(store.MessageSent, k.IDs[2:]...),
			store.Outcome{Contact: k.IDs[0], Status: store.MessageSkipped, Code: store.SkipDeleted},
			store.Outcome{Contact: k.IDs[1], Status: store.MessageSkipped, Code: store.SkipOptedOut})...)
		require.True(t, b.settle(c))
		p, ms := b.audit(c)
		require.EqualValues(t, 2, p.Skipped())
		require.Nil(t, ms[gone.ID].Contact, "the message of a deleted contact stays, without its name")
	})
}

func TestDoubtOutlivesWhoClaimsAndDoesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b := newShop(t, s, 20)
		c := b.sending()
		claim := func(window int) *store.Chunk {
			k, err := s.ClaimChunk(t.Context(), c.ID, testWorker, longLease, window)
			require.NoError(t, err)
			require.NotNil(t, k)
			return k
		}
		require.Zero(t, claim(0).Intent, "nobody had it in hand")
		b.lapse()
		k := claim(5)
		held, err := s.RecordChunk(t.Context(), k, store.Record{
			Carrier: "hand", Outcomes: outcomes(store.MessageSent, k.IDs[:3]...), Done: 3, Intent: 8, Lease: longLease,
		})
		require.NoError(t, err)
		require.True(t, held)
		for range 2 {
			b.lapse()
			k = claim(0)
			require.Equal(t, []int{3, 8}, []int{k.Done, k.Intent})
		}
		held, err = s.RecordChunk(t.Context(), k, store.Record{
			Carrier: "hand", Outcomes: outcomes(store.MessageUnknown, k.IDs[3:8]...), Done: 8, Intent: 10, Lease: longLease,
		})
		require.NoError(t, err)
		require.True(t, held)
		p := b.progress(c)
		require.Equal(t, []int64{3, 5, 12}, []int64{p.Sent(), p.Unknown, p.Queued()}, "counted while the chunk is open")
		b.record(k, 20, outcomes(store.MessageSent, k.IDs[8:]...)...)
		require.True(t, b.settle(c))
		p, _ = b.audit(c)
		require.Equal(t, []int64{15, 5}, []int64{p.Sent(), p.Unknown}, "and after it")
	})
}

func TestManyReadTheirChunksAtOnce(t *testing.T) {
	together(t, 8, func(context.Context, int) error {
		for range 100 {
			ids, err := store.ScanPostgresIDs("{1,2,3}")
			if err != nil || !slices.Equal(ids, []int64{1, 2, 3}) {
				return fmt.Errorf("read %v: %w", ids, err)
			}
		}
		return nil
	})
}

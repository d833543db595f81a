// Package carriertest is what every carrier promises, as one suite of tests
// that each of them runs against a peer of its own protocol. It knows the
// delivery package's Carrier and no protocol.
package carriertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
)

// Answer is how a peer meets a message.
type Answer int

// The answers that a peer must know. Those that refuse may come at any point of
// the protocol where the real world refuses.
const (
	Accept     Answer = iota // take it
	Reject                   // refuse it for good
	RejectWild               // refuse it for good with RejectionText
	Defer                    // refuse it for now
	Drop                     // read all of it, then hang up without a word
	Hang                     // read all of it and say nothing
	Leak                     // refuse it or the credentials and repeat what was sent, secrets included
)

// RejectionText is what no ledger should keep as it is: long, with control
// characters and bytes that are no UTF-8.
var RejectionText = "mailbox\x00 \x1b[31mfull \xff\xfe " + strings.Repeat("ü", 400)

// Peer is the other end of a carrier under test.
type Peer interface {
	// Answer sets how every message from now on is met. It begins with Accept.
	Answer(Answer)
	// Taken lists the ids of the messages that were read whole so far, as they
	// stood on the wire.
	Taken() []string
	// Leave ends it: nobody listens there any more.
	Leave()
}

// Fixture is a carrier with its peer, made afresh for each test.
type Fixture struct {
	Carrier delivery.Carrier
	Peer    Peer               // nil if the carrier takes everything by itself
	Message *delivery.Outgoing // a message that the carrier can send
	Secrets []string           // what must never stand in an error
}

const patience = 10 * time.Second

// Suite checks that a carrier keeps what delivery.Carrier promises. Without a
// peer, only what does not need one.
func Suite(t *testing.T, setup func(t *testing.T) Fixture) {
	t.Run("EndedContextIsAnErrorAndNoRejection", func(t *testing.T) { endedContext(t, setup(t)) })
	t.Run("AcceptedMessageHasAReference", func(t *testing.T) { accepted(t, setup(t)) })
	t.Run("ManySendersAtOnceAreAllServed", func(t *testing.T) { manySenders(t, setup(t)) })
	if setup(t).Peer == nil {
		return
	}
	t.Run("RefusalForGoodIsRejected", func(t *testing.T) { rejected(t, setup(t)) })
	t.Run("WildRefusalIsKeptShortAndPrintable", func(t *testing.T) { rejectedWildly(t, setup(t)) })
	t.Run("RefusalForNowIsDeferred", func(t *testing.T) { deferred(t, setup(t)) })
	t.Run("LostAnswerIsAskedAgainUnderTheSameID", func(t *testing.T) { lostAnswer(t, setup(t)) })
	t.Run("SilentPeerIsLeftWhenTheContextEnds", func(t *testing.T) { silentPeer(t, setup(t)) })
	t.Run("NobodyThereMeansUnsent", func(t *testing.T) { nobodyThere(t, setup(t)) })
	t.Run("NoSecretStandsInAnError", func(t *testing.T) { leakingPeer(t, setup(t)) })
}

func endedContext(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Carrier.Send(ctx, f.Message)
	requireSoft(t, err)
	require.False(t, mayHaveLeft(err), "it has not left")
}

func accepted(t *testing.T, f Fixture) {
	ref, err := f.Carrier.Send(t.Context(), f.Message)
	require.NoError(t, err)
	require.NotEmpty(t, ref)
	requireTaken(t, f, f.Message.ID)
}

func manySenders(t *testing.T, f Fixture) {
	const senders, each = 16, 8
	var wait sync.WaitGroup
	failures := make(chan error, senders*each)
	for range senders {
		wait.Go(func() {
			for range each {
				if _, err := f.Carrier.Send(t.Context(), f.Message); err != nil {
					failures <- err
				}
			}
		})
	}
	wait.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	if f.Peer != nil {
		require.Len(t, f.Peer.Taken(), senders*each)
	}
}

func rejected(t *testing.T, f Fixture) {
	f.Peer.Answer(Reject)
	_, err := f.Carrier.Send(t.Context(), f.Message)
	_ = requireRejected(t, err)

	f.Peer.Answer(Accept)
	_, err = f.Carrier.Send(t.Context(), f.Message)
	require.NoError(t, err, "the next message is met on its own")
}

func rejectedWildly(t *testing.T, f Fixture) {
	f.Peer.Answer(RejectWild)
	_, err := f.Carrier.Send(t.Context(), f.Message)
	r := requireRejected(t, err)
	require.Contains(t, r.Text, "mailbox")
	require.Greater(t, len(r.Text), 200, "cut no shorter than it must be")
}

func deferred(t *testing.T, f Fixture) {
	f.Peer.Answer(Defer)
	_, err := f.Carrier.Send(t.Context(), f.Message)
	requireSoft(t, err)
	var d *delivery.Deferred
	require.ErrorAs(t, err, &d)
	require.NotEmpty(t, d.Code)
	requireBounded(t, d.Code, d.Text)
	require.False(t, mayHaveLeft(err), "it is a no")

	f.Peer.Answer(Accept)
	_, err = f.Carrier.Send(t.Context(), f.Message)
	require.NoError(t, err, "the next message is met on its own")
}

func lostAnswer(t *testing.T, f Fixture) {
	f.Peer.Answer(Drop)
	_, err := f.Carrier.Send(t.Context(), f.Message)
	requireSoft(t, err)
	require.True(t, mayHaveLeft(err), "the peer has it")
	before := len(f.Peer.Taken())
	require.NotZero(t, before)

	f.Peer.Answer(Accept)
	_, err = f.Carrier.Send(t.Context(), f.Message)
	require.NoError(t, err)
	require.Len(t, f.Peer.Taken(), before+1)
	for _, id := range f.Peer.Taken() {
		require.Equal(t, f.Message.ID, id)
	}
}

func silentPeer(t *testing.T, f Fixture) {
	f.Peer.Answer(Hang)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := f.Carrier.Send(ctx, f.Message)
		result <- err
	}()
	require.Eventually(t, func() bool { return len(f.Peer.Taken()) > 0 }, patience, time.Millisecond)
	cancel()
	select {
	case err := <-result:
		requireSoft(t, err)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, mayHaveLeft(err), "the peer has it")
	case <-time.After(patience):
		require.Fail(t, "Send goes on although its context has ended")
	}
}

func nobodyThere(t *testing.T, f Fixture) {
	f.Peer.Leave()
	_, err := f.Carrier.Send(t.Context(), f.Message)
	requireSoft(t, err)
	require.False(t, mayHaveLeft(err), "it has not left")
}

func leakingPeer(t *testing.T, f Fixture) {
	require.NotEmpty(t, f.Secrets)
	f.Peer.Answer(Leak)
	_, err := f.Carrier.Send(t.Context(), f.Message)
	require.Error(t, err)
	for _, secret := range f.Secrets {
		require.NotContains(t, err.Error(), secret)
	}
}

func requireTaken(t *testing.T, f Fixture, ids ...string) {
	t.Helper()
	if f.Peer != nil {
		require.Equal(t, ids, f.Peer.Taken())
	}
}

func requireRejected(t *testing.T, err error) *delivery.Rejected {
	t.Helper()
	var r *delivery.Rejected
	require.ErrorAs(t, err, &r)
	require.NotEmpty(t, r.Code)
	requireBounded(t, r.Code, r.Text)
	return r
}

func requireSoft(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	var r *delivery.Rejected
	require.NotErrorAs(t, err, &r, "it is not final")
}

// mayHaveLeft reads an error as delivery.Carrier explains it.
func mayHaveLeft(err error) bool {
	var unsent *delivery.Unsent
	var deferred *delivery.Deferred
	if errors.As(err, &unsent) {
		return false
	}
	return !errors.As(err, &deferred) || deferred.Unsure
}

func requireBounded(t *testing.T, code, text string) {
	t.Helper()
	require.LessOrEqual(t, len(code), 64)
	require.LessOrEqual(t, len(text), 256)
	for _, s := range []string{code, text} {
		require.True(t, utf8.ValidString(s))
		require.NotContains(t, s, "\n")
		for _, r := range s {
			require.True(t, unicode.IsPrint(r), "%q is not printable", r)
		}
	}
}

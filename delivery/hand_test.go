package delivery_test

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
)

type assertT = assert.CollectT

func ptr[T any](v T) *T { return &v }

// pause waits, but no longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// handCarrier is a carrier in the test's hands: it counts, and answers as told.
type handCarrier struct {
	mu     sync.Mutex
	counts map[string]int
	order  []delivery.Outgoing
	answer func(ctx context.Context, m *delivery.Outgoing, times int) error
}

func newHandCarrier() *handCarrier {
	return &handCarrier{counts: map[string]int{}}
}

func (h *handCarrier) Send(ctx context.Context, m *delivery.Outgoing) (string, error) {
	h.mu.Lock()
	h.counts[m.To]++
	h.order = append(h.order, *m)
	n, answer := h.counts[m.To], h.answer
	h.mu.Unlock()
	if answer != nil {
		if err := answer(ctx, m, n); err != nil {
			return "", err
		}
	}
	return "hand-" + m.ID, nil
}

// answers decides what becomes of a message that comes for the n-th time.
func (h *handCarrier) answers(f func(ctx context.Context, m *delivery.Outgoing, times int) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

// slowly makes each message take so long.
func (h *handCarrier) slowly(d time.Duration) {
	h.answers(func(ctx context.Context, _ *delivery.Outgoing, _ int) error {
		pause(ctx, d)
		return ctx.Err()
	})
}

// hangs makes the messages for which it is true wait until the test releases
// them, or ctx ends.
func (h *handCarrier) hangs(which func(m *delivery.Outgoing) bool) (release func()) {
	gate := make(chan struct{})
	h.answers(func(ctx context.Context, m *delivery.Outgoing, _ int) error {
		if which(m) {
			select {
			case <-gate:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return sync.OnceFunc(func() { close(gate) })
}

// seen is how often each address was handed over.
func (h *handCarrier) seen() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.counts)
}

// total counts hand-overs.
func (h *handCarrier) total() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.order)
}

// got are the messages in the order they came.
func (h *handCarrier) got() []delivery.Outgoing {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]delivery.Outgoing(nil), h.order...)
}

// requireOnce checks that n addresses came, each exactly once.
func (h *handCarrier) requireOnce(t require.TestingT, n int) {
	seen := h.seen()
	require.Len(t, seen, n)
	for to, times := range seen {
		require.Equal(t, 1, times, to)
	}
}

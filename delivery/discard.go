package delivery

import (
	"context"
	"fmt"
)

// Discard takes every message and throws it away. It is for measuring what
// everything around a carrier costs, and for trying live campaigns where nothing
// may leave. Each message is recorded as sent, with the reference "discarded".
type Discard struct{}

// Send takes the message and forgets it.
func (Discard) Send(ctx context.Context, _ *Outgoing) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", &Unsent{fmt.Errorf("discard: %w", err)}
	}
	return "discarded", nil
}

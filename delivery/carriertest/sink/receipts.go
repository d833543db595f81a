package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"golang.org/x/sync/errgroup"
)

const (
	receiptBatch   = 1000                  // receipts in one delivery, at most
	receiptEvery   = 50 * time.Millisecond // how often fewer go
	receiptRoom    = 100 * receiptBatch    // receipts that wait; then messages wait too
	receiptSenders = 2                     // deliveries on their way at once
)

// Receipts is a gateway that says of each message it took that it was delivered,
// to the address that the message names, in deliveries signed as Standard
// Webhooks says.
type Receipts struct {
	signer *standardwebhooks.Webhook
	queue  chan posted
}

type receipt struct {
	MessageID string `json:"message_id"`
	Status    string `json:"status"`
}

// NewReceipts makes a gateway that signs with secret, whsec_ and base64.
func NewReceipts(secret string) (*Receipts, error) {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, fmt.Errorf("receipts' secret: %w", err)
	}
	return &Receipts{signer: signer, queue: make(chan posted, receiptRoom)}, nil
}

// Handler takes messages as HTTP does. Run must be running.
func (r *Receipts) Handler(c *Counter) http.Handler {
	return gateway(c, func(m posted) { r.queue <- m })
}

// Run sends receipts until ctx ends, or a delivery is not taken, which is an
// error: a real gateway would send it again.
func (r *Receipts) Run(ctx context.Context) error {
	senders, within := errgroup.WithContext(ctx)
	for range receiptSenders {
		senders.Go(func() error { return r.send(within) })
	}
	err := senders.Wait()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // what was cut off at the end is no failure
	}
	return err
}

func (r *Receipts) send(ctx context.Context) error {
	tick := time.NewTicker(receiptEvery)
	defer tick.Stop()
	batch, callback := make([]receipt, 0, receiptBatch), ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if len(batch) == 0 {
				continue
			}
		case m := <-r.queue:
			if batch, callback = append(batch, receipt{m.ID, "delivered"}), m.Callback; len(batch) < receiptBatch {
				continue
			}
		}
		if err := r.deliver(ctx, callback, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
}

// deliver posts receipts to where the messages said: all of them name one server.
func (r *Receipts) deliver(ctx context.Context, callback string, batch []receipt) error {
	body, err := json.Marshal(map[string]any{"receipts": batch})
	if err != nil {
		return err
	}
	now := time.Now()
	signature, err := r.signer.Sign(batch[0].MessageID, now, body)
	if err != nil {
		return err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, callback, bytes.NewReader(body))
	if err != nil {
		return err
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("webhook-id", batch[0].MessageID)
	post.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	post.Header.Set("webhook-signature", signature)
	answer, err := http.DefaultClient.Do(post)
	if err != nil {
		return fmt.Errorf("deliver receipts: %w", err)
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("deliver receipts: status %d: %s", answer.StatusCode, said)
	}
	return nil
}

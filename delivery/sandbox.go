package delivery

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

const (
	sandboxName     = "sandbox"
	sandboxBuffer   = 8192                  // receipts that may wait; a full buffer slows Send down
	sandboxBatch    = 500                   // receipts handed over at once
	sandboxEvery    = 50 * time.Millisecond // how often less than a batch is handed over
	sandboxLastWord = 5 * time.Second       // for handing over the rest on shutdown
)

// Sandbox is the carrier that reaches nobody: it takes every message, and the
// last digit of the address decides which receipt follows.
//
//	1  none: the message stays sent
//	2  delivered, after 0–100 ms
//	3  failed (undelivered), after 0.8–1.5 s
//	4  failed (carrier_error), after 50–150 ms
//	5  failed (expired), after 3 s
//	6  unknown, after 5 s
//	0, 7, 8, 9 or no digit: delivered, at once
//
// The same message always gets the same receipt. The times are in
// Receipt.NotBefore: the sandbox hands receipts over early and leaves the
// waiting to the receiver, so that a restart in between loses none.
type Sandbox struct {
	receive  func(context.Context, []Receipt) error
	receipts chan Receipt
}

// NewSandbox makes a sandbox whose Run gives receipts to receive, at most 500
// at once. The slice is receive's only until it returns; after an error, which
// receive itself should log, the same receipts come again.
func NewSandbox(receive func(ctx context.Context, batch []Receipt) error) *Sandbox {
	return &Sandbox{receive: receive, receipts: make(chan Receipt, sandboxBuffer)}
}

// Send takes the message. It waits while receipts pile up, so Run must be
// running.
func (s *Sandbox) Send(ctx context.Context, m *Outgoing) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", &Unsent{fmt.Errorf("sandbox: %w", err)}
	}
	if receipt, ok := sandboxReceipt(m); ok {
		select {
		case s.receipts <- receipt:
		case <-ctx.Done():
			return "", &Unsent{fmt.Errorf("sandbox: wait for room for a receipt: %w", ctx.Err())}
		}
	}
	return "sandbox-" + m.ID, nil
}

func sandboxReceipt(m *Outgoing) (Receipt, bool) {
	now := time.Now().UTC()
	after := func(low, high time.Duration) time.Time {
		h := fnv.New32a()
		h.Write([]byte(m.ID))
		return now.Add(low + time.Duration(h.Sum32())%(high-low+1))
	}
	r := Receipt{MessageID: m.ID, Status: "delivered"}
	switch lastDigit(m.To) {
	case '1':
		return Receipt{}, false
	case '2':
		r.NotBefore = after(0, 100*time.Millisecond)
	case '3':
		r.Status, r.Code, r.Text = "failed", "undelivered", "sandbox: the address ends in 3"
		r.NotBefore = after(800*time.Millisecond, 1500*time.Millisecond)
	case '4':
		r.Status, r.Code, r.Text = "failed", "carrier_error", "sandbox: the address ends in 4"
		r.NotBefore = after(50*time.Millisecond, 150*time.Millisecond)
	case '5':
		r.Status, r.Code, r.Text = "failed", "expired", "sandbox: the address ends in 5"
		r.NotBefore = now.Add(3 * time.Second)
	case '6':
		r.Status, r.Code, r.Text = "unknown", "unknown", "sandbox: the address ends in 6"
		r.NotBefore = now.Add(5 * time.Second)
	}
	return r, true
}

// lastDigit is the last ASCII digit anywhere in the address, 0 if there is none.
func lastDigit(address string) byte {
	if i := strings.LastIndexAny(address, "0123456789"); i >= 0 {
		return address[i]
	}
	return 0
}

// Run hands receipts over until ctx ends, then once more whatever is left: end
// it after the senders. Receipts that could not be handed over by then are
// lost, which the error says.
func (s *Sandbox) Run(ctx context.Context) error {
	tick := time.NewTicker(sandboxEvery)
	defer tick.Stop()
	batch := make([]Receipt, 0, sandboxBatch)
	for {
		select {
		case <-ctx.Done():
			return s.drain(ctx, batch)
		case <-tick.C:
			batch, _ = s.handOver(ctx, batch) // an error leaves them for the next tick
		case r := <-s.room(batch):
			if batch = append(batch, r); len(batch) == sandboxBatch {
				batch, _ = s.handOver(ctx, batch)
			}
		}
	}
}

// room is the channel to read from while the batch has room, and nil, which is
// never ready, while a full batch waits for a receiver that refuses it.
func (s *Sandbox) room(batch []Receipt) <-chan Receipt {
	if len(batch) == sandboxBatch {
		return nil
	}
	return s.receipts
}

func (s *Sandbox) handOver(ctx context.Context, batch []Receipt) ([]Receipt, error) {
	if len(batch) == 0 {
		return batch, nil
	}
	if err := s.receive(ctx, batch); err != nil {
		return batch, err
	}
	return batch[:0], nil
}

func (s *Sandbox) drain(ctx context.Context, batch []Receipt) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sandboxLastWord)
	defer cancel()
	for {
		for len(batch) < sandboxBatch && len(s.receipts) > 0 {
			batch = append(batch, <-s.receipts)
		}
		if len(batch) == 0 {
			return nil
		}
		var err error
		if batch, err = s.handOver(ctx, batch); err != nil {
			lost := len(batch) + len(s.receipts)
			return fmt.Errorf("sandbox: hand over the last receipts, %d are lost: %w", lost, err)
		}
	}
}

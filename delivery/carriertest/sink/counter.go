// Package sink stands at the far end of a carrier: it takes every message as
// fast as it comes and counts them by recipient. Tests and the benchmark run it,
// in their own process or in another. It knows just enough of SMTP and HTTP to
// be handed a message, and nothing of campaigns.
package sink

import (
	"slices"
	"sync"
	"time"
)

// Counter counts messages by recipient. Its methods may be called from many
// goroutines at once; the zero value is ready.
type Counter struct {
	// Keep is how many messages, the first ones, are kept whole. Set it before
	// the counter is used.
	Keep int

	mu    sync.Mutex
	by    map[string]*int
	total int
	first time.Time
	kept  []Message
}

// Message is one message as it came.
type Message struct {
	To   string
	Data []byte // a mail, dots unstuffed, or the JSON body of a POST
}

// Total is the number of messages taken.
func (c *Counter) Total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// First is when the first message came, zero before.
func (c *Counter) First() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}

// Reset forgets all messages.
func (c *Counter) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by, c.total, c.first, c.kept = nil, 0, time.Time{}, nil
}

// Distinct is the number of recipients that got at least one message: Total
// minus Distinct is the number of repeats.
func (c *Counter) Distinct() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.by)
}

// Of is the number of messages that one recipient got.
func (c *Counter) Of(address string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.by[address]; n != nil {
		return *n
	}
	return 0
}

// Counts is the number of messages of each recipient, as a copy.
func (c *Counter) Counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := make(map[string]int, len(c.by))
	for address, n := range c.by {
		counts[address] = *n
	}
	return counts
}

// Messages is the first messages, at most Keep of them.
func (c *Counter) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.kept)
}

// add counts a message; data, which may be nil if keeps is false, stays the
// caller's.
func (c *Counter) add(address, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total++; c.total == 1 {
		c.first = time.Now()
	}
	if n := c.by[string(address)]; n != nil {
		*n++
	} else {
		if c.by == nil {
			c.by = make(map[string]*int)
		}
		one := 1
		c.by[string(address)] = &one
	}
	if len(c.kept) < c.Keep {
		c.kept = append(c.kept, Message{To: string(address), Data: slices.Clone(data)})
	}
}

// keeps says whether a message that comes now would be kept whole.
func (c *Counter) keeps() bool {
	if c.Keep == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept) < c.Keep
}

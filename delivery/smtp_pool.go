package delivery

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// smtpPool keeps connections open between mails and bounds how many there are.
type smtpPool struct {
	dial  func(context.Context) (*smtpConn, error)
	slots *semaphore.Weighted // one per connection in use; first come, first served
	keep  time.Duration

	mu     sync.Mutex
	idle   []*smtpConn // the last used is used next, so that surplus ones grow old
	reaper *time.Timer
	closed bool
}

func newSMTPPool(size int, keep time.Duration, dial func(context.Context) (*smtpConn, error)) *smtpPool {
	return &smtpPool{dial: dial, slots: semaphore.NewWeighted(int64(size)), keep: keep}
}

// get lends a connection, which put or replace takes back.
func (p *smtpPool) get(ctx context.Context) (*smtpConn, error) {
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("smtp: wait for a connection: %w", err)
	}
	if c := p.takeIdle(); c != nil {
		return c, nil
	}
	return p.fresh(ctx)
}

// replace closes a borrowed connection and lends a fresh one in its place. On
// an error nothing is borrowed any more.
func (p *smtpPool) replace(ctx context.Context, c *smtpConn) (*smtpConn, error) {
	c.close()
	return p.fresh(ctx)
}

func (p *smtpPool) put(c *smtpConn) {
	defer p.slots.Release(1)
	if c.broken {
		c.close()
		return
	}
	p.mu.Lock()
	spent := p.closed || c.spent()
	if !spent {
		c.idleSince = time.Now()
		p.idle = append(p.idle, c)
		if p.reaper == nil {
			p.reaper = time.AfterFunc(p.keep, p.reap)
		}
	}
	p.mu.Unlock()
	if spent {
		c.quit()
	}
}

func (p *smtpPool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	quitAll(idle)
}

func (p *smtpPool) fresh(ctx context.Context) (*smtpConn, error) {
	c, err := p.dial(ctx)
	if err != nil {
		p.slots.Release(1)
		return nil, err
	}
	return c, nil
}

func (p *smtpPool) takeIdle() *smtpConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// reap closes what nobody used for a while. The oldest stand first.
func (p *smtpPool) reap() {
	p.mu.Lock()
	old := 0
	for old < len(p.idle) && time.Since(p.idle[old].idleSince) >= p.keep {
		old++
	}
	reaped := p.idle[:old:old]
	p.idle = append([]*smtpConn(nil), p.idle[old:]...)
	if len(p.idle) > 0 {
		p.reaper.Reset(p.keep - time.Since(p.idle[0].idleSince))
	} else {
		p.reaper = nil
	}
	p.mu.Unlock()
	quitAll(reaped)
}

func quitAll(conns []*smtpConn) {
	for _, c := range conns {
		c.quit()
	}
}

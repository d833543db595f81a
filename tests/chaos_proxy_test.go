package tests

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy is a network that can be made bad, between a process and whom it talks
// to. It is our own because toxiproxy reaches no Unix socket, where the throwaway
// clusters listen, and garbles nothing.
type proxy struct {
	addr string
	far  func() (net.Conn, error)

	gate   sync.RWMutex // held for writing: nothing passes
	delay  atomic.Int64 // nanoseconds that each piece takes
	garble atomic.Bool  // each piece loses a bit

	mu    sync.Mutex
	conns map[net.Conn]*atomic.Bool // both ends; whether what they say is thrown away
}

// newProxy makes one for the length of the test; far reaches the other side.
func newProxy(t *testing.T, far func() (net.Conn, error)) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{addr: l.Addr().String(), far: far, conns: map[net.Conn]*atomic.Bool{}}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(near)
		}
	}()
	return p
}

func (p *proxy) serve(near net.Conn) {
	defer near.Close()
	far, err := p.far()
	if err != nil {
		return
	}
	defer far.Close()
	p.mu.Lock()
	silent := new(atomic.Bool)
	p.conns[near], p.conns[far] = silent, silent
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, near)
		delete(p.conns, far)
	}()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			p.pass(way[1], way[0], silent)
			_, _ = near.Close(), far.Close()
		})
	}
	both.Wait()
}

func (p *proxy) pass(to io.Writer, from io.Reader, silent *atomic.Bool) {
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		if silent.Load() {
			continue
		}
		if d := p.delay.Load(); d > 0 {
			<-time.After(time.Duration(d))
		}
		if p.garble.Load() {
			piece[rand.IntN(n)] ^= 1 << rand.IntN(8)
		}
		p.gate.RLock()
		_, err = to.Write(piece[:n])
		p.gate.RUnlock()
		if err != nil {
			return
		}
	}
}

// cut ends every connection. New ones may be made at once.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// silence makes every connection that there is lead nowhere, which neither side is
// told: a router that forgot them. New ones are good.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, silent := range p.conns {
		silent.Store(true)
	}
}

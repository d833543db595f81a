package delivery_test

import (
	"bufio"
	"cmp"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery/carriertest"
)

// What a script may answer besides replies.
const (
	hangUp    = "(hang up)"
	silence   = "(silence)"
	endOfMail = "." // the command a script sees when a mail has been read whole
)

// smtpPeer is a mail server that says what its script says: for answers no
// real server can be talked into.
type smtpPeer struct {
	addr  string
	leave func() // ends it

	mu       sync.Mutex
	script   func(conn int, command string) string
	conns    int
	commands []string
	mails    []string
	over     chan struct{}
}

// newSMTPPeer starts a peer that offers the given extensions.
func newSMTPPeer(t testing.TB, extensions ...string) *smtpPeer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &smtpPeer{addr: l.Addr().String(), over: make(chan struct{})}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() {
				defer conn.Close()
				stop := closeWhenOver(conn, p.over)
				defer stop()
				p.serve(conn, extensions)
			})
		}
	})
	p.leave = sync.OnceFunc(func() {
		l.Close()
		close(p.over)
		sessions.Wait()
	})
	t.Cleanup(p.leave)
	return p
}

func closeWhenOver(conn net.Conn, over <-chan struct{}) (stop func()) {
	done := make(chan struct{})
	go func() {
		select {
		case <-over:
			conn.Close()
		case <-done:
		}
	}()
	return func() { close(done) }
}

func (p *smtpPeer) serve(conn net.Conn, extensions []string) {
	p.mu.Lock()
	p.conns++
	n := p.conns
	p.mu.Unlock()
	if !p.answer(conn, n, "", "220 peer.example ESMTP") {
		return
	}
	hello := "250 peer.example"
	for i, extension := range extensions {
		if i == 0 {
			hello = "250-peer.example"
		}
		hello += fmt.Sprintf("\r\n250%c%s", "- "[btoi(i == len(extensions)-1)], extension)
	}
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		command := strings.TrimSuffix(line, "\r\n")
		p.mu.Lock()
		p.commands = append(p.commands, command)
		p.mu.Unlock()
		if !p.meet(conn, in, n, command, hello) {
			return
		}
	}
}

func (p *smtpPeer) meet(conn net.Conn, in *bufio.Reader, n int, command, hello string) bool {
	verb, _, _ := strings.Cut(command, " ")
	switch verb {
	case "EHLO":
		return p.answer(conn, n, command, hello)
	case "AUTH":
		return p.answer(conn, n, command, "235 2.7.0 Welcome")
	case "QUIT":
		p.answer(conn, n, command, "221 2.0.0 Bye")
		return false
	case "DATA":
		reply := p.says(n, command, "354 Go on")
		if !p.write(conn, reply) {
			return false
		}
		return !strings.HasPrefix(reply, "354") || p.mail(conn, in, n)
	default:
		return p.answer(conn, n, command, "250 2.0.0 Ok")
	}
}

func (p *smtpPeer) mail(conn net.Conn, in *bufio.Reader, n int) bool {
	var mail strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		mail.WriteString(strings.TrimPrefix(line, "."))
	}
	p.mu.Lock()
	p.mails = append(p.mails, mail.String())
	p.mu.Unlock()
	return p.answer(conn, n, endOfMail, "250 2.0.0 Ok: queued as 4F2A")
}

// follow sets the script: what to answer to a command of the nth connection,
// counted from 1. An empty answer leaves it to the peer's own good manners.
func (p *smtpPeer) follow(script func(conn int, command string) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = script
}

func (p *smtpPeer) says(n int, command, otherwise string) string {
	p.mu.Lock()
	script := p.script
	p.mu.Unlock()
	if script == nil {
		return otherwise
	}
	return cmp.Or(script(n, command), otherwise)
}

func (p *smtpPeer) answer(conn net.Conn, n int, command, otherwise string) bool {
	return p.write(conn, p.says(n, command, otherwise))
}

func (p *smtpPeer) write(conn net.Conn, reply string) bool {
	switch reply {
	case hangUp:
		return false
	case silence:
		<-p.over
		return false
	}
	_, err := conn.Write([]byte(reply + "\r\n"))
	return err == nil
}

func (p *smtpPeer) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns
}

// said is how often a command with this beginning was heard.
func (p *smtpPeer) said(prefix string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, command := range p.commands {
		n += btoi(strings.HasPrefix(command, prefix))
	}
	return n
}

func (p *smtpPeer) received() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.mails...)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// suitePeer meets the messages of carriertest.Suite with SMTP replies: it
// refuses at the command refuseAt.
type suitePeer struct {
	*smtpPeer
	refuseAt string

	mu  sync.Mutex
	how carriertest.Answer
}

func newSuitePeer(t testing.TB, refuseAt string, extensions ...string) *suitePeer {
	s := &suitePeer{smtpPeer: newSMTPPeer(t, extensions...), refuseAt: refuseAt}
	s.follow(func(_ int, command string) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.reply(command)
	})
	return s
}

func (s *suitePeer) reply(command string) string {
	switch {
	case s.how == carriertest.Leak && strings.HasPrefix(command, "AUTH"):
		return "535 5.7.8 No such credentials: " + command + " " + decodedWords(command)
	case command == endOfMail && s.how == carriertest.Drop:
		return hangUp
	case command == endOfMail && s.how == carriertest.Hang:
		return silence
	case !strings.HasPrefix(command, s.refuseAt):
		return ""
	}
	switch s.how {
	case carriertest.Reject:
		return "550-5.1.1 No such user\r\n550 5.1.1 here"
	case carriertest.RejectWild:
		return "550 " + carriertest.RejectionText
	case carriertest.Defer:
		return "451 4.7.1 Greylisted"
	}
	return ""
}

// Answer is of carriertest.Peer.
func (s *suitePeer) Answer(how carriertest.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.how = how
}

// Leave is of carriertest.Peer.
func (s *suitePeer) Leave() { s.leave() }

var messageID = regexp.MustCompile(`(?m)^Message-ID: <([^@>]+)@`)

// Taken is of carriertest.Peer.
func (s *suitePeer) Taken() (ids []string) {
	for _, mail := range s.received() {
		ids = append(ids, messageID.FindStringSubmatch(mail)[1])
	}
	return ids
}

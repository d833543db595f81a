package delivery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// smtpConn is one kept connection: the hot path, so it writes the wire itself
// into buffers of its own. One goroutine uses it at a time.
type smtpConn struct {
	cfg    *SMTPConfig
	net    net.Conn
	abort  func() error // closes what lies under net at once, without TLS's goodbye
	secure bool         // TLS is on
	reader *bufio.Reader
	text   []byte // of the last reply
	out    []byte // the envelope's commands, all of them
	lines  [3][]byte
	ext    smtpExtensions

	broken    bool // closed, or out of step with the server: not to be used again
	committed bool // some of the last mail's content was written: a repeat may be a duplicate
	delivered int  // mails handed over so far, accepted or not
	idleSince time.Time
}

// deliver hands one mail over and returns the server's name for it. When ctx
// ends, the connection is closed in the middle of whatever it does.
func (c *smtpConn) deliver(ctx context.Context, m *composedMail) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.abort() })
	c.committed = false
	ref, err := c.exchange(m)
	c.delivered++
	if !stop() {
		c.broken = true
	}
	if err != nil && ctx.Err() != nil && !isRejected(err) {
		err = fmt.Errorf("smtp: hand over a mail: %w", context.Cause(ctx))
	}
	return ref, err
}

func (c *smtpConn) exchange(m *composedMail) (string, error) {
	if err := c.fits(m); err != nil {
		return "", err
	}
	if err := c.envelope(m); err != nil {
		if !c.broken {
			c.reset()
		}
		return "", err
	}
	return c.content(m)
}

// fits refuses what the server said in EHLO that it would not take.
func (c *smtpConn) fits(m *composedMail) error {
	if c.ext.maxSize > 0 && m.wire.Len() > c.ext.maxSize {
		return newRejected("552", "the mail is larger than the server takes")
	}
	if m.utf8 && !c.ext.smtpUTF8 {
		return newRejected("553", "the server takes no address outside ASCII")
	}
	return nil
}

// envelope asks the server to take a mail, up to and including DATA. With
// PIPELINING that is one write; without, each command waits for the answer to
// the one before. The first refusal is the reason, the rest follow from it.
func (c *smtpConn) envelope(m *composedMail) error {
	c.composeEnvelope(m)
	if c.ext.pipelining {
		if err := c.write(c.out, c.cfg.CommandTimeout); err != nil {
			return err
		}
	}
	var refused error
	for i, line := range c.lines {
		if !c.ext.pipelining {
			if err := c.write(line, c.cfg.CommandTimeout); err != nil {
				return err
			}
		}
		r, err := c.reply()
		isData := i == len(c.lines)-1
		switch {
		case err != nil && refused == nil:
			return err
		case err != nil:
			return refused
		case isData && r.code == 354 && refused != nil:
			c.emptyData()
		case isData && r.code == 354, !isData && r.positive():
			continue
		case refused == nil:
			refused = c.refusal(r)
		}
		if c.broken || !c.ext.pipelining {
			return refused
		}
	}
	return refused
}

// composeEnvelope leaves the three commands in c.out and each in c.lines.
func (c *smtpConn) composeEnvelope(m *composedMail) {
	b := append(append(c.out[:0], "MAIL FROM:"...), m.from...)
	if c.ext.size {
		b = strconv.AppendInt(append(b, " SIZE="...), int64(m.wire.Len()), 10)
	}
	if m.utf8 {
		b = append(b, " BODY=8BITMIME SMTPUTF8"...)
	}
	b = append(b, "\r\n"...)
	mail := len(b)
	b = append(append(append(b, "RCPT TO:"...), m.to...), "\r\n"...)
	rcpt := len(b)
	b = append(b, "DATA\r\n"...)
	c.out = b
	c.lines = [3][]byte{b[:mail], b[mail:rcpt], b[rcpt:]}
}

// emptyData ends a DATA that the server began although it refused the sender
// or the recipient (RFC 2920 section 3.1): nobody gets the empty mail.
func (c *smtpConn) emptyData() {
	if c.write([]byte(".\r\n"), c.cfg.CommandTimeout) == nil {
		_, _ = c.reply() // whatever it says: the mail is refused already
	}
}

// content writes the mail itself and reads what became of it.
func (c *smtpConn) content(m *composedMail) (string, error) {
	c.committed = true
	if err := c.write(m.wire.Bytes(), c.cfg.DataTimeout); err != nil {
		return "", err
	}
	r, err := c.reply()
	if err != nil {
		return "", err
	}
	if c.reader.Buffered() > 0 {
		c.broken = true // it said more than it was asked
	}
	if !r.positive() {
		return "", c.refusal(r)
	}
	return printable(string(r.text), maxCarrierRef), nil
}

// reset takes back what is left of a refused mail.
func (c *smtpConn) reset() {
	r, err := c.command("RSET\r\n")
	if err != nil || !r.positive() {
		c.broken = true
	}
}

func (c *smtpConn) command(line string) (smtpReply, error) {
	if err := c.write([]byte(line), c.cfg.CommandTimeout); err != nil {
		return smtpReply{}, err
	}
	return c.reply()
}

// write also sets the time by which the answer must have come.
func (c *smtpConn) write(b []byte, timeout time.Duration) error {
	err := c.net.SetDeadline(time.Now().Add(timeout))
	if err == nil {
		_, err = c.net.Write(b)
	}
	if err != nil {
		c.broken = true
		return fmt.Errorf("smtp: write to %s: %w", c.cfg.Addr, err)
	}
	return nil
}

func (c *smtpConn) spent() bool {
	return c.cfg.MessagesPerConnection > 0 && c.delivered >= c.cfg.MessagesPerConnection
}

// quit says goodbye without waiting for the answer.
func (c *smtpConn) quit() {
	_ = c.write([]byte("QUIT\r\n"), time.Second)
	c.close()
}

func (c *smtpConn) close() { _ = c.net.Close() }

func isRejected(err error) bool {
	var rejected *Rejected
	return errors.As(err, &rejected)
}

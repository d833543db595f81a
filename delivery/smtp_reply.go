package delivery

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

const (
	maxSMTPReplyLines = 100
	maxSMTPReplyText  = 4096 // bytes kept of a reply's text
)

var errSMTPReply = errors.New("not an SMTP reply")

// smtpReply is one answer of the server (RFC 5321 section 4.2). Its text, the
// lines joined by newlines, is overwritten by the next reply.
type smtpReply struct {
	code int
	text []byte
}

func (r smtpReply) positive() bool { return r.code/100 == 2 }

// reply reads one reply, of one line or several.
func (c *smtpConn) reply() (smtpReply, error) {
	code := 0
	c.text = c.text[:0]
	for range maxSMTPReplyLines {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			c.broken = true
			return smtpReply{}, fmt.Errorf("smtp: read the reply of %s: %w", c.cfg.Addr, err)
		}
		n, more, text := parseSMTPReplyLine(line)
		if n == 0 || code != 0 && n != code {
			break
		}
		code = n
		if room := maxSMTPReplyText - len(c.text) - 1; room > 0 {
			if len(c.text) > 0 {
				c.text = append(c.text, '\n')
			}
			c.text = append(c.text, text[:min(len(text), room)]...)
		}
		if !more {
			return smtpReply{code: code, text: c.text}, nil
		}
	}
	c.broken = true
	return smtpReply{}, fmt.Errorf("smtp: read the reply of %s: %w", c.cfg.Addr, errSMTPReply)
}

// parseSMTPReplyLine takes "250-text" or "250 text" apart; code 0 means that
// it is neither.
func parseSMTPReplyLine(line []byte) (code int, more bool, text []byte) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, false, nil
	}
	for _, digit := range line[:3] {
		if digit < '0' || digit > '9' {
			return 0, false, nil
		}
		code = code*10 + int(digit-'0')
	}
	if len(line) == 3 {
		return code, false, nil
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, nil
	}
	return code, line[3] == '-', line[4:]
}

// refusal is the error for a reply that is no yes.
func (c *smtpConn) refusal(r smtpReply) error {
	code := strconv.Itoa(r.code)
	switch {
	case r.code == 421: // the server is about to hang up
		c.broken = true
		return newUnavailable(code, string(r.text), 0)
	case r.code == 530, r.code == 534, r.code == 535, r.code == 538:
		// RFC 4954: it wants other credentials or TLS first. That speaks of the
		// configuration, and must not fail a whole campaign for good.
		return newUnavailable(code, string(r.text), 0)
	case r.code/100 == 5:
		return newRejected(code, string(r.text))
	case r.code/100 == 4 && ofMailSystem(r.text):
		return newUnavailable(code, string(r.text), 0)
	case r.code/100 == 4:
		return newDeferred(code, string(r.text), 0)
	default:
		c.broken = true
		return fmt.Errorf("smtp: %s answered %s out of turn", c.cfg.Addr, code)
	}
}

// ofMailSystem says whether an enhanced status code (RFC 3463 section 3.4) blames
// the server: its disk is full, it is being shut down. That the mail is too large
// for it is the mail's fault.
func ofMailSystem(text []byte) bool {
	return bytes.HasPrefix(text, []byte("4.3.")) && !bytes.HasPrefix(text, []byte("4.3.4"))
}

package delivery

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Outgoing is one message, ready to be handed over. The carrier owns nothing
// of it after Send returns; the engine may reuse its memory.
type Outgoing struct {
	ID         string // msg_…: the same whenever the same message is handed over again
	CampaignID string // cmp_…
	ContactID  string // con_…
	Channel    string // sms, whatsapp, rcs, viber, email
	To         string // E.164 number or mailbox
	From       string // the campaign's sender; "" means the carrier's default
	Subject    string // email only
	Body       string // rendered
	HTML       bool   // Body is text/html, values already escaped

	// UnsubscribeURL, when set, takes a one-click POST (RFC 8058). Email only.
	UnsubscribeURL string
}

// A Carrier takes one message out into the world and returns the name it gave
// it. Every error is worth another attempt unless it is a *Rejected. Every error
// is trouble with the carrier, which stops hand-over when there is too much of it,
// unless it is a *Rejected or a *Deferred of the message.
//
// Send may be called twice with the same Outgoing.ID, after a crash or a lost
// answer; carriers pass the ID on as idempotency key. A lane may be told to hand
// nothing over twice (Lane.AtMostOnce), so an error also says whether the message
// may have left: a *Rejected, a *Deferred that is not Unsure and an *Unsent say no,
// any other error leaves it open. Send is called from many goroutines at once and
// returns soon after ctx ends.
type Carrier interface {
	Send(ctx context.Context, m *Outgoing) (ref string, err error)
}

// Rejected is a final no: the message will never be taken, so nobody tries
// again. Code and Text are the carrier's own, printable and short.
type Rejected struct {
	Code string // at most 64 bytes
	Text string // at most 256 bytes
}

func (r *Rejected) Error() string { return fmt.Sprintf("rejected: %s %s", r.Code, r.Text) }

// Deferred is a no for now. RetryAfter is the carrier's wish, 0 if it has none;
// the engine waits at least that long. Any other error is treated like a
// Deferred of the carrier with no wish.
type Deferred struct {
	Code       string // at most 64 bytes
	Text       string // at most 256 bytes
	RetryAfter time.Duration
	Carrier    bool // it speaks of the carrier and not of the message: others would get it too
	Unsure     bool // the message may have been taken all the same
}

func (d *Deferred) Error() string { return fmt.Sprintf("deferred: %s %s", d.Code, d.Text) }

// Unsent is trouble that came before the carrier can have got the message whole:
// it has certainly not left.
type Unsent struct{ Err error }

func (u *Unsent) Error() string { return u.Err.Error() }
func (u *Unsent) Unwrap() error { return u.Err }

// Receipt is what a carrier says later of a message it took.
type Receipt struct {
	MessageID string    // msg_…
	Status    string    // delivered, failed, unknown
	Code      string    // the carrier's own, at most 64 bytes
	Text      string    // the carrier's own, at most 256 bytes
	NotBefore time.Time // the sandbox's receipts come true later; zero means now
}

// What carriers say is kept and shown, so it is bounded, in bytes.
const (
	maxCarrierCode = 64
	maxCarrierText = 256
	maxCarrierRef  = 128
)

// newRejected and newDeferred are how carriers pass on what the other side
// said: they keep the bounds that Rejected and Deferred promise.
func newRejected(code, text string) *Rejected {
	return &Rejected{Code: printable(code, maxCarrierCode), Text: printable(text, maxCarrierText)}
}

func newDeferred(code, text string, retryAfter time.Duration) *Deferred {
	return &Deferred{
		Code:       printable(code, maxCarrierCode),
		Text:       printable(text, maxCarrierText),
		RetryAfter: retryAfter,
	}
}

// newUnavailable is a Deferred that speaks of the carrier.
func newUnavailable(code, text string, retryAfter time.Duration) *Deferred {
	d := newDeferred(code, text, retryAfter)
	d.Carrier = true
	return d
}

// printable makes valid UTF-8 without control or formatting characters of
// whatever the other side sent, at most limit bytes of it.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if len(s) > limit {
		end := limit
		for !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.TrimSpace(s)
}

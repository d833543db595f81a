package delivery

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/campaigns-api/campaigns/store"
	"github.com/campaigns-api/campaigns/store/content"
)

// handOver renders one message and gives it to the carrier. It looks once more
// whether the contact may be sent to. The outcome's Status is 0 for a failure
// worth another attempt: see again.
func (e *Engine) handOver(ctx context.Context, l *lane, p *pass, r *run, c *compiled, id int64, to *store.Recipient) store.Outcome {
	o := store.Outcome{Contact: id, Status: store.MessageSkipped}
	switch {
	case to == nil:
		o.Code = store.SkipDeleted
		return o
	case to.OptedOut.Has(r.Channel):
		o.Code = store.SkipOptedOut
		return o
	case to.Address(r.Channel) == "":
		o.Code = store.SkipNoAddress
		return o
	}
	m := Outgoing{
		ID: store.MessageID(r.ID, id, 0), CampaignID: r.PublicID, ContactID: to.PublicID,
		Channel: string(r.Channel), To: to.Address(r.Channel), From: r.sender(), HTML: c.html,
	}
	if err := e.render(&m, r, c, to); err != nil {
		o.Status, o.Code, o.Text = store.MessageFailed, "render_failed", printable(err.Error(), 256)
		return o
	}
	ref, err := l.Carrier.Send(ctx, &m)
	answered(&o, ref, err)
	if o.Status == 0 && l.AtMostOnce && mayHaveLeft(err) {
		o.Status = store.MessageUnknown
	}
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) { // what we broke off ourselves says nothing of the carrier
		l.breaker.learn(p, err)
	}
	return o
}

// again decides on another attempt after so many, the first of them so long ago:
// not before the carrier's wish, and not at all when that is too late.
func (e *Engine) again(o *store.Outcome, attempts int, age time.Duration) {
	if o.Status != 0 {
		return
	}
	o.RetryAfter = max(o.RetryAfter, backoff(attempts, e.timing.firstWait, longestWait))
	if age+o.RetryAfter > e.opts.RetryMaxAge {
		o.Status = store.MessageFailed
	}
}

func (r *run) sender() string {
	if r.Sender == nil {
		return ""
	}
	return *r.Sender
}

func (e *Engine) render(m *Outgoing, r *run, c *compiled, to *store.Recipient) error {
	v := content.Values{
		FirstName: to.FirstName, LastName: to.LastName, Email: to.Email, Phone: to.Phone, Country: to.Country,
		ExternalID: to.ExternalID, ContactID: to.PublicID, CampaignName: r.Name, Attributes: to.Attributes,
	}
	if r.Channel == store.Email {
		m.UnsubscribeURL = e.opts.PublicURL + "/unsubscribe/" + e.links.Token(to.ID, r.Channel)
		v.UnsubscribeURL = m.UnsubscribeURL
		if err := rendered(&m.Subject, c.subject, &v); err != nil {
			return err
		}
	}
	return rendered(&m.Body, c.body, &v)
}

// scratch is memory to render in.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

func rendered(to *string, t *content.Template, v *content.Values) error {
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	out, err := t.Render((*buf)[:0], v)
	*to, *buf = string(out), out
	return err
}

// answered reads a carrier's answer.
func answered(o *store.Outcome, ref string, err error) {
	if err == nil {
		o.Status, o.Ref = store.MessageSent, printable(ref, 256)
		return
	}
	var rejected *Rejected
	var deferred *Deferred
	switch {
	case errors.As(err, &rejected):
		o.Status, o.Code, o.Text = store.MessageFailed, printable(rejected.Code, 64), printable(rejected.Text, 256)
	case errors.As(err, &deferred):
		o.Status, o.Code, o.Text, o.RetryAfter = 0, printable(deferred.Code, 64), printable(deferred.Text, 256), deferred.RetryAfter
	default: // the error itself may name hosts and credentials of ours
		o.Status, o.Code, o.Text = 0, "no_answer", "The carrier gave no answer."
	}
}

// mayHaveLeft says whether a message that the carrier did not take for sure may
// be on its way all the same.
func mayHaveLeft(err error) bool {
	var unsent *Unsent
	var deferred *Deferred
	switch {
	case errors.As(err, &unsent):
		return false
	case errors.As(err, &deferred):
		return deferred.Unsure
	}
	return true
}

const longestWait = 15 * time.Minute

// backoff is the wait after so many attempts. The waits double from the first to
// the longest, each between half and one and a half of it, so that what failed
// together does not come back together.
func backoff(attempts int, first, longest time.Duration) time.Duration {
	wait := longest
	if attempts < 16 {
		wait = min(first<<(attempts-1), longest)
	}
	return wait/2 + rand.N(wait)
}

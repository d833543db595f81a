package store

import (
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Status is where a campaign stands.
type Status string

// The statuses.
const (
	Draft     Status = "draft"
	Scheduled Status = "scheduled"
	Sending   Status = "sending"
	Paused    Status = "paused"
	Completed Status = "completed"
	Cancelled Status = "cancelled"
)

// Content types of a body.
const (
	PlainText = "text/plain"
	HTML      = "text/html"
)

// Campaign is one content to one audience over one channel.
type Campaign struct {
	ID        int64
	PublicID  string // cmp_…
	AccountID int64
	Mode      Mode
	Version   int // grows with each change of configuration or status

	Name        string
	Search      string
	Channel     Channel
	Status      Status
	SegmentID   *string // public ids: a draft may name what does not exist yet
	ListID      *string
	TemplateID  *string
	Body        *string
	Subject     *string
	ContentType *string
	Sender      *string
	Metadata    map[string]string `gorm:"serializer:json"`
	Throttle    *int              // messages per second
	ABTest      *ABTest           `gorm:"column:ab_test;serializer:json"`

	ScheduledAt    *time.Time
	ScheduledAhead bool // ScheduledAt was in the future when it was set
	ScheduleCheck  bool // written to since the scheduler last looked
	ScheduleMissed bool // fell due and could not be sent

	StartedAt, PausedAt, ResumedAt, CompletedAt, CancelledAt *time.Time
	CreatedAt, UpdatedAt                                     time.Time

	Audience     *Audience `gorm:"serializer:json"` // set when sending starts
	BuildAfter   int64     // the last contact looked at while the audience is frozen
	Built        bool      // the audience is final
	NextChunk    int
	Settled      bool       // ended, and nothing of it is left to record
	SendingSince *time.Time // while sending
	SendingFor   int64      // microseconds of sending before SendingSince

	Blockers []Blocker `gorm:"-"` // what keeps a draft or scheduled campaign from its verbs
}

// ABTest splits the audience over several contents.
type ABTest struct {
	Variants []Variant `json:"variants"`
}

// Variant is one of the contents of an A/B test: a body of its own or a template.
type Variant struct {
	Name       string  `json:"name"`
	Body       *string `json:"body,omitempty"`
	TemplateID *string `json:"template_id,omitempty"`
	Subject    *string `json:"subject,omitempty"`
	Percentage int     `json:"percentage"`
}

// Audience is who a campaign goes to, as it was when sending started: a list,
// or a segment's rule. Later edits of either change nothing.
type Audience struct {
	List int64 `json:"list,omitempty"`
	Rule *Rule `json:"rule,omitempty"`
}

// verbs lists what may be done with a campaign in each status.
var verbs = map[Status][]string{
	Draft:     {"update", "delete", "send", "schedule"},
	Scheduled: {"update", "send", "schedule", "cancel"},
	Sending:   {"pause", "cancel"},
	Paused:    {"resume", "cancel"},
}

// AllowedActions are the verbs that the campaign's status permits.
func (c *Campaign) AllowedActions() []string { return verbs[c.Status] }

// permit refuses a verb that the status does not allow.
func (c *Campaign) permit(verb string) error {
	if slices.Contains(verbs[c.Status], verb) {
		return nil
	}
	return &Error{
		Code:    CodeInvalidState,
		Message: fmt.Sprintf("A campaign that is %s does not take %q.", c.Status, verb),
		Status:  c.Status, Allowed: c.AllowedActions(),
	}
}

// Edit permits a change of configuration.
func (c *Campaign) Edit() error { return c.permit("update") }

// Discard permits that the campaign is deleted.
func (c *Campaign) Discard() error { return c.permit("delete") }

// Send starts sending at once.
func (c *Campaign) Send() error {
	if err := c.permit("send"); err != nil {
		return err
	}
	if err := c.ready("send"); err != nil {
		return err
	}
	at := now()
	c.Status, c.StartedAt, c.SendingSince = Sending, &at, &at
	return nil
}

// Schedule makes a draft wait for its ScheduledAt. On a scheduled one it
// changes nothing.
func (c *Campaign) Schedule() error {
	if err := c.permit("schedule"); err != nil {
		return err
	}
	if c.ScheduledAt == nil {
		return faulty(Fault{Code: CodeMissingField, Field: "/scheduled_at", Message: "is required to schedule a campaign"})
	}
	if err := c.ready("schedule"); err != nil {
		return err
	}
	c.Status = Scheduled
	return nil
}

// Pause holds what is not yet handed to a carrier.
func (c *Campaign) Pause() error {
	if err := c.permit("pause"); err != nil {
		return err
	}
	at := now()
	c.stopClock(at)
	c.Status, c.PausedAt = Paused, &at
	return nil
}

// Resume goes on where the campaign stopped.
func (c *Campaign) Resume() error {
	if err := c.permit("resume"); err != nil {
		return err
	}
	at := now()
	c.Status, c.ResumedAt, c.SendingSince = Sending, &at, &at
	return nil
}

// Cancel ends the campaign; what is left is never sent.
func (c *Campaign) Cancel() error {
	if err := c.permit("cancel"); err != nil {
		return err
	}
	at := now()
	c.stopClock(at)
	c.Settled = c.StartedAt == nil
	c.Status, c.CancelledAt, c.Built = Cancelled, &at, true
	return nil
}

// complete is the engine's verb: nothing is left.
func (c *Campaign) complete() {
	at := now()
	c.stopClock(at)
	c.Status, c.CompletedAt = Completed, &at
}

// stopClock adds the time since the campaign last began to send.
func (c *Campaign) stopClock(at time.Time) {
	if c.SendingSince != nil {
		c.SendingFor += at.Sub(*c.SendingSince).Microseconds()
		c.SendingSince = nil
	}
}

// SetSchedule sets or, with nil, takes away the time to send. Without one a
// scheduled campaign is a draft again.
func (c *Campaign) SetSchedule(at *time.Time) {
	c.ScheduleMissed, c.ScheduledAhead, c.ScheduledAt = false, false, nil
	if at != nil {
		t := at.UTC().Truncate(time.Microsecond)
		c.ScheduledAt, c.ScheduledAhead = &t, t.After(now())
	} else if c.Status == Scheduled {
		c.Status = Draft
	}
}

// miss takes a scheduled campaign that could not be sent in time back to draft.
func (c *Campaign) miss() { c.Status, c.ScheduleMissed = Draft, true }

// ready refuses a verb that blockers stand against, naming all of them.
func (c *Campaign) ready(verb string) error {
	return c.refuse(verb, func(Blocker) bool { return true })
}

// refuse is ready for those blockers that count.
func (c *Campaign) refuse(verb string, counts func(Blocker) bool) error {
	var fs []Fault
	for _, b := range c.Blockers {
		if slices.Contains(b.Blocks, verb) && counts(b) {
			fs = append(fs, Fault{Code: b.Code, Message: b.Message})
		}
	}
	if len(fs) == 0 {
		return nil
	}
	return unready(verb, fs...)
}

func unready(verb string, fs ...Fault) error {
	return &Error{Code: CodeNotReady, Message: fmt.Sprintf("The campaign is not ready to %s.", verb), Faults: fs}
}

// check tidies the name and says all that is wrong with the configuration itself.
func (c *Campaign) check() []Fault {
	var fs faults
	fs.name(&c.Name)
	if c.SegmentID != nil && c.ListID != nil {
		fs = append(fs, Fault{Code: CodeValidation, Field: "/list_id", Message: "must not be given together with segment_id"})
	}
	if c.TemplateID != nil && c.Body != nil {
		fs = append(fs, Fault{Code: CodeValidation, Field: "/body", Message: "must not be given together with template_id"})
	}
	if c.Channel != Email {
		if c.Subject != nil {
			fs = append(fs, Fault{Code: CodeValidation, Field: "/subject", Message: "is for email only"})
		}
		if c.contentType() == HTML {
			fs = append(fs, Fault{Code: CodeValidation, Field: "/content_type", Message: "must be text/plain: only email takes text/html"})
		}
	}
	if c.Body != nil {
		fs = append(fs, checkContent("/body", *c.Body, c.contentType())...)
	}
	if c.Subject != nil {
		fs = append(fs, checkContent("/subject", *c.Subject, PlainText)...)
	}
	for key, value := range c.Metadata {
		if !keepable(key) || !keepable(value) {
			fs.add(CodeValidation, "/metadata", notKeepable, "")
		}
	}
	return append(append(fs, c.checkSender()...), c.checkABTest()...)
}

// keepable says whether both databases can keep the text.
func keepable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

const notKeepable = "is not valid UTF-8, or holds a NUL character"

func (c *Campaign) contentType() string {
	if c.ContentType == nil {
		return PlainText
	}
	return *c.ContentType
}

func (c *Campaign) checkSender() []Fault {
	if c.Sender == nil {
		return nil
	}
	if !utf8.ValidString(*c.Sender) || strings.ContainsFunc(*c.Sender, unicode.IsControl) {
		return []Fault{{Code: CodeValidation, Field: "/sender", Message: "must not have control characters"}}
	}
	if c.Channel == Email {
		if _, err := mail.ParseAddress(*c.Sender); err != nil {
			return []Fault{{Code: CodeInvalidEmail, Field: "/sender", Message: "must be a mailbox, as in Acme <news@acme.example>", Value: *c.Sender}}
		}
	}
	return nil
}

func (c *Campaign) checkABTest() (fs []Fault) {
	if c.ABTest == nil {
		return nil
	}
	sum, names := 0, map[string]bool{}
	for i, v := range c.ABTest.Variants {
		at := fmt.Sprintf("/ab_test/variants/%d", i)
		sum += v.Percentage
		if names[v.Name] {
			fs = append(fs, Fault{Code: CodeValidation, Field: at + "/name", Message: "is the name of another variant", Value: v.Name})
		}
		names[v.Name] = true
		if !keepable(v.Name) {
			fs = append(fs, Fault{Code: CodeValidation, Field: at + "/name", Message: notKeepable})
		}
		switch {
		case (v.Body == nil) == (v.TemplateID == nil):
			fs = append(fs, Fault{Code: CodeValidation, Field: at, Message: "must have a body or a template_id, and not both"})
		case v.Body != nil:
			fs = append(fs, checkContent(at+"/body", *v.Body, c.contentType())...)
		}
		if v.Subject != nil {
			if c.Channel != Email {
				fs = append(fs, Fault{Code: CodeValidation, Field: at + "/subject", Message: "is for email only"})
			}
			fs = append(fs, checkContent(at+"/subject", *v.Subject, PlainText)...)
		}
	}
	if sum != 100 {
		fs = append(fs, Fault{Code: CodeValidation, Field: "/ab_test/variants", Message: "must have percentages that sum to 100", Value: fmt.Sprint(sum), Expected: "100"})
	}
	return fs
}

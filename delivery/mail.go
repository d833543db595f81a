package delivery

import (
	"bytes"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"
)

// maxMailHeader bounds a header's value, so that no line passes the 998 bytes
// of RFC 5322.
const maxMailHeader = 900

// mailComposer makes mails of messages: with go-mail, one gomail.Msg each. That
// costs 15 µs of CPU for a text of 550 bytes and 40 µs for HTML of 1 KB, of which
// 17 µs are its text alternative and 8 µs the encoding. A header prepared once per
// campaign would save 8 µs of either, too little for writing headers ourselves.
type mailComposer struct {
	from *mail.Address
}

// newMailComposer takes the mailbox that mails come from if their campaign
// names no other.
func newMailComposer(from string) (mailComposer, error) {
	address, err := parseMailbox(from)
	if err != nil {
		return mailComposer{}, fmt.Errorf("mail: default sender %q: %w", from, err)
	}
	return mailComposer{from: address}, nil
}

// composedMail is a mail ready for the wire.
type composedMail struct {
	from string // the envelope's: <news@shop.example>
	to   string
	utf8 bool         // an address needs SMTPUTF8; all else is ASCII always
	wire bytes.Buffer // header and body, dots stuffed, with the final dot
}

var composedMails = sync.Pool{New: func() any { return new(composedMail) }}

// maxPooledMail keeps one huge mail from occupying memory for ever.
const maxPooledMail = 256 << 10

func (c *composedMail) release() {
	if c.wire.Cap() <= maxPooledMail {
		composedMails.Put(c)
	}
}

// compose makes the mail of one message. A message that no mail can be made of
// is *Rejected: with the code invalid_header if a value that goes into the
// header is not fit for one, so that nothing can be smuggled in.
func (c mailComposer) compose(m *Outgoing) (*composedMail, error) {
	if err := checkMailHeaders(m); err != nil {
		return nil, err
	}
	from := c.from
	if m.From != "" {
		var err error
		if from, err = parseMailbox(m.From); err != nil {
			return nil, newRejected("invalid_sender", err.Error())
		}
	}
	to, err := parseMailbox(m.To)
	if err != nil || to.Name != "" {
		return nil, newRejected("invalid_address", "the address is not a mailbox")
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(from)
	msg.ToMailAddress(to)
	msg.Subject(singleSpaced(m.Subject))
	msg.SetDateWithValue(time.Now().UTC())
	msg.SetMessageIDWithValue(m.ID + "@" + mailDomain(from))
	if m.UnsubscribeURL != "" {
		// Not SetListUnsubscribeOneClick: it refuses http, which is what there
		// is on a developer's machine.
		msg.SetListUnsubscribe(m.UnsubscribeURL)
		msg.SetListUnsubscribePost()
	}
	setMailBody(msg, m)
	return writeMail(msg, from, to)
}

func setMailBody(msg *gomail.Msg, m *Outgoing) {
	if !m.HTML {
		body, encoding := mailText(m.Body)
		msg.SetBodyString(gomail.TypeTextPlain, body, encoding)
		return
	}
	body, encoding := mailText(textOfHTML(m.Body))
	msg.SetBodyString(gomail.TypeTextPlain, body, encoding)
	body, encoding = mailText(m.Body)
	msg.AddAlternativeString(gomail.TypeTextHTML, body, encoding)
}

// mailText picks the shorter of the two encodings that any server takes and
// that keep lines short: quoted-printable makes three bytes of one outside
// ASCII, base64 four of three throughout. Only quoted-printable sees to the
// line ends itself.
func mailText(body string) (string, gomail.PartOption) {
	beyond := 0
	for i := range len(body) {
		if body[i] >= 0x80 {
			beyond++
		}
	}
	if beyond <= len(body)/6 {
		return body, gomail.WithPartEncoding(gomail.EncodingQP)
	}
	return crlfLines.Replace(body), gomail.WithPartEncoding(gomail.EncodingB64)
}

var crlfLines = strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n")

func writeMail(msg *gomail.Msg, from, to *mail.Address) (*composedMail, error) {
	mailed := composedMails.Get().(*composedMail)
	mailed.from, mailed.to = mailPath(from), mailPath(to)
	mailed.utf8 = !printableASCII(mailed.from) || !printableASCII(mailed.to)
	wire := &mailed.wire
	wire.Reset()
	if _, err := msg.WriteTo(wire); err != nil {
		mailed.release()
		return nil, fmt.Errorf("mail: compose: %w", err)
	}
	if bytes.Contains(wire.Bytes(), []byte("\r\n.")) {
		stuffed := bytes.ReplaceAll(wire.Bytes(), []byte("\r\n."), []byte("\r\n.."))
		wire.Reset()
		wire.Write(stuffed)
	}
	if !bytes.HasSuffix(wire.Bytes(), []byte("\r\n")) {
		wire.WriteString("\r\n")
	}
	wire.WriteString(".\r\n")
	return mailed, nil
}

// checkMailHeaders looks at every value that goes into the header.
func checkMailHeaders(m *Outgoing) error {
	for _, h := range [...]struct{ name, value string }{
		{"message id", m.ID},
		{"recipient", m.To},
		{"sender", m.From},
		{"subject", m.Subject},
		{"unsubscribe link", m.UnsubscribeURL},
	} {
		if len(h.value) > maxMailHeader {
			return newRejected("invalid_header", fmt.Sprintf("the %s is longer than %d bytes", h.name, maxMailHeader))
		}
		if strings.ContainsFunc(h.value, isHeaderBreaker) {
			return newRejected("invalid_header", fmt.Sprintf("the %s contains a control character", h.name))
		}
	}
	if !printableASCII(m.ID) || strings.ContainsAny(m.ID, "<>@") {
		return newRejected("invalid_header", "the message id is not fit for a Message-ID")
	}
	if m.UnsubscribeURL != "" {
		u, err := url.Parse(m.UnsubscribeURL)
		if err != nil || u.Host == "" || !printableASCII(m.UnsubscribeURL) || strings.ContainsAny(m.UnsubscribeURL, "<>") {
			return newRejected("invalid_header", "the unsubscribe link is not a URL")
		}
	}
	return nil
}

// isHeaderBreaker is true for what may not stand in a header: CR, LF and NUL
// above all, with the other controls except the tab.
func isHeaderBreaker(r rune) bool {
	return r < ' ' && r != '\t' || r == 0x7f
}

// parseMailbox reads "a@b.example" or "Name <a@b.example>". A domain outside
// ASCII becomes its IDNA form, which every server knows.
func parseMailbox(s string) (*mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return nil, fmt.Errorf("not a mailbox: %w", err)
	}
	a.Name = singleSpaced(a.Name)
	at := strings.LastIndexByte(a.Address, '@')
	if domain := a.Address[at+1:]; !printableASCII(domain) {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return nil, fmt.Errorf("not a mailbox: %w", err)
		}
		a.Address = a.Address[:at+1] + ascii
	}
	return a, nil
}

// mailPath is the address as MAIL and RCPT take it, quoted where it must be.
func mailPath(a *mail.Address) string {
	bare := mail.Address{Address: a.Address}
	return bare.String()
}

func mailDomain(a *mail.Address) string {
	return a.Address[strings.LastIndexByte(a.Address, '@')+1:]
}

// singleSpaced also keeps the header's folding from making an empty line of a
// run of spaces, which would end the header.
func singleSpaced(s string) string {
	return strings.Join(strings.Fields(s), " ")
}

// printableASCII is false for spaces too, and for nothing at all.
func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

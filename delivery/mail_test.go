package delivery

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func newTestComposer(t testing.TB) mailComposer {
	t.Helper()
	c, err := newMailComposer("Shop <news@shop.example>")
	require.NoError(t, err)
	return c
}

// composed is a mail as the server's side reads it off the wire.
func composed(t require.TestingT, c mailComposer, m *Outgoing) *mail.Message {
	out, err := c.compose(m)
	require.NoError(t, err)
	defer out.release()
	wire := bytes.Clone(out.wire.Bytes())
	rest := bufio.NewReader(bytes.NewReader(wire))
	raw, err := io.ReadAll(textproto.NewReader(rest).DotReader())
	require.NoError(t, err)
	require.Zero(t, rest.Buffered(), "nothing stands behind the final dot")
	for line := range bytes.SplitAfterSeq(wire, []byte("\n")) {
		require.LessOrEqual(t, len(line), 1000)
		require.Equal(t, bytes.IndexByte(line, '\r'), bytes.Index(line, []byte("\r\n")), "no CR alone")
		require.True(t, len(line) == 0 || bytes.HasSuffix(line, []byte("\r\n")), "no LF alone")
	}
	m2, err := mail.ReadMessage(bytes.NewReader(raw))
	require.NoError(t, err)
	return m2
}

func partText(t require.TestingT, encoding string, r io.Reader) string {
	switch encoding {
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	}
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

func TestMailHeaders(t *testing.T) {
	m := composed(t, newTestComposer(t), &Outgoing{
		ID: "msg_01jq3v", To: "ada@example.com", Subject: "Grüße,   Ada", Body: "Hi",
		UnsubscribeURL: "https://shop.example/u/x?y=z",
	})
	require.Equal(t, `"Shop" <news@shop.example>`, m.Header.Get("From"))
	require.Equal(t, "<ada@example.com>", m.Header.Get("To"))
	require.Equal(t, "<msg_01jq3v@shop.example>", m.Header.Get("Message-Id"))
	require.Equal(t, "<https://shop.example/u/x?y=z>", m.Header.Get("List-Unsubscribe"))
	require.Equal(t, "List-Unsubscribe=One-Click", m.Header.Get("List-Unsubscribe-Post"))
	_, err := m.Header.Date()
	require.NoError(t, err)
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, "Grüße, Ada", subject)
}

func TestMailSenderOfTheCampaignWins(t *testing.T) {
	out, err := newTestComposer(t).compose(&Outgoing{ID: "msg_1", To: "a@b.example", From: "Münze <m@bücher.example>"})
	require.NoError(t, err)
	defer out.release()
	require.Equal(t, "<m@xn--bcher-kva.example>", out.from)
	require.False(t, out.utf8)
	require.Contains(t, out.wire.String(), "<msg_1@xn--bcher-kva.example>")
}

func TestMailOfHTMLHasATextAlternative(t *testing.T) {
	m := composed(t, newTestComposer(t), &Outgoing{
		ID: "msg_1", To: "a@b.example", HTML: true,
		Body: "<p>Hi <b>Ada</b>,</p>\n<p>.dots &amp; more</p>",
	})
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	for _, want := range [][2]string{
		{"text/plain; charset=UTF-8", "Hi Ada,\n\n.dots & more\n"},
		{"text/html; charset=UTF-8", "<p>Hi <b>Ada</b>,</p>\n<p>.dots &amp; more</p>"},
	} {
		part, err := parts.NextRawPart()
		require.NoError(t, err)
		require.Equal(t, want[0], part.Header.Get("Content-Type"))
		require.Equal(t, want[1], partText(t, part.Header.Get("Content-Transfer-Encoding"), part))
	}
	_, err = parts.NextPart()
	require.ErrorIs(t, err, io.EOF)
}

func TestMailRefusesHeaderInjection(t *testing.T) {
	composer := newTestComposer(t)
	fields := map[string]func(*Outgoing, string){
		"message id":       func(m *Outgoing, s string) { m.ID += s },
		"recipient":        func(m *Outgoing, s string) { m.To += s },
		"recipient inside": func(m *Outgoing, s string) { m.To = `"a` + s + `"@b.example` },
		"sender":           func(m *Outgoing, s string) { m.From = "Shop <a@b.example>" + s },
		"sender's name":    func(m *Outgoing, s string) { m.From = "Shop" + s + " <a@b.example>" },
		"subject":          func(m *Outgoing, s string) { m.Subject = "Hi" + s },
		"unsubscribe link": func(m *Outgoing, s string) { m.UnsubscribeURL = "https://x.example/" + s },
	}
	for name, spoil := range fields {
		for _, evil := range []string{"\r\nBcc: x@y.example", "\nBcc: x@y.example", "\rBcc: x", "\x00", "\r\n\r\nbody", "\r\n.\r\nQUIT", "\x7f"} {
			m := &Outgoing{ID: "msg_1", To: "a@b.example", Subject: "Hi", Body: "x", UnsubscribeURL: "https://x.example/"}
			spoil(m, evil)
			_, err := composer.compose(m)
			var rejected *Rejected
			require.ErrorAs(t, err, &rejected, "%s with %q", name, evil)
			require.Equal(t, "invalid_header", rejected.Code)
		}
	}
}

func TestMailIsRejectedIfItCannotBe(t *testing.T) {
	composer := newTestComposer(t)
	for name, m := range map[string]*Outgoing{
		"invalid_address: no mailbox": {ID: "msg_1", To: "ada"},
		"invalid_address: several":    {ID: "msg_1", To: "a@b.example, c@d.example"},
		"invalid_address: a name":     {ID: "msg_1", To: "Ada <a@b.example>"},
		"invalid_address: a domain":   {ID: "msg_1", To: "a@\u2000.example"},
		"invalid_sender: a word":      {ID: "msg_1", To: "a@b.example", From: "ACME"},
		"invalid_header: long":        {ID: "msg_1", To: "a@b.example", Subject: strings.Repeat("x", 901)},
		"invalid_header: no id":       {To: "a@b.example"},
		"invalid_header: odd id":      {ID: "a@b>", To: "a@b.example"},
		"invalid_header: no link":     {ID: "msg_1", To: "a@b.example", UnsubscribeURL: "javascript"},
		"invalid_header: two links":   {ID: "msg_1", To: "a@b.example", UnsubscribeURL: "https://a.example>,<https://b.example"},
	} {
		_, err := composer.compose(m)
		var rejected *Rejected
		require.ErrorAs(t, err, &rejected, name)
		require.Equal(t, strings.Split(name, ":")[0], rejected.Code, name)
	}
}

// Whatever stands in subject, sender's name and body: the mail has the headers
// it should have and no other, and its text is the body.
func TestMailOfAnythingIsWellFormed(t *testing.T) {
	composer := newTestComposer(t)
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~äЖ\.\n]{0,400}`), rapid.StringMatching(`[ a]{0,300}`))
	rapid.Check(t, func(t *rapid.T) {
		m := &Outgoing{ID: "msg_1", To: "a@b.example", Subject: text.Draw(t, "subject"), Body: text.Draw(t, "body")}
		if len(m.Subject) > maxMailHeader || strings.ContainsFunc(m.Subject, isHeaderBreaker) {
			_, err := composer.compose(m)
			var rejected *Rejected
			require.ErrorAs(t, err, &rejected)
			return
		}
		got := composed(t, composer, m)
		var names []string
		for name := range got.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		require.Equal(t, []string{"Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}, names)
		subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
		require.NoError(t, err)
		require.Equal(t, singleSpaced(strings.ToValidUTF8(m.Subject, "�")), strings.TrimSpace(subject))
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(m.Body)
		require.Equal(t, strings.TrimRight(want, "\n"),
			strings.TrimRight(partText(t, got.Header.Get("Content-Transfer-Encoding"), got.Body), "\n"))
	})
}

func BenchmarkMail(b *testing.B) {
	text := &Outgoing{
		ID: "msg_01jq3v", To: "ada@example.com", Subject: "Spring at the shop", UnsubscribeURL: "https://shop.example/u/abcdefgh",
		Body: strings.Repeat("Dear Ada Lovelace, enjoy 20% off this spring.\n", 12),
	}
	page := *text
	page.HTML = true
	page.Body = "<html><body><h1>Hi</h1>" + strings.Repeat(`<p style="margin:0">Dear Ada, enjoy <a href="https://shop.example/a">20% off</a> this spring.</p>`+"\n", 8) + "</body></html>"
	composer := newTestComposer(b)
	for name, m := range map[string]*Outgoing{"text": text, "html": &page} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out, err := composer.compose(m)
				if err != nil {
					b.Fatal(err)
				}
				out.release()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

package delivery

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	mailauth "github.com/wneessen/go-mail/smtp"
)

// smtpExtensions is what the server offered in its answer to EHLO.
type smtpExtensions struct {
	pipelining bool     // RFC 2920
	startTLS   bool     // RFC 3207
	smtpUTF8   bool     // RFC 6531
	size       bool     // RFC 1870
	maxSize    int      // bytes, 0 if not said
	auth       []string // RFC 4954, the mechanisms
}

// maxAuthSteps bounds an authentication exchange; LOGIN takes two.
const maxAuthSteps = 5

// dial connects and goes all the way to where a mail can be handed over. No
// refusal here is *Rejected: none is about a message.
func (s *SMTP) dial(ctx context.Context) (*smtpConn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DialTimeout+s.cfg.CommandTimeout)
	defer cancel()
	dialer := net.Dialer{Timeout: s.cfg.DialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("smtp: connect: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	c := &smtpConn{cfg: &s.cfg, abort: conn.Close}
	c.use(conn)
	err = c.open(ctx)
	if err == nil && s.cfg.Username != "" {
		err = c.authenticate(s.host)
	}
	if !stop() {
		err = fmt.Errorf("smtp: open a connection to %s: %w", s.cfg.Addr, context.Cause(ctx))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *smtpConn) use(conn net.Conn) {
	c.net = conn
	c.reader = bufio.NewReaderSize(conn, 4096)
}

// open takes the connection from the greeting to the last EHLO.
func (c *smtpConn) open(ctx context.Context) error {
	if c.cfg.TLS == SMTPImplicitTLS {
		if err := c.handshake(ctx); err != nil {
			return err
		}
	}
	if err := c.net.SetDeadline(time.Now().Add(c.cfg.CommandTimeout)); err != nil {
		return fmt.Errorf("smtp: read the greeting of %s: %w", c.cfg.Addr, err)
	}
	if err := c.expect("the connection", 220); err != nil {
		return err
	}
	if err := c.hello(); err != nil {
		return err
	}
	switch {
	case c.secure, c.cfg.TLS == SMTPClearText:
		return nil
	case c.ext.startTLS:
		return c.startTLS(ctx)
	case c.cfg.TLS == SMTPStartTLS:
		return fmt.Errorf("smtp: %s offers no STARTTLS, which is required", c.cfg.Addr)
	}
	return nil
}

func (c *smtpConn) startTLS(ctx context.Context) error {
	if err := c.write([]byte("STARTTLS\r\n"), c.cfg.CommandTimeout); err != nil {
		return err
	}
	if err := c.expect("STARTTLS", 220); err != nil {
		return err
	}
	if c.reader.Buffered() > 0 {
		// Somebody in between tries to have clear text read as if it had come
		// through TLS (CVE-2021-33515 and its family).
		return fmt.Errorf("smtp: %s sent data ahead of the TLS handshake", c.cfg.Addr)
	}
	if err := c.handshake(ctx); err != nil {
		return err
	}
	return c.hello() // what was said before TLS counts for nothing
}

func (c *smtpConn) handshake(ctx context.Context) error {
	conn := tls.Client(c.net, c.cfg.TLSConfig)
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("smtp: TLS with %s: %w", c.cfg.Addr, err)
	}
	c.use(conn)
	c.secure = true
	return nil
}

// hello asks for the extensions. A server too old for EHLO has none.
func (c *smtpConn) hello() error {
	c.ext = smtpExtensions{}
	r, err := c.command("EHLO " + c.cfg.Hostname + "\r\n")
	if err != nil {
		return err
	}
	if r.code/100 == 5 {
		if err := c.write([]byte("HELO "+c.cfg.Hostname+"\r\n"), c.cfg.CommandTimeout); err != nil {
			return err
		}
		return c.expect("HELO", 250)
	}
	if r.code != 250 {
		return c.unwelcome("EHLO", r)
	}
	c.ext = parseSMTPExtensions(r.text)
	return nil
}

func parseSMTPExtensions(text []byte) (ext smtpExtensions) {
	for i, line := range bytes.Split(text, []byte("\n")) {
		words := strings.Fields(strings.ToUpper(string(line)))
		if i == 0 || len(words) == 0 { // the first line is a greeting
			continue
		}
		switch words[0] {
		case "PIPELINING":
			ext.pipelining = true
		case "STARTTLS":
			ext.startTLS = true
		case "SMTPUTF8":
			ext.smtpUTF8 = true
		case "SIZE":
			ext.size = true
			if len(words) > 1 {
				ext.maxSize, _ = strconv.Atoi(words[1]) // a number we cannot read is none
			}
		case "AUTH":
			ext.auth = words[1:]
		}
	}
	return ext
}

// authenticate shows the credentials. What the server says of them stays out
// of the error, since some repeat them.
func (c *smtpConn) authenticate(host string) error {
	if remote, ok := c.net.RemoteAddr().(*net.TCPAddr); !c.secure && !(ok && remote.IP.IsLoopback()) {
		return fmt.Errorf("smtp: no credentials for %s: the connection has no TLS", c.cfg.Addr)
	}
	auth := c.mechanism(host)
	if auth == nil {
		return fmt.Errorf("smtp: %s offers none of AUTH PLAIN, LOGIN and CRAM-MD5", c.cfg.Addr)
	}
	name, answer, err := auth.Start(&mailauth.ServerInfo{Name: host, TLS: c.secure, Auth: c.ext.auth})
	if err != nil {
		return fmt.Errorf("smtp: begin to authenticate: %w", err)
	}
	line := "AUTH " + name
	if len(answer) > 0 {
		line += " " + base64.StdEncoding.EncodeToString(answer)
	}
	for range maxAuthSteps {
		r, err := c.command(line + "\r\n")
		if err != nil {
			return err
		}
		if r.code == 235 {
			return nil
		}
		if line, err = nextAuthLine(auth, r); err != nil {
			return fmt.Errorf("smtp: authenticate with %s by %s: %w", c.cfg.Addr, name, err)
		}
	}
	return fmt.Errorf("smtp: authenticate with %s by %s: no end of it", c.cfg.Addr, name)
}

// mechanism picks one that the server offers, nil if there is none. PLAIN comes
// first: within TLS, which authenticate makes sure of, the others add nothing.
func (c *smtpConn) mechanism(host string) mailauth.Auth {
	user, password := c.cfg.Username, c.cfg.Password
	offered := make(map[string]bool, len(c.ext.auth))
	for _, name := range c.ext.auth {
		offered[name] = true
	}
	switch {
	case offered["PLAIN"]:
		return mailauth.PlainAuth("", user, password, host, true)
	case offered["LOGIN"]:
		return mailauth.LoginAuth(user, password, host, true)
	case offered["CRAM-MD5"]:
		return mailauth.CRAMMD5Auth(user, password)
	}
	return nil
}

func nextAuthLine(auth mailauth.Auth, r smtpReply) (string, error) {
	if r.code != 334 {
		return "", fmt.Errorf("the server answered %d", r.code)
	}
	challenge, err := base64.StdEncoding.DecodeString(string(r.text))
	if err != nil {
		return "", errors.New("the server's challenge is not base64")
	}
	answer, err := auth.Next(challenge, true)
	if err != nil {
		return "", errors.New("the server asks for something unexpected")
	}
	return base64.StdEncoding.EncodeToString(answer), nil
}

// expect reads the reply to what was just said.
func (c *smtpConn) expect(to string, code int) error {
	r, err := c.reply()
	if err == nil && r.code != code {
		err = c.unwelcome(to, r)
	}
	return err
}

func (c *smtpConn) unwelcome(to string, r smtpReply) error {
	return fmt.Errorf("smtp: %s answered %d to %s: %w", c.cfg.Addr, r.code, to,
		newUnavailable(strconv.Itoa(r.code), string(r.text), 0))
}

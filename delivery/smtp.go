package delivery

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// SMTPTLS says how a connection to a mail server is protected.
type SMTPTLS string

// The certificate is verified in every mode that has one.
const (
	SMTPStartTLS      SMTPTLS = "required"      // STARTTLS or nothing; the default
	SMTPOpportunistic SMTPTLS = "opportunistic" // STARTTLS if the server offers it
	SMTPImplicitTLS   SMTPTLS = "implicit"      // TLS from the first byte, usually port 465
	SMTPClearText     SMTPTLS = "off"
)

// SMTPConfig describes one mail server to hand mails to. The zero value of a
// field is its default.
type SMTPConfig struct {
	Addr      string      // host:port, required
	From      string      // required; sender of campaigns that name none: "Shop <news@shop.example>"
	Hostname  string      // what EHLO says; default: the machine's name
	TLS       SMTPTLS     // default: required
	TLSConfig *tls.Config // default: the system's roots, TLS 1.2 and later

	// Credentials are used if Username is set: by PLAIN, LOGIN or CRAM-MD5, and
	// never over a connection without TLS that leaves this machine.
	Username string
	Password string

	Connections           int // at most this many at once, 1 to 1000; default 8
	MessagesPerConnection int // then a fresh one; default: no bound

	IdleTimeout    time.Duration // an unused connection is closed; default 30 s
	DialTimeout    time.Duration // default 10 s
	CommandTimeout time.Duration // each answer up to DATA; default 30 s
	DataTimeout    time.Duration // the mail itself and its answer; default 2 min
}

// SMTP is the carrier for mails: it hands them to one mail server (RFC 5321)
// over kept connections, with PIPELINING (RFC 2920) where the server offers it.
//
// 5xx to MAIL, RCPT, DATA or the mail itself is *Rejected, with the reply code
// as Code; 4xx is *Deferred, of the carrier if it is 421 or its enhanced status
// code blames the mail system; trouble with the connection, TLS or credentials is
// of the carrier, since it says nothing about the message, and *Unsent as long as
// none of the mail's content was written. The reference of
// a mail is the text of the server's final reply, which names its queue id.
// The message's id travels as Message-ID, so a repeat can be recognised.
type SMTP struct {
	cfg   SMTPConfig
	host  string
	mails mailComposer
	pool  *smtpPool
}

// NewSMTP checks the configuration and connects to nobody yet.
func NewSMTP(cfg SMTPConfig) (*SMTP, error) {
	host, _, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("smtp: address: %w", err)
	}
	mails, err := newMailComposer(cfg.From)
	if err != nil {
		return nil, err
	}
	if cfg, err = cfg.withDefaults(host); err != nil {
		return nil, err
	}
	s := &SMTP{cfg: cfg, host: host, mails: mails}
	s.pool = newSMTPPool(cfg.Connections, cfg.IdleTimeout, s.dial)
	return s, nil
}

func (cfg SMTPConfig) withDefaults(host string) (SMTPConfig, error) {
	cfg.TLS = cmp.Or(cfg.TLS, SMTPStartTLS)
	switch cfg.TLS {
	case SMTPStartTLS, SMTPOpportunistic, SMTPImplicitTLS, SMTPClearText:
	default:
		return cfg, fmt.Errorf("smtp: tls is %q, not required, opportunistic, implicit or off", cfg.TLS)
	}
	if cfg.TLSConfig == nil {
		cfg.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.TLSConfig.ServerName == "" {
		cfg.TLSConfig = cfg.TLSConfig.Clone()
		cfg.TLSConfig.ServerName = host
	}
	if cfg.Connections = cmp.Or(cfg.Connections, 8); cfg.Connections < 1 || cfg.Connections > 1000 {
		return cfg, errors.New("smtp: connections must be 1 to 1000")
	}
	if cfg.Hostname == "" {
		cfg.Hostname, _ = os.Hostname()
	}
	if cfg.Hostname = cmp.Or(cfg.Hostname, "localhost"); !printableASCII(cfg.Hostname) {
		return cfg, errors.New("smtp: hostname must be ASCII without spaces")
	}
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, 30*time.Second)
	cfg.DialTimeout = cmp.Or(cfg.DialTimeout, 10*time.Second)
	cfg.CommandTimeout = cmp.Or(cfg.CommandTimeout, 30*time.Second)
	cfg.DataTimeout = cmp.Or(cfg.DataTimeout, 2*time.Minute)
	return cfg, nil
}

// Send hands one mail over. It waits, first come, first served, while all
// connections are busy.
func (s *SMTP) Send(ctx context.Context, m *Outgoing) (string, error) {
	mail, err := s.mails.compose(m)
	if err != nil {
		return "", &Unsent{err}
	}
	defer mail.release()

	c, err := s.pool.get(ctx)
	if err != nil {
		return "", &Unsent{err}
	}
	kept := c.delivered > 0
	ref, err := c.deliver(ctx, mail)
	if kept && c.broken && !c.committed && !isRejected(err) && ctx.Err() == nil {
		// A kept connection may have died unnoticed, of the server's idle
		// timeout for one. None of this mail's content was written yet, so a
		// fresh connection cannot make a duplicate.
		if c, err = s.pool.replace(ctx, c); err != nil {
			return "", &Unsent{err}
		}
		ref, err = c.deliver(ctx, mail)
	}
	if err != nil && !c.committed {
		err = &Unsent{err}
	}
	s.pool.put(c)
	return ref, err
}

// Close says goodbye on the idle connections and lets busy ones finish their
// mail. Send still works afterwards, over connections that are not kept.
func (s *SMTP) Close() { s.pool.close() }

package delivery_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
)

// mailServer is a real mail server, of go-smtp, that keeps what it gets.
type mailServer struct {
	addr  string
	roots *x509.CertPool

	mu    sync.Mutex
	mails []receivedMail
}

type receivedMail struct {
	from, to, user string
	tls            bool
	content        string
}

type mailServerMode struct {
	implicitTLS bool
	noTLS       bool
	mechanisms  []string // none: no AUTH
}

func newMailServer(t *testing.T, mode mailServerMode) *mailServer {
	t.Helper()
	certificate, roots := testCertificate(t)
	m := &mailServer{roots: roots}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		session := &mailSession{conn: c, server: m}
		if len(mode.mechanisms) == 0 {
			return session, nil
		}
		return &authSession{mailSession: session, mechanisms: mode.mechanisms}, nil
	}))
	server.Domain = "localhost"
	server.ErrorLog = log.New(io.Discard, "", 0) // clients hang up on purpose here
	server.AllowInsecureAuth = mode.noTLS
	server.MaxMessageBytes = 1 << 20
	if !mode.noTLS {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m.addr = l.Addr().String()
	if mode.implicitTLS {
		l = tls.NewListener(l, server.TLSConfig)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.NoError(t, <-done)
	})
	return m
}

// testCertificate borrows the certificate that httptest makes for 127.0.0.1.
func testCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.TLS.Certificates[0], roots
}

func (m *mailServer) received() []receivedMail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]receivedMail(nil), m.mails...)
}

type mailSession struct {
	conn   *smtp.Conn
	server *mailServer
	mail   receivedMail
	user   string
}

func (s *mailSession) Reset()        { s.mail = receivedMail{} }
func (s *mailSession) Logout() error { return nil }

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.mail.from = from
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
	}
	s.mail.to = to
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mail.content, s.mail.user = string(content), s.user
	_, s.mail.tls = s.conn.TLSConnectionState()
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, s.mail)
	return nil
}

type authSession struct {
	*mailSession
	mechanisms []string
}

func (s *authSession) AuthMechanisms() []string { return s.mechanisms }

func (s *authSession) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != "shop" || password != testPassword {
			return errors.New("no such credentials")
		}
		s.user = user
		return nil
	}
	if mechanism == sasl.Login {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
}

// loginServer is the server's side of LOGIN, which go-sasl leaves out.
type loginServer struct {
	check func(user, password string) error
	step  int
	user  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	default:
		return nil, true, l.check(l.user, string(response))
	}
}

// decodedBody is what a mail program shows of a mail of one part.
func decodedBody(t *testing.T, m *mail.Message) string {
	t.Helper()
	var body io.Reader
	switch encoding := m.Header.Get("Content-Transfer-Encoding"); encoding {
	case "quoted-printable":
		body = quotedprintable.NewReader(m.Body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, m.Body)
	default:
		require.Fail(t, "unexpected encoding", encoding)
	}
	text, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, strings.Count(string(text), "\n"), strings.Count(string(text), "\r\n"), "lines end in CRLF")
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

func trusting(m *mailServer, mode delivery.SMTPTLS) func(*delivery.SMTPConfig) {
	return func(cfg *delivery.SMTPConfig) {
		cfg.TLS, cfg.TLSConfig = mode, &tls.Config{RootCAs: m.roots, MinVersion: tls.VersionTLS12}
		cfg.Username, cfg.Password = "shop", testPassword
	}
}

func TestSMTPCredentialsGoThroughTLS(t *testing.T) {
	for name, test := range map[string]struct {
		server mailServerMode
		client delivery.SMTPTLS
	}{
		"STARTTLS, PLAIN":     {mailServerMode{mechanisms: []string{"PLAIN"}}, delivery.SMTPStartTLS},
		"STARTTLS, LOGIN":     {mailServerMode{mechanisms: []string{"LOGIN"}}, delivery.SMTPStartTLS},
		"STARTTLS if offered": {mailServerMode{mechanisms: []string{"PLAIN"}}, delivery.SMTPOpportunistic},
		"implicit TLS":        {mailServerMode{mechanisms: []string{"PLAIN"}, implicitTLS: true}, delivery.SMTPImplicitTLS},
	} {
		t.Run(name, func(t *testing.T) {
			server := newMailServer(t, test.server)
			carrier := newTestSMTP(t, server.addr, trusting(server, test.client))
			for range 2 {
				_, err := carrier.Send(t.Context(), testMail())
				require.NoError(t, err)
			}
			got := server.received()
			require.Len(t, got, 2)
			require.True(t, got[0].tls)
			require.Equal(t, "shop", got[0].user)
			require.Equal(t, "news@shop.example", got[0].from)
			require.Equal(t, "ada@example.com", got[0].to)
		})
	}
}

func TestSMTPNothingIsSentWithoutTheTLSAskedFor(t *testing.T) {
	t.Run("not offered", func(t *testing.T) {
		server := newMailServer(t, mailServerMode{noTLS: true, mechanisms: []string{"PLAIN"}})
		_, err := newTestSMTP(t, server.addr, trusting(server, delivery.SMTPStartTLS)).Send(t.Context(), testMail())
		require.ErrorContains(t, err, "STARTTLS")
		require.Empty(t, server.received())
	})
	for _, mode := range []delivery.SMTPTLS{delivery.SMTPStartTLS, delivery.SMTPOpportunistic} {
		t.Run("unknown certificate, "+string(mode), func(t *testing.T) {
			server := newMailServer(t, mailServerMode{mechanisms: []string{"PLAIN"}})
			carrier := newTestSMTP(t, server.addr, func(cfg *delivery.SMTPConfig) { cfg.TLS = mode })
			_, err := carrier.Send(t.Context(), testMail())
			var unknown *tls.CertificateVerificationError
			require.ErrorAs(t, err, &unknown)
			require.Empty(t, server.received())
		})
	}
}

func TestSMTPWrongPasswordIsNoRejection(t *testing.T) {
	server := newMailServer(t, mailServerMode{mechanisms: []string{"PLAIN"}})
	carrier := newTestSMTP(t, server.addr, trusting(server, delivery.SMTPStartTLS),
		func(cfg *delivery.SMTPConfig) { cfg.Password = "wrong-" + testPassword })
	_, err := carrier.Send(t.Context(), testMail())
	require.ErrorContains(t, err, "by PLAIN")
	var rejected *delivery.Rejected
	require.NotErrorAs(t, err, &rejected)
}

func TestSMTPUnknownRecipientIsRejectedByARealServer(t *testing.T) {
	server := newMailServer(t, mailServerMode{noTLS: true})
	carrier := newTestSMTP(t, server.addr)
	lost := testMail()
	lost.To = "nobody@example.com"
	for range 3 {
		_, err := carrier.Send(t.Context(), lost)
		var rejected *delivery.Rejected
		require.ErrorAs(t, err, &rejected)
		require.Equal(t, delivery.Rejected{Code: "550", Text: "5.1.1 No such user"}, *rejected)
		_, err = carrier.Send(t.Context(), testMail())
		require.NoError(t, err)
	}
	require.Len(t, server.received(), 3)
}

func TestSMTPBodyArrivesAsItWas(t *testing.T) {
	server := newMailServer(t, mailServerMode{noTLS: true})
	carrier := newTestSMTP(t, server.addr)
	for _, body := range []string{
		".\n..\n.hidden\n\n.\n", "no newline", strings.Repeat("x", 5000) + "\n" + strings.Repeat(".", 3000),
		"Grüße, Ada – 20 % 🎉\n", strings.Repeat("Привет, Ада! ", 100) + "\n", "a=b =20 = \t\n \n",
	} {
		mails := len(server.received())
		sent := testMail()
		sent.Body = body
		_, err := carrier.Send(t.Context(), sent)
		require.NoError(t, err)
		got, err := mail.ReadMessage(strings.NewReader(server.received()[mails].content))
		require.NoError(t, err)
		require.Equal(t, strings.TrimRight(body, "\n"), strings.TrimRight(decodedBody(t, got), "\n"))
	}
}

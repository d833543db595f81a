package delivery_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
)

// The exchange of RFC 2195 section 2.
func TestSMTPAnswersCRAMMD5(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	peer := newSMTPPeer(t, "AUTH CRAM-MD5")
	answer := b64([]byte("tim b913a602c7eda7a495b4e6e7334d3890"))
	peer.follow(func(_ int, command string) string {
		switch command {
		case "AUTH CRAM-MD5":
			return "334 " + b64([]byte("<1896.697170952@postoffice.reston.mci.net>"))
		case answer:
			return "235 fine"
		}
		return ""
	})
	smtp := newTestSMTP(t, peer.addr, func(cfg *delivery.SMTPConfig) {
		cfg.Username, cfg.Password = "tim", "tanstaaftanstaaf"
	})
	_, err := smtp.Send(t.Context(), testMail())
	require.NoError(t, err)
	require.Equal(t, 1, peer.said(answer))
}

func TestSMTPEndlessAuthenticationEnds(t *testing.T) {
	peer := newSMTPPeer(t, "AUTH LOGIN")
	peer.follow(func(_ int, command string) string {
		if strings.HasPrefix(command, "EHLO") || command == "" {
			return ""
		}
		return "334 QWdhaW46"
	})
	smtp := newTestSMTP(t, peer.addr, func(cfg *delivery.SMTPConfig) {
		cfg.Username, cfg.Password = "shop", testPassword
	})
	_, err := smtp.Send(t.Context(), testMail())
	require.Error(t, err)
	require.NotContains(t, err.Error(), testPassword)
	require.Zero(t, peer.said("MAIL"))
}

func TestSMTPDataAheadOfTheHandshakeIsRefused(t *testing.T) {
	peer := newSMTPPeer(t, "STARTTLS")
	peer.follow(func(_ int, command string) string {
		if command == "STARTTLS" {
			return "220 go on\r\n250 you are authenticated"
		}
		return ""
	})
	smtp := newTestSMTP(t, peer.addr, func(cfg *delivery.SMTPConfig) { cfg.TLS = delivery.SMTPStartTLS })
	_, err := smtp.Send(t.Context(), testMail())
	require.ErrorContains(t, err, "ahead of the TLS handshake")
}

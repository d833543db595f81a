package delivery_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/delivery/carriertest"
)

const testPassword = "correct-horse-battery"

func testMail() *delivery.Outgoing {
	return &delivery.Outgoing{
		ID: "msg_01jq3v", CampaignID: "cmp_abc123", ContactID: "con_abc123", Channel: "email",
		To: "ada@example.com", Subject: "Spring", Body: "Hi Ada,\nenjoy 20% off!\n",
	}
}

func newTestSMTP(t testing.TB, addr string, change ...func(*delivery.SMTPConfig)) *delivery.SMTP {
	t.Helper()
	cfg := delivery.SMTPConfig{Addr: addr, From: "Shop <news@shop.example>", TLS: delivery.SMTPClearText, Connections: 1}
	for _, f := range change {
		f(&cfg)
	}
	s, err := delivery.NewSMTP(cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func decodedWords(command string) string {
	var out []string
	for _, word := range strings.Fields(command) {
		if raw, err := base64.StdEncoding.DecodeString(word); err == nil {
			out = append(out, strings.ReplaceAll(string(raw), "\x00", " "))
		}
	}
	return strings.Join(out, " ")
}

func TestSMTPIsACarrier(t *testing.T) {
	for _, extensions := range [][]string{
		{"PIPELINING", "SIZE 10000000", "AUTH PLAIN LOGIN"},
		{"AUTH LOGIN PLAIN"},
	} {
		for _, refuseAt := range []string{"MAIL", "RCPT", "DATA", endOfMail} {
			t.Run(fmt.Sprintf("%s, refused at %s", extensions[0], refuseAt), func(t *testing.T) {
				carriertest.Suite(t, func(t *testing.T) carriertest.Fixture {
					peer := newSuitePeer(t, refuseAt, extensions...)
					return carriertest.Fixture{
						Carrier: newTestSMTP(t, peer.addr, func(cfg *delivery.SMTPConfig) {
							cfg.Username, cfg.Password, cfg.Connections = "shop", testPassword, 4
						}),
						Peer:    peer,
						Message: testMail(),
						Secrets: []string{testPassword, base64.StdEncoding.EncodeToString([]byte("\x00shop\x00" + testPassword))},
					}
				})
			})
		}
	}
}

func TestSMTPReferenceNamesTheQueueID(t *testing.T) {
	peer := newSMTPPeer(t, "PIPELINING")
	ref, err := newTestSMTP(t, peer.addr).Send(t.Context(), testMail())
	require.NoError(t, err)
	require.Equal(t, "2.0.0 Ok: queued as 4F2A", ref)
}

func TestSMTPConnectionIsKeptAndReset(t *testing.T) {
	for _, extensions := range [][]string{{"PIPELINING"}, nil} {
		peer := newSMTPPeer(t, extensions...)
		var refuse atomic.Bool
		refuse.Store(true)
		peer.follow(func(_ int, command string) string {
			if refuse.Load() && strings.HasPrefix(command, "RCPT") {
				return "550 5.1.1 no"
			}
			return ""
		})
		smtp := newTestSMTP(t, peer.addr)
		_, err := smtp.Send(t.Context(), testMail())
		var rejected *delivery.Rejected
		require.ErrorAs(t, err, &rejected)
		require.Equal(t, "550", rejected.Code)
		require.Equal(t, "5.1.1 no", rejected.Text)
		refuse.Store(false)
		for range 3 {
			_, err := smtp.Send(t.Context(), testMail())
			require.NoError(t, err)
		}
		require.Equal(t, 1, peer.connections())
		require.Equal(t, 1, peer.said("RSET"))
	}
}

// RFC 2920 section 3.1: some servers go on to 354 although they refused the
// only recipient.
func TestSMTPRefusedRecipientWithOpenDataStaysInStep(t *testing.T) {
	peer := newSMTPPeer(t, "PIPELINING")
	var refuse atomic.Bool
	refuse.Store(true)
	peer.follow(func(_ int, command string) string {
		switch {
		case refuse.Load() && strings.HasPrefix(command, "RCPT"):
			return "550 no"
		case refuse.Load() && command == "DATA":
			return "354 go on then"
		case refuse.Load() && command == endOfMail:
			return "554 no valid recipients"
		}
		return ""
	})
	smtp := newTestSMTP(t, peer.addr)
	_, err := smtp.Send(t.Context(), testMail())
	var rejected *delivery.Rejected
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, "550", rejected.Code)
	require.Equal(t, []string{""}, peer.received(), "an empty mail, to nobody")
	refuse.Store(false)
	_, err = smtp.Send(t.Context(), testMail())
	require.NoError(t, err)
	require.Equal(t, 1, peer.connections())
}

// What the server may answer to one command of a mail, and what that means.
func TestSMTPAnswers(t *testing.T) {
	long := strings.Repeat("250-x\r\n", 200) + "250 ok"
	for _, test := range []struct {
		at, reply string
		code      string // "" if the error has none
		final     bool
		conns     int // after the next mail
	}{
		{"MAIL", "421 4.3.2 going down", "421", false, 2},
		{"RCPT", "421 4.3.2 going down", "421", false, 2},
		{endOfMail, "421 4.3.2 going down", "421", false, 2},
		{endOfMail, "452 4.2.2 the mailbox is full", "452", false, 1},
		{endOfMail, "452 4.3.4 too large for now", "452", false, 1},
		{endOfMail, "432 4.3.1 the disk is full", "432", false, 1},
		{endOfMail, "554 5.7.1 spam", "554", true, 1},
		{"MAIL", "530 5.7.0 authenticate first", "530", false, 1},
		{"MAIL", "553 5.1.8 your domain", "553", true, 1},
		{"MAIL", "354 what", "", false, 2},
		{"DATA", "250 no need", "", false, 2},
		{"DATA", "554 no", "554", true, 1},
		{"MAIL", "HTTP/1.1 400 Bad Request", "", false, 2},
		{"MAIL", "250-one\r\n550 other", "", false, 2},
		{"MAIL", strings.Repeat("2", 5000), "", false, 2},
		{"RCPT", long, "", false, 2},
		{"RCPT", "199 early", "", false, 2},
		{endOfMail, "354 more", "", false, 2},
		{endOfMail, hangUp, "", false, 2},
		{"DATA", hangUp, "", false, 2},
	} {
		for _, extensions := range [][]string{{"PIPELINING"}, nil} {
			t.Run(fmt.Sprintf("%v %s %.20s", extensions, test.at, test.reply), func(t *testing.T) {
				peer := newSMTPPeer(t, extensions...)
				peer.follow(func(conn int, command string) string {
					if conn == 1 && peer.said("MAIL") == 1 && strings.HasPrefix(command, test.at) {
						return test.reply
					}
					return ""
				})
				smtp := newTestSMTP(t, peer.addr)
				_, err := smtp.Send(t.Context(), testMail())
				require.Error(t, err)
				var rejected *delivery.Rejected
				var deferred *delivery.Deferred
				var unsent *delivery.Unsent
				require.Equal(t, test.at != endOfMail, errors.As(err, &unsent), "it has not left before its content")
				switch {
				case test.final:
					require.ErrorAs(t, err, &rejected)
					require.Equal(t, test.code, rejected.Code)
				case test.code != "":
					require.ErrorAs(t, err, &deferred)
					require.Equal(t, test.code, deferred.Code)
					require.Equal(t, !strings.HasPrefix(test.reply, "45"), deferred.Carrier)
				default:
					require.NotErrorAs(t, err, &rejected)
				}
				_, err = smtp.Send(t.Context(), testMail())
				require.NoError(t, err)
				require.Equal(t, test.conns, peer.connections())
			})
		}
	}
}

func TestSMTPDeadKeptConnectionIsReplacedUnnoticed(t *testing.T) {
	for name, dying := range map[string]string{"hung up": hangUp, "said 421 first": "421 4.4.2 idle too long"} {
		t.Run(name, func(t *testing.T) {
			peer := newSMTPPeer(t, "PIPELINING")
			peer.follow(func(conn int, command string) string {
				if conn == 1 && peer.said("MAIL") == 2 && strings.HasPrefix(command, "MAIL") {
					return dying
				}
				return ""
			})
			smtp := newTestSMTP(t, peer.addr)
			for range 2 {
				_, err := smtp.Send(t.Context(), testMail())
				require.NoError(t, err)
			}
			require.Equal(t, 2, peer.connections())
			require.Len(t, peer.received(), 2)
		})
	}
}

func TestSMTPNothingIsRepeatedOnceContentWasWritten(t *testing.T) {
	peer := newSMTPPeer(t, "PIPELINING")
	peer.follow(func(_ int, command string) string {
		if command == endOfMail && len(peer.received()) == 2 {
			return hangUp
		}
		return ""
	})
	smtp := newTestSMTP(t, peer.addr)
	_, err := smtp.Send(t.Context(), testMail())
	require.NoError(t, err)
	_, err = smtp.Send(t.Context(), testMail())
	require.Error(t, err, "the carrier's user decides about a repeat")
	require.Len(t, peer.received(), 2)
}

func TestSMTPConnectionIsGivenUpAfterItsMessages(t *testing.T) {
	peer := newSMTPPeer(t, "PIPELINING")
	smtp := newTestSMTP(t, peer.addr, func(cfg *delivery.SMTPConfig) { cfg.MessagesPerConnection = 2 })
	for range 5 {
		_, err := smtp.Send(t.Context(), testMail())
		require.NoError(t, err)
	}
	require.Equal(t, 3, peer.connections())
	require.Eventually(t, func() bool { return peer.said("QUIT") == 2 }, 10*time.Second, time.Millisecond)
}

func TestSMTPIdleConnectionIsClosed(t *testing.T) {
	peer := newSMTPPeer(t, "PIPELINING")
	smtp := newTestSMTP(t, peer.addr, func(cfg *delivery.SMTPConfig) { cfg.IdleTimeout = time.Millisecond })
	_, err := smtp.Send(t.Context(), testMail())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return peer.said("QUIT") == 1 }, 10*time.Second, time.Millisecond)
}

func TestSMTPSilentServerIsLeftAfterTheTimeout(t *testing.T) {
	for _, at := range []string{"", "EHLO", "MAIL", endOfMail} {
		t.Run("at "+at, func(t *testing.T) {
			peer := newSMTPPeer(t, "PIPELINING")
			peer.follow(func(_ int, command string) string {
				if verb, _, _ := strings.Cut(command, " "); verb == at {
					return silence
				}
				return ""
			})
			smtp := newTestSMTP(t, peer.addr, func(cfg *delivery.SMTPConfig) {
				cfg.CommandTimeout, cfg.DataTimeout = 20*time.Millisecond, 20*time.Millisecond
			})
			_, err := smtp.Send(t.Context(), testMail())
			require.ErrorContains(t, err, "timeout")
		})
	}
}

func TestSMTPWaitingForAConnectionEndsWithTheContext(t *testing.T) {
	peer := newSMTPPeer(t, "PIPELINING")
	peer.follow(func(_ int, command string) string {
		if command == endOfMail {
			return silence
		}
		return ""
	})
	smtp := newTestSMTP(t, peer.addr)
	busy, stop := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := smtp.Send(busy, testMail())
		first <- err
	}()
	require.Eventually(t, func() bool { return len(peer.received()) == 1 }, 10*time.Second, time.Millisecond)
	waiting, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := smtp.Send(waiting, testMail())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	stop()
	require.ErrorIs(t, <-first, context.Canceled)
}

func TestSMTPTooLargeMailIsRejectedUnsent(t *testing.T) {
	peer := newSMTPPeer(t, "PIPELINING", "SIZE 100")
	_, err := newTestSMTP(t, peer.addr).Send(t.Context(), testMail())
	var rejected *delivery.Rejected
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, "552", rejected.Code)
	require.Zero(t, peer.said("MAIL"))
}

func TestSMTPAddressOutsideASCIINeedsSMTPUTF8(t *testing.T) {
	mail := testMail()
	mail.To = "jürgen@bücher.example"
	peer := newSMTPPeer(t, "PIPELINING")
	_, err := newTestSMTP(t, peer.addr).Send(t.Context(), mail)
	var rejected *delivery.Rejected
	require.ErrorAs(t, err, &rejected)

	peer = newSMTPPeer(t, "PIPELINING", "SMTPUTF8", "8BITMIME")
	_, err = newTestSMTP(t, peer.addr).Send(t.Context(), mail)
	require.NoError(t, err)
	require.Equal(t, 1, peer.said("RCPT TO:<jürgen@xn--bcher-kva.example>"))
	require.Equal(t, 1, peer.said("MAIL FROM:<news@shop.example> BODY=8BITMIME SMTPUTF8"))
}

func TestSMTPServerWithoutEHLOIsGreetedTheOldWay(t *testing.T) {
	peer := newSMTPPeer(t)
	peer.follow(func(_ int, command string) string {
		if strings.HasPrefix(command, "EHLO") {
			return "502 what"
		}
		return ""
	})
	_, err := newTestSMTP(t, peer.addr).Send(t.Context(), testMail())
	require.NoError(t, err)
	require.Equal(t, 1, peer.said("HELO "))
}

func TestSMTPRefusedConnectionIsNoRejection(t *testing.T) {
	peer := newSMTPPeer(t)
	peer.follow(func(int, string) string { return "554 5.7.1 your network is not welcome" })
	_, err := newTestSMTP(t, peer.addr).Send(t.Context(), testMail())
	var deferred *delivery.Deferred
	require.ErrorAs(t, err, &deferred)
	require.Equal(t, "554", deferred.Code)
}

func TestSMTPConfigurationIsChecked(t *testing.T) {
	good := delivery.SMTPConfig{Addr: "mail.example:587", From: "news@shop.example"}
	_, err := delivery.NewSMTP(good)
	require.NoError(t, err)
	for name, spoil := range map[string]func(*delivery.SMTPConfig){
		"no port":         func(c *delivery.SMTPConfig) { c.Addr = "mail.example" },
		"no sender":       func(c *delivery.SMTPConfig) { c.From = "" },
		"unknown mode":    func(c *delivery.SMTPConfig) { c.TLS = "maybe" },
		"no connections":  func(c *delivery.SMTPConfig) { c.Connections = -1 },
		"smuggled EHLO":   func(c *delivery.SMTPConfig) { c.Hostname = "a\r\nMAIL FROM:<x@y>" },
		"smuggled sender": func(c *delivery.SMTPConfig) { c.From = "a@b.example\r\nBcc: c@d.example" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			spoil(&cfg)
			_, err := delivery.NewSMTP(cfg)
			require.Error(t, err)
		})
	}
}

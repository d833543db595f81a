package sink_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery/carriertest/sink"
)

// serve runs an SMTP sink; stop ends it and waits.
func serve(t *testing.T, c *sink.Counter) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sink.ServeSMTP(ctx, l, c) }()
	return l.Addr().String(), func() error {
		cancel()
		return <-done
	}
}

func TestSMTPSinkCountsEachRecipient(t *testing.T) {
	counter := sink.Counter{Keep: 1}
	addr, stop := serve(t, &counter)
	var wait sync.WaitGroup
	for range 5 {
		wait.Go(func() {
			for _, to := range [][]string{{"a@x.example", "b@x.example"}, {"a@x.example"}} {
				if err := smtp.SendMail(addr, nil, "s@x.example", to, []byte("Subject: x\r\n\r\n.dot\r\n")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	require.Equal(t, 15, counter.Total())
	require.Equal(t, 2, counter.Distinct())
	require.Equal(t, 10, counter.Of("a@x.example"))
	require.Zero(t, counter.Of("c@x.example"))
	require.Equal(t, map[string]int{"a@x.example": 10, "b@x.example": 5}, counter.Counts())
	require.Len(t, counter.Messages(), 1)
	require.Equal(t, "Subject: x\r\n\r\n.dot\r\n", string(counter.Messages()[0].Data))
	require.NoError(t, stop())
}

// conversation sends lines in one write and returns the codes of the replies.
func conversation(t *testing.T, addr, lines string) (codes []string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, strings.ReplaceAll(lines, "\n", "\r\n"))
	require.NoError(t, err)
	replies := bufio.NewScanner(conn)
	for replies.Scan() {
		if line := replies.Text(); line[3] == ' ' {
			codes = append(codes, line[:3])
		}
	}
	return codes
}

func TestSMTPSinkTakesPipelinedMails(t *testing.T) {
	var counter sink.Counter
	addr, stop := serve(t, &counter)
	mail := "MAIL FROM:<s@x.example>\nRCPT TO:<a@x.example>\nDATA\nhi\n" + strings.Repeat("long", 50_000) + "\n..\n.\n"
	require.Equal(t, strings.Fields("220 250 250 250 354 250 250 250 354 250 221"),
		conversation(t, addr, "EHLO x\n"+mail+mail+"QUIT\n"))
	require.Equal(t, 2, counter.Of("a@x.example"))
	require.NoError(t, stop())
}

func TestSMTPSinkCountsOnlyWholeMails(t *testing.T) {
	var counter sink.Counter
	addr, stop := serve(t, &counter)
	require.Equal(t, strings.Fields("220 503 554 250 250 250 554 250 501 502 221"), conversation(t, addr,
		"RCPT TO:<a@x.example>\nDATA\nMAIL FROM:<>\nRCPT TO:<a@x.example>\nRSET\nDATA\nMAIL FROM:<>\nRCPT TO:a\nWHAT\nQUIT\n"))
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	_, err = io.WriteString(conn, "MAIL FROM:<>\r\nRCPT TO:<a@x.example>\r\nDATA\r\nhalf a mail\r\n")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, stop())
	require.Zero(t, counter.Total())
}

func TestHTTPSinkCountsEachRecipient(t *testing.T) {
	counter := sink.Counter{Keep: 10}
	server := httptest.NewServer(sink.HTTP(&counter))
	defer server.Close()
	for _, body := range []string{`{"to":"+1"}`, `{"to":"+1"}`, `{"to":"+2"}`, `{"to":""}`, `nonsense`} {
		response, err := http.Post(server.URL, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	require.Equal(t, map[string]int{"+1": 2, "+2": 1}, counter.Counts())
	require.Len(t, counter.Messages(), 3)
}

func TestGatewaySendsASignedReceiptForEachMessage(t *testing.T) {
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	signer, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	delivered := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var delivery struct {
			Receipts []struct {
				MessageID string `json:"message_id"`
				Status    string
			}
		}
		if signer.Verify(body, r.Header) != nil || json.Unmarshal(body, &delivery) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		for _, r := range delivery.Receipts {
			delivered <- r.MessageID + " " + r.Status
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	var counter sink.Counter
	gateway, err := sink.NewReceipts(secret)
	require.NoError(t, err)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }()
	server := httptest.NewServer(gateway.Handler(&counter))
	defer server.Close()
	for _, id := range []string{"msg_1", "msg_2"} {
		response, err := http.Post(server.URL, "application/json", strings.NewReader(`{"id":"`+id+`","to":"+1","callback_url":"`+receiver.URL+`"}`))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	require.ElementsMatch(t, []string{"msg_1 delivered", "msg_2 delivered"}, []string{<-delivered, <-delivered})
	require.Equal(t, 2, counter.Total())
	end()
	require.NoError(t, <-ended)
}

func TestReceiptThatIsNotTakenEndsTheGateway(t *testing.T) {
	receiver := httptest.NewServer(http.NotFoundHandler())
	defer receiver.Close()
	gateway, err := sink.NewReceipts("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	require.NoError(t, err)
	server := httptest.NewServer(gateway.Handler(new(sink.Counter)))
	defer server.Close()
	response, err := http.Post(server.URL, "application/json", strings.NewReader(`{"id":"msg_1","to":"+1","callback_url":"`+receiver.URL+`"}`))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.ErrorContains(t, gateway.Run(t.Context()), "status 404")
}

func TestCounterStartsAnew(t *testing.T) {
	counter := sink.Counter{Keep: 1}
	require.Zero(t, counter.First())
	server := httptest.NewServer(sink.HTTP(&counter))
	defer server.Close()
	for range 2 {
		before := time.Now()
		response, err := http.Post(server.URL, "application/json", strings.NewReader(`{"to":"+1"}`))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 1, counter.Total())
		require.WithinRange(t, counter.First(), before, time.Now())
		counter.Reset()
		require.Zero(t, counter.Total()+counter.Distinct()+len(counter.Messages()))
		require.Zero(t, counter.First())
	}
}

package delivery_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/delivery/carriertest"
)

var testSigningKey = []byte("0123456789abcdef0123456789abcdef")

// gateway is a real HTTP server that meets messages as it is told.
type gateway struct {
	*httptest.Server

	mu    sync.Mutex
	how   carriertest.Answer
	taken []string
	last  *http.Request
	body  []byte
	over  chan struct{}

	// respond, if set, answers in place of how.
	respond http.HandlerFunc
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{over: make(chan struct{})}
	g.Server = httptest.NewServer(g)
	t.Cleanup(func() {
		close(g.over)
		g.Close()
	})
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	g.mu.Lock()
	g.taken = append(g.taken, r.Header.Get("Idempotency-Key"))
	g.last, g.body = r, body
	how, respond := g.how, g.respond
	g.mu.Unlock()
	if respond != nil {
		respond(w, r)
		return
	}
	switch how {
	case carriertest.Accept:
		fmt.Fprint(w, `{"id": "gw-1"}`)
	case carriertest.Reject:
		refuse(w, http.StatusUnprocessableEntity, "no_such_number", "nobody there")
	case carriertest.RejectWild:
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"code": "c", "message": "%s"}`, strings.NewReplacer("\x00", `\u0000`, "\x1b", `\u001b`).Replace(carriertest.RejectionText))
	case carriertest.Defer:
		refuse(w, http.StatusServiceUnavailable, "busy", "come back")
	case carriertest.Drop:
		panic(http.ErrAbortHandler)
	case carriertest.Hang:
		<-g.over
	case carriertest.Leak:
		refuse(w, http.StatusForbidden, r.Header.Get("Authorization"), fmt.Sprint(r.Header, r.URL.RawQuery))
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": message})
}

// Answer is of carriertest.Peer.
func (g *gateway) Answer(how carriertest.Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.how = how
}

// Taken is of carriertest.Peer.
func (g *gateway) Taken() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.taken...)
}

// Leave is of carriertest.Peer.
func (g *gateway) Leave() { g.Close() }

func (g *gateway) carrier(t *testing.T, change ...func(*delivery.HTTPConfig)) *delivery.HTTP {
	t.Helper()
	cfg := delivery.HTTPConfig{URL: g.URL + "/send?token=query-secret-1", Connections: 4}
	for _, f := range change {
		f(&cfg)
	}
	h, err := delivery.NewHTTP(cfg)
	require.NoError(t, err)
	return h
}

func testText() *delivery.Outgoing {
	return &delivery.Outgoing{
		ID: "msg_01jq3v", CampaignID: "cmp_abc123", ContactID: "con_abc123", Channel: "sms",
		To: "+12025550100", From: "ACME", Body: "Hi Ada <3",
	}
}

func TestHTTPIsACarrier(t *testing.T) {
	for name, once := range map[string]bool{"at least once": false, "at most once": true} {
		t.Run(name, func(t *testing.T) {
			carriertest.Suite(t, func(t *testing.T) carriertest.Fixture {
				g := newGateway(t)
				return carriertest.Fixture{
					Carrier: g.carrier(t, func(cfg *delivery.HTTPConfig) {
						cfg.AtMostOnce = once
						cfg.Bearer = "bearer-secret-1"
						cfg.Headers = map[string]string{"X-Auth": "Basic header-secret-1"}
					}),
					Peer:    g,
					Message: testText(),
					Secrets: []string{"bearer-secret-1", "header-secret-1", "query-secret-1"},
				}
			})
		})
	}
}

// TestHTTPRepeatsARequestByItselfUnlessTold has a gateway that hangs up on a kept
// connection once it has read a request.
func TestHTTPRepeatsARequestByItselfUnlessTold(t *testing.T) {
	for name, once := range map[string]bool{"at least once": false, "at most once": true} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			carrier := g.carrier(t, func(cfg *delivery.HTTPConfig) { cfg.AtMostOnce, cfg.Connections = once, 1 })
			_, err := carrier.Send(t.Context(), testText())
			require.NoError(t, err)
			g.respond = func(w http.ResponseWriter, _ *http.Request) {
				if len(g.Taken()) == 2 {
					panic(http.ErrAbortHandler)
				}
				fmt.Fprint(w, `{"id": "gw-2"}`)
			}
			_, err = carrier.Send(t.Context(), testText())
			if once {
				var unsent *delivery.Unsent
				require.Error(t, err)
				require.NotErrorAs(t, err, &unsent)
				require.Len(t, g.Taken(), 2)
				return
			}
			require.NoError(t, err)
			require.Len(t, g.Taken(), 3)
		})
	}
}

func TestHTTPMessageOnTheWire(t *testing.T) {
	g := newGateway(t)
	carrier := g.carrier(t, func(cfg *delivery.HTTPConfig) {
		cfg.Bearer, cfg.CallbackURL = "bearer-secret-1", "https://campaigns.example/receipts"
		cfg.Headers = map[string]string{"x-region": "eu"}
	})
	ref, err := carrier.Send(t.Context(), testText())
	require.NoError(t, err)
	require.Equal(t, "gw-1", ref)
	require.JSONEq(t, `{"id": "msg_01jq3v", "channel": "sms", "to": "+12025550100", "from": "ACME", "text": "Hi Ada <3",
		"campaign_id": "cmp_abc123", "contact_id": "con_abc123", "callback_url": "https://campaigns.example/receipts"}`, string(g.body))
	require.Equal(t, http.MethodPost, g.last.Method)
	for name, want := range map[string]string{
		"Idempotency-Key": "msg_01jq3v", "Content-Type": "application/json",
		"Authorization": "Bearer bearer-secret-1", "X-Region": "eu", "Webhook-Signature": "",
	} {
		require.Equal(t, want, g.last.Header.Get(name), name)
	}

	mail := testMail()
	mail.HTML, mail.UnsubscribeURL = true, "https://campaigns.example/u/x"
	_, err = carrier.Send(t.Context(), mail)
	require.NoError(t, err)
	require.JSONEq(t, `{"id": "msg_01jq3v", "channel": "email", "to": "ada@example.com", "subject": "Spring",
		"html": "Hi Ada,\nenjoy 20% off!\n", "campaign_id": "cmp_abc123", "contact_id": "con_abc123",
		"callback_url": "https://campaigns.example/receipts", "unsubscribe_url": "https://campaigns.example/u/x"}`, string(g.body))
}

func TestHTTPSignsLikeStandardWebhooks(t *testing.T) {
	g := newGateway(t)
	carrier := g.carrier(t, func(cfg *delivery.HTTPConfig) {
		cfg.SigningSecret = "whsec_" + base64.StdEncoding.EncodeToString(testSigningKey)
	})
	_, err := carrier.Send(t.Context(), testText())
	require.NoError(t, err)
	header := g.last.Header
	require.Equal(t, "msg_01jq3v", header.Get("webhook-id"))
	mac := hmac.New(sha256.New, testSigningKey)
	fmt.Fprintf(mac, "%s.%s.%s", header.Get("webhook-id"), header.Get("webhook-timestamp"), g.body)
	require.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), header.Get("webhook-signature"))
}

// What the gateway may answer, and what that means.
func TestHTTPAnswers(t *testing.T) {
	const final, soft, taken = "final", "soft", "taken"
	for _, test := range []struct {
		status int
		body   string
		means  string
		code   string // or the reference
		text   string
	}{
		{200, `{"id": "gw-7"}`, taken, "gw-7", ""},
		{201, `{"id": 7}`, taken, "7", ""},
		{202, `{"id": {"a": 1}}`, taken, "", ""},
		{202, ``, taken, "", ""},
		{200, `<html>ok</html>`, taken, "", ""},
		{200, `{"id": "` + strings.Repeat("x", 70_000) + `"}`, taken, "", ""},
		{301, ``, final, "301", "Moved Permanently"},
		{400, `{"code": "bad", "message": "no"}`, final, "bad", "no"},
		{400, `{"code": 21211, "message": "no"}`, final, "21211", "no"},
		{400, `{"message": "no"}`, final, "400", "no"},
		{403, `[]`, final, "403", "Forbidden"},
		{404, `<html>`, final, "404", "Not Found"},
		{401, `{}`, soft, "401", "Unauthorized"},
		{407, `{}`, soft, "407", "Proxy Authentication Required"},
		{408, ``, soft, "408", "Request Timeout"},
		{425, ``, soft, "425", "Too Early"},
		{429, `{"code": "slow", "message": "down"}`, soft, "slow", "down"},
		{500, ``, soft, "500", "Internal Server Error"},
		{503, ``, soft, "503", "Service Unavailable"},
		{504, ``, soft, "504", "Gateway Timeout"},
		{599, ``, soft, "599", ""},
	} {
		t.Run(fmt.Sprintf("%d %.20s", test.status, test.body), func(t *testing.T) {
			g := newGateway(t)
			g.respond = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}
			ref, err := g.carrier(t).Send(t.Context(), testText())
			require.Len(t, g.Taken(), 1, "asked once")
			var rejected *delivery.Rejected
			var deferred *delivery.Deferred
			switch test.means {
			case taken:
				require.NoError(t, err)
				require.Equal(t, test.code, ref)
			case final:
				require.ErrorAs(t, err, &rejected)
				require.Equal(t, delivery.Rejected{Code: test.code, Text: test.text}, *rejected)
			case soft:
				require.ErrorAs(t, err, &deferred)
				unsure := test.status >= 500 && test.status != 503
				require.Equal(t, delivery.Deferred{Code: test.code, Text: test.text, Carrier: true, Unsure: unsure}, *deferred)
			}
		})
	}
}

func TestHTTPRetryAfterIsPassedOn(t *testing.T) {
	for header, want := range map[string][2]time.Duration{
		"120":                           {2 * time.Minute, 2 * time.Minute},
		"":                              {0, 0},
		"soon":                          {0, 0},
		"-5":                            {0, 0},
		"99999999":                      {24 * time.Hour, 24 * time.Hour},
		"99999999999999999999":          {0, 0},
		"Fri, 31 Dec 1999 23:59:59 GMT": {0, 0},
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): {50 * time.Minute, time.Hour},
	} {
		g := newGateway(t)
		g.respond = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		}
		_, err := g.carrier(t).Send(t.Context(), testText())
		var deferred *delivery.Deferred
		require.ErrorAs(t, err, &deferred)
		require.GreaterOrEqual(t, deferred.RetryAfter, want[0], header)
		require.LessOrEqual(t, deferred.RetryAfter, want[1], header)
	}
}

func TestHTTPUnreachableGatewayIsNoRejection(t *testing.T) {
	g := newGateway(t)
	carrier := g.carrier(t)
	g.Close()
	_, err := carrier.Send(t.Context(), testText())
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), "query-secret-1")
	var rejected *delivery.Rejected
	require.NotErrorAs(t, err, &rejected)
}

func TestHTTPSilentGatewayIsLeftAfterTheTimeout(t *testing.T) {
	g := newGateway(t)
	g.Answer(carriertest.Hang)
	carrier := g.carrier(t, func(cfg *delivery.HTTPConfig) { cfg.Timeout = 20 * time.Millisecond })
	_, err := carrier.Send(t.Context(), testText())
	require.Error(t, err)
	var rejected *delivery.Rejected
	require.NotErrorAs(t, err, &rejected)
}

func TestHTTPConfigurationIsChecked(t *testing.T) {
	for name, cfg := range map[string]delivery.HTTPConfig{
		"no url":            {},
		"relative url":      {URL: "/send"},
		"other scheme":      {URL: "ftp://gateway.example"},
		"connections":       {URL: "https://gateway.example", Connections: -1},
		"plain secret":      {URL: "https://gateway.example", SigningSecret: "secret"},
		"short secret":      {URL: "https://gateway.example", SigningSecret: "whsec_c2VjcmV0"},
		"smuggled header":   {URL: "https://gateway.example", Headers: map[string]string{"X": "a\r\nY: b"}},
		"smuggled bearer":   {URL: "https://gateway.example", Bearer: "a\r\nY: b"},
		"header with space": {URL: "https://gateway.example", Headers: map[string]string{"X Y": "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := delivery.NewHTTP(cfg)
			require.Error(t, err)
		})
	}
}

package delivery

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	maxGatewayAnswer = 64 << 10 // bytes read of an answer's body
	maxGatewayWait   = 24 * time.Hour
)

// HTTPConfig describes one gateway that takes messages by HTTP. The zero value
// of a field is its default.
type HTTPConfig struct {
	URL     string            // required, http or https; where each message is posted
	Headers map[string]string // sent along with each, secrets among them
	Bearer  string            // a token for Authorization: Bearer

	// SigningSecret signs each request as Standard Webhooks does
	// (standardwebhooks.com): "whsec_" and base64 of 24 to 64 bytes.
	SigningSecret string

	// CallbackURL is where the gateway shall send receipts; it is told so in
	// each message.
	CallbackURL string

	// AtMostOnce sends no request again by itself. Otherwise one whose kept
	// connection turned out dead is sent again, as the gateway knows the message by
	// its id.
	AtMostOnce bool

	Connections int           // at most this many at once, 1 to 10,000; default 32
	Timeout     time.Duration // a whole exchange; default 15 s
	TLSConfig   *tls.Config   // default: the system's roots
}

// HTTP is the carrier for any channel whose gateway takes a JSON POST:
//
//	{"id", "channel", "to", "from", "subject", "text" or "html",
//	 "campaign_id", "contact_id", "callback_url", "unsubscribe_url"}
//
// with what is empty left out and the message's id also as Idempotency-Key.
//
// An answer of 2xx means taken; {"id": "…"} in it is the reference. 408, 425,
// 429 and 5xx are *Deferred, with the answer's Retry-After as far as a day; so
// are 401 and 407. None of these speaks of the message: they are trouble with the
// carrier. All else, redirects included, is *Rejected. Both take Code and Text
// from {"code", "message"} in the answer, else from its status. 5xx but 501 and 503
// is Unsure. Trouble on the way is *Unsent as long as there is no connection to
// write to, or when the writing failed; else it is an ordinary error.
type HTTP struct {
	url      string
	host     string
	callback string
	once     bool
	headers  http.Header // never changed after NewHTTP
	key      []byte      // nil: unsigned
	secrets  *strings.Replacer
	client   *http.Client
}

// NewHTTP checks the configuration and connects to nobody yet.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("http carrier: url must be an absolute http or https URL")
	}
	if cfg.Connections = cmp.Or(cfg.Connections, 32); cfg.Connections < 1 || cfg.Connections > 10_000 {
		return nil, errors.New("http carrier: connections must be 1 to 10000")
	}
	key, err := parseSigningSecret(cfg.SigningSecret)
	if err != nil {
		return nil, err
	}
	headers, err := gatewayHeaders(cfg)
	if err != nil {
		return nil, err
	}
	return &HTTP{
		url:      cfg.URL,
		host:     u.Host,
		callback: cfg.CallbackURL,
		once:     cfg.AtMostOnce,
		headers:  headers,
		key:      key,
		secrets:  gatewaySecrets(cfg, u),
		client: &http.Client{
			Transport: gatewayTransport(cfg),
			Timeout:   cmp.Or(cfg.Timeout, 15*time.Second),
			// A message is not repeated to wherever an answer points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// gatewayTransport keeps as many connections as may be busy at once: the
// stock transport keeps two and opens a new one for each message beyond.
func gatewayTransport(cfg HTTPConfig) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = cfg.TLSConfig
	t.MaxConnsPerHost = cfg.Connections
	t.MaxIdleConnsPerHost = cfg.Connections
	t.MaxIdleConns = cfg.Connections
	t.DisableCompression = true
	t.MaxResponseHeaderBytes = 64 << 10
	return t
}

func gatewayHeaders(cfg HTTPConfig) (http.Header, error) {
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"campaigns"}}
	if cfg.Bearer != "" {
		h.Set("Authorization", "Bearer "+cfg.Bearer)
	}
	for name, value := range cfg.Headers {
		h.Set(name, value)
	}
	for name := range h {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(h.Get(name)) {
			return nil, fmt.Errorf("http carrier: header %q is not fit for HTTP", name)
		}
	}
	return h, nil
}

// Send posts one message. It waits while all connections are busy.
func (h *HTTP) Send(ctx context.Context, m *Outgoing) (string, error) {
	var way passage
	req, err := h.request(httptrace.WithClientTrace(ctx, way.trace()), m)
	if err != nil {
		return "", &Unsent{err}
	}
	res, err := h.client.Do(req)
	if err != nil {
		return "", way.trouble(h.trouble("post to", err))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxGatewayAnswer))
	if res.StatusCode/100 == 2 {
		return acceptedAs(body), nil // taken, however the rest of the answer fared
	}
	if err != nil {
		return "", h.trouble("read the answer of", err)
	}
	return "", h.refusal(res, body)
}

// passage watches a request on its way. What it sees, it sees from goroutines of
// net/http, and the end of a write perhaps too late: then it believes the worst.
type passage struct{ begun atomic.Bool }

func (p *passage) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { p.begun.Store(true) },
		WroteRequest: func(w httptrace.WroteRequestInfo) { p.begun.Store(w.Err == nil) },
	}
}

func (p *passage) trouble(err error) error {
	if p.begun.Load() {
		return err
	}
	return &Unsent{err}
}

// gatewayMessage is what the gateway gets.
type gatewayMessage struct {
	ID             string `json:"id"`
	Channel        string `json:"channel"`
	To             string `json:"to"`
	From           string `json:"from,omitempty"`
	Subject        string `json:"subject,omitempty"`
	Text           string `json:"text,omitempty"`
	HTML           string `json:"html,omitempty"`
	CampaignID     string `json:"campaign_id"`
	ContactID      string `json:"contact_id"`
	CallbackURL    string `json:"callback_url,omitempty"`
	UnsubscribeURL string `json:"unsubscribe_url,omitempty"`
}

func (h *HTTP) request(ctx context.Context, m *Outgoing) (*http.Request, error) {
	g := gatewayMessage{
		ID: m.ID, Channel: m.Channel, To: m.To, From: m.From, Subject: m.Subject,
		CampaignID: m.CampaignID, ContactID: m.ContactID,
		CallbackURL: h.callback, UnsubscribeURL: m.UnsubscribeURL,
	}
	if m.HTML {
		g.HTML = m.Body
	} else {
		g.Text = m.Body
	}
	body, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("http carrier: write the message: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("http carrier: make a request of the url") // which may hold a secret
	}
	req.Header = h.headers.Clone()
	// With this header net/http itself repeats a request whose kept connection
	// turned out dead, unless it cannot have the body again.
	req.Header.Set("Idempotency-Key", m.ID)
	if h.once {
		req.GetBody = nil
	}
	if h.key != nil {
		h.sign(req.Header, m.ID, body)
	}
	return req, nil
}

// sign adds the three headers of Standard Webhooks 1.0.
func (h *HTTP) sign(header http.Header, id string, body []byte) {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", at)
	header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func parseSigningSecret(secret string) ([]byte, error) {
	if secret == "" {
		return nil, nil
	}
	encoded, prefixed := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !prefixed || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("http carrier: signing secret must be whsec_ and base64 of 24 to 64 bytes")
	}
	return key, nil
}

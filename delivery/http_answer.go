package delivery

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// acceptedAs is the gateway's name for a message it took, "" if it gave none.
func acceptedAs(body []byte) string {
	var answer struct {
		ID gatewayWord `json:"id"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return printable(string(answer.ID), maxCarrierRef)
}

// gatewayWord is a string that many gateways write as a number.
type gatewayWord string

// UnmarshalJSON takes a string or a number; anything else is no word.
func (w *gatewayWord) UnmarshalJSON(b []byte) error {
	if b[0] == '-' || b[0] >= '0' && b[0] <= '9' {
		*w = gatewayWord(b)
		return nil
	}
	return json.Unmarshal(b, (*string)(w))
}

// refusal is the error for an answer that is no yes.
func (h *HTTP) refusal(res *http.Response, body []byte) error {
	var answer struct {
		Code    gatewayWord `json:"code"`
		Message string      `json:"message"`
	}
	_ = json.Unmarshal(body, &answer) // no JSON, no code and message
	code := h.secrets.Replace(cmp.Or(string(answer.Code), strconv.Itoa(res.StatusCode)))
	text := h.secrets.Replace(cmp.Or(answer.Message, http.StatusText(res.StatusCode)))
	if isTemporary(res.StatusCode) {
		d := newUnavailable(code, text, retryAfter(res.Header.Get("Retry-After"), time.Now()))
		d.Unsure = isUnsure(res.StatusCode)
		return d
	}
	return newRejected(code, text)
}

func isTemporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return true
	}
	return status >= 500
}

// isUnsure says whether an answer leaves it open what became of the message: the
// gateway broke in the middle of it, or what stands before the gateway lost sight
// of it. 503 is a plain no (RFC 9110 section 15.6.4), 501 too.
func isUnsure(status int) bool {
	return status >= 500 && status != http.StatusServiceUnavailable && status != http.StatusNotImplemented
}

// retryAfter reads seconds or an HTTP date (RFC 9110 section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxGatewayWait)
}

// trouble is the error for an exchange without an answer. It leaves out the
// URL, which net/http puts in and which may hold a secret.
func (h *HTTP) trouble(doing string, err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	return fmt.Errorf("http carrier: %s %s: %w", doing, h.host, err)
}

// minHeaderSecret is how long a word of a header or query is at least to be
// taken for a secret; shorter ones are common words.
const minHeaderSecret = 8

// gatewaySecrets finds the configured secrets in a text: some gateways repeat
// in an error what they were sent.
func gatewaySecrets(cfg HTTPConfig, u *url.URL) *strings.Replacer {
	password, _ := u.User.Password()
	secrets := []string{cfg.Bearer, cfg.SigningSecret, password}
	words := []string{u.RawQuery}
	for _, values := range u.Query() {
		words = append(words, values...)
	}
	for _, value := range cfg.Headers {
		words = append(words, strings.Fields(value)...)
	}
	for _, word := range words {
		if len(word) >= minHeaderSecret {
			secrets = append(secrets, word)
		}
	}
	var pairs []string
	for _, secret := range secrets {
		if secret != "" {
			pairs = append(pairs, secret, "…")
		}
	}
	return strings.NewReplacer(pairs...)
}

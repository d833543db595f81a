package main

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
)

// carrierConfig is what every carrier has; the settings of its type come in
// Settings.
type carrierConfig struct {
	Name        string          `koanf:"name"`
	Type        string          `koanf:"type"`
	Channels    []store.Channel `koanf:"channels"`
	Rate        float64         `koanf:"rate"` // messages per second over all processes; 0 for no bound
	Connections int             `koanf:"connections"`
	AtMostOnce  bool            `koanf:"at_most_once"` // what may have left is not handed over again
	Settings    map[string]any  `koanf:",remain"`
}

type smtpSettings struct {
	Address               string           `koanf:"address"`
	From                  string           `koanf:"from"`
	Hostname              string           `koanf:"hostname"`
	TLS                   delivery.SMTPTLS `koanf:"tls"`
	Username              string           `koanf:"username"`
	Password              string           `koanf:"password"`
	MessagesPerConnection int              `koanf:"messages_per_connection"`
}

type httpSettings struct {
	URL           string            `koanf:"url"`
	Headers       map[string]string `koanf:"headers"`
	Bearer        string            `koanf:"bearer"`
	SigningSecret string            `koanf:"signing_secret"`
	ReceiptSecret string            `koanf:"receipt_secret"`
	Timeout       time.Duration     `koanf:"timeout"`
}

// As many messages on their way at once as the carriers' own defaults have
// connections.
const (
	smtpConnections = 8
	httpConnections = 32
)

// carriers are the configured carriers, ready for the engine and the server.
type carriers struct {
	lanes          []delivery.Lane
	receiptSecrets map[string]string // by the carrier's name
	discards       []string          // the names of those that throw messages away
	close          []func()
}

// Close lets go of kept connections, once nobody sends any more.
func (cs *carriers) Close() {
	for _, f := range cs.close {
		f()
	}
}

var carrierName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`) // it stands in addresses and in the ledger

// makeCarriers builds all carriers, connecting to nobody, and says all that is
// wrong with them. publicURL is where they send receipts.
func makeCarriers(configured []map[string]any, publicURL string) (cs carriers, fs faults) {
	cs.receiptSecrets = map[string]string{}
	names, channels := map[string]bool{"sandbox": true}, map[store.Channel]string{}
	for i, tree := range configured {
		at := fmt.Sprintf("carriers[%d]", i)
		before := len(fs)
		var c carrierConfig
		fs.decode(fs.expand(at, tree), at, &c)
		switch {
		case !carrierName.MatchString(c.Name):
			fs.add(at+".name", "%q must be a small letter, then up to 31 small letters, digits and hyphens", c.Name)
		case names[c.Name]:
			fs.add(at+".name", "%q is taken", c.Name)
		}
		names[c.Name] = true
		fs.channels(at, &c, channels)
		if c.Rate < 0 || c.Rate > 1e6 {
			fs.add(at+".rate", "must be between 0 (no bound) and 1000000 messages per second")
		}
		carrier := cs.make(at, &c, publicURL, &fs)
		if len(fs) == before {
			cs.lanes = append(cs.lanes, delivery.Lane{
				Name: c.Name, Carrier: carrier, Channels: c.Channels, Concurrency: c.Connections, Rate: c.Rate, AtMostOnce: c.AtMostOnce,
			})
		}
	}
	return cs, fs
}

// channels checks that each channel exists and has one carrier.
func (fs *faults) channels(at string, c *carrierConfig, taken map[store.Channel]string) {
	if len(c.Channels) == 0 {
		fs.add(at+".channels", "must name at least one of %s", channelNames())
	}
	for i, ch := range c.Channels {
		key := fmt.Sprintf("%s.channels[%d]", at, i)
		if !slices.Contains(store.Channels, ch) {
			fs.add(key, "%q must be one of %s", ch, channelNames())
		} else if other, ok := taken[ch]; ok {
			fs.add(key, "%s already has the carrier %s", ch, other)
		}
		taken[ch] = c.Name
	}
}

func channelNames() string {
	names := make([]string, len(store.Channels))
	for i, c := range store.Channels {
		names[i] = string(c)
	}
	return strings.Join(names, ", ")
}

// make builds one carrier by its type.
func (cs *carriers) make(at string, c *carrierConfig, publicURL string, fs *faults) (made delivery.Carrier) {
	var err error
	switch c.Type {
	case "smtp":
		made, err = cs.smtp(at, c, fs)
	case "http":
		made, err = cs.http(at, c, publicURL, fs)
	case "discard":
		fs.decode(c.Settings, at, &struct{}{}) // it has none
		cs.discards = append(cs.discards, c.Name)
		made = delivery.Discard{}
	default:
		fs.add(at+".type", "%q must be smtp, http or discard", c.Type)
	}
	if err != nil {
		fs.add(at, "%s", err)
	}
	return made
}

func (cs *carriers) smtp(at string, c *carrierConfig, fs *faults) (delivery.Carrier, error) {
	var s smtpSettings
	fs.decode(c.Settings, at, &s)
	c.Connections = cmp.Or(c.Connections, smtpConnections)
	for _, ch := range c.Channels {
		if ch != store.Email {
			fs.add(at+".channels", "smtp carries email, not %s", ch)
		}
	}
	if s.TLS == delivery.SMTPClearText && s.Username != "" && !isLoopback(s.Address) {
		fs.add(at+".tls", "off would send the password in the clear")
	}
	carrier, err := delivery.NewSMTP(delivery.SMTPConfig{
		Addr: s.Address, From: s.From, Hostname: s.Hostname, TLS: s.TLS, Username: s.Username, Password: s.Password,
		Connections: c.Connections, MessagesPerConnection: s.MessagesPerConnection,
	})
	if err != nil {
		return nil, err
	}
	cs.close = append(cs.close, carrier.Close)
	return carrier, nil
}

func isLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func (cs *carriers) http(at string, c *carrierConfig, publicURL string, fs *faults) (delivery.Carrier, error) {
	s := httpSettings{Timeout: 15 * time.Second}
	fs.decode(c.Settings, at, &s)
	fs.duration(at+".timeout", s.Timeout, 100*time.Millisecond, 5*time.Minute)
	c.Connections = cmp.Or(c.Connections, httpConnections)
	callback := ""
	if s.ReceiptSecret != "" {
		if !isWebhookSecret(s.ReceiptSecret) {
			fs.add(at+".receipt_secret", "must be whsec_ and base64 of 24 to 64 bytes")
		}
		if strings.HasSuffix(publicURL, ":0") {
			fs.add(at+".receipt_secret", "needs public_url: with the port left open, the carrier cannot be told where receipts go")
		}
		cs.receiptSecrets[c.Name] = s.ReceiptSecret
		callback = publicURL + "/carriers/" + c.Name + "/receipts"
	}
	return delivery.NewHTTP(delivery.HTTPConfig{
		URL: s.URL, Headers: s.Headers, Bearer: s.Bearer, SigningSecret: s.SigningSecret, CallbackURL: callback,
		Connections: c.Connections, Timeout: s.Timeout, AtMostOnce: c.AtMostOnce,
	})
}

// isWebhookSecret says whether s is a secret as Standard Webhooks writes them.
func isWebhookSecret(s string) bool {
	encoded, prefixed := strings.CutPrefix(s, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	return prefixed && err == nil && len(key) >= 24 && len(key) <= 64
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/store"
)

// configured reads a configuration from a file's text and flags; the test sets
// the environment.
func configured(t *testing.T, text string, args ...string) (Config, faults) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.String(configFlag, "", "")
	for _, s := range settings {
		addSettings(flags, s.key)
	}
	if text != "" {
		path := filepath.Join(t.TempDir(), "campaigns.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		args = append(args, "--config", path)
	}
	require.NoError(t, flags.Parse(args))
	return readConfig(flags)
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	t.Setenv("CAMPAIGNS_LOG_LEVEL", "warn")
	t.Setenv("CAMPAIGNS_PUBLIC_URL", "https://env.example/")
	t.Setenv("CAMPAIGNS_WORKERS", "false")
	t.Setenv("CAMPAIGNS_API", "") // empty is not set
	t.Setenv("CAMPAIGNS_ALLOWED_ORIGINS", "https://a.example,https://b.example")
	cfg, fs := configured(t, "log: {level: error, format: json}\npublic_url: https://file.example\nretry_max_age: 90m\n",
		"--log-level=debug", "--drain-timeout=5s")
	require.NoError(t, fs.err())
	require.Equal(t, Config{
		Listen: "127.0.0.1:8080", Database: "sqlite:data/campaigns.db",
		PublicURL: "https://env.example", API: true, Workers: false,
		RateLimits: true, Origins: []string{"https://a.example", "https://b.example"},
		DrainTimeout: 5 * time.Second, RetryMaxAge: 90 * time.Minute, Log: LogConfig{"debug", "json"},
	}, cfg)
}

func TestConfigFileMayBeNamedByTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "campaigns.yaml")
	require.NoError(t, os.WriteFile(path, []byte("listen: 127.0.0.1:9\n"), 0o600))
	t.Setenv("CAMPAIGNS_CONFIG", path)
	cfg, fs := configured(t, "")
	require.NoError(t, fs.err())
	require.Equal(t, "127.0.0.1:9", cfg.Listen)

	t.Setenv("CAMPAIGNS_CONFIG", path+".missing")
	_, fs = configured(t, "")
	require.ErrorContains(t, fs.err(), "missing")
}

func TestEveryFaultIsReportedWithItsKey(t *testing.T) {
	_, fs := configured(t, "listen: nowhere\npublic_url: campaigns.example\nlog: {level: loud}\ndrain_timeout: 20\nallowed_origins: [\"*\", https://a.example/path]\n")
	require.Len(t, fs, 5)
	for _, key := range []string{"listen: ", "public_url: ", "log.level: ", "drain_timeout: ", "allowed_origins: "} {
		require.Contains(t, fs.err().Error(), "\n  "+key)
	}
	_, fs = configured(t, "lisen: 127.0.0.1:1\nlog: {detail: info, level: loud}\ndrain_timeout: soon\napi: perhaps\npublic_url: campaigns.example\n")
	require.Len(t, fs, 6)
	for _, key := range []string{"lisen: is not a setting", "log.detail: is not a setting", "log.level: ", "drain_timeout: ", "api: ", "public_url: "} {
		require.Contains(t, fs.err().Error(), "\n  "+key)
	}
}

func TestBrokenFileIsNamed(t *testing.T) {
	for _, text := range []string{"listen: [", "- a list", "listen: a\nlisten: b"} {
		_, fs := configured(t, text)
		require.ErrorContains(t, fs.err(), "campaigns.yaml", text)
	}
}

func TestEnvironmentStandsInForSecrets(t *testing.T) {
	t.Setenv("TEST_PASSWORD", "s3cret")
	cfg, fs := configured(t, "database: postgres://me:${TEST_PASSWORD}@db/$${x}\n")
	require.NoError(t, fs.err())
	require.Equal(t, "postgres://me:s3cret@db/${x}", cfg.Database)

	_, fs = configured(t, "database: postgres://me:${TEST_NO_SUCH}@db/x\n")
	require.ErrorContains(t, fs.err(), "database: the environment has no variable TEST_NO_SUCH")
}

func TestUnsetSecretsOfCarriersDoNotStopOtherCommands(t *testing.T) {
	_, fs := configured(t, "carriers: [{name: mail, password: \"${TEST_NO_SUCH}\"}]\n")
	require.NoError(t, fs.err())
}

const twoCarriers = `
carriers:
  - {name: mail, type: smtp, channels: [email], rate: 2.5, address: "127.0.0.1:25", from: a@b.example, tls: off, username: me, password: "${TEST_PASSWORD}"}
  - {name: gateway, type: http, channels: [sms, viber], connections: 7, at_most_once: true, url: "https://g.example", timeout: 2s,
     receipt_secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}
`

func TestCarriersBecomeLanes(t *testing.T) {
	t.Setenv("TEST_PASSWORD", "s3cret")
	cfg, fs := configured(t, twoCarriers)
	require.NoError(t, fs.err())
	cs, fs := makeCarriers(cfg.Carriers, "https://c.example")
	require.NoError(t, fs.err())
	t.Cleanup(cs.Close)
	require.Len(t, cs.lanes, 2)
	require.IsType(t, &delivery.SMTP{}, cs.lanes[0].Carrier)
	require.IsType(t, &delivery.HTTP{}, cs.lanes[1].Carrier)
	cs.lanes[0].Carrier, cs.lanes[1].Carrier = nil, nil
	require.Equal(t, []delivery.Lane{
		{Name: "mail", Channels: []store.Channel{store.Email}, Concurrency: smtpConnections, Rate: 2.5},
		{Name: "gateway", Channels: []store.Channel{store.SMS, store.Viber}, Concurrency: 7, AtMostOnce: true},
	}, cs.lanes)
	require.Equal(t, map[string]string{"gateway": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}, cs.receiptSecrets)
}

func TestEveryFaultOfEveryCarrierIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		faults []string
	}{
		"one channel, two carriers": {
			"[{name: a, type: http, channels: [sms], url: 'https://g.example'}, {name: b, type: http, channels: [viber, sms], url: 'https://g.example'}]",
			[]string{"carriers[1].channels[1]: sms already has the carrier a"},
		},
		"names": {
			"[{name: A B, type: http, channels: [sms], url: 'https://g.example'}, {name: sandbox, type: http, channels: [viber], url: 'https://g.example'}]",
			[]string{"carriers[0].name: ", "carriers[1].name: "},
		},
		"nothing but a type": {"[{type: smtp}]", []string{"carriers[0].name: ", "carriers[0].channels: ", "carriers[0]: smtp: address"}},
		"unknown": {
			"[{name: a, type: pigeon, channels: [fax], rate: -1}]",
			[]string{"carriers[0].type: ", "carriers[0].channels[0]: ", "carriers[0].rate: "},
		},
		"a setting of the other type": {
			"[{name: a, type: http, channels: [sms], url: 'https://g.example', username: me}]",
			[]string{"carriers[0].username: is not a setting"},
		},
		"smtp carries mails only": {
			"[{name: a, type: smtp, channels: [sms], address: 'mx.example:25', from: a@b.example}]",
			[]string{"carriers[0].channels: smtp carries email"},
		},
		"password in the clear": {
			"[{name: a, type: smtp, channels: [email], address: 'mx.example:25', from: a@b.example, tls: off, username: me, password: x}]",
			[]string{"carriers[0].tls: off would send"},
		},
		"secrets and times": {
			"[{name: a, type: http, channels: [sms], url: 'https://g.example', receipt_secret: whsec_short, timeout: 15}]",
			[]string{"carriers[0].receipt_secret: ", "carriers[0].timeout: "},
		},
		"discard has no settings": {
			"[{name: a, type: discard, channels: [sms], url: 'https://g.example'}]",
			[]string{"carriers[0].url: is not a setting"},
		},
		"wrong types": {
			"[{name: a, type: http, channels: [sms], url: 'https://g.example', rate: fast, headers: 7}]",
			[]string{"carriers[0].rate: ", "carriers[0].headers: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, fs := configured(t, "carriers: "+c.text)
			require.NoError(t, fs.err())
			_, fs = makeCarriers(cfg.Carriers, "https://c.example")
			require.Len(t, fs, len(c.faults), "%v", fs)
			all := strings.Join(fs, "\n")
			for _, f := range c.faults {
				require.Contains(t, all, f)
			}
			require.NotContains(t, all, "whsec_short")
		})
	}
}

func TestReceiptsNeedAnAddressThatIsKnownBeforehand(t *testing.T) {
	t.Setenv("TEST_PASSWORD", "s3cret")
	cfg, fs := configured(t, "listen: 127.0.0.1:0\n"+twoCarriers)
	require.NoError(t, fs.err())
	_, fs = makeCarriers(cfg.Carriers, cfg.publicURL(cfg.Listen))
	require.ErrorContains(t, fs.err(), "carriers[1].receipt_secret: needs public_url")
}

func TestRetentionIsGivenInDaysOrHours(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"log: {}": 0, "messages_retention: 0": 0, "messages_retention: 90d": 90 * 24 * time.Hour, "messages_retention: 36h": 36 * time.Hour,
	} {
		cfg, fs := configured(t, text)
		require.NoError(t, fs.err(), text)
		require.Equal(t, want, cfg.Retention, text)
	}
	t.Setenv("CAMPAIGNS_MESSAGES_RETENTION", "7d")
	cfg, _ := configured(t, "")
	require.Equal(t, 7*24*time.Hour, cfg.Retention)
	for _, wrong := range []string{"90", "-3d", "5m", "d", "40000d", "1 day"} {
		t.Setenv("CAMPAIGNS_MESSAGES_RETENTION", wrong)
		_, fs := configured(t, "")
		require.ErrorContains(t, fs.err(), "messages_retention: ", wrong)
	}
}

func TestExampleFileIsAValidConfiguration(t *testing.T) {
	secret := "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	for name, value := range map[string]string{
		"CAMPAIGNS_DB_PASSWORD": "x", "SMTP_PASSWORD": "x", "GATEWAY_TOKEN": "x",
		"GATEWAY_SIGNING_SECRET": secret, "GATEWAY_RECEIPT_SECRET": secret,
	} {
		t.Setenv(name, value)
	}
	text, err := os.ReadFile("../../docs/campaigns.example.yaml")
	require.NoError(t, err)
	cfg, fs := configured(t, string(text))
	require.NoError(t, fs.err())
	cs, fs := makeCarriers(cfg.Carriers, cfg.publicURL(cfg.Listen))
	require.NoError(t, fs.err())
	t.Cleanup(cs.Close)
	require.Len(t, cs.lanes, 2)
}

func TestEverySettingIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	for _, s := range settings {
		require.Contains(t, string(text), "| `"+s.key+"` | `"+s.env()+"` | `--"+s.flag()+"` |")
	}
}

func TestPublicURLFollowsTheListener(t *testing.T) {
	for listened, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", "0.0.0.0:80": "http://localhost:80", ":8080": "http://localhost:8080",
		"[::]:8080": "http://localhost:8080", "[::1]:8080": "http://[::1]:8080", "api.example:8080": "http://api.example:8080",
	} {
		require.Equal(t, want, (&Config{}).publicURL(listened))
	}
	require.Equal(t, "https://c.example", (&Config{PublicURL: "https://c.example"}).publicURL("127.0.0.1:1"))
}

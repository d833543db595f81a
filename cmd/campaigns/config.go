package main

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Config is what a process is told. docs/configuration.md explains each key.
type Config struct {
	Listen       string        `koanf:"listen"`
	Database     string        `koanf:"database"`
	PublicURL    string        `koanf:"public_url"` // no slash at the end; "" for the address listened on
	HealthListen string        `koanf:"health_listen"`
	DebugListen  string        `koanf:"debug_listen"`
	API          bool          `koanf:"api"`
	Workers      bool          `koanf:"workers"`
	RateLimits   bool          `koanf:"rate_limits"`
	Origins      []string      `koanf:"allowed_origins"`
	DrainTimeout time.Duration `koanf:"drain_timeout"`
	RetryMaxAge  time.Duration `koanf:"retry_max_age"`
	Retention    time.Duration `koanf:"messages_retention"` // 0 keeps messages for ever
	Log          LogConfig     `koanf:"log"`

	// Carriers are as written; makeCarriers understands them. Only serve and
	// worker do, so that the others need none of the carriers' secrets.
	Carriers []map[string]any `koanf:"carriers"`
}

// LogConfig says what is logged to standard error and how.
type LogConfig struct {
	Level  string `koanf:"level"`  // debug, info, warn or error
	Format string `koanf:"format"` // text or json
}

// setting is a key that has a default and may come from anywhere: "log.level"
// is log: {level: …} in the file, CAMPAIGNS_LOG_LEVEL in the environment and
// --log-level among the flags.
type setting struct {
	key   string
	value any // the default: a string, bool, time.Duration or []string
	usage string
}

var settings = []setting{
	{"listen", "127.0.0.1:8080", "address the API listens on, host:port"},
	{"database", "sqlite:data/campaigns.db", "sqlite:PATH or postgres://…"},
	{"public_url", "", "where the world reaches the API (default: the address listened on)"},
	{"health_listen", "", "address for /healthz, /readyz and /carriers, not for the world"},
	{"debug_listen", "", "address for profiles and memory figures, for operators; it asks for no key"},
	{"api", true, "serve the API"},
	{"workers", true, "send campaigns and work imports"},
	{"rate_limits", true, "hold each key to the limits that openapi.yaml names"},
	{"allowed_origins", []string{}, "web origins whose pages may call the API, separated by commas; * is any"},
	{"drain_timeout", 20 * time.Second, "how long requests and messages on their way may take at the end"},
	{"retry_max_age", 6 * time.Hour, "how long after its first attempt a message is still tried again"},
	{"messages_retention", "0", "drop the messages of campaigns that ended so long ago, such as 90d; 0 never does"},
	{"log.level", "info", "debug, info, warn or error"},
	{"log.format", "text", "text or json"},
}

const configFlag = "config"

func (s setting) flag() string { return strings.NewReplacer("_", "-", ".", "-").Replace(s.key) }

func (s setting) env() string {
	return "CAMPAIGNS_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// addSettings makes flags of the settings named, in the order of the table.
func addSettings(flags *pflag.FlagSet, keys ...string) {
	flags.SortFlags = false
	for _, s := range settings {
		if !slices.Contains(keys, s.key) {
			continue
		}
		switch v := s.value.(type) {
		case string:
			flags.String(s.flag(), v, s.usage)
		case bool:
			flags.Bool(s.flag(), v, s.usage)
		case time.Duration:
			flags.Duration(s.flag(), v, s.usage)
		case []string:
			flags.StringSlice(s.flag(), v, s.usage)
		}
	}
}

// readConfig puts the configuration together: a flag wins over the environment,
// the environment over the file, the file over the default. It checks all but
// the carriers and returns every fault at once.
func readConfig(flags *pflag.FlagSet) (cfg Config, fs faults) {
	k := koanf.New(".")
	must(k.Load(confmap.Provider(defaults(), "."), nil))
	fs = loadFile(k, flags)
	must(k.Load(env.Provider(".", env.Opt{TransformFunc: fromEnv}), nil))
	must(k.Load(posflag.ProviderWithFlag(flags, ".", k, fromFlags(flags)), nil))
	fs.decode(k.Raw(), "", &cfg)
	for _, f := range cfg.check() {
		if !fs.have(f) { // of a value that could not be read, once is enough
			fs = append(fs, f)
		}
	}
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	return cfg, fs
}

// must holds for maps that are in memory: nothing can fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func defaults() map[string]any {
	m := map[string]any{}
	for _, s := range settings {
		m[s.key] = s.value
	}
	return m
}

// loadFile reads the file that --config or CAMPAIGNS_CONFIG names, if any.
func loadFile(k *koanf.Koanf, flags *pflag.FlagSet) (fs faults) {
	path := os.Getenv("CAMPAIGNS_CONFIG")
	if f := flags.Lookup(configFlag); f != nil && f.Changed {
		path = f.Value.String()
	}
	if path == "" {
		return nil
	}
	written := koanf.New(".")
	if err := written.Load(file.Provider(path), yaml.Parser()); err != nil {
		fs.add("", "read %s: %v", path, err)
		return fs
	}
	tree := written.Raw()
	for key, value := range tree {
		if key != "carriers" {
			tree[key] = fs.expand(key, value)
		}
	}
	must(k.Load(confmap.Provider(tree, ""), nil))
	return fs
}

// fromEnv takes the variables that are named after a setting. Others may begin
// with CAMPAIGNS_ as well: Kubernetes makes some for a service of that name.
func fromEnv(name, value string) (key string, _ any) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.env() == name })
	if i < 0 || value == "" {
		return "", nil
	}
	return settings[i].key, value
}

// fromFlags takes the flags that were given and are named after a setting.
func fromFlags(flags *pflag.FlagSet) func(*pflag.Flag) (string, any) {
	return func(f *pflag.Flag) (key string, _ any) {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.flag() == f.Name })
		if i < 0 || !f.Changed {
			return "", nil
		}
		return settings[i].key, posflag.FlagVal(flags, f)
	}
}

package main

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// check says all that is wrong with values that stand alone.
func (c *Config) check() (fs faults) {
	fs.address("listen", c.Listen)
	if c.HealthListen != "" {
		fs.address("health_listen", c.HealthListen)
	}
	if c.DebugListen != "" {
		fs.address("debug_listen", c.DebugListen)
	}
	if !isDatabase(c.Database) {
		fs.add("database", "must be sqlite:PATH or postgres://…") // what is there may hold a password
	}
	if c.PublicURL != "" && !isBaseURL(c.PublicURL) {
		fs.add("public_url", "must be an http or https address without query, such as https://campaigns.example.com")
	}
	for _, o := range c.Origins {
		if o != "*" && !isOrigin(o) {
			fs.add("allowed_origins", "%q must be an origin such as https://app.example.com, or *", o)
		}
	}
	fs.duration("drain_timeout", c.DrainTimeout, time.Second, 10*time.Minute)
	fs.duration("retry_max_age", c.RetryMaxAge, time.Minute, 7*24*time.Hour)
	if c.Retention != 0 {
		fs.duration("messages_retention", c.Retention, time.Hour, 100*365*24*time.Hour)
	}
	fs.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	fs.oneOf("log.format", c.Log.Format, "text", "json")
	return fs
}

func (fs *faults) address(key, value string) {
	_, port, err := net.SplitHostPort(value)
	if _, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil {
		fs.add(key, "%q must be host:port, such as 127.0.0.1:8080", value)
	}
}

// duration also catches a number without unit, which would be nanoseconds.
func (fs *faults) duration(key string, value, low, high time.Duration) {
	if value < low || value > high {
		fs.add(key, "%s must be between %s and %s", value, low, high)
	}
}

func (fs *faults) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		fs.add(key, "%q must be one of %s", value, strings.Join(allowed, ", "))
	}
}

func isDatabase(dsn string) bool {
	scheme, rest, _ := strings.Cut(dsn, ":")
	return rest != "" && (scheme == "sqlite" || scheme == "postgres" || scheme == "postgresql")
}

func isBaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") &&
		u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && isBaseURL(s) && u.Path == ""
}

package main

import (
	"io"
	"log/slog"
)

// newLogger logs as configured, and makes all that logs by default do so too.
func newLogger(cfg LogConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	must(level.UnmarshalText([]byte(cfg.Level))) // checked with the configuration
	options := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, options)
	if cfg.Format == "json" {
		h = slog.NewJSONHandler(w, options)
	}
	log := slog.New(h)
	slog.SetDefault(log)
	return log
}

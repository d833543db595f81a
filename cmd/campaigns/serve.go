package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/campaigns-api/campaigns/delivery"
	"github.com/campaigns-api/campaigns/server"
	"github.com/campaigns-api/campaigns/store"
)

func newServe() *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "Serve the API and send campaigns", Args: cobra.NoArgs,
		Long: `serve answers the API and sends campaigns. Either part can be switched off; any
number of processes may share one PostgreSQL, one may send from an SQLite file.

It ends on SIGTERM or Ctrl-C: requests and messages on their way are finished, the
rest is given back. A second signal ends it at once, which loses nothing either but
may repeat a few messages.`,
		Example: `  campaigns serve --dev
  campaigns serve --config /etc/campaigns.yaml
  campaigns serve --database postgres://campaigns@db.example/campaigns --workers=false`,
	}
	dev := c.Flags().Bool("dev", false, "development mode: an account demo with made-up data and a key that everybody knows")
	for _, s := range settings {
		addSettings(c.Flags(), s.key)
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, faults := readConfig(cmd.Flags())
		return serve(cmd, cfg, faults, *dev)
	}
	return c
}

func newWorker() *cobra.Command {
	c := &cobra.Command{
		Use: "worker", Short: "Send campaigns and work imports, without the API", Args: cobra.NoArgs,
		Long: `worker is serve --api=false: it sends campaigns and works imports for an API that
other processes serve on the same database. With --health-listen it answers /healthz,
/readyz and /carriers there.`,
		Example: `  campaigns worker --config /etc/campaigns.yaml
  campaigns worker --database postgres://campaigns@db.example/campaigns --health-listen :8081`,
	}
	addSettings(c.Flags(), "database", "public_url", "health_listen", "debug_listen", "drain_timeout", "retry_max_age", "messages_retention", "log.level", "log.format")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, faults := readConfig(cmd.Flags())
		cfg.API, cfg.Workers = false, true
		return serve(cmd, cfg, faults, false)
	}
	return c
}

// process is what runs: the parts that are configured, on one database.
type process struct {
	Config
	dev      bool
	log      *slog.Logger
	store    *store.Store
	carriers carriers
}

// serve runs until the command's context ends and all is drained. It adds to the
// faults what is wrong with the carriers and starts only without any.
func serve(cmd *cobra.Command, cfg Config, faults faults, dev bool) error {
	if !cfg.API && !cfg.Workers {
		faults.add("api, workers", "one of them must be on")
	}
	made, wrong := makeCarriers(cfg.Carriers, cfg.publicURL(cfg.Listen))
	faults = append(faults, wrong...)
	if err := faults.err(); err != nil {
		return err
	}
	defer made.Close()
	p := &process{Config: cfg, dev: dev, log: newLogger(cfg.Log, cmd.ErrOrStderr()), carriers: made}

	if err := p.openStore(cmd.Context()); err != nil {
		return p.unlessEnded(cmd.Context(), err)
	}
	defer func() { _ = p.store.Close() }()
	parts, ctx := errgroup.WithContext(cmd.Context())
	if err := p.start(ctx, parts, cmd.OutOrStdout()); err != nil {
		parts.Go(func() error { return err }) // ends those that have started
	}
	err := parts.Wait()
	p.log.Info("ended")
	return err
}

// unlessEnded is err, unless the process was told to end: then what failed is
// worth no more than a line in the log.
func (p *process) unlessEnded(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		if err != nil {
			p.log.Warn("not all ended in order", "error", err)
		}
		return nil
	default:
		return err
	}
}

// openStore opens the database and brings it to where the parts need it. A
// process that sends from an SQLite file first makes sure that it is alone.
func (p *process) openStore(ctx context.Context) (err error) {
	if p.store, err = awaitDatabase(ctx, p.Database, p.log); err != nil {
		return err
	}
	if p.Workers {
		err = p.store.Exclusive()
	}
	if err == nil {
		_, err = p.store.Migrate(ctx)
	}
	if err == nil && p.dev {
		err = p.store.SeedDemo(ctx, server.DemoKey)
	}
	if err != nil {
		return errors.Join(err, p.store.Close())
	}
	return nil
}

// start starts the parts. One that fails ends the others.
func (p *process) start(ctx context.Context, parts *errgroup.Group, out io.Writer) error {
	at := p.publicURL(p.Listen)
	if p.API {
		l, err := net.Listen("tcp", p.Listen)
		if err != nil {
			return fmt.Errorf("listen for the API: %w", err)
		}
		at = p.publicURL(l.Addr().String())
		h, err := server.New(server.Options{
			Store: p.store, Log: p.log, PublicURL: at, Development: p.dev, ReceiptSecrets: p.carriers.receiptSecrets,
			RateLimits: p.RateLimits, AllowedOrigins: p.Origins,
		})
		if err != nil {
			return errors.Join(err, l.Close())
		}
		p.serveOn(ctx, parts, l, h)
		parts.Go(func() error {
			p.keepKeyUses(ctx)
			return nil
		})
		p.log.Info("listening on http://" + l.Addr().String())
		if p.dev {
			printDemoHints(out, at, l.Addr())
		}
	}
	var engine *delivery.Engine
	if p.Workers {
		engine = p.newEngine(at)
	}
	if p.HealthListen != "" {
		l, err := net.Listen("tcp", p.HealthListen)
		if err != nil {
			return fmt.Errorf("listen for health checks: %w", err)
		}
		p.serveOn(ctx, parts, l, health(p.store, engine))
	}
	if p.DebugListen != "" {
		l, err := net.Listen("tcp", p.DebugListen)
		if err != nil {
			return fmt.Errorf("listen for debugging: %w", err)
		}
		p.serveOn(ctx, parts, l, debugging())
		if !isLoopback(p.DebugListen) {
			p.log.Warn("debug_listen is not on this machine alone: whoever reaches it sees profiles and the command line", "debug_listen", p.DebugListen)
		}
	}
	if p.Workers {
		p.startWorkers(ctx, parts, engine)
	}
	return nil
}

func (p *process) serveOn(ctx context.Context, parts *errgroup.Group, l net.Listener, h http.Handler) {
	parts.Go(func() error { return serveHTTP(ctx, l, h, p.DrainTimeout, p.log) })
}

const (
	keepKeyUsesEvery = 5 * time.Second
	keepKeyUsesLimit = 5 * time.Second // an import may hold SQLite's writer for a while
)

// keepKeyUses keeps, until ctx ends and once more then, when keys were used last.
func (p *process) keepKeyUses(ctx context.Context) {
	tick := time.NewTicker(keepKeyUsesEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepKeyUsesLimit)
		if err := p.store.KeepKeyUses(limited); err != nil {
			p.log.Warn("keys' last uses are not kept yet", "error", err)
		}
		cancel()
	}
}

func (p *process) newEngine(publicURL string) *delivery.Engine {
	if p.PublicURL == "" && len(p.carriers.lanes) > 0 {
		p.log.Warn("public_url is not set: links in messages and addresses for receipts lead to "+publicURL, "public_url", publicURL)
	}
	for _, name := range p.carriers.discards {
		p.log.Warn("carrier "+name+" throws every message away: its type is discard", "carrier", name)
	}
	return delivery.New(p.store, delivery.Options{
		Log: p.log, PublicURL: publicURL, Lanes: p.carriers.lanes,
		RetryMaxAge: p.RetryMaxAge, DrainTimeout: p.DrainTimeout, Retention: p.Retention,
	})
}

func (p *process) startWorkers(ctx context.Context, parts *errgroup.Group, engine *delivery.Engine) {
	importer := delivery.NewImporter(p.store, p.log)
	parts.Go(func() error { return p.unlessEnded(ctx, engine.Run(ctx)) })
	parts.Go(func() error {
		importer.Run(ctx)
		return nil
	})
}

// publicURL is where the world reaches the API: as configured, else the address
// listened on, by name if that is every address of the machine.
func (c *Config) publicURL(listened string) string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	host, port, _ := net.SplitHostPort(listened)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

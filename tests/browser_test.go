package tests

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser is a headless Chromium with an empty profile and one tab, which can
// reach 127.0.0.1 alone.
type browser struct {
	t    *testing.T
	tab  context.Context
	mu   sync.Mutex
	seen []string // addresses that the tab asked for
	bad  []string // what it complained about
}

// chromium finds one on PATH. Without one a test is skipped, or fails when the
// environment sets CI.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	const missing = "no Chromium on PATH: install one (Debian: apt-get install chromium; Fedora: dnf install chromium)"
	if os.Getenv("CI") != "" {
		require.FailNow(t, missing)
	}
	t.Skip(missing)
	return ""
}

func TestThereIsABrowser(t *testing.T) {
	require.FileExists(t, chromium(t))
}

// openBrowser starts one, which ends with the test.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(patience),
		chromedp.WindowSize(1440, 1000),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to run as root otherwise
	}
	b := &browser{t: t}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	b.tab, cancel = chromedp.NewContext(ctx, chromedp.WithListener(b.hear))
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(b.tab)) // starts it; it lives as long as this context
	return b
}

// hear notes what the tab asks for and what it complains about.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.seen = append(b.seen, e.Request.URL)
	case *network.EventWebSocketCreated:
		b.seen = append(b.seen, e.URL)
	case *runtime.EventExceptionThrown:
		said := "exception: " + e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			said += " " + thrown.Description
		}
		b.bad = append(b.bad, said)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			said := "console:"
			for _, arg := range e.Args {
				said += " " + cmp.Or(arg.Description, string(arg.Value))
			}
			b.bad = append(b.bad, said)
		}
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			b.bad = append(b.bad, fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL))
		}
	}
}

// do does one thing after the other, waiting for what each needs.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for i, step := range steps {
		_, err := doing(b, step)
		require.NoError(b.t, err, "step %d; complaints: %q", i, b.complaints())
	}
}

// see is what an action gives.
func see[T any](b *browser, a chromedp.Action[T]) T {
	b.t.Helper()
	v, err := doing(b, a)
	require.NoError(b.t, err, "complaints: %q", b.complaints())
	return v
}

func doing[T any](b *browser, a chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	return chromedp.Run(ctx, a)
}

func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.bad)
}

// asked are the addresses that the tab asked for, without those that hold what
// they name themselves.
func (b *browser) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.seen), func(address string) bool {
		return strings.HasPrefix(address, "data:") || strings.HasPrefix(address, "blob:")
	})
}

// strangers are those that lie on another server.
func (b *browser) strangers(server string) []string {
	return slices.DeleteFunc(b.asked(), func(address string) bool {
		return address == server || strings.HasPrefix(address, server+"/")
	})
}

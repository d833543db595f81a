package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// bars draws progress bars one after the other, on a terminal only.
type bars struct {
	w       io.Writer
	visible bool
	last    *progressbar.ProgressBar
}

func newBars(w io.Writer) *bars {
	file, ok := w.(*os.File)
	return &bars{w: w, visible: ok && term.IsTerminal(int(file.Fd()))}
}

// bytes is a bar for size bytes, -1 if nobody knows how many.
func (b *bars) bytes(what string, size int64) *progressbar.ProgressBar {
	return b.draw(size, what, progressbar.OptionShowBytes(true))
}

func (b *bars) rows(what string, n int64) *progressbar.ProgressBar {
	return b.draw(n, what, progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"))
}

func (b *bars) draw(n int64, what string, more ...progressbar.Option) *progressbar.ProgressBar {
	b.last = progressbar.NewOptions64(n, append(more,
		progressbar.OptionSetWriter(b.w), progressbar.OptionSetVisibility(b.visible), progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionShowCount(), progressbar.OptionSetWidth(30))...)
	return b.last
}

// end completes the last bar, or leaves it where it failed, and starts a new line.
func (b *bars) end(err error) {
	if err == nil {
		_ = b.last.Finish()
	} else {
		_ = b.last.Exit()
	}
	if b.visible {
		fmt.Fprintln(b.w)
	}
}

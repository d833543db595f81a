package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is how long a part may take to start, to end, or to show progress.
const patience = time.Minute

// process is a part of what is measured. One that ends before it is stopped ends
// the whole run.
type process struct {
	name     string
	cmd      *exec.Cmd
	log      string // path of what it writes to standard error
	stdin    io.Closer
	stdout   *bufio.Reader
	stopping atomic.Bool
	ended    chan struct{}
	err      error // of its end; set once ended is closed
}

// launch starts the program with arguments. fail is told why it ended if nobody
// stopped it.
func launch(ctx context.Context, fail context.CancelCauseFunc, dir, name, program string, args ...string) (*process, error) {
	// Not bound to ctx: what is measured ends in order, by stop.
	p := &process{
		name: name, cmd: exec.CommandContext(context.WithoutCancel(ctx), program, args...),
		log: filepath.Join(dir, name+".log"), ended: make(chan struct{}),
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	p.cmd.Stderr = log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
		if !p.stopping.Load() {
			fail(p.tell("ended by itself: " + p.cmd.ProcessState.String()))
		}
	}()
	return p, nil
}

// tell is an error of how it ended, or of what it does not do, with what it wrote
// to standard error.
func (p *process) tell(how any) error {
	said, _ := os.ReadFile(p.log)
	return errors.New(strings.TrimSpace(fmt.Sprintf("%s: %s\n%s", p.name, how, said)))
}

// line decodes the line of JSON that the process prints first.
func (p *process) line(to any) error {
	text, err := p.stdout.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// stop tells it to end and waits until it has.
func (p *process) stop() error {
	p.stopping.Store(true)
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	if p.err != nil {
		return p.tell(p.err)
	}
	return nil
}

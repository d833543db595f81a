package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// process is a running program of PostgreSQL.
type process struct {
	*os.Process
	exited chan struct{} // closed when it is gone
	err    error         // why it ended; set once exited is closed
}

// launch starts a program as the server's user and puts it under the guard. It
// gets a process group of its own: a Ctrl-C at the terminal is for the test
// process, and the guard sees to the rest.
func (c *Cluster) launch(program string, args ...string) (*process, error) {
	cmd := exec.CommandContext(context.Background(), filepath.Join(c.programs, program), args...)
	cmd.Dir = c.dir
	if c.library != "" {
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+c.library, "FAKETIME_TIMESTAMP_FILE="+c.clockFile(),
			"FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_DISABLE_SHM=1")
	}
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.user}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	p := &process{Process: cmd.Process, exited: make(chan struct{})}
	_, told := fmt.Fprintln(c.leash, p.Pid)
	go func() {
		err := cmd.Wait()
		_, untold := fmt.Fprintln(c.leash)
		p.err = errors.Join(err, told, untold)
		close(p.exited)
	}()
	return p, nil
}

// guardScript removes the cluster when the test process is gone, in whatever
// way, SIGKILL included: the kernel then closes the standard input. Until then
// each line is the process to kill, or empty for none. The waits are bounded,
// because a dead process that nobody reaps looks alive for ever.
//
// A server that was started but not yet named on a line ends by itself within a
// minute of losing its directory.
const guardScript = `
while read -r line; do process=$line; done
if [ -n "$process" ] && kill -QUIT "$process"; then
	i=0
	while kill -0 "$process" && [ $i -lt 100 ]; do i=$((i+1)); sleep 0.1; done
fi
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
`

// watch opens the log and starts the guard, which runs as ourselves: it must be
// able to signal the server's user and to remove what that wrote.
func (c *Cluster) watch() (err error) {
	if c.log, err = os.Create(filepath.Join(c.dir, "log")); err != nil {
		return err
	}
	c.guard = exec.CommandContext(context.Background(), "sh", "-c", guardScript, "guard", c.dir)
	c.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.leash, err = c.guard.StdinPipe(); err == nil {
		err = c.guard.Start()
	}
	return err
}

// remove lets the guard do its work now, and waits for it.
func (c *Cluster) remove() error {
	return errors.Join(c.leash.Close(), c.guard.Wait(), c.log.Close())
}

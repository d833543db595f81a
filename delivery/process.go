package delivery

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// thisProcess names this process so that others on its machine can tell when it
// has ended: the machine since it was started, the namespace of process numbers
// (a container has one of its own), and the number. Linux only; elsewhere "".
func thisProcess() string {
	place := here()
	if place == "" {
		return ""
	}
	return place + strconv.Itoa(os.Getpid())
}

// here is what the names of all processes have in common that can be seen from
// this one.
func here() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + "/" + namespace + "/"
}

// ended says whether a process with such a name is known to run no more. Nothing
// is known of those elsewhere, nor when the number is in use again.
func ended(process string) bool {
	place := here()
	number, ok := strings.CutPrefix(process, place)
	if !ok || place == "" {
		return false
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return false
	}
	p, err := os.FindProcess(n)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }()
	return errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

package delivery

import "time"

// Hurry makes an engine's leases and the wait before a second attempt short.
func (e *Engine) Hurry(lease, retryLease, firstWait time.Duration) {
	e.timing = timing{lease: lease, retryLease: retryLease, firstWait: firstWait}
}

// What a process knows of others on its machine.
var (
	ThisProcess = thisProcess
	Ended       = ended
)

package store

import "fmt"

// Mode keeps test and live data apart: it is part of every query and of every
// unique key.
type Mode int16

// The modes.
const (
	Test Mode = 1
	Live Mode = 2
)

func (m Mode) String() string {
	if m == Live {
		return "live"
	}
	return "test"
}

// ParseMode takes "test" or "live".
func ParseMode(s string) (Mode, error) {
	switch s {
	case "test":
		return Test, nil
	case "live":
		return Live, nil
	}
	return 0, fmt.Errorf("mode %q: must be test or live", s)
}

// Scope is whose data a call may see and change. Nothing outside it exists for
// the caller.
type Scope struct {
	Account int64
	Mode    Mode
}

// in is the condition that every query of an account's data starts with.
func (sc Scope) in() (string, int64, Mode) { return "account_id = ? AND mode = ?", sc.Account, sc.Mode }

// Channel is how a message travels.
type Channel string

// The channels.
const (
	SMS      Channel = "sms"
	WhatsApp Channel = "whatsapp"
	RCS      Channel = "rcs"
	Viber    Channel = "viber"
	Email    Channel = "email"
)

// Channels are all of them, in the order of the contract.
var Channels = []Channel{SMS, WhatsApp, RCS, Viber, Email}

// bit is the channel's place in Contact.OptedOut. The numbers are stored: they
// never change.
func (c Channel) bit() ChannelSet {
	for i, x := range Channels {
		if x == c {
			return 1 << i
		}
	}
	return 0
}

// ChannelSet is a set of channels, one bit each.
type ChannelSet int16

// SetOf makes a set.
func SetOf(cs ...Channel) (set ChannelSet) {
	for _, c := range cs {
		set |= c.bit()
	}
	return set
}

// Has says whether c is in the set.
func (s ChannelSet) Has(c Channel) bool { return s&c.bit() != 0 }

// List gives the channels in the order of the contract.
func (s ChannelSet) List() []Channel {
	out := []Channel{}
	for _, c := range Channels {
		if s.Has(c) {
			out = append(out, c)
		}
	}
	return out
}

package server

import (
	"strconv"
	"strings"

	"github.com/campaigns-api/campaigns/store"
)

// etag names a campaign's version, for If-Match.
func etag(c *store.Campaign) *string {
	tag := `"` + strconv.Itoa(c.Version) + `"`
	return &tag
}

// expecting makes a change happen only to a campaign that the header If-Match
// names; without the header, to any.
func expecting(ifMatch *string, change func(*store.Campaign) error) func(*store.Campaign) error {
	if ifMatch == nil {
		return change
	}
	return func(c *store.Campaign) error {
		if now := *etag(c); !matches(*ifMatch, now) {
			return &store.Error{Code: codePrecondition, Message: "The campaign has changed since; its ETag is " + now + " now."}
		}
		return change(c)
	}
}

// matches compares strongly, as RFC 9110, section 13.1.1, asks: a weak tag is
// never the same. The contract has seen that the header is well-formed.
func matches(ifMatch, etag string) bool {
	if ifMatch == "*" {
		return true
	}
	for rest := ifMatch; ; {
		if rest = strings.TrimLeft(rest, ", \t"); rest == "" {
			return false
		}
		weak := strings.HasPrefix(rest, "W/")
		tag := strings.TrimPrefix(rest, "W/")
		end := strings.IndexByte(tag[1:], '"') + 2
		if !weak && tag[:end] == etag {
			return true
		}
		rest = tag[end:]
	}
}

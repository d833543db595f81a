package main

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/campaigns-api/campaigns/server"
)

// demoHints are the calls of the API's reference, host and key apart word for
// word, in an order in which each works. BASE and KEY are filled in.
const demoHints = `
Development mode. The key KEY belongs to the account "demo": 10,000
made-up contacts, a segment seg_abc123, a list lst_abc123, a template tpl_abc123
and a draft cmp_abc123, which is made again at each start. It is a test key: its
messages go to the sandbox, nothing leaves this machine. Paste away:

# Create a campaign
curl -X POST BASE/api/v1/campaigns \
  -H "X-API-Key: KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Spring Promo 2026",
    "channel": "sms",
    "segment_id": "seg_abc123",
    "body": "Hi {{first_name}}, enjoy 20% off this spring!",
    "scheduled_at": "2026-03-15T09:00:00Z"
  }'

# List campaigns
curl "BASE/api/v1/campaigns?search=spring&status=draft&channel=sms" -H "X-API-Key: KEY"

# Get one
curl BASE/api/v1/campaigns/cmp_abc123 -H "X-API-Key: KEY"

# Update it: slow enough to be paused
curl -X PUT BASE/api/v1/campaigns/cmp_abc123 \
  -H "X-API-Key: KEY" \
  -H "Content-Type: application/json" \
  -d '{"body": "Hi {{first_name}}, 20% off until Sunday!", "throttle": {"messages_per_second": 100}}'

# Send it
curl -X POST BASE/api/v1/campaigns/cmp_abc123/send \
  -H "X-API-Key: KEY"

# Pause it, see how far it is, resume it
curl -X POST BASE/api/v1/campaigns/cmp_abc123/pause -H "X-API-Key: KEY"
curl BASE/api/v1/campaigns/cmp_abc123 -H "X-API-Key: KEY"
curl -X POST BASE/api/v1/campaigns/cmp_abc123/resume -H "X-API-Key: KEY"

# Statistics of the account
curl BASE/api/v1/campaigns/stats -H "X-API-Key: KEY"

# Delete a draft
id=$(curl -s -X POST BASE/api/v1/campaigns -H "X-API-Key: KEY" \
  -H "Content-Type: application/json" -d '{"name": "Short-lived", "channel": "sms"}' | grep -o 'cmp_[0-9a-z]*' | head -n 1)
curl -i -X DELETE BASE/api/v1/campaigns/$id -H "X-API-Key: KEY"

All of it, to read and to try out: BASE/docs. Ctrl-C ends.
`

// printDemoHints prints what to paste into another terminal, and a warning if
// others than this machine may do so too.
func printDemoHints(w io.Writer, base string, listened net.Addr) {
	fmt.Fprint(w, strings.NewReplacer("BASE", base, "KEY", server.DemoKey).Replace(demoHints))
	if at, ok := listened.(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		fmt.Fprintln(w, "\nWarning: everybody knows this key, and whoever reaches this address can use it.")
	}
	fmt.Fprintln(w)
}

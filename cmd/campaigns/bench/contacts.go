package bench

import (
	"bufio"
	"fmt"
	"io"
)

var (
	firstNames = []string{"Ada", "Björn", "Chloé", "Dmitri", "Elif", "Fatima", "Grace", "Hiro", "Ines", "João"}
	lastNames  = []string{"Lovelace", "Ek", "Dubois", "Petrov", "Kaya", "Haddad", "Hopper", "Tanaka", "Moreau", "Silva"}
	countries  = []string{"DE", "FR", "GB", "US", "TR", "SE", "JP", "BR"}
)

// writeCSV writes n made-up contacts, the same ones each time.
func writeCSV(to io.Writer, n int) error {
	w := bufio.NewWriterSize(to, 1<<16)
	fmt.Fprintln(w, "external_id,phone,email,first_name,last_name,country,tags,attributes.plan,attributes.age")
	for i := range n {
		fmt.Fprintf(w, "bench-%d,+4915%09d,bench%d@example.com,%s,%s,%s,bench|t%d,gold,%d\n",
			i, i, i, firstNames[i%len(firstNames)], lastNames[i/7%len(lastNames)], countries[i%len(countries)], i%20, 18+i%60)
	}
	return w.Flush()
}

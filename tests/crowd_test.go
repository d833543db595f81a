package tests

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/campaigns-api/campaigns/gen/types"
)

// crowd is a file of n made-up contacts. Of ten, one has no mailbox and one has
// opted out of email; all have a phone number.
type crowd int

func (n crowd) csv() string {
	var b strings.Builder
	b.WriteString("external_id,phone,email,first_name,country,tags,attributes.plan,opted_out\n")
	for i := range int(n) {
		email, out := mailbox(i), ""
		switch i % 10 {
		case 3:
			email = ""
		case 7:
			out = "email"
		}
		fmt.Fprintf(&b, "c-%d,+4915112%06d,%s,Person%d,DE,spring|crowd,gold,%s\n", i, i, email, i, out)
	}
	return b.String()
}

func mailbox(i int) string { return fmt.Sprintf("person%d@example.com", i) }

// reachable is everybody that a mail may go to.
func (n crowd) reachable() (mailboxes []string) {
	for i := range int(n) {
		if i%10 != 3 && i%10 != 7 {
			mailboxes = append(mailboxes, mailbox(i))
		}
	}
	return mailboxes
}

// assemble imports the crowd into a new list.
func (a *api) assemble(n crowd) types.List {
	a.t.Helper()
	list := a.newList("Crowd")
	done := a.awaitImport(a.importFile("text/csv", n.csv(), &list.ID).ID)
	require.Equal(a.t, types.ImportRows{Processed: int64(n), Created: int64(n)}, done.Rows)
	return list
}

// importFile sends a file, for a list if one is given.
func (a *api) importFile(mediaType, file string, list *string) types.Import {
	a.t.Helper()
	created := read(a.CreateImportWithBody(a.t.Context(), &types.CreateImportParams{ListID: list}, mediaType, strings.NewReader(file)))
	return want[types.ImportEnvelope](a.t, http.StatusAccepted, created).Data
}

func (a *api) getImport(id string) types.Import {
	a.t.Helper()
	i := want[types.ImportEnvelope](a.t, http.StatusOK, read(a.GetImport(a.t.Context(), id))).Data
	require.Equal(a.t, i.Rows.Processed, i.Rows.Created+i.Rows.Updated+i.Rows.Failed)
	return i
}

// awaitImport waits until every row has been taken in or reported.
func (a *api) awaitImport(id string) (i types.Import) {
	a.t.Helper()
	began := time.Now()
	eventually(a.t, func() bool {
		i = a.getImport(id)
		require.NotEqual(a.t, types.ImportStatusFailed, i.Status, "%+v", i.Error)
		return i.Status == types.ImportStatusCompleted
	}, "the import")
	a.t.Logf("%d rows are done after %v", i.Rows.Processed, time.Since(began).Round(time.Millisecond))
	return i
}

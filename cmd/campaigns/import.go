package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/campaigns-api/campaigns/gen/client"
	"github.com/campaigns-api/campaigns/gen/types"
)

// exitInterrupted is what a shell gives a program that Ctrl-C ended.
const exitInterrupted = 130

func newContactsImport() *cobra.Command {
	c := &cobra.Command{
		Use: "import FILE|-", Short: "Import a CSV or NDJSON file of contacts", Args: cobra.ExactArgs(1),
		Long: `import uploads a file of contacts and waits until it is worked. A row that is wrong
is reported and stops nothing; the same file again makes no duplicates. The formats
are described at the API's POST /v1/imports.

Ctrl-C during the upload takes nothing in; after it, the import goes on without this
command, which says how to look at it later.

Exit codes: 0 every row was taken in, 1 a row was refused or something failed, 2 wrong
usage, 130 Ctrl-C.`,
		Example: `  export CAMPAIGNS_KEY=dv_live_sk_…
  campaigns contacts import customers.csv
  campaigns contacts import customers.csv --list lst_… --url https://campaigns.example.com
  export-customers | campaigns contacts import - --format ndjson --json`,
	}
	var f importFlags
	c.Flags().SortFlags = false
	c.Flags().StringVar(&f.list, "list", "", "a list, lst_…, to put every contact of the file into")
	c.Flags().StringVar(&f.format, "format", "", "csv or ndjson (default: by the file's extension)")
	f.server.add(c)
	f.json = addJSON(c)
	c.RunE = func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) }
	return c
}

type importFlags struct {
	list, format string
	server       clientFlags
	json         *bool
}

func (f *importFlags) run(cmd *cobra.Command, name string) error {
	contentType, err := f.contentType(name)
	if err != nil {
		return err
	}
	api, err := f.server.connect()
	if err != nil {
		return err
	}
	file, size, err := openInput(cmd, name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()

	bars := newBars(cmd.ErrOrStderr())
	up := &upload{file: file, bar: bars.bytes("uploading", size)}
	started, err := up.send(cmd.Context(), api, contentType, size, f.list)
	bars.end(err)
	if err != nil {
		if cmd.Context().Err() != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), "Stopped; nothing of the file is taken in.")
			return exitCode(exitInterrupted)
		}
		return fmt.Errorf("upload %s: %w", name, err)
	}
	w := waiter{api: api, bar: bars.rows("importing", up.rows(contentType))}
	done, err := w.wait(cmd.Context(), started)
	bars.end(err)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "The import goes on without this command. To look at it later:\n  curl %s -H \"X-API-Key: $CAMPAIGNS_KEY\"\n", importURL(api, started.ID))
		if cmd.Context().Err() != nil {
			return exitCode(exitInterrupted)
		}
		return fmt.Errorf("wait for import %s: %w", started.ID, err)
	}
	return f.conclude(cmd, api, done)
}

// contentType is that of the format, which the extension tells unless a flag does.
func (f *importFlags) contentType(name string) (string, error) {
	format := f.format
	if format == "" {
		format = strings.TrimPrefix(strings.ToLower(filepath.Ext(name)), ".")
	}
	switch format {
	case "csv":
		return "text/csv", nil
	case "ndjson", "jsonl":
		return "application/x-ndjson", nil
	}
	return "", usageError{errors.New("say what the file is: --format csv or --format ndjson")}
}

// openInput opens the file, or standard input for "-"; size is -1 if it is not known.
func openInput(cmd *cobra.Command, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), -1, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err // names the file
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory", name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	if !info.Mode().IsRegular() {
		return file, -1, nil // a pipe
	}
	return file, info.Size(), nil
}

// upload is a file on its way; reading it moves the bar and counts its lines.
type upload struct {
	file  io.Reader
	bar   io.Writer
	lines int64
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.file.Read(p)
	u.lines += int64(bytes.Count(p[:n], []byte{'\n'}))
	_, _ = u.bar.Write(p[:n])
	return n, err
}

// rows estimates how many contacts went up: quoted line breaks count as rows too.
func (u *upload) rows(contentType string) int64 {
	if contentType == "text/csv" {
		return max(u.lines-1, 1)
	}
	return max(u.lines, 1)
}

// send uploads the file. It asks first, so that a refusal costs no upload.
func (u *upload) send(ctx context.Context, api *client.ClientWithResponses, contentType string, size int64, list string) (types.Import, error) {
	var params types.CreateImportParams
	if list != "" {
		params.ListID = &list
	}
	res, err := api.CreateImportWithBodyWithResponse(ctx, &params, contentType, u, func(_ context.Context, r *http.Request) error {
		r.ContentLength = size
		r.Header.Set("Expect", "100-continue")
		return nil
	})
	if err != nil {
		return types.Import{}, err
	}
	if err := answered(res.HTTPResponse, res.Body, http.StatusAccepted); err != nil {
		return types.Import{}, err
	}
	if res.JSON202 == nil {
		return types.Import{}, errors.New("the server's answer is not what the API promises")
	}
	return res.JSON202.Data, nil
}

// importURL is where the import can be looked at.
func importURL(api *client.ClientWithResponses, id string) string {
	server := ""
	if c, ok := api.ClientInterface.(*client.Client); ok {
		server = c.Server
	}
	return server + "v1/imports/" + id
}

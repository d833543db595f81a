package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/campaigns-api/campaigns/gen/client"
	"github.com/campaigns-api/campaigns/gen/types"
)

// Polling starts fast, for small files, and becomes slow. A server that does
// not answer (it restarts, say) is asked again for a while.
const (
	firstPoll    = 100 * time.Millisecond
	slowestPoll  = 2 * time.Second
	pollPatience = 2 * time.Minute
	pollTimeout  = 10 * time.Second
	shownErrors  = 20
)

// waiter watches an import to its end.
type waiter struct {
	api *client.ClientWithResponses
	bar *progressbar.ProgressBar
}

func (w *waiter) wait(ctx context.Context, im types.Import) (types.Import, error) {
	pause, answeredAt := firstPoll, time.Now()
	for im.Status != types.ImportStatusCompleted && im.Status != types.ImportStatusFailed {
		select {
		case <-ctx.Done():
			return im, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(pause*5/4, slowestPoll)
		now, err := w.look(ctx, im.ID)
		var refused *refusal
		switch {
		case err == nil:
			im, answeredAt = now, time.Now()
			_ = w.bar.Set64(min(im.Rows.Processed, w.bar.GetMax64()))
		case errors.As(err, &refused) && !refused.passing(), time.Since(answeredAt) > pollPatience:
			return im, err
		}
	}
	return im, nil
}

func (w *waiter) look(ctx context.Context, id string) (types.Import, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	res, err := w.api.GetImportWithResponse(ctx, id)
	if err != nil {
		return types.Import{}, err
	}
	if err := answered(res.HTTPResponse, res.Body, http.StatusOK); err != nil {
		return types.Import{}, err
	}
	if res.JSON200 == nil {
		return types.Import{}, errors.New("the server's answer is not what the API promises")
	}
	return res.JSON200.Data, nil
}

// conclude prints what became of the import and the first of its errors.
func (f *importFlags) conclude(cmd *cobra.Command, api *client.ClientWithResponses, im types.Import) error {
	var faults []types.ImportError
	if im.Rows.Failed > 0 {
		limit := shownErrors
		res, err := api.ListImportErrorsWithResponse(cmd.Context(), im.ID, &types.ListImportErrorsParams{Limit: &limit})
		if err != nil {
			return fmt.Errorf("read the errors of import %s: %w", im.ID, err)
		}
		if err := answered(res.HTTPResponse, res.Body, http.StatusOK); err != nil {
			return fmt.Errorf("read the errors of import %s: %w", im.ID, err)
		}
		if res.JSON200 != nil {
			faults = res.JSON200.Data
		}
	}
	if err := f.print(cmd.OutOrStdout(), importView{im, faults}); err != nil {
		return err
	}
	if im.Status == types.ImportStatusFailed || im.Rows.Failed > 0 {
		return exitCode(exitFailed)
	}
	return nil
}

// importView is an import as programs read it.
type importView struct {
	types.Import
	Errors []types.ImportError `json:"errors,omitempty"` // the first of them
}

func (f *importFlags) print(w io.Writer, v importView) error {
	if *f.json {
		return printJSON(w, v)
	}
	if v.Error != nil {
		fmt.Fprintf(w, "%s failed: %s\n", v.ID, v.Error.Message)
	}
	r := v.Rows
	_, err := fmt.Fprintf(w, "%s: %d rows: %d created, %d updated, %d failed\n", v.ID, r.Processed, r.Created, r.Updated, r.Failed)
	for _, e := range v.Errors {
		field := ""
		if e.Field != nil {
			field = *e.Field + " "
		}
		_, err = fmt.Fprintf(w, "  line %d: %s%s\n", e.Line, field, e.Message)
	}
	if len(v.Errors) == shownErrors {
		_, err = fmt.Fprintf(w, "  the rest: GET /v1/imports/%s/errors\n", v.ID)
	}
	return err
}

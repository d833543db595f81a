package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/server/contract"
	"github.com/campaigns-api/campaigns/store"
)

// CreateImport takes in a file as it comes and answers when it is here whole.
func (s *Server) CreateImport(ctx context.Context, req apiserver.CreateImportRequestObject) (apiserver.CreateImportResponseObject, error) {
	o := store.ImportOptions{Format: store.NDJSON, List: value(req.Params.ListID), Request: importRequest(req)}
	if strings.HasPrefix(req.ContentType, "text/csv") { // the validator has put it in lower case
		o.Format = store.CSV
	}
	var body io.Reader = upload{req.Body}
	if d := req.Params.ContentDigest; d != nil {
		body = &digested{r: body, sum: sha256.New(), want: *d}
	}
	im, repeated, err := s.Store.CreateImport(ctx, scope(ctx), o, body)
	if err != nil {
		return nil, err
	}
	out := apiserver.CreateImport202JSONResponse{Body: types.ImportEnvelope{Data: contactImport(&im), Meta: meta(ctx)}}
	if repeated {
		out.Headers.IdempotentReplayed = &repeated
		if _, err := io.Copy(io.Discard, upload{req.Body}); err != nil { // a client that is still sending would not see the answer
			return nil, fmt.Errorf("read a file sent again: %w", err)
		}
	}
	return out, nil
}

// importRequest is what makes an import with an Idempotency-Key the same: not
// its bytes, which are not here yet, but what is said of them.
func importRequest(req apiserver.CreateImportRequestObject) *store.Request {
	if req.Params.IdempotencyKey == nil {
		return nil
	}
	said := strings.Join([]string{req.ContentType, value(req.Params.ListID), value(req.Params.ContentDigest)}, "\x00")
	return &store.Request{Method: http.MethodPost, Path: "/v1/imports", Key: *req.Params.IdempotencyKey, Fingerprint: sha256.Sum256([]byte(said))}
}

// errBrokenOff is a body that the caller began and did not end.
var errBrokenOff = errors.New("the body broke off")

// upload is a file as it comes in. It tells the caller's failures to send from
// everything else that can fail.
type upload struct{ io.Reader }

func (u upload) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	var refused *contract.Violation // it is too large
	if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &refused) {
		err = fmt.Errorf("%w: %w", errBrokenOff, err)
	}
	return n, err
}

// digested is a file that must have the digest given, as RFC 9530 writes it.
type digested struct {
	r    io.Reader
	sum  hash.Hash
	want string
}

func (d *digested) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.sum.Write(p[:n])
	if err == io.EOF && d.want != "sha-256=:"+base64.StdEncoding.EncodeToString(d.sum.Sum(nil))+":" {
		err = &store.Error{Code: store.CodeValidation, Message: "The file is not the one that Content-Digest names; nothing of it was kept."}
	}
	return n, err
}

// ListImports gives one page of imports.
func (s *Server) ListImports(ctx context.Context, req apiserver.ListImportsRequestObject) (apiserver.ListImportsResponseObject, error) {
	ims, next, err := s.store(ctx).Imports(ctx, scope(ctx), page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListImports200JSONResponse{Data: each(ims, contactImport), Meta: pageMeta(ctx, next)}, nil
}

// GetImport gives an import and how far it is.
func (s *Server) GetImport(ctx context.Context, req apiserver.GetImportRequestObject) (apiserver.GetImportResponseObject, error) {
	im, err := s.store(ctx).Import(ctx, scope(ctx), req.ID)
	if err != nil {
		return nil, err
	}
	return apiserver.GetImport200JSONResponse{Data: contactImport(&im), Meta: meta(ctx)}, nil
}

// ListImportErrors gives one page of what was wrong with the rows of a file.
func (s *Server) ListImportErrors(ctx context.Context, req apiserver.ListImportErrorsRequestObject) (apiserver.ListImportErrorsResponseObject, error) {
	es, next, err := s.store(ctx).ImportErrors(ctx, scope(ctx), req.ID, page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListImportErrors200JSONResponse{Data: each(es, importError), Meta: pageMeta(ctx, next)}, nil
}

func contactImport(im *store.Import) types.Import {
	out := types.Import{
		ID: im.PublicID, Status: types.ImportStatus(im.Status), Format: types.ImportFormat(im.Format), ListID: im.List,
		Bytes: im.Bytes, CreatedAt: wholeSeconds(im.CreatedAt),
		StartedAt: wholeSecondsIf(im.StartedAt), CompletedAt: wholeSecondsIf(im.CompletedAt),
		Rows: types.ImportRows{Processed: im.Processed, Created: im.Created, Updated: im.Updated, Failed: im.Failed},
	}
	if im.ErrorCode != nil {
		out.Error = &types.ImportFailure{Code: types.ErrorCode(*im.ErrorCode), Message: value(im.ErrorMessage)}
	}
	return out
}

// importError names the field as the columns of a CSV file are named:
// attributes.plan, not /attributes/plan.
func importError(e *store.ImportError) types.ImportError {
	out := types.ImportError{Line: e.Line, Code: types.ErrorCode(e.Code), Message: e.Message}
	if e.Field != nil {
		name := strings.ReplaceAll(strings.TrimPrefix(*e.Field, "/"), "/", ".")
		out.Field = &name
	}
	return out
}

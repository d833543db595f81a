package server

import (
	"context"
	"strings"

	apiserver "github.com/campaigns-api/campaigns/gen/server"
	"github.com/campaigns-api/campaigns/gen/types"
	"github.com/campaigns-api/campaigns/store"
)

// CreateImport takes in a file as it comes and answers when it is here whole.
func (s *Server) CreateImport(ctx context.Context, req apiserver.CreateImportRequestObject) (apiserver.CreateImportResponseObject, error) {
	o := store.ImportOptions{Format: store.NDJSON, List: value(req.Params.ListID)}
	if strings.HasPrefix(req.ContentType, "text/csv") { // the validator has put it in lower case
		o.Format = store.CSV
	}
	im, err := s.store.CreateImport(ctx, scope(ctx), o, req.Body)
	if err != nil {
		return nil, err
	}
	return apiserver.CreateImport202JSONResponse{Data: contactImport(&im), Meta: meta(ctx)}, nil
}

// ListImports gives one page of imports.
func (s *Server) ListImports(ctx context.Context, req apiserver.ListImportsRequestObject) (apiserver.ListImportsResponseObject, error) {
	ims, next, err := s.store.Imports(ctx, scope(ctx), page(req.Params.Cursor, req.Params.Limit))
	if err != nil {
		return nil, err
	}
	return apiserver.ListImports200JSONResponse{Data: each(ims, contactImport), Meta: pageMeta(ctx, next)}, nil
}

// GetImport gives an import and how far it is.
func (s *Server) GetImport(ctx context.Context, req apiserver.GetImportRequestObject) (apiserver.GetImportResponseObject, error) {
	im, err := s.store.Import(ctx, scope(ctx), req.ID)
	if err != nil {
		return nil, err
	}
	return apiserver.GetImport200JSONResponse{Data: contactImport(&im), Meta: meta(ctx)}, nil
}

// ListImportErrors gives one page of what was wrong with the rows of a file.
func (s *Server) ListImportErrors(ctx context.Context, req apiserver.ListImportErrorsRequestObject) (apiserver.ListImportErrorsResponseObject, error) {
	es, next, err := s.store.ImportErrors(ctx, scope(ctx), req.ID, page(req.Params.Cursor, req.Params.Limit))
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

package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"
)

// checked is a JSON body that holds to the contract. Reading it does not take
// it from Binder.
type checked struct {
	bytes.Reader
	data []byte
}

func (*checked) Close() error { return nil }

// Binder is an echo.Binder that decodes the JSON body checked by a Contract,
// with member names compared exactly. It looks at nothing but the body.
type Binder struct{}

// Bind decodes the request's body into target. It returns io.EOF where an
// optional body is missing, as the generated server expects, and an error for a
// body that no checker has seen. A value that the contract allows but target
// cannot hold is a Violation of status 422.
func (Binder) Bind(target any, c echo.Context) error {
	body := c.Request().Body
	if body == nil || body == http.NoBody {
		return io.EOF
	}
	b, ok := body.(*checked)
	if !ok {
		return fmt.Errorf("bind the body: it is a %T, which no contract has checked", body)
	}
	err := json.Unmarshal(b.data, target)
	if semantic, misfit := errors.AsType[*json.SemanticError](err); misfit {
		var f faults
		f.breach(string(semantic.JSONPointer), &ruleUnfit, nil)
		return f.err()
	}
	if err != nil {
		return fmt.Errorf("bind the body: %w", err)
	}
	return nil
}

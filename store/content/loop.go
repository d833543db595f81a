package content

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/render"
	"github.com/osteele/liquid/values"
)

var (
	errBreak    = errors.New("break outside a loop")
	errContinue = errors.New("continue outside a loop")
)

func fail(err error) renderer {
	return func(io.Writer, render.Context) error { return err }
}

func compileFor(node render.BlockNode) (renderer, error) {
	statement, err := expressions.ParseStatement(expressions.LoopStatementSelector, node.Args)
	if err != nil {
		return nil, err
	}
	loop := statement.Loop
	if loop.Cols != nil {
		return nil, errors.New("for knows limit, offset and reversed, not cols")
	}
	if err := elseLast(node); err != nil {
		return nil, err
	}
	return func(w io.Writer, ctx render.Context) error {
		items, err := loopItems(ctx, loop)
		if err != nil {
			return err
		}
		if items.n > 0 {
			return renderLoop(w, ctx, loop.Variable, items)
		}
		if len(node.Clauses) == 1 {
			return ctx.RenderBlock(w, node.Clauses[0])
		}
		return nil
	}, nil
}

// sequence is what a loop goes through. A range is never made into an array.
type sequence struct {
	n  int
	at func(int) any
}

// loopItems is the value of the loop's expression, cut by offset, then by limit,
// then reversed. What is no array and no range is an empty sequence.
func loopItems(ctx render.Context, loop expressions.Loop) (sequence, error) {
	value, err := ctx.Evaluate(loop.Expr)
	if err != nil {
		return sequence{}, err
	}
	var all sequence
	if r, ok := value.(values.Range); ok {
		all = sequence{max(0, r.Len()), r.Index}
	} else if v := reflect.ValueOf(value); v.Kind() == reflect.Slice {
		all = sequence{v.Len(), func(i int) any { return v.Index(i).Interface() }}
	}
	offset, err := loopBound(ctx, loop.Offset, 0)
	if err != nil {
		return sequence{}, err
	}
	offset = min(offset, all.n)
	limit, err := loopBound(ctx, loop.Limit, all.n)
	if err != nil {
		return sequence{}, err
	}
	n := min(limit, all.n-offset)
	if loop.Reversed {
		return sequence{n, func(i int) any { return all.at(offset + n - 1 - i) }}, nil
	}
	return sequence{n, func(i int) any { return all.at(offset + i) }}, nil
}

// loopBound evaluates limit or offset; without one, it is missing.
func loopBound(ctx render.Context, bound expressions.Expression, missing int) (int, error) {
	if bound == nil {
		return missing, nil
	}
	value, err := ctx.Evaluate(bound)
	if err != nil {
		return 0, err
	}
	switch n := value.(type) {
	case nil:
		return missing, nil
	case int:
		return max(0, n), nil
	default:
		return 0, fmt.Errorf("limit and offset are integers, not %T", value)
	}
}

const loopVariableName = "forloop"

func renderLoop(w io.Writer, ctx render.Context, variable string, items sequence) error {
	r, outer, shadowed := runOf(ctx), ctx.Get(loopVariableName), ctx.Get(variable)
	defer func() {
		ctx.Set(loopVariableName, outer)
		ctx.Set(variable, shadowed)
	}()
	state := map[string]any{"length": items.n, "parentloop": outer}
	for i := range items.n {
		if err := r.pass(); err != nil {
			return err
		}
		state["first"], state["last"] = i == 0, i == items.n-1
		state["index"], state["index0"] = i+1, i
		state["rindex"], state["rindex0"] = items.n-i, items.n-i-1
		ctx.Set(loopVariableName, state)
		ctx.Set(variable, items.at(i))
		if err := ctx.RenderChildren(w); err != nil {
			switch cause := err.Cause(); {
			case errors.Is(cause, errBreak):
				return nil
			case !errors.Is(cause, errContinue):
				return err
			}
		}
	}
	return nil
}

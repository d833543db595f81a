package content

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/parser"
	"github.com/osteele/liquid/render"
	"github.com/osteele/liquid/values"
)

// renderer is what the library wants of a tag at render time.
type renderer = func(io.Writer, render.Context) error

// textTag is how compileLiquid writes a text; no tag of a source is named so.
const textTag = "0"

// newConfig returns the tags of the language. They are ours because the
// library's come all or none, and its for, tablerow and capture know no bounds.
// raw and comment never get here; scan settles them.
func newConfig(tokens []token) render.Config {
	c := render.NewConfig()
	c.TemplateStore = nil // by default, the file system
	c.AddTag(textTag, func(index string) (renderer, error) { return compileText(tokens, index) })
	c.AddTag("assign", compileAssign)
	c.AddTag("break", func(string) (renderer, error) { return fail(errBreak), nil })
	c.AddTag("continue", func(string) (renderer, error) { return fail(errContinue), nil })
	c.AddTag("cycle", compileCycle)
	c.AddBlock("capture").Compiler(compileCapture)
	c.AddBlock("case").Clause("when").Clause("else").Compiler(compileCase)
	c.AddBlock("for").Clause("else").Compiler(compileFor)
	c.AddBlock("if").Clause("elsif").Clause("else").Compiler(func(n render.BlockNode) (renderer, error) {
		return compileIf(n, func(e expressions.Expression) expressions.Expression { return e })
	})
	c.AddBlock("unless").Clause("elsif").Clause("else").Compiler(func(n render.BlockNode) (renderer, error) {
		return compileIf(n, expressions.Not)
	})
	return c
}

func runOf(ctx render.Context) *run { return ctx.Get(runVariable).(*run) }

func compileText(tokens []token, index string) (renderer, error) {
	i, err := strconv.Atoi(index)
	if err != nil {
		return nil, fmt.Errorf("index of a text: %w", err)
	}
	text := tokens[i].args
	return func(w io.Writer, _ render.Context) error {
		_, err := io.WriteString(w, text)
		return err
	}, nil
}

func compileAssign(args string) (renderer, error) {
	statement, err := expressions.ParseStatement(expressions.AssignStatementSelector, args)
	if err != nil {
		return nil, err
	}
	return func(_ io.Writer, ctx render.Context) error {
		value, err := ctx.Evaluate(statement.ValueFn)
		if err != nil {
			return err
		}
		if err := runOf(ctx).keep(size(value)); err != nil {
			return err
		}
		ctx.Set(statement.Assignment.Variable, value)
		return nil
	}, nil
}

func compileCapture(node render.BlockNode) (renderer, error) {
	name := strings.TrimSpace(node.Args)
	return func(_ io.Writer, ctx render.Context) error {
		r := runOf(ctx)
		c := &capture{run: r}
		if err := ctx.RenderChildren(c); err != nil {
			return err
		}
		if r.html { // its values are escaped already
			ctx.Set(name, values.SafeValue{Value: string(c.text)})
		} else {
			ctx.Set(name, string(c.text))
		}
		return nil
	}, nil
}

func compileCycle(args string) (renderer, error) {
	statement, err := expressions.ParseStatement(expressions.CycleStatementSelector, args)
	if err != nil {
		return nil, err
	}
	choices, group := statement.Cycle.Values, statement.Cycle.Group
	if group == "" {
		group = strings.Join(choices, "\x00")
	}
	return func(w io.Writer, ctx render.Context) error {
		r := runOf(ctx)
		if r.cycles == nil {
			r.cycles = map[string]int{}
		}
		n := r.cycles[group]
		r.cycles[group] = n + 1
		_, err := io.WriteString(w, choices[n%len(choices)])
		return err
	}, nil
}

// elseLast refuses clauses after an else, which could never be reached.
func elseLast(node render.BlockNode) error {
	for i, clause := range node.Clauses {
		if clause.Name == "else" && i < len(node.Clauses)-1 {
			after := node.Clauses[i+1]
			return parser.WrapError(fmt.Errorf("%s after else", after.Name), after)
		}
	}
	return nil
}

// branch is a block that is rendered if its condition holds.
type branch struct {
	condition expressions.Expression
	block     *render.BlockNode
}

func compileIf(node render.BlockNode, first func(expressions.Expression) expressions.Expression) (renderer, error) {
	condition, err := expressions.Parse(node.Args)
	if err != nil {
		return nil, err
	}
	if err := elseLast(node); err != nil {
		return nil, err
	}
	branches := []branch{{first(condition), &node}}
	for _, clause := range node.Clauses {
		condition := expressions.Constant(true)
		if clause.Name == "elsif" {
			if condition, err = expressions.Parse(clause.Args); err != nil {
				return nil, parser.WrapError(err, clause)
			}
		}
		branches = append(branches, branch{condition, clause})
	}
	return func(w io.Writer, ctx render.Context) error {
		for _, b := range branches {
			if err := runOf(ctx).step(); err != nil {
				return err
			}
			value, err := ctx.Evaluate(b.condition)
			if err != nil {
				return err
			}
			if value != nil && value != false {
				return ctx.RenderBlock(w, b.block)
			}
		}
		return nil
	}, nil
}

// choice is a block that is rendered if one of its values is the case's; with
// none, always.
type choice struct {
	values []expressions.Expression
	block  *render.BlockNode
}

func (c choice) holds(ctx render.Context, subject any) (bool, error) {
	for _, expression := range c.values {
		value, err := ctx.Evaluate(expression)
		if err != nil {
			return false, err
		}
		if values.Equal(subject, value) {
			return true, nil
		}
	}
	return len(c.values) == 0, nil
}

func compileCase(node render.BlockNode) (renderer, error) {
	subject, err := expressions.Parse(node.Args)
	if err != nil {
		return nil, err
	}
	if err := elseLast(node); err != nil {
		return nil, err
	}
	var choices []choice
	for _, clause := range node.Clauses {
		c := choice{block: clause}
		if clause.Name == "when" {
			statement, err := expressions.ParseStatement(expressions.WhenStatementSelector, clause.Args)
			if err != nil {
				return nil, parser.WrapError(err, clause)
			}
			c.values = statement.Exprs
		}
		choices = append(choices, c)
	}
	return func(w io.Writer, ctx render.Context) error {
		value, err := ctx.Evaluate(subject)
		if err != nil {
			return err
		}
		for _, c := range choices {
			if err := runOf(ctx).step(); err != nil {
				return err
			}
			if ok, err := c.holds(ctx, value); err != nil {
				return err
			} else if ok {
				return ctx.RenderBlock(w, c.block)
			}
		}
		return nil
	}, nil
}

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
			switch err.Cause() {
			case errBreak:
				return nil
			case errContinue:
			default:
				return err
			}
		}
	}
	return nil
}

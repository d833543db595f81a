package content

import (
	"fmt"
	"io"
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
		ctx.Set(statement.Assignment.Variable, orMissing(value))
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
		value := orMissing(string(c.text))
		if r.html && value != missingValue {
			value = captured{values.ValueOf(value)}
		}
		ctx.Set(name, value)
		return nil
	}, nil
}

// captured is what a capture block of an HTML template gave: a text whose values
// are escaped already.
type captured struct{ values.Value }

func (c captured) Interface() any { return values.SafeValue{Value: c.Value.Interface()} }

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

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/campaigns-api/campaigns/store/content"
)

// Template is a content kept for use in many campaigns.
type Template struct {
	ID          int64
	PublicID    string // tpl_…
	AccountID   int64
	Mode        Mode
	Name        string
	Search      string
	Channel     Channel
	Subject     *string // email only
	Body        string
	ContentType string // PlainText, or HTML for email
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

const maxSubject = 255

func (t *Template) normalise() []Fault {
	var fs faults
	fs.name(&t.Name)
	t.Search = fold(t.Name)
	if t.ContentType == "" {
		t.ContentType = PlainText
	}
	if !slices.Contains(Channels, t.Channel) {
		fs.add(CodeValidation, "/channel", "is not a channel", shown(string(t.Channel)))
	}
	if t.ContentType != PlainText && (t.ContentType != HTML || t.Channel != Email) {
		fs.add(CodeValidation, "/content_type", "must be text/plain, or text/html for email", shown(t.ContentType))
	}
	if strings.TrimSpace(t.Body) == "" {
		fs.add(CodeMissingField, "/body", "must not be blank", "")
	} else {
		fs = append(fs, checkContent("/body", t.Body, t.ContentType)...)
	}
	return append(fs, t.normaliseSubject()...)
}

func (t *Template) normaliseSubject() []Fault {
	var fs faults
	fs.text(&t.Subject, "/subject", maxSubject)
	if t.Subject == nil || fs != nil {
		return fs
	}
	if t.Channel != Email {
		fs.add(CodeValidation, "/subject", "is for email only", "")
	}
	return append(fs, checkContent("/subject", *t.Subject, PlainText)...)
}

// checkContent says what is wrong with a body or subject: field is where it
// stands in the request, contentType how it is written.
func checkContent(field, source, contentType string) []Fault {
	if !utf8.ValidString(source) || strings.IndexByte(source, 0) >= 0 {
		return []Fault{{Code: CodeValidation, Field: field, Message: "is not valid UTF-8, or holds a NUL character"}}
	}
	_, err := content.Compile(source, contentType == HTML)
	if err == nil {
		return nil
	}
	message := err.Error()
	var syntax *content.SyntaxError
	if errors.As(err, &syntax) {
		message = fmt.Sprintf("line %d, column %d: %s", syntax.Line, syntax.Column, syntax.Message)
	}
	return []Fault{{Code: CodeInvalidTemplate, Field: field, Message: message}}
}

// CreateTemplate makes a template of the given name, channel and content;
// without a ContentType it is PlainText.
func (s *Store) CreateTemplate(ctx context.Context, sc Scope, t Template) (Template, error) {
	if err := faulty(t.normalise()...); err != nil {
		return Template{}, err
	}
	t.ID, t.PublicID, t.AccountID, t.Mode = 0, newID("tpl"), sc.Account, sc.Mode
	t.CreatedAt = now()
	t.UpdatedAt = t.CreatedAt
	if err := s.db.WithContext(ctx).Create(&t).Error; err != nil {
		return Template{}, fmt.Errorf("create template: %w", err)
	}
	return t, nil
}

// Template finds a template by its public id.
func (s *Store) Template(ctx context.Context, sc Scope, id string) (Template, error) {
	return find[Template](s.read(ctx), sc, "template", id)
}

// TemplateFilter narrows a list of templates; what is empty does not.
type TemplateFilter struct {
	Search  string // part of the name
	Channel Channel
}

// Templates lists templates, newest first.
func (s *Store) Templates(ctx context.Context, sc Scope, f TemplateFilter, p Page) (ts []Template, next string, err error) {
	q := searching(s.read(ctx).Where(sc.in()), f.Search)
	if f.Channel != "" {
		q = q.Where("channel = ?", f.Channel)
	}
	ts, next, err = pageOf(ctx, s, q, sc, "templates", p, newestFirst, scopeKey, func(t *Template) int64 { return t.ID })
	if err != nil {
		return nil, "", fmt.Errorf("list templates: %w", err)
	}
	return ts, next, nil
}

// UpdateTemplate lets change alter everything but the channel, under a lock. An
// error of change is returned and nothing saved.
func (s *Store) UpdateTemplate(ctx context.Context, sc Scope, id string, change func(*Template) error) (Template, error) {
	return revise(ctx, s, sc, "template", id, func(t *Template) error {
		channel := t.Channel
		if err := change(t); err != nil {
			return err
		}
		t.Channel, t.UpdatedAt = channel, now()
		return faulty(t.normalise()...)
	})
}

// DeleteTemplate deletes a template.
func (s *Store) DeleteTemplate(ctx context.Context, sc Scope, id string) error {
	return remove[Template](ctx, s, sc, "template", id)
}

package server

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/campaigns-api/campaigns/store"
)

// allowance is an operation's x-rate-limit: so many calls at once, which come
// back evenly over so many seconds.
type allowance struct{ requests, seconds int }

// limiter counts the calls of each key to each operation, in this process. It
// remembers the keys and operations used last; who is forgotten starts afresh.
type limiter struct {
	allowances map[string]allowance // by method and route, as Echo writes it
	buckets    *lru.Cache[bucketID, *rate.Limiter]
}

type bucketID struct {
	key   int64
	route string
}

const rememberedBuckets = 100_000

// newLimiter reads what the document allows; every operation has to say it.
func newLimiter(doc *openapi3.T) (*limiter, error) {
	l := &limiter{allowances: map[string]allowance{}}
	for path, item := range doc.Paths.Map() {
		route := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, op := range item.Operations() {
			limit, _ := op.Extensions["x-rate-limit"].(map[string]any)
			requests, _ := limit["requests"].(float64)
			seconds, _ := limit["seconds"].(float64)
			if requests < 1 || seconds < 1 {
				return nil, fmt.Errorf("%s: x-rate-limit must name requests and seconds", op.OperationID)
			}
			l.allowances[method+" "+route] = allowance{int(requests), int(seconds)}
		}
	}
	var err error
	l.buckets, err = lru.New[bucketID, *rate.Limiter](rememberedBuckets)
	return l, err
}

// take counts a call and tells the caller where it stands; one too many is an
// error.
func (l *limiter) take(c echo.Context, key int64) error {
	route := c.Request().Method + " " + c.Path()
	a := l.allowances[route]
	b := l.bucket(bucketID{key, route}, a)
	at := time.Now()
	allowed := b.AllowN(at, 1)
	left := max(b.TokensAt(at), 0)
	perToken := float64(a.seconds) / float64(a.requests)
	full := time.Duration((float64(a.requests) - left) * perToken * float64(time.Second))
	h := c.Response().Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(a.requests))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(int(left)))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(at.Add(full+time.Second-1).Unix(), 10))
	if allowed {
		return nil
	}
	// Others may have come between the two looks at the bucket, so at least 1.
	h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil((1-left)*perToken)))))
	return &store.Error{Code: codeRateLimit, Message: "The key has called this operation too often."}
}

// bucket is that of a key and an operation. Two first calls at once share one.
func (l *limiter) bucket(id bucketID, a allowance) *rate.Limiter {
	if b, ok := l.buckets.Get(id); ok {
		return b
	}
	fresh := rate.NewLimiter(rate.Limit(float64(a.requests)/float64(a.seconds)), a.requests)
	if b, ok, _ := l.buckets.PeekOrAdd(id, fresh); ok {
		return b
	}
	return fresh
}

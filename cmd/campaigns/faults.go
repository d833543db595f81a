package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
)

// faults is what is wrong with a configuration, each as "key: what is wrong".
type faults []string

func (fs *faults) add(key, wrong string, args ...any) {
	wrong = fmt.Sprintf(wrong, args...)
	if key != "" {
		wrong = key + ": " + wrong
	}
	*fs = append(*fs, wrong)
}

// have says whether there is a fault of the same key.
func (fs *faults) have(fault string) bool {
	key, _, _ := strings.Cut(fault, ": ")
	return slices.ContainsFunc(*fs, func(f string) bool { return strings.HasPrefix(f, key+": ") })
}

// err is nil without faults.
func (fs *faults) err() error {
	switch len(*fs) {
	case 0:
		return nil
	case 1:
		return errors.New("configuration: " + (*fs)[0])
	}
	return fmt.Errorf("the configuration has %d faults:\n  %s", len(*fs), strings.Join(*fs, "\n  "))
}

// decode puts a tree into a struct. A key that the struct has no field for is a
// fault, and so is a value of the wrong type; at is the key of the tree itself.
func (fs *faults) decode(tree any, at string, to any) {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		TagName: "koanf", Result: to, ErrorUnused: true,
		WeaklyTypedInput: true, // the environment has nothing but strings
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			daysToHours, mapstructure.StringToTimeDurationHookFunc(), mapstructure.StringToSliceHookFunc(","),
		),
	})
	must(err)
	fs.undecoded(at, d.Decode(tree))
}

var wholeDays = regexp.MustCompile(`^([0-9]{1,6})d$`)

// daysToHours lets a duration be given in days, which Go does not know: 90d.
func daysToHours(_, to reflect.Type, value any) (any, error) {
	text, isText := value.(string)
	if found := wholeDays.FindStringSubmatch(text); isText && found != nil && to == reflect.TypeFor[time.Duration]() {
		days, err := strconv.Atoi(found[1])
		return fmt.Sprint(24*days, "h"), err
	}
	return value, nil
}

// undecoded walks the tree of errors that mapstructure returns: one for each
// value, and for each struct one with all keys it has no field for.
func (fs *faults) undecoded(at string, err error) {
	switch e := err.(type) { //nolint:errorlint // a walk, not a question
	case *mapstructure.DecodeError:
		at = below(at, e.Name())
		keys, unknown := strings.CutPrefix(e.Unwrap().Error(), "has invalid keys: ")
		if !unknown {
			fs.add(at, "%s", e.Unwrap())
			return
		}
		for key := range strings.SplitSeq(keys, ", ") {
			fs.add(below(at, key), "is not a setting")
		}
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			fs.undecoded(at, each)
		}
	case interface{ Unwrap() error }:
		fs.undecoded(at, e.Unwrap())
	}
}

func below(at, key string) string {
	if at == "" || key == "" {
		return at + key
	}
	return at + "." + key
}

var reference = regexp.MustCompile(`\$?\$\{([^}]*)\}`)

// expand puts the environment's variables in place of ${NAME}, in every string
// of a tree; $${ stands for a plain ${. That is how secrets stay out of the
// file. A variable that is not set is a fault.
func (fs *faults) expand(key string, value any) any {
	switch v := value.(type) {
	case string:
		return reference.ReplaceAllStringFunc(v, func(ref string) string {
			if strings.HasPrefix(ref, "$$") {
				return ref[1:]
			}
			name := ref[2 : len(ref)-1]
			found, ok := os.LookupEnv(name)
			if !ok {
				fs.add(key, "the environment has no variable %s", name)
			}
			return found
		})
	case []any:
		for i := range v {
			v[i] = fs.expand(fmt.Sprintf("%s[%d]", key, i), v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = fs.expand(below(key, k), v[k])
		}
	}
	return value
}

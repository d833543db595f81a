package bench

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
)

// The statuses that the operations used here answer with.
const (
	http200 = http.StatusOK
	http201 = http.StatusCreated
	http202 = http.StatusAccepted
	http409 = http.StatusConflict
)

// failed is what went wrong with a call, nil if it was answered as it should be.
func failed(err error, r interface{ StatusCode() int }, want int) error {
	if err != nil {
		return err
	}
	if r.StatusCode() == want {
		return nil
	}
	body, _ := reflect.Indirect(reflect.ValueOf(r)).FieldByName("Body").Interface().([]byte)
	return fmt.Errorf("status %d: %s", r.StatusCode(), strings.TrimSpace(string(body)))
}

package contract

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

var (
	errFraction = errors.New("the number has a fraction")
	errRange    = errors.New("the number does not fit")
)

// maxExact is the largest magnitude up to which a float64 tells integers apart.
// A bound of the contract beyond it would not be the one that was written.
const maxExact = 1<<53 - 1

// integer is the exact value of a JSON number that is integral however it is
// written: 20, 20.0, 2e1 and 200e-1 are the same. The error is errFraction, or
// errRange for one that does not fit in 64 bits.
func integer(number string) (int64, error) {
	if v, err := strconv.ParseInt(number, 10, 64); err == nil {
		return v, nil
	}
	digits, point := decimal(number)
	switch {
	case digits == "":
		return 0, nil
	case point < len(digits):
		return 0, errFraction
	case point > len("9223372036854775808"):
		return 0, errRange
	}
	sign := ""
	if number[0] == '-' {
		sign = "-"
	}
	v, err := strconv.ParseInt(sign+digits+strings.Repeat("0", point-len(digits)), 10, 64)
	if err != nil {
		return 0, errRange
	}
	return v, nil
}

// decimal takes a JSON number apart: its magnitude is 0.digits × 10^point, with
// neither leading nor trailing zeros in digits. Zero has no digits.
func decimal(number string) (digits string, point int) {
	mantissa, exponent := strings.TrimPrefix(number, "-"), ""
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		mantissa, exponent = mantissa[:i], mantissa[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	significant := strings.TrimLeft(whole+fraction, "0")
	point = len(whole) - (len(whole) + len(fraction) - len(significant))
	digits = strings.TrimRight(significant, "0")
	if digits == "" || exponent == "" {
		return digits, point
	}
	e, err := strconv.ParseInt(exponent, 10, 32)
	if err != nil { // beyond any number that fits
		e = math.MaxInt32
		if exponent[0] == '-' {
			e = math.MinInt32
		}
	}
	return digits, point + int(e)
}

// plainInteger says whether text is an integer as a parameter must have it:
// decimal digits, perhaps a minus sign, no leading zero.
func plainInteger(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || len(digits) > 1 && digits[0] == '0' {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}

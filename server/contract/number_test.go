package contract

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestIntegerIsReadHoweverItIsWritten(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "0.0": 0, "-0.000e5": 0, "0e99999999999999999999": 0, "0.0e-99999999999999999999": 0,
		"20": 20, "20.0": 20, "2e1": 20, "2E+1": 20, "200e-1": 20, "0.002e4": 20, "-2.50e1": -25, "20.00000000000000000000": 20,
		"9223372036854775807": 1<<63 - 1, "9223372036854775807.0": 1<<63 - 1, "9223372036854775.807e3": 1<<63 - 1,
		"-9223372036854775808": -1 << 63, "-922337203685477580.80e1": -1 << 63, "9007199254740993.0": 9007199254740993,
	} {
		got, err := integer(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]error{
		"0.5": errFraction, "20.5": errFraction, "25e-1": errFraction, "1e-1": errFraction, "1e-99999999999999999999": errFraction, "20.00000000000000000001": errFraction,
		"9223372036854775808": errRange, "-9223372036854775809": errRange, "9223372036854775808.0": errRange, "1e19": errRange, "1e99999999999999999999": errRange,
	} {
		_, err := integer(text)
		require.Equal(t, want, err, text)
	}
}

func TestIntegerAgreesWithExactArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		exact, valid := new(big.Rat).SetString(text)
		require.True(t, valid, text)
		got, err := integer(text)
		switch {
		case !exact.IsInt():
			require.Equal(t, errFraction, err, text)
		case !exact.Num().IsInt64():
			require.Equal(t, errRange, err, text)
		default:
			require.NoError(t, err, text)
			require.Equal(t, exact.Num().Int64(), got, text)
		}
	})
}

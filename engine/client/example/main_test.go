package main

import (
	"strings"
	"testing"
)

// The example says what is wrong with what it was given, and ends when nobody
// serves it.
func TestRunRefuses(t *testing.T) {
	good := "--session 6f9f0a52-5d1a-4d3f-9a34-0d6c5e9f1a01 --key k --host 127.0.0.1:9 --attempts 1"
	for args, want := range map[string]string{
		"--session no":             "not a UUID",
		good + " --local here":     "--local",
		good + " --host nowhere":   "--host",
		good + " --unknown":        "unknown flag",
		good:                       "no session",
		good + " --orders many":    "--orders",
		strings.Fields(good)[0]:    "needs an argument",
		good + " --interface no-0": "no-0",
	} {
		if err := run(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

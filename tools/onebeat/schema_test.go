package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestSchemaIsPrinted(t *testing.T) {
	for flag, want := range map[string]string{"": "<sbe:messageSchema", "--markdown": "#### NewOrderSingle (template 20", "--lua": "messages = {"} {
		root, out := newRoot(), &bytes.Buffer{}
		root.SetOut(out)
		root.SetArgs(strings.Fields("schema " + flag))
		if err := root.Execute(); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("schema %s: %v, %d bytes without %q", flag, err, out.Len(), want)
		}
	}
}

package lane

import (
	"strings"
	"testing"
)

func TestParseRecord(t *testing.T) {
	both := Record{Epoch: 7, Writer: 2, Set: [MaxMembers]Member{{2, 0xab}, {1, ^uint64(0)}}}
	sole := Record{Epoch: 1, Writer: 9, Set: [MaxMembers]Member{{9, 1}}}
	for _, r := range []Record{both, sole} {
		for _, text := range []string{r.String(), "  " + strings.Trim(r.String(), "{}") + "\n"} {
			if got, err := ParseRecord(text); err != nil || got != r {
				t.Errorf("%q: %v, %v", text, got, err)
			}
		}
	}
	for text, want := range map[string]string{
		"":                                       "is not a record of the lane",
		"epoch 4 writer 1":                       "is not a record of the lane",
		"epoch x writer 1 set 1:1":               "epoch \"x\"",
		"epoch 4294967296 writer 1 set 1:1":      "epoch \"4294967296\"",
		"epoch 1 writer 256 set 1:1":             "writer \"256\"",
		"epoch 1 writer 1 set 1":                 "member \"1\" is not",
		"epoch 1 writer 1 set 1:g":               "incarnation \"g\"",
		"epoch 1 writer 1 set 1:1,2:2,3:3":       "3 members",
		"epoch 0 writer 1 set 1:1":               "not a valid record",
		"epoch 1 writer 3 set 1:1,2:2":           "not a valid record",
		"epoch 1 writer 1 set 1:1,1:2":           "not a valid record",
		(Record{}).String():                      "is not a record",
		"epoch 1 writer 1 set 1:1 and some more": "is not a record",
	} {
		if r, err := ParseRecord(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", text, r, err, want)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	r := Record{Epoch: 7, Writer: 2, Set: [MaxMembers]Member{{2, 0xab}, {1, 1}}}
	f.Add(r.String())
	f.Add("epoch 1 writer 1 set 1:1,")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(text)
		if err != nil {
			return
		}
		if again, err := ParseRecord(r.String()); err != nil || again != r {
			t.Fatalf("%q: %v, then %v, %v", text, r, again, err)
		}
	})
}

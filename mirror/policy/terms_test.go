package policy

import (
	"errors"
	"strings"
	"testing"
)

func TestChangeRoundTrip(t *testing.T) {
	for _, c := range []Change{
		{Terms: Terms{Policy: NameNone, WaitNs: Forever}, Revision: 1},
		{Terms: Terms{Policy: NameArchived, WaitNs: 20_000_000, OnTimeout: Stop, Copies: 3}, Revision: 1 << 30, By: "jane@desk: the disk is slow"},
		{Terms: Terms{Policy: NameMirrored + ":" + strings.Repeat("x", NameMaxBytes-len(NameMirrored)-1), WaitNs: 1}, Revision: 2, By: strings.Repeat("y", ByMaxBytes)},
	} {
		b := c.Put(make([]byte, ChangeMaxBytes))
		var got Change
		if !got.Parse(b) || got != c {
			t.Errorf("%v became %v", c, got)
		}
		for n := range len(b) {
			if got.Parse(b[:n]) {
				t.Fatalf("%d of %d bytes are a change", n, len(b))
			}
		}
		if got.Parse(append(b[:len(b):len(b)], 0)) {
			t.Error("bytes behind it")
		}
	}
	var c Change
	if IsChange([]byte("jane@desk: node-a burnt down")) || c.Parse([]byte(changeMark)) {
		t.Error("an operator's word is a change")
	}
}

func FuzzChange(f *testing.F) {
	c := Change{Terms: Terms{Policy: NameApplied, WaitNs: 5}, Revision: 1, By: "a: b"}
	f.Add(c.Put(make([]byte, ChangeMaxBytes)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Change
		if !c.Parse(b) {
			return
		}
		if again := c.Put(make([]byte, ChangeMaxBytes)); string(again) != string(b) {
			t.Errorf("%x became %x", b, again)
		}
		_ = c.String()
	})
}

func TestTermsCheck(t *testing.T) {
	for _, c := range []struct {
		terms Terms
		ok    bool
	}{
		{Terms{Policy: NameMirrored, WaitNs: Forever}, true},
		{Terms{Policy: NameMirrored, WaitNs: 1, OnTimeout: Stop, Copies: CopiesMax + 1}, true},
		{Terms{Policy: NameMirrored, WaitNs: 1, Copies: CopiesMax + 2}, false},
		{Terms{Policy: NameMirrored}, false},
		{Terms{Policy: NameNone, WaitNs: Forever, Copies: 1}, false},
		{Terms{Policy: "mirorred", WaitNs: Forever}, false},
		{Terms{Policy: "mirrored:5", WaitNs: Forever}, false},
		{Terms{Policy: "", WaitNs: Forever}, false},
	} {
		if err := c.terms.Check(); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrTerms) {
			t.Errorf("%v: %v", c.terms, err)
		}
	}
	if s := (Terms{Policy: NameMirrored, WaitNs: 20_000_000, OnTimeout: Reject, Copies: 2}).String(); s != "mirrored, 2 copies, waits 20ms, then reject" {
		t.Error(s)
	}
}

// Only what the kernel's check of an ACK says rides on it.
func TestTermsRide(t *testing.T) {
	for _, c := range []struct {
		terms Terms
		rides bool
	}{
		{Terms{Policy: NameMirrored}, true}, {Terms{Policy: NameMirrored, Copies: 1}, true},
		{Terms{Policy: NameMirrored, Copies: 2}, false}, {Terms{Policy: NameApplied}, false}, {Terms{Policy: NameArchived}, false}, {Terms{Policy: NameNone}, false},
	} {
		if c.terms.Rides() != c.rides {
			t.Errorf("%v rides %v", c.terms, !c.rides)
		}
	}
}

func TestRegister(t *testing.T) {
	Register("test-late", func(argument string) (Policy, error) {
		if argument == "" {
			return nil, errors.New("it needs one")
		}
		return None{}, nil
	})
	defer delete(makers, "test-late")
	if _, err := New("test-late"); !errors.Is(err, ErrArgument) {
		t.Error(err)
	}
	p, err := New("test-late:7")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Releasable(&View{Tail: 96, PeerTail: 32, PeerInSet: true}); got != 32 {
		t.Errorf("a custom policy releases up to %d, which the standby has not got", got)
	}
	if names := Names(); names[len(names)-1] != "test-late" || names[0] != NameNone {
		t.Error(names)
	}
	defer func() {
		if recover() == nil {
			t.Error("a name was registered twice")
		}
	}()
	Register("test-late", nil)
}

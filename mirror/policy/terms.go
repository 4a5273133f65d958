package policy

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Terms are what a lane's outputs wait for, how long, and what then.
type Terms struct {
	Policy string // "name" or "name:argument"
	// WaitNs without progress end the wait, OnTimeout says what follows; Forever.
	WaitNs    int64
	OnTimeout OnTimeout
	// Copies is how many holders beside the writer a record needs, its standby
	// counted among them; 0: every member of the set, and nobody else.
	Copies uint8
}

// CopiesMax bounds the further copies that are counted.
const CopiesMax = 8

// ErrTerms is wrapped by what is wrong with terms.
var ErrTerms = errors.New("release policy")

// Check refuses terms that contradict themselves.
func (t *Terms) Check() error {
	if _, err := New(t.Policy); err != nil {
		return fmt.Errorf("%w: %w", ErrTerms, err)
	}
	switch {
	case t.WaitNs <= 0:
		return fmt.Errorf("%w: a wait of %d ns: give a duration, or forever", ErrTerms, t.WaitNs)
	case t.OnTimeout >= onTimeoutCount:
		return fmt.Errorf("%w: on_timeout %d: use degrade, reject or stop", ErrTerms, t.OnTimeout)
	case t.Copies > CopiesMax+1:
		return fmt.Errorf("%w: %d copies: at most the standby and %d more are counted", ErrTerms, t.Copies, CopiesMax)
	case t.Policy == NameNone && t.Copies > 0:
		return fmt.Errorf("%w: none waits for nobody: no copies, or another policy", ErrTerms)
	}
	return nil
}

// Rides reports whether the kernel may release under these terms: it checks an
// ACK, which is what Mirrored asks for, and no more.
func (t *Terms) Rides() bool { return t.Policy == NameMirrored && t.Copies <= 1 }

// Archives reports whether the policy looks at disks.
func (t *Terms) Archives() bool {
	p, err := New(t.Policy)
	if b, ok := p.(Bounded); ok {
		p = b.Policy
	}
	a, ok := p.(Archiver)
	return err == nil && ok && a.Archives()
}

// Waits reports whether anybody is waited for.
func (t *Terms) Waits() bool { return t.Policy != NameNone }

// Degrades reports whether the lane goes on without those it waited for.
func (t *Terms) Degrades() bool { return t.WaitNs != Forever && t.OnTimeout == Degrade }

// Digest is a hash of what two nodes of a lane must have configured alike.
func (t *Terms) Digest() uint32 {
	on := Reject // what never happens
	if t.WaitNs != Forever {
		on = t.OnTimeout
	}
	return digest(fmt.Sprintf("%s %d %d", t.Policy, on, t.Copies))
}

func (t Terms) String() string {
	s := t.Policy
	if t.Copies > 0 {
		s += fmt.Sprintf(", %d copies", t.Copies)
	}
	switch {
	case t.Policy == NameNone:
	case t.WaitNs == Forever:
		s += ", waits forever"
	default:
		s += fmt.Sprintf(", waits %s, then %v", span(t.WaitNs), t.OnTimeout)
	}
	return s
}

// span writes nanoseconds as time.Duration would, for whole units.
func span(ns int64) string {
	for _, u := range []struct {
		ns   int64
		name string
	}{{1_000_000_000, "s"}, {1_000_000, "ms"}, {1_000, "us"}} {
		if ns%u.ns == 0 {
			return fmt.Sprintf("%d%s", ns/u.ns, u.name)
		}
	}
	return fmt.Sprintf("%dns", ns)
}

// Change is a change of a lane's terms at run time, as it stands in the log: the
// payload of an operator record.
type Change struct {
	Terms    Terms
	Revision uint32 // 1 for a lane's first one
	By       string // who: why
}

// The payload: mark, revision u32, on_timeout u8, copies u8, length of the
// policy u8, length of By u8, wait i64 (all little-endian), policy, By. The mark
// begins with a zero: an operator's word, the other payload of such records, does
// not.
const (
	changeMark = "\x00policy\x01"
	changeHead = len(changeMark) + 16
	// ChangeMaxBytes bounds a payload.
	ChangeMaxBytes = changeHead + NameMaxBytes + ByMaxBytes
	// ByMaxBytes bounds who and why.
	ByMaxBytes = 200
)

// Put encodes c and returns the payload; b has ChangeMaxBytes.
func (c *Change) Put(b []byte) []byte {
	name, by := c.Terms.Policy, c.By[:min(len(c.By), ByMaxBytes)]
	if len(name) > NameMaxBytes {
		panic(fmt.Sprintf("policy: a name of %d bytes", len(name)))
	}
	n := copy(b, changeMark)
	binary.LittleEndian.PutUint32(b[n:], c.Revision)
	b[n+4], b[n+5], b[n+6], b[n+7] = byte(c.Terms.OnTimeout), c.Terms.Copies, byte(len(name)), byte(len(by))
	binary.LittleEndian.PutUint64(b[n+8:], uint64(c.Terms.WaitNs))
	n = changeHead
	n += copy(b[n:], name)
	n += copy(b[n:], by)
	return b[:n]
}

// IsChange reports whether an operator record's payload is a Change.
func IsChange(payload []byte) bool {
	return len(payload) >= changeHead && string(payload[:len(changeMark)]) == changeMark
}

// Parse decodes a payload and reports whether it is a well-formed Change. That
// this program knows the policy is another question.
func (c *Change) Parse(payload []byte) bool {
	if !IsChange(payload) {
		return false
	}
	p := payload[len(changeMark):]
	name, by := int(p[6]), int(p[7])
	if len(payload) != changeHead+name+by || name == 0 || name > NameMaxBytes || by > ByMaxBytes {
		return false
	}
	c.Revision = binary.LittleEndian.Uint32(p)
	c.Terms = Terms{Policy: string(payload[changeHead : changeHead+name]), OnTimeout: OnTimeout(p[4]), Copies: p[5],
		WaitNs: int64(binary.LittleEndian.Uint64(p[8:]))}
	c.By = string(payload[changeHead+name:])
	return c.Revision > 0 && c.Terms.WaitNs > 0 && c.Terms.OnTimeout < onTimeoutCount && c.Terms.Copies <= CopiesMax+1
}

func (c Change) String() string {
	return fmt.Sprintf("policy %v (change %d, %s)", c.Terms, c.Revision, c.By)
}

package fixload

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// attack is one thing that a stranger, or a client with a session of its own, does
// again and again. What it costs others is measured at a stated rate: a flood that
// takes all of a small machine's cores measures its own work.
type attack struct {
	name      string
	perSecond int
	udp       bool
	// hold is how many connections stay open, of those who connect.
	hold int
	make func(a *attacker) (event func() error, err error)
}

// attacks are those of the shape, in their order.
var attacks = []attack{
	{name: "connections that say nothing", perSecond: 1000, hold: 10_000, make: func(a *attacker) (func() error, error) { return a.connecting(nil) }},
	{name: "half-open connections", perSecond: 10_000, make: (*attacker).halfOpen},
	{name: "garbage before a Logon", perSecond: 1000, hold: 64, make: func(a *attacker) (func() error, error) { return a.connecting(a.garbage) }},
	{name: "Logons with a wrong password", perSecond: 1000, hold: 64, make: func(a *attacker) (func() error, error) { return a.connecting(a.wrongLogon) }},
	{name: "wrong lengths and checksums", perSecond: 1000, hold: 64, make: func(a *attacker) (func() error, error) { return a.connecting(a.malformed) }},
	{name: "Logons byte by byte", perSecond: 2000, hold: 500, make: (*attacker).byteByByte},
	{name: "wrong numbers in a session", perSecond: 2000, make: (*attacker).wrongNumbers},
	{name: "wrong certificates", perSecond: 100, hold: 1, make: (*attacker).wrongCertificates},

	{name: "garbage datagrams", perSecond: 10_000, udp: true, make: func(a *attacker) (func() error, error) { return a.datagrams(a.garbage) }},
	{name: "wrong credentials", perSecond: 10_000, udp: true, make: func(a *attacker) (func() error, error) { return a.datagrams(a.wrongCredentials()) }},
	{name: "recorded credentials", perSecond: 10_000, udp: true, make: func(a *attacker) (func() error, error) { return a.datagrams(a.recorded()) }},
	{name: "orders for another's session", perSecond: 10_000, udp: true, make: func(a *attacker) (func() error, error) { return a.datagrams(a.strangersOrder()) }},
	{name: "wrong numbers in a FIXP session", perSecond: 10_000, udp: true, make: (*attacker).wrongDatagrams},
}

func attackNamed(name string) *attack {
	for i := range attacks {
		if attacks[i].name == name {
			return &attacks[i]
		}
	}
	return nil
}

// attacker is the process that attacks.
type attacker struct {
	at   netip.AddrPort
	kind *attack
	dice *rand.Rand
	seq  uint64
	held *ring
	ends []func()
	buf  []byte
}

// Attacked is what an attack came to.
type Attacked struct {
	Events  uint64  `json:"events"`
	Failed  uint64  `json:"failed"` // that the other end did not let happen
	Skipped uint64  `json:"skipped"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"`
}

// command is a line of the attacker's input; an empty one ends the attack.
type command struct {
	Attack    string         `json:"attack"`
	At        netip.AddrPort `json:"at"`
	PerSecond int            `json:"per_second"`
}

// attackerFiles is how many descriptors it may need.
const attackerFiles = 12_000

// RunAttacker attacks as the lines of in say. It writes a line when an attack begins,
// and one of what came of it.
func RunAttacker(ctx context.Context, in io.Reader, out io.Writer) error {
	if err := raiseFiles(attackerFiles); err != nil {
		return err
	}
	lines := make(chan command)
	go func() { // ends with the process
		defer close(lines)
		for r := bufio.NewScanner(in); r.Scan(); {
			var c command
			if json.Unmarshal(r.Bytes(), &c) != nil {
				return
			}
			lines <- c
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c, ok := <-lines:
			if !ok {
				return nil
			}
			if err := runAttack(ctx, &c, lines, json.NewEncoder(out)); err != nil {
				return err
			}
		}
	}
}

// runAttack ends with the next line.
func runAttack(ctx context.Context, c *command, lines <-chan command, out *json.Encoder) error {
	kind := attackNamed(c.Attack)
	if kind == nil {
		return out.Encode(&Attacked{Error: fmt.Sprintf("no attack is called %q", c.Attack)})
	}
	a := &attacker{at: c.At, kind: kind, dice: rand.New(rand.NewPCG(1, 2)), held: newRing(kind.hold), buf: make([]byte, 0, 4096)}
	defer a.close()
	event, err := kind.make(a)
	if err != nil {
		return out.Encode(&Attacked{Error: err.Error()})
	}
	if err := out.Encode(&Attacked{}); err != nil {
		return err
	}
	begin := time.Now()
	r := a.pace(ctx, c.PerSecond, event, lines)
	r.Seconds = time.Since(begin).Seconds()
	return out.Encode(&r)
}

const (
	// attackTick is how often due events are looked for.
	attackTick = time.Millisecond
	// attackLag bounds how late an event may be done, in ticks: who was kept from
	// its core does not come back with all of it at once.
	attackLag = 4
	// An attack goes through all it has: half a second's events, if the machine lets it
	// within attackMost, also where what is measured beside it took less.
	attackMost = 5 * time.Second
)

// pace does so many events a second until a line comes, and half of them at least.
func (a *attacker) pace(ctx context.Context, perSecond int, event func() error, lines <-chan command) (r Attacked) {
	tick := time.NewTicker(attackTick)
	defer tick.Stop()
	begin, most := time.Now(), max(1, uint64(perSecond)*attackLag/uint64(time.Second/attackTick))
	for ended := false; ; {
		select {
		case <-ctx.Done():
			return r
		case <-lines:
			ended = true
		case <-tick.C:
		}
		if ended && (r.Events >= uint64(perSecond)/2 || time.Since(begin) > attackMost) {
			return r
		}
		due := uint64(time.Since(begin).Seconds() * float64(perSecond))
		if late := due - r.Events - r.Skipped; late > most {
			r.Skipped += late - most
		}
		for r.Events+r.Skipped < due {
			r.Events++
			if err := event(); err != nil {
				r.Failed++
				if !errors.Is(err, errRefused) {
					r.Error = err.Error()
				}
			}
		}
	}
}

func (a *attacker) close() {
	a.held.closeAll()
	for _, end := range a.ends {
		end()
	}
}

// errRefused means that the other end protected itself.
var errRefused = errors.New("refused")

// raiseFiles lets this process have so many descriptors.
func raiseFiles(count int) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Cur >= uint64(count) {
		return err
	}
	l.Cur = uint64(count)
	l.Max = max(l.Max, l.Cur)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("%d descriptors: %w", count, err)
	}
	return nil
}

// garbage is anything but a message.
func (a *attacker) garbage() []byte {
	b := a.buf[:20+a.dice.IntN(400)]
	for i := range b {
		b[i] = byte(a.dice.Uint32())
	}
	if a.dice.IntN(4) == 0 {
		return append(b[:0], "GET / HTTP/1.1\r\nHost: "+strings.Repeat("x", 40)+"\r\n\r\n"...)
	}
	return b
}

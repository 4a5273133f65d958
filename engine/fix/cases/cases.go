// Package cases runs scripts of FIX session cases against an acceptor: those of the
// QuickFIX engines.
//
// A line of a script is an action of connection 1, or of another one by its number:
//
//	iCONNECT  I<message>  iDISCONNECT  iSLEEP <ms>
//	E<message>  eDISCONNECT
//
// BodyLength and CheckSum are filled in where they are missing; <TIME>, <TIME-121> is
// the present time. Expected messages are compared field by field in their order, but for
// times and the checksum.
package cases

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrCase is wrapped by every way in which a script can fail.
var ErrCase = errors.New("case")

// Timeout is how long an expected message may take.
const Timeout = 15 * time.Second

type peer struct {
	net.Conn
	r *bufio.Reader
}

// Run runs one script. dial connects to the acceptor. replace are pairs of texts: a
// script's second may be another one's minute.
func Run(file string, dial func() (net.Conn, error), replace ...string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	peers := map[byte]*peer{}
	defer func() {
		for _, p := range peers {
			_ = p.Close()
		}
	}()
	for n, line := range strings.Split(strings.NewReplacer(replace...).Replace(string(text)), "\n") {
		line = strings.TrimRight(line, "\r")
		if len(line) < 2 || line[0] == '#' {
			continue
		}
		id, rest := byte('1'), line[1:]
		if len(rest) > 2 && rest[0] >= '0' && rest[0] <= '9' && rest[1] == ',' {
			id, rest = rest[0], rest[2:]
		}
		if err := step(line[0], id, rest, peers, dial); err != nil {
			return fmt.Errorf("%w: %s line %d: %w\n%s", ErrCase, file, n+1, err, strings.ReplaceAll(line, "\x01", "|"))
		}
	}
	return nil
}

func step(action, id byte, rest string, peers map[byte]*peer, dial func() (net.Conn, error)) error {
	p := peers[id]
	if rest != "CONNECT" && p == nil && !strings.HasPrefix(rest, "SLEEP") {
		return errors.New("not connected")
	}
	switch {
	case action == 'i' && rest == "CONNECT":
		c, err := dial()
		if err != nil {
			return err
		}
		peers[id] = &peer{c, bufio.NewReader(c)}
		return nil
	case action == 'i' && rest == "DISCONNECT":
		delete(peers, id)
		return p.Close()
	case action == 'i' && strings.HasPrefix(rest, "SLEEP "):
		ms, err := strconv.Atoi(rest[len("SLEEP "):])
		time.Sleep(time.Duration(ms) * time.Millisecond)
		return err
	case action == 'I':
		_, err := p.Write(Fill(rest))
		return err
	case action == 'E':
		_ = p.SetReadDeadline(time.Now().Add(Timeout))
		got, err := Read(p.r)
		if err != nil {
			return err
		}
		return compare(string(Fill(rest)), string(got))
	case action == 'e' && rest == "DISCONNECT":
		_ = p.SetReadDeadline(time.Now().Add(Timeout))
		if got, err := Read(p.r); err == nil {
			return fmt.Errorf("a message where the end was expected: %s", strings.ReplaceAll(string(got), "\x01", "|"))
		} else if t, ok := err.(net.Error); ok && t.Timeout() {
			return errors.New("the connection does not end")
		}
		delete(peers, id)
		return p.Close()
	}
	return errors.New("syntax")
}

var timeMark = regexp.MustCompile(`<TIME([+-]\d+)?>`)

// Fill makes a message of a script's line.
func Fill(line string) []byte {
	line = timeMark.ReplaceAllStringFunc(line, func(m string) string {
		at := time.Now().UTC()
		if len(m) > len("<TIME>") {
			s, _ := strconv.Atoi(m[len("<TIME") : len(m)-1])
			at = at.Add(time.Duration(s) * time.Second)
		}
		return at.Format("20060102-15:04:05")
	})
	if !strings.HasPrefix(line, "8=") {
		return []byte(line)
	}
	head, body, _ := strings.Cut(line, "\x01")
	head += "\x01"
	checksum := ""
	if i := strings.LastIndex(body, "\x0110="); i >= 0 {
		body, checksum = body[:i+1], body[i+1:]
	}
	length := ""
	if !strings.Contains("\x01"+body, "\x019=") {
		length = fmt.Sprintf("9=%d\x01", len(body))
	}
	m := head + length + body
	if checksum == "" {
		sum := 0
		for i := range len(m) {
			sum += int(m[i])
		}
		checksum = fmt.Sprintf("10=%03d\x01", sum%256)
	}
	return []byte(m + checksum)
}

// Read takes one message off a connection.
func Read(r *bufio.Reader) ([]byte, error) {
	var m []byte
	field := func() error {
		b, err := r.ReadBytes(1)
		m = append(m, b...)
		return err
	}
	if err := errors.Join(field(), field()); err != nil {
		if len(m) == 0 {
			return nil, err
		}
		return nil, fmt.Errorf("%q: %w", m, err)
	}
	at := bytes.Index(m, []byte("9="))
	n, err := strconv.Atoi(string(m[at+2 : len(m)-1]))
	if err != nil || n > 1<<16 {
		return nil, fmt.Errorf("BodyLength of %q", m)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	m = append(m, body...)
	err = field()
	return m, err
}

var patterns = map[string]*regexp.Regexp{
	"10": regexp.MustCompile(`^\d{3}$`), "52": regexp.MustCompile(`^\d{8}-\d\d:\d\d:\d\d(\.\d{3})?$`),
	"60": regexp.MustCompile(`^\d{8}-\d\d:\d\d:\d\d`), "122": regexp.MustCompile(`^\d{8}-\d\d:\d\d:\d\d`),
	"42": regexp.MustCompile(`^\d{8}-\d\d:\d\d:\d\d`),
}

func compare(want, got string) error {
	w, g := strings.Split(strings.TrimSuffix(want, "\x01"), "\x01"), strings.Split(strings.TrimSuffix(got, "\x01"), "\x01")
	fail := func(why string) error {
		return fmt.Errorf("%s\nwant %s\n got %s", why, strings.Join(w, "|"), strings.Join(g, "|"))
	}
	if len(w) != len(g) {
		return fail(fmt.Sprintf("%d fields, not %d", len(g), len(w)))
	}
	for i := range w {
		wt, wv, _ := strings.Cut(w[i], "=")
		gt, gv, _ := strings.Cut(g[i], "=")
		if wt != gt {
			return fail("field " + gt + " where " + wt + " should be")
		}
		if p := patterns[wt]; p != nil {
			if !p.MatchString(gv) {
				return fail("field " + wt)
			}
		} else if wt != "9" && wv != gv {
			// A length is checked by reading the message; with times of seconds it is another.
			return fail("value of field " + wt)
		}
	}
	return nil
}

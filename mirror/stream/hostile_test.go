package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Only who holds a certificate of the authority, and is the node it names.
func TestCertificates(t *testing.T) {
	w := newWorld(t)
	w.append(10, 1)
	w.serve(nil)
	other, err := NewAuthority(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(c *Credentials, server uint8) error {
		client, err := Dial(context.Background(), w.server.Addr().String(), server, ClientOptions{Credentials: c, Timing: quick})
		if err == nil {
			// TLS 1.3 tells a client of its refused certificate with the first answer.
			_, err = client.Status()
			_ = client.Close()
		}
		return err
	}
	if err := dial(w.credentials(2), 1); err != nil {
		t.Fatal(err)
	}
	if err := dial(w.credentials(2), 4); err == nil || !strings.Contains(err.Error(), NodeName(1)) {
		t.Fatalf("a server that is another node was believed: %v", err)
	}
	// Signed by somebody else.
	authority, key, err := other.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadAuthority(authority, key)
	if err != nil {
		t.Fatal(err)
	}
	c, k, err := again.Issue(2, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ParseCredentials(c, k, authority)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseCredentials(c, k, mustPEM(t, w.authority)); !errors.Is(err, ErrCredentials) {
		t.Fatalf("a certificate of another authority makes credentials: %v", err)
	}
	stranger.authorities = w.credentials(2).authorities
	if dial(stranger, 1) == nil {
		t.Fatal("a certificate of another authority is taken")
	}
	// Run out.
	c, k, err = w.authority.Issue(2, -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseCredentials(c, k, mustPEM(t, w.authority)); !errors.Is(err, ErrCredentials) {
		t.Fatalf("a certificate that has run out makes credentials: %v", err)
	}
	// The name of another node.
	liar := w.credentials(2)
	liar.Node = 3
	if err := dial(liar, 1); !errors.Is(err, &Refused{Reason: ReasonName}) {
		t.Fatal(err)
	}
	w.counted("stream_refused_name", 1)
}

func mustPEM(t *testing.T, a *Authority) []byte {
	t.Helper()
	c, _, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNodeNames(t *testing.T) {
	for name, want := range map[string]uint8{"node-1.onebeat": 1, "node-255.onebeat": 255, "node-0.onebeat": 0, "node-256.onebeat": 0,
		"node-01.onebeat": 0, "node-1": 0, "node-1.onebeat.": 0, "x.node-1.onebeat": 0, "node--1.onebeat": 0} {
		if got, ok := parseNodeName(name); ok != (want != 0) || ok && got != want {
			t.Errorf("%q is node %d, %v", name, got, ok)
		}
	}
}

// handshake opens a TLS connection without the client's greeting.
func (w *world) handshake(node uint8) *tls.Conn {
	w.t.Helper()
	c, err := tls.Dial("tcp", w.server.Addr().String(), w.credentials(node).client(1))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// refusal reads what the server says.
func refusal(t *testing.T, c *tls.Conn) *Refused {
	t.Helper()
	in := frames{from: c}
	h, body, err := in.next()
	var r Refused
	if err == nil && h.typ == TypeRefused {
		err = r.parse(body)
	}
	if err != nil || h.typ != TypeRefused {
		t.Fatalf("%v, %v", h.typ, err)
	}
	return &r
}

func TestOtherVersion(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	c := w.handshake(2)
	old := hello{version: 7, node: 2, server: 1, name: "x"}
	if _, err := c.Write(seal(append(make([]byte, HeaderBytes), old.put(nil)...), TypeHello, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if r := refusal(t, c); r.Reason != ReasonVersion {
		t.Fatal(r)
	}
	w.counted("stream_refused_version", 1)
}

func TestNonsense(t *testing.T) {
	w := newWorld(t)
	w.serve(nil)
	long := make([]byte, HeaderBytes+200)
	long[HeaderBytes] = Version
	for _, b := range [][]byte{
		bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 10),
		seal(make([]byte, HeaderBytes+8), TypeLog, 0, 3),
		seal(long, TypeHello, 0, 0),
	} {
		c := w.handshake(2)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if r := refusal(t, c); r.Reason != ReasonFrame {
			t.Fatal(r)
		}
	}
	w.counted("stream_refused_frame", 3)
	// No TLS at all, and silence.
	plain, err := net.Dial("tcp", w.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Write(bytes.Repeat([]byte("x"), 100)); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Dial("tcp", w.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	w.counted("stream_refused_tls", 2)
}

// A thousand connections cost the server no more than its bound, and who has one
// keeps it.
func TestThousandConnections(t *testing.T) {
	w := newWorld(t)
	w.append(100, 1)
	w.serve(func(o *ServerOptions) { o.ConnectionsMax = 20 })
	c := w.dial(2)
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range 1000 {
		n, err := net.Dial("tcp", w.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, n)
	}
	w.counted("stream_refused_busy", 1000-19)
	if got, _, err := read(t, c, LogRequest{Lane: 3}); err != nil || len(got) == 0 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	// Who says nothing is gone in a while, and there is room again.
	w.counted("stream_refused_tls", 19)
	w.dial(5)
}

// One node cannot take all places.
func TestConnectionsOfOneNode(t *testing.T) {
	w := newWorld(t)
	w.serve(func(o *ServerOptions) { o.NodeConnectionsMax = 2 })
	w.dial(2)
	w.dial(2)
	_, err := Dial(context.Background(), w.server.Addr().String(), 1, ClientOptions{Credentials: w.credentials(2), Timing: quick})
	if !errors.Is(err, &Refused{Reason: ReasonBusy}) {
		t.Fatal(err)
	}
	w.dial(5)
}

// A client that does not read, or is dead, costs its connection only.
func TestSlowClient(t *testing.T) {
	w := newWorld(t)
	w.appendArchived(100_000, 1)
	w.serve(func(o *ServerOptions) { o.Timing.Dead = 300 * time.Millisecond })
	c := w.dial(2)
	if tcp, ok := c.conn.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096)
	}
	if _, err := c.Log(LogRequest{Lane: 3}); err != nil { // and never reads
		t.Fatal(err)
	}
	if got, _, err := read(t, w.dial(5), LogRequest{Lane: 3}); err != nil || uint64(len(got)) != w.ring.Tail() {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	w.counted("stream_refused_slow", 1)
	// A follower that says nothing.
	l, err := w.dial(2).Log(LogRequest{Lane: 3, Follow: true, Copy: true})
	if err != nil {
		t.Fatal(err)
	}
	l.stop()
	for err == nil {
		_, err = l.Next()
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if list := w.server.Copies(3); len(list) == 1 && !list[0].Connected {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%+v", list)
		}
	}
}

// An ACK of what was not sent is a lie.
func TestFalseAck(t *testing.T) {
	w := newWorld(t)
	w.append(10, 1)
	w.serve(nil)
	l, err := w.dial(2).Log(LogRequest{Lane: 3, Follow: true, Copy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Ack(1<<40, 0); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = l.Next()
	}
	if !errors.Is(err, &Refused{Reason: ReasonFrame}) {
		t.Fatal(err)
	}
	if list := w.server.Copies(3); list[0].Received != 0 {
		t.Fatalf("%+v", list)
	}
}

// The same client again: the earlier connection is taken for lost.
func TestCopyComesAgain(t *testing.T) {
	w := newWorld(t)
	w.append(10, 1)
	w.serve(nil)
	first, err := w.dial(2).Log(LogRequest{Lane: 3, Follow: true, Copy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := first.Next(); err != nil {
		t.Fatal(err)
	}
	second, err := w.dial(2).Log(LogRequest{Lane: 3, Follow: true, Copy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	for err == nil {
		_, err = first.Next()
	}
	w.counted("stream_refused_replaced", 1)
	if _, err := second.Next(); err != nil {
		t.Fatal(err)
	}
	if list := w.server.Copies(3); len(list) != 1 || !list[0].Connected {
		t.Fatalf("%+v", list)
	}
}

// No faster than it may: 1 MB/s for what takes no time else.
func TestRateLimit(t *testing.T) {
	w := newWorld(t)
	w.append(5000, 1) // 800 kB
	w.serve(func(o *ServerOptions) { o.RateBytes = 1 << 20 })
	began := time.Now()
	got, _, err := read(t, w.dial(2), LogRequest{Lane: 3})
	if took := time.Since(began); err != nil || took < 300*time.Millisecond {
		t.Fatalf("%d bytes in %v, %v", len(got), took, err)
	}
}

// A harmed chunk is named by its position, and nothing of it is handed on.
func TestHarmedChunk(t *testing.T) {
	w := newWorld(t)
	w.append(100, 1)
	w.serve(nil)
	for _, at := range []int{0, 5, 9, 13, HeaderBytes + 3, HeaderBytes + 20, HeaderBytes + chunkHeadBytes + 1, HeaderBytes + chunkHeadBytes + 5000} {
		c := w.dial(2)
		var seen int
		c.in.from = readerFunc(func(b []byte) (int, error) {
			n, err := c.conn.Read(b)
			if seen <= at && at < seen+n {
				b[at-seen] ^= 0x10
			}
			seen += n
			return n, err
		})
		got, _, err := read(t, c, LogRequest{Lane: 3})
		if !errors.Is(err, ErrFrame) || len(got) != 0 {
			t.Fatalf("byte %d: %d bytes of records, %v", at, len(got), err)
		}
		if at > HeaderBytes+8 && !strings.Contains(err.Error(), "position 0") {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	// Records that are harmed before the server made a frame of them: its memory.
	w.ring.Bytes(1600, 1700)[50] ^= 1
	w.lane.Archive = ""
	got, last, err := read(t, w.dial(2), LogRequest{Lane: 3})
	if !errors.Is(err, &Refused{Reason: ReasonDamage}) || len(got) != 1600 || last.end() != 1600 || !strings.Contains(err.Error(), "1600") {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// The server ends while it is asked.
func TestServerEnds(t *testing.T) {
	w := newWorld(t)
	w.append(100, 1)
	w.serve(nil)
	l, err := w.dial(2).Log(LogRequest{Lane: 3, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Next(); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Close(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = l.Next()
	}
	w.server = Serve(listen(t), ServerOptions{Credentials: w.credentials(1), Timing: quick})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Whatever comes, the decoders neither panic nor take what their encoders would
// not have made.
func FuzzFrames(f *testing.F) {
	h := hello{version: Version, node: 2, server: 1, name: "node-2"}
	req := LogRequest{Lane: 3, From: 160, Epoch: 1, Follow: true, RateBytes: 9}
	status := LaneStatus{Lane: 3, State: 4, Writer: 1, Epoch: 2, Begin: 3, WallNs: 4}
	refused := Refused{ReasonBusy, "no"}
	head := make([]byte, chunkHeadBytes)
	(&chunkHead{position: 32, safe: 64, rawBytes: 32}).put(head)
	for typ, body := range map[Type][]byte{TypeHello: h.put(nil), TypeWelcome: (&welcome{Version, 1, ChunkBytes}).put(nil),
		TypeLog: req.put(nil), TypeLanes: status.put(nil), TypeRefused: refused.put(nil), TypeChunk: head,
		TypeCompare: (&comparison{32, []part{{64, [16]byte{1}}, {96, [16]byte{2}}}}).put(nil),
		TypeCaught:  (&place{1, 2, 3}).put(nil), TypeSnapshot: (&SnapshotHead{Position: 1, Bytes: 2}).put(nil)} {
		f.Add(seal(append(make([]byte, HeaderBytes), body...), typ, 0, 3))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= HeaderBytes { // a fuzzer finds no checksums
			binary.LittleEndian.PutUint32(b, magic)
			binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-HeaderBytes))
			binary.LittleEndian.PutUint32(b[12:], sum(b[:12], b[HeaderBytes:]))
		}
		in := frames{from: bytes.NewReader(b)}
		h, body, err := in.next()
		if err != nil {
			return
		}
		var again []byte
		switch h.typ {
		case TypeHello:
			var v hello
			if v.parse(body) == nil && v.version == Version {
				again = v.put(nil)
			}
		case TypeWelcome:
			var v welcome
			if v.parse(body) == nil && body[3] == 0 {
				again = v.put(nil)
			}
		case TypeLog:
			var v LogRequest
			if v.parse(h.lane, body) == nil && bytes.Equal(body[80:], make([]byte, 16)) && (!v.Last.known() || binary.LittleEndian.Uint32(body[24:]) == v.Epoch) {
				again = v.put(nil)
			}
		case TypeChunk:
			var v chunkHead
			if v.parse(body) == nil {
				l := Log{client: &Client{}, next: v.position}
				if c, err := l.chunk(0, body); err == nil && len(c.Records) == 0 {
					t.Fatal("an empty chunk is taken")
				}
			}
		case TypeCompare:
			var v comparison
			if v.parse(body) == nil {
				again = v.put(nil)
			}
		case TypeLanes:
			_, _ = parseLanes(body)
		case TypeRefused:
			var v Refused
			if v.parse(body) == nil {
				again = v.put(nil)
			}
		}
		if again != nil && !bytes.Equal(again, body) {
			t.Fatalf("%v: %x makes %x", h.typ, body, again)
		}
	})
}

// The reader of frames ends where its input does.
func TestTruncatedFrames(t *testing.T) {
	frame := seal(make([]byte, HeaderBytes+placeBytes), TypeAck, 0, 3)
	for n := range frame {
		in := frames{from: bytes.NewReader(frame[:n])}
		if _, _, err := in.next(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

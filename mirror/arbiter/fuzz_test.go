package arbiter

import (
	"testing"

	"onebeat/mirror/wire"
)

// resealed gives b a good MAC in place of its last eight bytes, so that the
// fuzzer gets past it.
func resealed(b []byte, key [2]uint64) []byte {
	c := append([]byte(nil), b...)
	if len(c) >= 8 {
		mac := wire.Sip(key, c[:len(c)-8])
		for i := range 8 {
			c[len(c)-8+i] = byte(mac >> (8 * i))
		}
	}
	return c
}

func FuzzAsk(f *testing.F) {
	k := testKeys(1)
	b := make([]byte, AskBytes)
	a := testAsk()
	a.Put(b, &k)
	f.Add(b)
	f.Add(b[:60])
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, b := range [][]byte{raw, resealed(raw, k.ask)} {
			var a Ask
			if a.Parse(b, &k) != OK {
				continue
			}
			again := make([]byte, AskBytes)
			if a.Put(again, &k); string(again) != string(b) {
				t.Fatalf("%+v does not encode to what it was decoded from", a)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	k := testKeys(1)
	b := make([]byte, AnswerBytes)
	o := testTold()
	o.Put(b, &k)
	f.Add(b)
	f.Add(b[:60])
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, b := range [][]byte{raw, resealed(raw, k.answers)} {
			var o Told
			if o.Parse(b, &k) != OK {
				continue
			}
			again := make([]byte, AnswerBytes)
			if o.Put(again, &k); string(again) != string(b) {
				t.Fatalf("%+v does not encode to what it was decoded from", o)
			}
		}
	})
}

// Whatever arrives: what is not authentic changes no register and gets no
// answer, and what is keeps to the register's rule.
func FuzzSeat(f *testing.F) {
	k := testKeys(1)
	b := make([]byte, AskBytes)
	a := testAsk()
	a.Put(b, &k)
	f.Add(b)
	a.Type, a.Request = FrameRead, Request{}
	a.Put(b, &k)
	f.Add(append([]byte(nil), b...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := NewSeat(3, [2]uint64{1, 2}, []Group{{"pair", k}})
		s.Seed("pair", 3, testRecord)
		reply := make([]byte, AnswerBytes)
		for _, b := range [][]byte{raw, resealed(raw, k.ask)} {
			authentic := new(Ask).Parse(b, &k) == OK
			n, change := s.Step(b, reply)
			g, _ := s.Register("pair", 3)
			if g.Record != testRecord { // it would take a ticket of this life
				t.Fatalf("%x changed %v to %v", b, testRecord, g.Record)
			}
			if !authentic && (n != 0 || change != nil) || authentic && n != AnswerBytes {
				t.Fatalf("%x: authentic %t, answer of %d bytes", b, authentic, n)
			}
			if n > 0 && new(Told).Parse(reply[:n], &k) != OK {
				t.Fatalf("%x: own answer refused", b)
			}
		}
	})
}

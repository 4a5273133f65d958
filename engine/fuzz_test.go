package engine

import (
	"testing"

	"onebeat/engine/app"
	"onebeat/engine/client"
	"onebeat/engine/fixp"
	"onebeat/engine/sbe"
)

// fuzzFrames are good datagrams of both sides to mutate.
func fuzzFrames() [][]byte {
	lane, venue, key := sessionID(0), sessionID(99), fixp.NewKey("key0")
	var frames [][]byte
	add := func(build func(b []byte) int) {
		b := make([]byte, 512)
		frames = append(frames, b[:build(b)])
	}
	for _, id := range []*sbe.UUID{&lane, &venue} {
		add(func(b []byte) int { return sbe.PutContext(b, id, 1) })
		for template := sbe.TemplateSequence; template <= sbe.TemplateReject; template++ {
			if sbe.TemplateName(template) == "unknown" || template == sbe.TemplateContext {
				continue
			}
			add(func(b []byte) int {
				n := sbe.PutContext(b, id, 1)
				block := sbe.Put(b[n:], template, sbe.BlockBytes(template))
				for i := range block {
					block[i] = byte(i % 3)
				}
				return n + sbe.PrefixBytes + len(block)
			})
		}
		for template := sbe.TemplateNegotiate; template <= sbe.TemplateTerminate; template++ {
			add(func(b []byte) int {
				block := sbe.Put(b, template, sbe.BlockBytes(template))
				copy(block, id[:])
				if len(block) > 24 {
					block[16] = 3
				}
				return sbe.PrefixBytes + len(block)
			})
		}
	}
	add(func(b []byte) int {
		e := sbe.AsEstablish(sbe.Put(b, sbe.TemplateEstablish, sbe.EstablishBytes))
		e.SetSessionID(&lane)
		e.SetTimestamp(9)
		e.SetKeepAliveMs(100)
		e.SetCredentials(key.Sign(sbe.TemplateEstablish, &lane, 9))
		return sbe.PrefixBytes + sbe.EstablishBytes
	})
	return frames
}

// FuzzMachine feeds datagrams to an established gateway, from the client, from
// the venue and from a stranger: no panic, and nothing that Split refuses or
// that names no configured session is ever committed.
func FuzzMachine(f *testing.F) {
	for i, b := range fuzzFrames() {
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, side uint8, b []byte) {
		r := newSmallGatewayRig()
		for range 3 {
			r.order()
		}
		from, port := endpoint(10, 5000), uint16(simClientPort)
		switch side % 4 {
		case 1:
			from, port = venueEndpoint, simLocalPort
		case 2:
			from = endpoint(66, 6666)
		case 3:
			port = 7
		}
		var m [sbe.MaxMessages]sbe.Message
		_, why := sbe.Split(b, &m)
		dg := app.Datagram{Payload: b, From: from, LocalPort: port}
		n := r.m.Open(&dg, r.nowNs)
		if why != sbe.OK && n != 0 {
			t.Fatalf("%v, yet %d messages", why, n)
		}
		for i := range n {
			v, d := r.m.Admit(i, r.nowNs, r.out)
			if v != app.Commit {
				continue
			}
			if side%4 == 3 {
				t.Fatal("committed from a port that is not ours")
			}
			if d.Type != app.RecordSession {
				if _, _, _, _, ok := fixp.ParseMessage(d.Payload); !ok || side%4 == 2 {
					t.Fatalf("committed %x", d.Payload)
				}
			}
			r.commit(d)
		}
		r.nowNs += 5_000_000
		r.m.Poll(r.nowNs, r.out)
		r.order()
		r.m.Digest()
	})
}

// FuzzRecord applies arbitrary message and venue records, as a log might hold
// them that another version wrote.
func FuzzRecord(f *testing.F) {
	for i, b := range fuzzFrames() {
		if len(b) > sbe.PrefixBytes+sbe.ContextBytes+sbe.SOFHBytes {
			b = b[sbe.PrefixBytes+sbe.ContextBytes+sbe.SOFHBytes:]
		}
		f.Add(i%2 == 0, append(make([]byte, fixp.MessagePrefixBytes), b...))
	}
	f.Fuzz(func(t *testing.T, venue bool, payload []byte) {
		r := newSmallGatewayRig()
		for range 3 {
			r.order()
		}
		rec := app.Record{TimeNs: r.nowNs, Type: app.RecordMessage, Payload: payload}
		if venue {
			rec.Type = app.RecordVenue
		}
		r.m.Apply(&rec, r.out)
		r.m.Apply(&app.Record{TimeNs: r.nowNs, Type: app.RecordEpoch}, r.out)
		r.m.Promote(r.nowNs, r.out)
		r.m.Poll(r.nowNs+1, r.out)
		r.order()
	})
}

type sinkOut struct{ b [1500]byte }

func (s *sinkOut) Buffer() []byte { return s.b[:1024] }
func (s *sinkOut) Send(int)       {}

type quiet struct{}

func (quiet) OnReport(*client.Answer, *sbe.ExecutionReport) {}
func (quiet) OnReject(*client.Answer, *sbe.Reject)          {}

// FuzzClient feeds datagrams to an established client with unanswered orders.
func FuzzClient(f *testing.F) {
	for _, b := range fuzzFrames() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := must(client.New(client.Config{Session: sessionID(0), Key: fixp.NewKey("key0"), Window: 16}, quiet{}))
		out := &sinkOut{}
		nowNs := int64(1_000_000_000)
		for _, template := range []uint16{sbe.TemplateNegotiationResponse, sbe.TemplateEstablishmentAck} {
			c.Poll(nowNs, out)
			id := sessionID(0)
			var a [128]byte
			block := sbe.Put(a[:], template, sbe.BlockBytes(template))
			copy(block, id[:])
			m := sbe.AsNegotiationResponse(block)
			m.SetRequestTimestamp(uint64(nowNs))
			c.OnDatagram(a[:sbe.PrefixBytes+len(block)], nowNs)
			nowNs += 1_000_000
		}
		if !c.Ready() {
			t.Fatal("not established")
		}
		for k := range 8 {
			c.SendOrder(&client.Order{ClOrdID: uint64(k + 1)}, nowNs)
		}
		c.Poll(nowNs, out)
		c.OnDatagram(b, nowNs)
		c.OnDatagram(b, nowNs)
		for range 8 {
			nowNs += 30_000_000
			c.Poll(nowNs, out)
		}
		if n := c.Unanswered(); n < 0 || n > 8 {
			t.Fatalf("%d unanswered of 8", n)
		}
	})
}

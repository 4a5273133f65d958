package xdp

import (
	"testing"

	"onebeat/xdp/frame"
)

// What sharing costs: a datagram there and back, over a socket of one's own and
// over one shared by four.
func BenchmarkRoundTrip(b *testing.B) {
	for _, c := range []struct {
		name string
		keys []uint32
	}{{"own", nil}, {"shared by 4", []uint32{1, 2, 3, 0}}} {
		b.Run(c.name, func(b *testing.B) {
			p := newPair(b, Options{})
			ports := []Port{p.server}
			if c.keys != nil {
				m, err := NewMux(p.server, ByteKey(frame.HeaderBytes), c.keys...)
				if err != nil {
					b.Fatal(err)
				}
				ports = nil
				for _, s := range m.Shares() {
					ports = append(ports, s)
				}
			}
			var echoes []Echo
			for _, port := range ports {
				echoes = append(echoes, Echo{Port: port})
			}
			for b.Loop() {
				p.send(uint64(len(echoes) - 1))
				p.client.Kick()
				for i := range echoes {
					echoes[i].DoWork(0)
				}
				p.client.Recv(16)
				p.client.Done()
			}
		})
	}
}

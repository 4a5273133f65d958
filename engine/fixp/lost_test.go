package fixp

import (
	"testing"

	"onebeat/engine/app"
)

const second = int64(1_000_000_000)

// poll lets time bring about what it does until nothing more comes of it.
func (p *peer) poll(aheadNs int64) (kinds []app.InputKind) {
	p.nowNs += aheadNs
	for {
		v, d := p.s.Poll(p.nowNs, p.out)
		if v != app.Commit {
			return kinds
		}
		if kind := p.apply(d); kind != 0 {
			kinds = append(kinds, kind)
		}
	}
}

func (p *peer) wantKinds(got []app.InputKind, want ...app.InputKind) {
	p.t.Helper()
	if len(got) != len(want) {
		p.t.Fatalf("the application heard %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			p.t.Fatalf("the application heard %v, want %v", got, want)
		}
	}
}

// A session with cancel-on-disconnect is lost once its window is over, once, and
// up again when it comes back; one without never is.
func TestLostAfterItsWindow(t *testing.T) {
	for _, windowNs := range []int64{0, 5 * second} {
		p := newPeer(t, 64)
		p.s.sessions[0].windowNs = windowNs
		p.connect()
		p.wantKinds(p.kinds, app.SessionUp)
		p.wantKinds(p.poll(400_000_000)) // three intervals of 100 ms: expired
		p.want("Terminate")
		p.state(Terminated)
		p.wantKinds(p.poll(4 * second))
		p.kinds = nil
		p.receive(establish(key, 3), home) // back in time
		p.wantKinds(p.kinds)
		p.receive(terminate(), home)
		p.poll(4 * second)
		// A failover: whoever serves now gives the whole window.
		p.s.Promote(p.nowNs, p.out)
		p.wantKinds(p.poll(4 * second))
		if windowNs == 0 {
			p.wantKinds(p.poll(3600 * second))
			continue
		}
		p.wantKinds(p.poll(2*second), app.SessionLost)
		p.wantKinds(p.poll(100 * second))
		p.take()
		p.kinds = nil
		p.receive(establish(key, 4), home)
		p.wantKinds(p.kinds, app.SessionUp)
		if p.s.Counts.Of(CountLost) != 1 {
			t.Errorf("%d lost", p.s.Counts.Of(CountLost))
		}
	}
}

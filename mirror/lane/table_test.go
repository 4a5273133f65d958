package lane

import (
	"testing"
	"unsafe"
)

// The offsets of struct ob_lane, whose groups are aligned to 64 bytes
// (bpf/onebeat.h, OB_LINE).
func TestTableLayout(t *testing.T) {
	var x Table
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"cfg", unsafe.Offsetof(x.Config), 0},
		{"cfg.incarnation", unsafe.Offsetof(x.Config.Incarnation), 16},
		{"cfg.link_port", unsafe.Offsetof(x.Config.LinkPort), 44},
		{"cfg.order_mac", unsafe.Offsetof(x.Config.OrderMAC), 48},
		{"cfg.order_queue", unsafe.Offsetof(x.Config.OrderQueue), 66},
		{"cfg.order_ip", unsafe.Offsetof(x.Config.OrderIP), 76},
		{"cfg.heartbeat_ns", unsafe.Offsetof(x.Config.HeartbeatNs), 80},
		{"cfg.hang_ticks", unsafe.Offsetof(x.Config.HangTicks), 96},
		{"cfg.tx_key", unsafe.Offsetof(x.Config.TxKey), 104},
		{"cfg.peer_order_ip", unsafe.Offsetof(x.Config.PeerOrderIP), 136},
		{"cfg.lane_ip6", unsafe.Offsetof(x.Config.LaneIP6), 140},
		{"cfg size", unsafe.Sizeof(x.Config), 160},
		{"engine", unsafe.Offsetof(x.Engine), 192},
		{"tail", unsafe.Offsetof(x.Tail), 256},
		{"busy", unsafe.Offsetof(x.Busy), 320},
		{"peer", unsafe.Offsetof(x.Peer), 384},
		{"peer.released", unsafe.Offsetof(x.Peer.Released), 48},
		{"peer.archived", unsafe.Offsetof(x.Peer.Archived), 56},
		{"next_output", unsafe.Offsetof(x.NextOutput), 448},
		{"link_counter", unsafe.Offsetof(x.LinkCounter), 512},
		{"rx_counter", unsafe.Offsetof(x.RxCounter), 520},
		{"steer_counter", unsafe.Offsetof(x.SteerCounter), 576},
		{"second", unsafe.Offsetof(x.Second), 640},
		{"watch", unsafe.Offsetof(x.Watch), 704},
		{"watch.stuck_ticks", unsafe.Offsetof(x.Watch.StuckTicks), 32},
		{"watch.candidate_why", unsafe.Offsetof(x.Watch.CandidateWhy), 72},
		{"cuts", unsafe.Offsetof(x.Cuts), 832},
		{"commit", unsafe.Offsetof(x.Commit), 896},
		{"archive", unsafe.Offsetof(x.Archive), 960},
		{"size", unsafe.Sizeof(x), TableBytes},
	} {
		if c.got != c.want {
			t.Errorf("%s at %d, want %d", c.name, c.got, c.want)
		}
	}
}

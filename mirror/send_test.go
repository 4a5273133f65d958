package mirror

import (
	"testing"

	"onebeat/mirror/lane"
)

// A standby that fetched history while its writer had not sent it yet is ahead of
// what was sent: the writer goes on from there, not from bytes that its ring may
// not hold any more.
func TestSenderSkipsWhatTheStandbyFetched(t *testing.T) {
	r := &Replica{table: &lane.Table{}, word: lane.MakeWord(3, lane.Active), inSync: true}
	r.startSending(4096, 1_000)
	r.goBack(2_000)
	if r.sender.sent != 4096 {
		t.Fatalf("sent %d, nothing was ACKed", r.sender.sent)
	}
	r.table.Peer.Tail = 8192
	r.goBack(3_000)
	if r.sender.sent != 8192 || r.sender.acked != 8192 {
		t.Fatalf("sent %d, ACKed %d", r.sender.sent, r.sender.acked)
	}
	r.sender.sent = 12288 // what was sent and is not ACKed stays sent
	r.table.Peer.Tail = 10240
	r.goBack(4_000)
	if r.sender.sent != 12288 {
		t.Fatalf("sent %d", r.sender.sent)
	}
}

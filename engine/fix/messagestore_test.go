package fix

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/quickfixgo/quickfix"

	"onebeat/engine/fix/convert"
)

func newStore(t *testing.T) (*Store, *lane, *Acceptor) {
	t.Helper()
	a, l, _ := serve(t, Config{Sessions: []Session{testSession(t, convert.FIX44, "VENUE")}})
	m, err := StoreFactory{a}.Create(quickfix.SessionID{BeginString: "FIX.4.4", SenderCompID: "ISLD", TargetCompID: "VENUE"})
	if err != nil {
		t.Fatal(err)
	}
	return m.(*Store), l, a
}

// TestStoreIsQuickfixgos: what its own stores' suite asks of a store.
func TestStoreIsQuickfixgos(t *testing.T) {
	s, _, a := newStore(t)
	if s.NextSenderMsgSeqNum() != 1 || s.NextTargetMsgSeqNum() != 1 {
		t.Fatal("a new store does not begin at 1")
	}
	want := map[int]string{}
	for i := 1; i <= 150; i++ { // more than one answer's
		want[i] = fmt.Sprintf("8=FIX.4.4\x0134=%d\x01hello", i)
		if err := s.SaveMessageAndIncrNextSenderMsgSeqNum(i, []byte(want[i])); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if err := s.IncrNextTargetMsgSeqNum(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(s *Store, out, in, from, to int) {
		t.Helper()
		if s.NextSenderMsgSeqNum() != out || s.NextTargetMsgSeqNum() != in {
			t.Fatalf("numbers %d and %d, not %d and %d", s.NextSenderMsgSeqNum(), s.NextTargetMsgSeqNum(), out, in)
		}
		got, err := s.GetMessages(from, to)
		if err != nil || len(got) != to-from+1 {
			t.Fatalf("%d messages, %v", len(got), err)
		}
		for i, m := range got {
			if string(m) != want[from+i] {
				t.Fatalf("message %d: %q", from+i, m)
			}
		}
	}
	check(s, 151, 5, 2, 140)
	again, err := a.NewStore(0)
	if err != nil {
		t.Fatal(err)
	}
	check(again, 151, 5, 1, 150)
	created := s.CreationTime()
	time.Sleep(2 * time.Millisecond)
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if !s.CreationTime().After(created) {
		t.Error("a reset session is as old as before")
	}
	if got, err := s.GetMessages(1, 150); err != nil || len(got) != 0 {
		t.Errorf("%d messages behind a reset, %v", len(got), err)
	}
	s.SetCreationTime(created)
	if err := errors.Join(s.SetNextSenderMsgSeqNum(20), s.SetNextTargetMsgSeqNum(30), again.Refresh()); err != nil {
		t.Fatal(err)
	}
	if again.NextSenderMsgSeqNum() != 20 || again.NextTargetMsgSeqNum() != 30 || !again.CreationTime().Equal(created) {
		t.Errorf("%d %d %v", again.NextSenderMsgSeqNum(), again.NextTargetMsgSeqNum(), again.CreationTime())
	}
	if err := errors.Join(s.Close(), again.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestStoreWaitsForTheRelease: quickfixgo sends when Save returns.
func TestStoreWaitsForTheRelease(t *testing.T) {
	s, l, _ := newStore(t)
	l.heldBack.Store(true)
	saved := make(chan error, 1)
	go func() { saved <- s.SaveMessageAndIncrNextSenderMsgSeqNum(1, []byte("8=FIX.4.4\x01")) }()
	select {
	case err := <-saved:
		t.Fatalf("saved before its release: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	l.heldBack.Store(false)
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	s.Timeout = 20 * time.Millisecond
	l.heldBack.Store(true)
	if err := s.SaveMessage(2, []byte("x")); !errors.Is(err, ErrStore) {
		t.Fatal(err)
	}
}

package fixpeers

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"onebeat/bench/lab/porttest"
)

// The client of another make against an acceptor of a third: a restart of the
// acceptor is seen as such, numbers go on, and every order has one report.
func TestQuickFIXAgainstQuickFIXGo(t *testing.T) {
	program, err := Build()
	if err != nil {
		t.Fatal(err)
	}
	defer program.Remove()
	dir := t.TempDir()
	at := porttest.Hold(t)
	start := func() *Acceptor {
		a, err := StartAcceptor(&AcceptorOptions{At: at, CompID: "VENUE", Clients: []string{"DESK"}, StoreDir: filepath.Join(dir, "acceptor")})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := start()
	c := Client{At: at, Sender: "DESK", Target: "VENUE", StoreDir: filepath.Join(dir, "client"), History: filepath.Join(dir, "history"),
		RatePerSecond: 500, Duration: time.Minute}
	var out bytes.Buffer
	client := exec.Command(program.Path(), c.Args()...)
	client.Stdout = &out
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer client.Process.Kill()
	until := func(orders uint64) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); a.Orders() < orders; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no orders come")
			}
		}
	}
	until(100)
	a.Stop()
	a = start()
	defer a.Stop()
	until(100)
	if err := errors.Join(client.Process.Signal(syscall.SIGTERM), client.Wait()); err != nil {
		t.Fatal(err)
	}
	var result Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil || result.Unanswered != 0 || result.Sent < 200 {
		t.Fatalf("%s, %v", out.Bytes(), err)
	}
	events, err := ReadHistory(c.History)
	if err != nil {
		t.Fatal(err)
	}
	checkHistory(t, events, int(result.Sent))
}

func checkHistory(t *testing.T, events []Event, sent int) {
	t.Helper()
	reports, logons := map[string]int{}, 0
	var lastOut, lastIn, lastNs uint64
	for _, e := range events {
		if uint64(e.Ns) < lastNs {
			t.Fatal("time runs backwards")
		}
		lastNs = uint64(e.Ns)
		switch e.Event {
		case Logon:
			logons++
		case Order:
			if !e.PossDup && e.Seq <= lastOut {
				t.Errorf("number %d after %d", e.Seq, lastOut)
			}
			lastOut = max(lastOut, e.Seq)
		case Report:
			if e.Exec != "0" || e.Status != "0" {
				t.Errorf("%+v", e)
			}
			if !e.PossDup && e.Seq <= lastIn {
				t.Errorf("number %d came after %d", e.Seq, lastIn)
			}
			lastIn = max(lastIn, e.Seq)
			if !e.PossDup {
				reports[e.ID]++
			}
		}
		if e.Reset {
			t.Errorf("reset: %+v", e)
		}
	}
	if logons != 2 {
		t.Errorf("%d logons", logons)
	}
	for id := 1; id <= sent; id++ {
		if n := reports[strconv.Itoa(id)]; n != 1 {
			t.Errorf("order %d has %d reports", id, n)
		}
	}
}

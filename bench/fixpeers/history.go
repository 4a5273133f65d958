package fixpeers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Kinds of events.
const (
	Connecting    = "connecting"
	Connected     = "connected"
	ConnectFailed = "connect_failed"
	Logon         = "logon"
	Logout        = "logout" // or the connection was lost
	Order         = "order"
	Report        = "report"
	Sent          = "sent" // of the session
	Got           = "got"
	Said          = "said" // by QuickFIX itself
	Ending        = "ending"
)

// Event is one line of a history.
type Event struct {
	Ns         int64  `json:"ns"` // CLOCK_MONOTONIC
	Event      string `json:"event"`
	Seq        uint64 `json:"seq"` // MsgSeqNum
	PossDup    bool   `json:"poss_dup"`
	PossResend bool   `json:"poss_resend"`
	Type       string `json:"type"` // MsgType
	ID         string `json:"id"`   // ClOrdID
	Exec       string `json:"exec"`
	Status     string `json:"status"`
	ExecID     string `json:"exec_id"`
	OrderID    string `json:"order_id"`
	Text       string `json:"text"`
	// Reset: a Logon with ResetSeqNumFlag, or a SequenceReset that fills no gap.
	Reset  bool   `json:"reset"`
	NewSeq uint64 `json:"new_seq"`
	Begin  uint64 `json:"begin"` // of a ResendRequest
	End    uint64 `json:"end"`
}

// ReadHistory reads what a client wrote. A last line that a killed client did not
// end is left out.
func ReadHistory(path string) ([]Event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("history of the FIX client: %w", err)
	}
	defer f.Close()
	var events []Event
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		var e Event
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(events)+1, err)
		}
		events = append(events, e)
	}
}

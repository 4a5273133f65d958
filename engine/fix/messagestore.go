package fix

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/quickfixgo/quickfix"

	"onebeat/engine/cold"
	"onebeat/engine/fix/store"
)

// ErrStore is wrapped by every error of a Store.
var ErrStore = errors.New("store on the lane's log")

// Store is a quickfix.MessageStore on the lane's log, for one of its FIX sessions that
// quickfixgo itself runs: every message and every number is a record, and what is saved
// has been released when the call returns, so that quickfixgo cannot send it earlier.
type Store struct {
	a      *Acceptor
	at     int
	cookie uint32
	// Timeout bounds the wait for the lane [10 s].
	Timeout time.Duration

	mu      sync.Mutex // one call at a time
	term    uint64
	nextIn  uint64
	nextOut uint64
	created time.Time

	heard  sync.Mutex
	events []storeEvent
	bell   chan struct{}
}

type storeEvent struct {
	kind    uint8
	seqNo   uint64
	state   store.State
	message []byte
}

var _ quickfix.MessageStore = (*Store)(nil)

// NewStore opens the store of session at, in the order of Config.Sessions.
func (a *Acceptor) NewStore(at int) (*Store, error) {
	if at < 0 || at >= len(a.cfg.Sessions) {
		return nil, fmt.Errorf("%w: no session %d", ErrStore, at)
	}
	s := &Store{a: a, at: at, Timeout: 10 * time.Second, bell: make(chan struct{}, 1)}
	a.mu.Lock()
	for a.cookie++; a.cookie == 0 || a.conns[a.cookie] != nil || a.stores[a.cookie] != nil; a.cookie++ {
	}
	s.cookie = a.cookie
	a.stores[s.cookie] = s
	a.mu.Unlock()
	return s, s.Refresh()
}

// StoreFactory makes stores for quickfixgo.
type StoreFactory struct{ Acceptor *Acceptor }

// Create implements quickfix.MessageStoreFactory.
func (f StoreFactory) Create(id quickfix.SessionID) (quickfix.MessageStore, error) {
	for i := range f.Acceptor.cfg.Sessions {
		s := &f.Acceptor.cfg.Sessions[i]
		if s.Version.BeginString() == id.BeginString && s.Sender == id.SenderCompID && s.Target == id.TargetCompID &&
			s.SenderSub == id.SenderSubID && s.TargetSub == id.TargetSubID {
			return f.Acceptor.NewStore(i)
		}
	}
	return nil, fmt.Errorf("%w: no session %v", ErrStore, id)
}

func (a *Acceptor) storeBy(cookie uint32) *Store {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stores[cookie]
}

// tell takes an entry of the pump's.
func (s *Store) tell(e *cold.Entry) {
	v := storeEvent{kind: e.Kind, seqNo: e.SeqNo}
	switch e.Kind {
	case store.StateIs:
		v.state, _ = store.ParseState(e)
	case store.Kept:
		v.message = append([]byte(nil), e.Payload...)
	}
	s.heard.Lock()
	s.events = append(s.events, v)
	s.heard.Unlock()
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// await takes events until one is the last that was waited for.
func (s *Store) await(last func(*storeEvent) bool) error {
	deadline := time.NewTimer(s.Timeout)
	defer deadline.Stop()
	for {
		s.heard.Lock()
		events := s.events
		s.events = nil
		s.heard.Unlock()
		for i := range events {
			if last(&events[i]) {
				return nil
			}
		}
		select {
		case <-s.bell:
		case <-deadline.C:
			return fmt.Errorf("%w: the lane did not answer within %v", ErrStore, s.Timeout)
		case <-s.a.stop:
			return fmt.Errorf("%w: closed", ErrStore)
		}
		if s.a.port.Serving() != s.term {
			return fmt.Errorf("%w: %w", ErrStore, errStale)
		}
	}
}

func (s *Store) draft(h store.Header, body []byte) error {
	h.Session, h.Cookie, h.WallNs = uint16(s.at), s.cookie, s.a.cfg.Now().UnixNano()
	if err := s.a.submit(s.term, &h, body); err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	s.a.flush()
	return nil
}

// Refresh takes over what the lane has.
func (s *Store) Refresh() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term = s.a.port.Serving(); s.term == 0 {
		return fmt.Errorf("%w: this node does not serve the lane", ErrStore)
	}
	if err := s.a.ask(s.term, &store.Question{Kind: store.AskState, Session: uint16(s.at), Cookie: s.cookie}); err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	s.a.flush()
	return s.await(func(e *storeEvent) bool {
		if e.kind != store.StateIs {
			return false
		}
		s.nextIn, s.nextOut, s.created = e.state.NextIn, e.state.NextOut, time.Unix(0, e.state.CreatedNs)
		if e.state.CreatedNs == 0 {
			s.created = s.a.cfg.Now()
		}
		return true
	})
}

func (s *Store) number(of *uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(*of)
}

// NextSenderMsgSeqNum implements quickfix.MessageStore, as do the methods below.
func (s *Store) NextSenderMsgSeqNum() int { return s.number(&s.nextOut) }

// NextTargetMsgSeqNum is the client's.
func (s *Store) NextTargetMsgSeqNum() int { return s.number(&s.nextIn) }

// IncrNextSenderMsgSeqNum leaves a number out.
func (s *Store) IncrNextSenderMsgSeqNum() error {
	return s.SetNextSenderMsgSeqNum(s.NextSenderMsgSeqNum() + 1)
}

// IncrNextTargetMsgSeqNum uses up a number of the client.
func (s *Store) IncrNextTargetMsgSeqNum() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.draft(store.Header{Kind: store.Step, Flags: store.Consume, SeqNo: s.nextIn}, nil); err != nil {
		return err
	}
	s.nextIn++
	return nil
}

// SetNextSenderMsgSeqNum sets the next number of ours.
func (s *Store) SetNextSenderMsgSeqNum(next int) error { return s.set(store.SetOut, &s.nextOut, next) }

// SetNextTargetMsgSeqNum sets the next number of the client.
func (s *Store) SetNextTargetMsgSeqNum(next int) error { return s.set(store.SetIn, &s.nextIn, next) }

func (s *Store) set(kind store.Kind, to *uint64, next int) error {
	if next < 1 {
		return fmt.Errorf("%w: number %d", ErrStore, next)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.draft(store.Header{Kind: kind, SeqNo: uint64(next)}, nil); err != nil {
		return err
	}
	*to = uint64(next)
	return nil
}

// CreationTime is when the session's numbers began.
func (s *Store) CreationTime() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.created
}

// SetCreationTime sets it.
func (s *Store) SetCreationTime(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draft(store.Header{Kind: store.SetCreated, Arg: uint64(t.UnixNano())}, nil) == nil {
		s.created = t
	}
}

// SaveMessage keeps a message; it returns when that is released.
func (s *Store) SaveMessage(seqNum int, msg []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.save(seqNum, msg, 0)
}

// SaveMessageAndIncrNextSenderMsgSeqNum keeps a message and uses up its number; it
// returns when both are released.
func (s *Store) SaveMessageAndIncrNextSenderMsgSeqNum(seqNum int, msg []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.save(seqNum, msg, store.Send); err != nil {
		return err
	}
	s.nextOut = uint64(seqNum) + 1
	return nil
}

func (s *Store) save(seqNum int, msg []byte, flags uint8) error {
	if seqNum < 1 || len(msg) > store.MessageMaxBytes {
		return fmt.Errorf("%w: message %d of %d bytes: at most %d", ErrStore, seqNum, len(msg), store.MessageMaxBytes)
	}
	if err := s.draft(store.Header{Kind: store.Save, Flags: flags, SeqNo: uint64(seqNum)}, msg); err != nil {
		return err
	}
	return s.await(func(e *storeEvent) bool { return e.kind == store.Sent && e.seqNo == uint64(seqNum) })
}

// GetMessages returns the messages that are kept of a range, both ends in it.
func (s *Store) GetMessages(begin, end int) (list [][]byte, err error) {
	err = s.IterateMessages(begin, end, func(m []byte) error {
		list = append(list, m)
		return nil
	})
	return list, err
}

// IterateMessages calls cb with each of them.
func (s *Store) IterateMessages(begin, end int, cb func([]byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := uint64(max(0, min(end, math.MaxInt32)))
	for from := uint64(max(1, begin)); from <= to; {
		if err := s.a.ask(s.term, &store.Question{Kind: store.AskMessages, Session: uint16(s.at), Cookie: s.cookie, From: from, To: to}); err != nil {
			return fmt.Errorf("%w: %w", ErrStore, err)
		}
		s.a.flush()
		var failed error
		if err := s.await(func(e *storeEvent) bool {
			switch {
			case e.kind == store.Kept && failed == nil:
				failed = cb(e.message)
			case e.kind == store.Asked:
				from = e.seqNo
				return true
			}
			return false
		}); err != nil || failed != nil {
			return errors.Join(err, failed)
		}
	}
	return nil
}

// Reset begins both numbers at 1 again.
func (s *Store) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.draft(store.Header{Kind: store.Reset}, nil); err != nil {
		return err
	}
	s.nextIn, s.nextOut, s.created = 1, 1, s.a.cfg.Now()
	return nil
}

// Close forgets the store; the lane keeps what is in it.
func (s *Store) Close() error {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	delete(s.a.stores, s.cookie)
	return nil
}

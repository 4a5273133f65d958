package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	requestTimeout = 10 * time.Second
	maxRequest     = 4096 // bytes of one line
)

// Handler answers a request with something that becomes one JSON object; an
// error becomes a Reply with its text.
type Handler func(ctx context.Context, r Request) (any, error)

// Server listens for requests of those whom its Access lets in.
type Server struct {
	listener net.Listener
	access   Access
	handle   Handler
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// Serve listens at path until Close. A socket file that nobody listens on is
// replaced; one in use is refused.
func Serve(path string, access Access, handle Handler) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("control socket %s is in use; stop the other node of this name, or choose another run_dir", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("old control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := access.own(path); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{listener: l, access: access, handle: handle, cancel: cancel}
	s.done.Go(func() { s.accept(ctx) })
	return s, nil
}

func (s *Server) accept(ctx context.Context) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.done.Go(func() { s.converse(ctx, conn) })
	}
}

func (s *Server) converse(ctx context.Context, conn net.Conn) {
	// Close ends a conversation that waits for its next line.
	end := context.AfterFunc(ctx, func() { conn.Close() })
	defer end()
	defer conn.Close()
	ctx, ok := s.enter(ctx, conn)
	if !ok {
		return
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 512), maxRequest)
	for lines.Scan() {
		if err := conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
			return
		}
		answer, err := s.answer(ctx, lines.Bytes())
		if err != nil {
			answer = Reply{Error: err.Error()}
		}
		if s.write(conn, answer) != nil {
			return
		}
	}
}

// write sends one answer.
func (s *Server) write(conn net.Conn, answer any) error {
	b, err := json.Marshal(answer)
	if err != nil {
		b, _ = json.Marshal(Reply{Error: err.Error()})
	}
	_, err = conn.Write(append(b, '\n'))
	return err
}

func (s *Server) answer(ctx context.Context, line []byte) (any, error) {
	var r Request
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, fmt.Errorf("not a request: %w; send {\"cmd\":\"status\"}", err)
	}
	answer, err := s.handle(ctx, r)
	if err == nil && answer == nil {
		answer = Reply{OK: true}
	}
	return answer, err
}

// Close ends the server, its conversations and the socket file.
func (s *Server) Close() error {
	s.cancel()
	err := s.listener.Close()
	s.done.Wait()
	return err
}

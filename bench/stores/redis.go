package stores

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"onebeat/bench/lab"
)

const redisPort = 6379

// Redis is a primary and a replica; a write is SET and WAIT 1 in one request,
// which is faster than two.
type Redis struct {
	servers
	lab    *lab.Lab
	conn   net.Conn
	reader *bufio.Reader
	buf    []byte
	writes int
}

var _ Store = (*Redis)(nil)

// Name implements Store.
func (*Redis) Name() string { return "redis" }

// What implements Store.
func (*Redis) What() string { return "SET and WAIT 1, pipelined; one replica, nothing on disk" }

// Start implements Store.
func (r *Redis) Start(l *lab.Lab) error {
	program, err := find("apt-get install redis-server", "redis-server")
	if err != nil {
		return err
	}
	if err := r.makeDir("redis"); err != nil {
		return err
	}
	common := []string{"--port", strconv.Itoa(redisPort), "--save", "", "--appendonly", "no", "--protected-mode", "no",
		"--repl-diskless-sync-delay", "0", "--dir", r.dir}
	err = errors.Join(
		r.start(l, lab.NodeA, "primary", nil, program, append(common, "--bind", ip(lab.NodeAIP), ip(lab.NodeALinkIP))...),
		r.start(l, lab.NodeB, "replica", nil, program, append(common, "--bind", ip(lab.NodeBLinkIP),
			"--replicaof", ip(lab.NodeALinkIP), strconv.Itoa(redisPort))...))
	if err != nil {
		return errors.Join(err, r.Stop())
	}
	r.lab = l
	if err := r.until("redis", func() error { return r.ready(l) }); err != nil {
		return errors.Join(err, r.Stop())
	}
	return nil
}

// ready connects and reports whether the replica has caught up.
func (r *Redis) ready(l *lab.Lab) (err error) {
	if r.conn == nil {
		if r.conn, err = dial(l, lab.Client, at(lab.NodeAIP, redisPort)); err != nil {
			return err
		}
		r.reader = bufio.NewReader(r.conn)
	}
	info, err := r.bulk(r.conn, r.reader, "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n")
	if err != nil {
		return err
	}
	if !strings.Contains(info, "state=online") {
		return errors.New("the replica is not online")
	}
	return nil
}

// Write implements Store.
func (r *Redis) Write(payload []byte) error {
	r.writes++
	key := strconv.Itoa(r.writes)
	r.buf = fmt.Appendf(r.buf[:0], "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n9000\r\n",
		len(key), key, len(payload), payload)
	if err := r.conn.SetDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := r.conn.Write(r.buf); err != nil {
		return err
	}
	for _, want := range []string{"+OK\r\n", ":1\r\n"} {
		line, err := r.reader.ReadString('\n')
		if err != nil {
			return err
		}
		if line != want {
			return fmt.Errorf("redis answers %q, not %q", line, want)
		}
	}
	return nil
}

// bulk makes a request whose answer is one bulk string.
func (*Redis) bulk(c net.Conn, reader *bufio.Reader, request string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(writeTimeout)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(request)); err != nil {
		return "", err
	}
	line, err := reader.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.Trim(line, "$:\r\n"))
	if err != nil {
		return "", fmt.Errorf("redis answers %q", line)
	}
	if line[0] == ':' {
		return strconv.Itoa(n), nil
	}
	b := make([]byte, n+2)
	for have := 0; have < len(b); {
		k, err := reader.Read(b[have:])
		if err != nil {
			return "", err
		}
		have += k
	}
	return string(b[:n]), nil
}

// Copied implements Store.
func (r *Redis) Copied() (int, error) {
	c, err := dial(r.lab, lab.NodeB, at(lab.NodeBLinkIP, redisPort))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	n, err := r.bulk(c, bufio.NewReader(c), "*1\r\n$6\r\nDBSIZE\r\n")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(n)
}

// Stop implements Store.
func (r *Redis) Stop() error {
	if r.conn != nil {
		_ = r.conn.Close() // nothing is owed
		r.conn = nil
	}
	r.writes = 0
	return r.stop()
}

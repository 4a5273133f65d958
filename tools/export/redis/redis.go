package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"onebeat/engine/readmodel"
	"onebeat/tools/export/target"
)

// Options say where a read model is kept.
type Options struct {
	URL            string
	Password       string // instead of one in the URL
	Prefix         string // of the lane's keys, with its colon
	Timeout        time.Duration
	ExecutionsKept int64         // 0: all
	FinishedFor    time.Duration // 0: for ever
}

// Redis is a read model under a prefix.
type Redis struct {
	o      Options
	client *redis.Client
}

var _ target.Target = (*Redis)(nil)

// schemaVersion of the keys.
const schemaVersion = 1

// New checks the options. Nothing is connected yet.
func New(o Options) (*Redis, error) {
	c, err := redis.ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if o.Password != "" {
		c.Password = o.Password
	}
	c.DialTimeout, c.ReadTimeout, c.WriteTimeout = o.Timeout, o.Timeout, o.Timeout
	c.ContextTimeoutEnabled = true
	// What was sent once is not sent again by the client: the caller looks at the
	// mark first.
	c.MaxRetries = -1
	c.PoolSize, c.MinIdleConns = 2, 0
	c.Protocol, c.DisableIdentity = 2, true
	c.ClientName = "onebeat-export"
	return &Redis{o: o, client: redis.NewClient(c)}, nil
}

func (r *Redis) key(name string) string { return r.o.Prefix + name }

// watched runs do in a connection that sees whether the mark moves.
func (r *Redis) watched(ctx context.Context, do func(ctx context.Context, tx *redis.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	err := r.client.Watch(ctx, func(tx *redis.Tx) error { return do(ctx, tx) }, r.key("mark"))
	if errors.Is(err, redis.TxFailedErr) {
		return fmt.Errorf("%w while it was being changed: another exporter writes to %s*", target.ErrMoved, r.o.Prefix)
	}
	return err
}

// Open implements target.Target.
func (r *Redis) Open(ctx context.Context, l *target.Lane) (mark target.Mark, err error) {
	err = r.watched(ctx, func(ctx context.Context, tx *redis.Tx) error {
		have, err := tx.HGetAll(ctx, r.key("mark")).Result()
		if err != nil {
			return err
		}
		if err := evicts(ctx, tx); err != nil {
			return err
		}
		if len(have) == 0 {
			if n, err := tx.Exists(ctx, r.key("positions"), r.key("executions")).Result(); err != nil || n > 0 {
				if err == nil {
					err = fmt.Errorf("%w: %s* has rows and no mark: begin anew with --reset", target.ErrReset, r.o.Prefix)
				}
				return err
			}
		} else if mark, err = r.known(have, l); err != nil {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			if len(have) == 0 {
				p.HSet(ctx, r.key("mark"), "schema", schemaVersion, "lane", l.ID, "app", l.App, "identity", l.Identity.String(),
					"position", 0, "last", 0, "epoch", 0, "time_ns", 0, "records", 0, "digest", "")
			}
			p.HSet(ctx, r.key("mark"), "node", l.Node)
			for i, s := range l.Sessions {
				p.HSet(ctx, r.key("sessions"), strconv.Itoa(i), s.Name)
			}
			for _, s := range l.Symbols {
				p.HSet(ctx, r.key("symbols"), strconv.FormatUint(uint64(s.ID), 10), s.Name)
			}
			return nil
		})
		return err
	})
	return mark, err
}

// evicts refuses a server that removes rows when its memory is full. One that does
// not let itself be asked is believed.
func evicts(ctx context.Context, tx *redis.Tx) error {
	c, err := tx.ConfigGet(ctx, "maxmemory*").Result()
	if err == nil && c["maxmemory"] != "0" && strings.HasPrefix(c["maxmemory-policy"], "allkeys-") {
		return fmt.Errorf("%w: with maxmemory-policy %s the server would remove rows: set it to noeviction", target.ErrRows, c["maxmemory-policy"])
	}
	return nil
}

// known reads the mark of a read model that is there.
func (r *Redis) known(have map[string]string, l *target.Lane) (m target.Mark, err error) {
	if have["resetting"] != "" {
		return m, fmt.Errorf("%w: %s*: begin anew with --reset", target.ErrReset, r.o.Prefix)
	}
	if v, err := strconv.Atoi(have["schema"]); err != nil || v > schemaVersion {
		return m, fmt.Errorf("%w: %s* has version %q, this program knows up to %d: use the newer program, or --reset",
			target.ErrSchema, r.o.Prefix, have["schema"], schemaVersion)
	}
	if have["lane"] != strconv.Itoa(l.ID) || have["app"] != l.App || have["identity"] != l.Identity.String() {
		return m, fmt.Errorf("%w: %s* is that of lane %s, %s, life %s; the log is that of lane %d, %s, life %s: name another prefix, or remove it and begin anew with --reset",
			target.ErrForeign, r.o.Prefix, have["lane"], have["app"], have["identity"], l.ID, l.App, l.Identity)
	}
	return parseMark(have)
}

func parseMark(have map[string]string) (m target.Mark, err error) {
	number := func(name string, base int) uint64 {
		n, e := strconv.ParseUint(have[name], base, 64)
		if e != nil && err == nil {
			err = fmt.Errorf("%w: the mark's %s is %q", target.ErrRows, name, have[name])
		}
		return n
	}
	m.Position, m.Last, m.Epoch = number("position", 10), number("last", 10), uint32(number("epoch", 10))
	m.TimeNs, m.Records = int64(number("time_ns", 10)), number("records", 10)
	if have["digest"] != "" {
		m.Digest = number("digest", 16)
	}
	return m, err
}

// Positions implements target.Target.
func (r *Redis) Positions(ctx context.Context) (list []readmodel.Position, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	all, err := r.client.HGetAll(ctx, r.key("positions")).Result()
	if err != nil {
		return nil, err
	}
	for name, text := range all {
		p, err := parsePosition(name, text)
		if err != nil {
			return nil, fmt.Errorf("%w: position %s: %w", target.ErrRows, name, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// Store implements target.Target.
func (r *Redis) Store(ctx context.Context, from, to target.Mark, b *readmodel.Batch) error {
	return r.watched(ctx, func(ctx context.Context, tx *redis.Tx) error {
		fields, err := tx.HGetAll(ctx, r.key("mark")).Result()
		if err != nil {
			return err
		}
		if len(fields) == 0 || fields["resetting"] != "" {
			return fmt.Errorf("%w: it is gone", target.ErrMoved)
		}
		have, err := parseMark(fields)
		switch {
		case err != nil:
			return err
		case have == to:
			return nil // the transaction whose answer was lost
		case have != from:
			return fmt.Errorf("%w: %s* is at %d, was left at %d: another exporter writes there, or the server lost writes",
				target.ErrMoved, r.o.Prefix, have.Position, from.Position)
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			r.write(ctx, p, b)
			p.HSet(ctx, r.key("mark"), "position", to.Position, "last", to.Last, "epoch", to.Epoch, "time_ns", to.TimeNs,
				"records", to.Records, "digest", fmt.Sprintf("%016x", to.Digest), "stored_at", time.Now().UTC().Format(time.RFC3339Nano))
			return nil
		})
		return err
	})
}

// write queues a batch's commands.
func (r *Redis) write(ctx context.Context, p redis.Pipeliner, b *readmodel.Batch) {
	for i := range b.Orders {
		o := &b.Orders[i]
		id := strconv.FormatUint(o.ClOrdID, 10)
		key := r.key("order:" + strconv.FormatUint(uint64(o.Session), 10) + ":" + id)
		open := r.key("open:" + strconv.FormatUint(uint64(o.Session), 10))
		p.HSet(ctx, key, orderFields(o)...)
		switch {
		case o.Open:
			p.SAdd(ctx, open, id)
		case r.o.FinishedFor > 0:
			p.PExpire(ctx, key, r.o.FinishedFor)
			fallthrough
		default:
			p.SRem(ctx, open, id)
		}
	}
	for i := range b.Executions {
		e := &b.Executions[i]
		p.XAdd(ctx, &redis.XAddArgs{Stream: r.key("executions"), MaxLen: r.o.ExecutionsKept, Approx: r.o.ExecutionsKept > 0,
			ID: strconv.FormatUint(e.Position, 10) + "-" + strconv.Itoa(e.Index), Values: executionFields(e)})
	}
	if len(b.Positions) > 0 {
		fields := make([]any, 0, 2*len(b.Positions))
		for i := range b.Positions {
			q := &b.Positions[i]
			fields = append(fields, positionName(q.PositionKey), positionJSON(q))
		}
		p.HSet(ctx, r.key("positions"), fields...)
	}
}

// Reset implements target.Target. What it began, nobody goes on from.
func (r *Redis) Reset(ctx context.Context) error {
	if err := r.client.HSet(ctx, r.key("mark"), "resetting", "1").Err(); err != nil {
		return err
	}
	mark := r.key("mark")
	all := r.client.Scan(ctx, 0, globbed(r.o.Prefix)+"*", 1000).Iterator()
	var keys []string
	for all.Next(ctx) {
		if key := all.Val(); key != mark {
			keys = append(keys, key)
		}
		if len(keys) == 1000 {
			if err := r.client.Unlink(ctx, keys...).Err(); err != nil {
				return err
			}
			keys = keys[:0]
		}
	}
	if err := all.Err(); err != nil {
		return err
	}
	return r.client.Unlink(ctx, append(keys, mark)...).Err()
}

// globbed quotes what SCAN would take for a pattern.
func globbed(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

// Close implements target.Target.
func (r *Redis) Close() { _ = r.client.Close() }

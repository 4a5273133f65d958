package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"onebeat/mirror/arbiter"
	"onebeat/mirror/lane"
)

// worker asks the cluster. What it last saw of the key makes the next change one
// round trip; a transaction that finds another revision says what is there.
type worker struct {
	members  []*clientv3.Client // one for each endpoint
	space    *namespace
	key      string
	node     uint8
	timeout  time.Duration
	log      *slog.Logger
	register arbiter.Register
	revision int64  // of the key; 0: there is none
	failing  string // the failure that was logged last
}

// Of connections: how soon a member that vanished is noticed.
const (
	keepAliveEvery   = 5 * time.Second
	keepAliveTimeout = 2 * time.Second
)

// Key returns where a lane's register stands.
func Key(prefix string, laneID uint8) string { return fmt.Sprintf("%s/lane/%d", prefix, laneID) }

func (w *worker) open(o *Options) error {
	var err error
	if w.space, err = presentNamespace(); err != nil {
		return err
	}
	w.key, w.node, w.timeout, w.log = Key(o.Prefix, o.Lane), o.Node, o.Timeout, o.Log
	for _, e := range o.Endpoints {
		c, err := clientv3.New(clientv3.Config{
			Endpoints: []string{e}, TLS: o.TLS, Logger: zap.NewNop(),
			DialKeepAliveTime: keepAliveEvery, DialKeepAliveTimeout: keepAliveTimeout,
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(w.space.dial)},
		})
		if err != nil {
			return errors.Join(fmt.Errorf("etcd member %s: %w", e, err), w.close())
		}
		w.members = append(w.members, c)
	}
	return nil
}

func (w *worker) close() error {
	var errs []error
	for _, c := range w.members {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, w.space.close())...)
}

// answer carries out one question.
func (w *worker) answer(ctx context.Context, q *ask) (arbiter.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	var answer arbiter.Answer
	err := error(nil)
	if !q.swap || w.register.Boot == 0 {
		err = w.get(ctx)
		answer = w.register.Read()
	}
	if err == nil && q.swap {
		answer, err = w.swap(ctx, &q.request)
	}
	w.tell(err)
	return answer, err
}

// tell logs a failure once, and when it is over.
func (w *worker) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if (text == "") != (w.failing == "") {
		if err != nil {
			w.log.Warn("etcd does not answer", "key", w.key, "error", err)
		} else {
			w.log.Info("etcd answers again", "key", w.key)
		}
	}
	w.failing = text
}

// get reads the register, from a majority.
func (w *worker) get(ctx context.Context) error {
	r, err := race(ctx, w.members, func(ctx context.Context, c *clientv3.Client) (*clientv3.GetResponse, error) {
		return c.Get(ctx, w.key)
	})
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return w.see(r, r.Header.ClusterId)
}

// see takes in what the key holds.
func (w *worker) see(r *clientv3.GetResponse, clusterID uint64) error {
	w.register = arbiter.Register{Boot: clusterID}
	w.revision = 0
	if len(r.Kvs) == 0 {
		return nil
	}
	record, err := lane.ParseRecord(string(r.Kvs[0].Value))
	if err != nil {
		w.register.Boot = 0 // look again next time
		return fmt.Errorf("the key %s does not hold a record: %w; put back what it held, or delete it and let the lane's ACTIVE node seed it", w.key, err)
	}
	w.register.Known, w.register.Record, w.revision = true, record, r.Kvs[0].ModRevision
	return nil
}

// swapTries bounds the looks at a register that others change meanwhile.
const swapTries = 4

// swap decides by what was last seen of the key, and lets that count only if it
// is still so.
func (w *worker) swap(ctx context.Context, r *arbiter.Request) (arbiter.Answer, error) {
	for range swapTries {
		next := w.register
		answer, refusal := next.Swap(r)
		var then []clientv3.Op
		if refusal == arbiter.NotRefused && (next != w.register) {
			then = append(then, clientv3.OpPut(w.key, next.Record.String()))
		}
		t, err := race(ctx, w.members, func(ctx context.Context, c *clientv3.Client) (*clientv3.TxnResponse, error) {
			return c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(w.key), "=", w.revision)).
				Then(then...).Else(clientv3.OpGet(w.key)).Commit()
		})
		if err != nil {
			return answer, fmt.Errorf("change: %w", err)
		}
		if !t.Succeeded {
			get := clientv3.GetResponse(*t.Responses[0].GetResponseRange())
			if err := w.see(&get, t.Header.ClusterId); err != nil {
				return answer, err
			}
			continue
		}
		if len(then) > 0 {
			w.log.Info("register changed", "key", w.key, "node", w.node, "proof", r.Proof.String(), "from", w.register.Record.String(), "to", next.Record.String())
			w.register, w.revision = next, t.Header.Revision
		}
		return answer, nil
	}
	return arbiter.Answer{}, errors.New("change: the key does not come to rest")
}

// race asks all members at once and returns the first answer that is one.
func race[T any](ctx context.Context, members []*clientv3.Client, call func(context.Context, *clientv3.Client) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	results := make(chan result, len(members))
	for _, c := range members {
		go func() {
			value, err := call(ctx, c)
			results <- result{value, err}
		}()
	}
	var errs []error
	for range members {
		r := <-results
		if r.err == nil {
			return r.value, nil
		}
		errs = append(errs, r.err)
	}
	var none T
	return none, errors.Join(errs...)
}

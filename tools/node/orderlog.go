package node

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// accepted is one order that a book took.
type accepted struct {
	clOrdID    uint64
	timeNs     int64
	possResend bool
}

// orderLog keeps what a book accepted, for the CSV file that a drill compares
// with its clients' logs. The loop appends, the cold side reads what is below
// count.
type orderLog struct {
	path   string
	orders []accepted
	count  atomic.Int64
	missed atomic.Int64
}

// orderLogMax bounds a log; the memory is touched only as far as it is filled.
const orderLogMax = 8 << 20

func newOrderLog(path string) *orderLog {
	return &orderLog{path: path, orders: make([]accepted, orderLogMax)}
}

func (o *orderLog) accept(_ uint32, clOrdID uint64, possResend bool, timeNs int64) {
	n := o.count.Load()
	if n == orderLogMax {
		o.missed.Add(1)
		return
	}
	o.orders[n] = accepted{clOrdID, timeNs, possResend}
	o.count.Store(n + 1)
}

// write makes the file anew: a header and a line per accepted order.
func (o *orderLog) write() (err error) {
	f, err := os.Create(o.path)
	if err != nil {
		return fmt.Errorf("order log: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "clordid,poss_resend,time_ns")
	for _, a := range o.orders[:o.count.Load()] {
		fmt.Fprintf(w, "%d,%t,%d\n", a.clOrdID, a.possResend, a.timeNs)
	}
	if missed := o.missed.Load(); missed > 0 {
		return fmt.Errorf("order log %s: %d orders beyond its %d are missing", o.path, missed, orderLogMax)
	}
	return w.Flush()
}

// Package publish has the store that ends a write to shared memory: whoever
// loads the value (sync/atomic, smp_load_acquire, a BPF program's load) sees
// everything written before it.
//
// sync/atomic's stores are sequentially consistent, an XCHG on amd64, which
// waits until every earlier store has reached the cache; after a record was
// written into cold lines of a ring that is a good part of the order path. A
// release needs no more than a plain store on amd64 (Intel SDM volume 3, 9.2.2;
// AMD APM volume 2, 7.2): stores are not reordered with earlier loads and stores.
// The compiler cannot move anything past a call that is not inlined.
//
// Not for the one who must see another's store after its own (a lock, a flag
// against a flag): that takes sync/atomic.
package publish

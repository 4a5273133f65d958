package ship

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
)

// breaking lets some parts of uploads through, and then nothing.
type breaking struct {
	http.RoundTripper
	left, sent atomic.Int64
}

var errBroken = errors.New("the line is cut")

func (b *breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && r.URL.Query().Has("partNumber") {
		if b.left.Add(-1) < 0 {
			return nil, errBroken
		}
		b.sent.Add(1)
	}
	return b.RoundTripper.RoundTrip(r)
}

// An upload that was interrupted goes on, in another process too: what the server
// has is not sent again, but for a part that is not what it must be.
func TestBucketPartsAreResumed(t *testing.T) {
	g := newGateway(t)
	b := make([]byte, 4*partBytes+7)
	for i := range b {
		b[i] = byte(i * 11 >> 4)
	}
	content := bytesContent(b)
	put := func(parts int64) (sent int64, err error) {
		line := &breaking{RoundTripper: http.DefaultTransport}
		line.left.Store(parts)
		o := g.o
		o.Transport = line
		store, err := NewBucket(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		err = store.Put(ctx, "lane/long", content)
		return line.sent.Load(), err
	}
	if sent, err := put(3); err == nil || sent != 3 {
		t.Fatalf("%d parts, %v", sent, err)
	}
	if there, err := g.bucket().Has(context.Background(), "lane/long", content); err != nil || there {
		t.Fatal(there, err)
	}
	if sent, err := put(100); err != nil || sent != 2 {
		t.Fatalf("%d parts were sent, 2 of 5 were missing: %v", sent, err)
	}
	if there, err := g.bucket().Has(context.Background(), "lane/long", content); err != nil || !there {
		t.Fatal(there, err)
	}
	r, err := g.bucket().Get(context.Background(), "lane/long")
	if err != nil {
		t.Fatal(err)
	}
	if same, err := content.same(r); err != nil || !same {
		t.Error(same, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

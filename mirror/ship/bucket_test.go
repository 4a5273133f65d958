package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"onebeat/bench/lab/porttest"
)

// gateway is an S3 server of its own: versitygw over a directory.
type gateway struct {
	t   *testing.T
	bin string
	dir string
	cmd *exec.Cmd
	o   BucketOptions
}

const versitygw = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"

func newGateway(t *testing.T) *gateway {
	t.Helper()
	bin, err := exec.LookPath("versitygw")
	if err != nil {
		t.Fatalf("%v: this test ships to a real S3 server: GOBIN=/usr/local/bin go install %s", err, versitygw)
	}
	g := &gateway{t: t, bin: bin, dir: t.TempDir()}
	g.o = BucketOptions{Endpoint: porttest.Hold(t).String(), Plain: true, Region: "us-east-1", Bucket: "logs", Prefix: "pair-1",
		AccessKey: "test-access", SecretKey: "test-secret-key"}
	g.start()
	t.Cleanup(g.stop)
	b := g.bucket()
	if err := b.c.MakeBucket(context.Background(), "logs", minio.MakeBucketOptions{Region: "us-east-1"}); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) start() {
	g.t.Helper()
	g.cmd = exec.Command(g.bin, "--port", g.o.Endpoint, "--access", g.o.AccessKey, "--secret", g.o.SecretKey, "--quiet", "posix", g.dir)
	var out bytes.Buffer
	g.cmd.Stdout, g.cmd.Stderr = &out, &out
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	for range 1000 {
		if c, err := net.Dial("tcp", g.o.Endpoint); err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	g.stop()
	g.t.Fatalf("the S3 server does not listen: %s", out.String())
}

func (g *gateway) stop() {
	if g.cmd != nil {
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait() // killed
		g.cmd = nil
	}
}

func (g *gateway) bucket() *Bucket {
	g.t.Helper()
	b, err := NewBucket(g.o)
	if err != nil {
		g.t.Fatal(err)
	}
	return b
}

func TestBucketShipAndRestore(t *testing.T) {
	g := newGateway(t)
	for _, readBack := range []bool{false, true} {
		g.o.ReadBack = readBack
		g.o.Prefix = fmt.Sprintf("pair-%t", readBack)
		b := newBed(t, 128<<10, true)
		b.write(600<<10, 1)
		store := g.bucket()
		s := b.shipper(store)
		step(t, s)
		r, _, dir := restored(t, store)
		if r.End != s.Shipped() || r.End == 0 {
			t.Errorf("%+v, shipped %d", r, s.Shipped())
		}
		b.sameRecords(dir, 0, r.End)
		put := s.Status().Objects
		again := b.shipper(store) // another process
		step(t, again)
		if n := again.Status().Objects; n != 0 {
			t.Errorf("%d of %d objects were put again", n, put)
		}
	}
}

// Objects longer than a part are sent in parts; the ETag of all of them is known
// beforehand.
func TestBucketParts(t *testing.T) {
	g := newGateway(t)
	store := g.bucket()
	for _, size := range []int{0, 1, partBytes - 1, partBytes, partBytes + 1, 2*partBytes + 5} {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(i * 7 >> 3)
		}
		content := bytesContent(b)
		name := fmt.Sprintf("lane/%d", size)
		if err := store.Put(context.Background(), name, content); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if there, err := store.Has(context.Background(), name, content); err != nil || !there {
			t.Errorf("%d bytes: %t, %v", size, there, err)
		}
		if there, err := store.Has(context.Background(), name, bytesContent([]byte("else"))); err != nil || there {
			t.Errorf("%d bytes taken for others: %v", size, err)
		}
		r, err := store.Get(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := content.same(r); err != nil || !same {
			t.Errorf("%d bytes read back differently: %v", size, err)
		}
		r.Close()
	}
	if err := store.Remove(context.Background(), "lane/1"); err != nil {
		t.Error(err)
	}
	if err := store.Remove(context.Background(), "lane/1"); err != nil {
		t.Error(err)
	}
	if _, err := store.Get(context.Background(), "lane/1"); !errors.Is(err, ErrNoObject) {
		t.Error(err)
	}
	if names, err := store.List(context.Background(), "lane/"); err != nil || len(names) != 5 {
		t.Errorf("%v, %v", names, err)
	}
}

// The server dies while it is shipped to, and comes back: shipping goes on.
func TestBucketServerDies(t *testing.T) {
	g := newGateway(t)
	b := newBed(t, 64<<10, true)
	s := b.shipper(g.bucket())
	s.o.EveryNs = int64(time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	for i := range 6 {
		b.write(150<<10, 1)
		if i == 2 {
			g.stop()
		}
		if i == 4 {
			if s.Status().Failures == 0 {
				deadline := time.Now().Add(30 * time.Second)
				for s.Status().Failures == 0 && time.Now().Before(deadline) {
					time.Sleep(10 * time.Millisecond)
				}
			}
			g.start()
		}
	}
	last := b.o.SegmentBytes
	deadline := time.Now().Add(60 * time.Second)
	for s.Shipped()+uint64(2*last) < b.ring.Tail() && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-ended
	if st := s.Status(); st.Failures == 0 || st.Shipped+uint64(2*last) < b.ring.Tail() {
		t.Errorf("%+v, the log ends at %d", st, b.ring.Tail())
	}
	r, _, dir := restored(t, g.bucket())
	b.sameRecords(dir, 0, r.End)
}

// A server that keeps other bytes than were sent is found out.
func TestBucketHarmed(t *testing.T) {
	g := newGateway(t)
	b := newBed(t, 64<<10, true)
	b.write(200<<10, 1)
	step(t, b.shipper(g.bucket()))
	var harmed string
	err := filepath.WalkDir(g.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && harmed == "" && strings.HasSuffix(path, ".seg.zst") {
			harmed = path
		}
		return err
	})
	if err != nil || harmed == "" {
		t.Fatal(err)
	}
	f, err := os.OpenFile(harmed, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("harm"), 1000); err != nil {
		t.Fatal(err)
	}
	f.Close()
	_, err = Restore(context.Background(), RestoreOptions{Store: g.bucket(), Prefix: "a-lane0", Dir: t.TempDir()})
	if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), filepath.Base(harmed)) {
		t.Errorf("%v", err)
	}
	g.o.ReadBack = true
	if there, err := g.bucket().Has(context.Background(), objectName(g, harmed), Content{Bytes: 1}); err != nil || there {
		t.Errorf("%t, %v", there, err)
	}
}

func objectName(g *gateway, path string) string {
	name, _ := filepath.Rel(filepath.Join(g.dir, g.o.Bucket, g.o.Prefix), path)
	return name
}

// flipper harms what is sent behind the client's back, as a broken proxy would.
type flipper struct{ http.RoundTripper }

func (f flipper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body.Close()
		b[len(b)/2] ^= 1
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	return f.RoundTripper.RoundTrip(r)
}

func TestBucketRefusals(t *testing.T) {
	g := newGateway(t)
	content := bytesContent(bytes.Repeat([]byte("log "), 1000))
	o := g.o
	o.Transport = flipper{http.DefaultTransport}
	b, err := NewBucket(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Put(context.Background(), "lane/x", content); err == nil {
		t.Error("flipped bits on the way were stored")
	}
	o = g.o
	o.SecretKey = "not-the-secret"
	if b, err = NewBucket(o); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(context.Background(), "lane/x", content); err == nil || !strings.Contains(err.Error(), "credentials_file") {
		t.Error(err)
	}
	o = g.o
	o.Bucket = "none-here"
	if b, err = NewBucket(o); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(context.Background(), "lane/x", content); err == nil || !strings.Contains(err.Error(), "make it first") {
		t.Error(err)
	}
	for _, name := range []string{"", "/x", "../x", "a/../../x", "a//b"} {
		if err := g.bucket().Put(context.Background(), name, content); err == nil {
			t.Errorf("an object named %q", name)
		}
	}
}

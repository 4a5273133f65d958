package ship

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Store keeps objects under names with slashes. Its methods may be called again
// after they failed: an object is there whole or not at all.
type Store interface {
	// Put stores an object and proves that what is there is what was given.
	Put(ctx context.Context, name string, content Content) error
	// Get opens an object; ErrNoObject when there is none.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// Has reports whether an object with this content is there.
	Has(ctx context.Context, name string, content Content) (bool, error)
	// List returns the names that begin with a prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
	// Remove takes an object away; none is no error.
	Remove(ctx context.Context, name string) error
	// String says where it is, without secrets.
	String() string
}

// ErrNoObject means that a store has nothing of that name.
var ErrNoObject = errors.New("no such object")

// ErrChanged means that a store does not hold what was put there.
var ErrChanged = errors.New("the store holds something else")

// Content is what an object is to hold.
type Content struct {
	Bytes  int64
	Digest Digest
	// parts are the MD5 sums of its parts of partBytes: what an S3 server makes its
	// ETag of.
	parts [][16]byte
	// Open gives the bytes from the beginning.
	Open func() (io.ReadCloser, error)
}

// checkName refuses what would leave the store.
func checkName(name string) error {
	if name == "" || strings.HasPrefix(name, "/") || path.Clean(name) != name || strings.HasPrefix(name, "..") {
		return fmt.Errorf("ship: %q is no object's name", name)
	}
	return nil
}

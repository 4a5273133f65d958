package ship

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// BucketOptions say where a bucket is.
type BucketOptions struct {
	Endpoint  string // host:port
	Plain     bool   // http, not https
	Region    string
	Bucket    string
	Prefix    string // of all names; empty: none
	AccessKey string
	SecretKey string
	// ReadBack: each object is fetched after it was put. Without, the server's ETag
	// is compared with the MD5 sums of what was sent.
	ReadBack bool
	// Transport; nil: the library's own.
	Transport http.RoundTripper
}

// Bucket is a store in a bucket of an S3-compatible server.
type Bucket struct {
	o BucketOptions
	c *minio.Client
}

// NewBucket makes a store of a bucket. Nothing is asked yet.
func NewBucket(o BucketOptions) (*Bucket, error) {
	c, err := minio.New(o.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey, ""), Secure: !o.Plain, Region: o.Region,
		Transport: o.Transport, MaxRetries: 3, // the shipper tries again by itself
	})
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", o.Endpoint, err)
	}
	o.Prefix = strings.Trim(o.Prefix, "/")
	return &Bucket{o, c}, nil
}

func (b *Bucket) String() string {
	scheme := "https"
	if b.o.Plain {
		scheme = "http"
	}
	return strings.TrimSuffix(fmt.Sprintf("%s://%s/%s/%s", scheme, b.o.Endpoint, b.o.Bucket, b.o.Prefix), "/")
}

func (b *Bucket) key(name string) string {
	if b.o.Prefix == "" {
		return name
	}
	return b.o.Prefix + "/" + name
}

// digestKey is the metadata that holds an object's BLAKE3 digest.
const digestKey = "Blake3"

// Put implements Store. The request carries a CRC-32C (that of a part its MD5 sum)
// that the server checks; its ETag is compared with what was sent.
func (b *Bucket) Put(ctx context.Context, name string, content Content) error {
	if err := checkName(name); err != nil {
		return err
	}
	r, err := content.Open()
	if err != nil {
		return err
	}
	o := minio.PutObjectOptions{
		ContentType: "application/octet-stream", UserMetadata: map[string]string{digestKey: content.Digest.String()},
		PartSize: partBytes, NumThreads: 1,
	}
	var info minio.UploadInfo
	if content.Bytes > partBytes {
		info, err = b.putParts(ctx, b.key(name), content, r, o)
	} else {
		info, err = b.c.PutObject(ctx, b.o.Bucket, b.key(name), limited(ctx, r), content.Bytes, o)
	}
	if err = errors.Join(b.explain(err), r.Close()); err != nil {
		return err
	}
	if info.Size != content.Bytes || !b.o.ReadBack && !sameETag(info.ETag, content.etag()) {
		return fmt.Errorf("%w: %s has %d bytes and ETag %s, sent were %d and %s", ErrChanged, name, info.Size, info.ETag, content.Bytes, content.etag())
	}
	if b.o.ReadBack {
		return b.readBack(ctx, name, content)
	}
	return nil
}

func (b *Bucket) readBack(ctx context.Context, name string, content Content) error {
	r, err := b.Get(ctx, name)
	if err != nil {
		return err
	}
	same, err := content.same(r)
	if err == nil && !same {
		err = fmt.Errorf("%w: %s reads back differently", ErrChanged, name)
	}
	return errors.Join(err, r.Close())
}

func sameETag(a, b string) bool { return strings.EqualFold(strings.Trim(a, `"`), b) }

// Get implements Store.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	o, err := b.c.GetObject(ctx, b.o.Bucket, b.key(name), minio.GetObjectOptions{})
	if err == nil {
		_, err = o.Stat() // GetObject asks nothing by itself
	}
	if err != nil {
		return nil, b.explain(err)
	}
	return o, nil
}

// Has implements Store: by length and ETag.
func (b *Bucket) Has(ctx context.Context, name string, content Content) (bool, error) {
	if err := checkName(name); err != nil {
		return false, err
	}
	info, err := b.c.StatObject(ctx, b.o.Bucket, b.key(name), minio.StatObjectOptions{})
	if err = b.explain(err); errors.Is(err, ErrNoObject) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if b.o.ReadBack {
		if err := b.readBack(ctx, name, content); errors.Is(err, ErrChanged) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		return true, nil
	}
	return info.Size == content.Bytes && sameETag(info.ETag, content.etag()), nil
}

// List implements Store.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var names []string
	for o := range b.c.ListObjects(ctx, b.o.Bucket, minio.ListObjectsOptions{Prefix: b.key(prefix), Recursive: true}) {
		if o.Err != nil {
			return nil, b.explain(o.Err)
		}
		names = append(names, strings.TrimPrefix(strings.TrimPrefix(o.Key, b.o.Prefix), "/"))
	}
	slices.Sort(names)
	return names, nil
}

// Remove implements Store.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := b.explain(b.c.RemoveObject(ctx, b.o.Bucket, b.key(name), minio.RemoveObjectOptions{}))
	if errors.Is(err, ErrNoObject) {
		return nil
	}
	return err
}

// explain says where an error happened, and what to do about the usual ones.
func (b *Bucket) explain(err error) error {
	if err == nil {
		return nil
	}
	switch r := minio.ToErrorResponse(err); r.Code {
	case "NoSuchKey":
		return fmt.Errorf("%w: %s in %s", ErrNoObject, r.Key, b)
	case "NoSuchBucket":
		return fmt.Errorf("store %s: there is no bucket %q: make it first", b, b.o.Bucket)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied":
		return fmt.Errorf("store %s: %w; look at credentials_file and at what that key may do", b, err)
	}
	return fmt.Errorf("store %s: %w", b, err)
}

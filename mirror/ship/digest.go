package ship

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/blake3"

	"onebeat/mirror/disk"
)

// Digest is a BLAKE3 digest.
type Digest [32]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// short is what of it stands in a name.
func (d Digest) short() string { return d.String()[:16] }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(d) {
		return fmt.Errorf("%q is no BLAKE3 digest", text)
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// partBytes is the length of a part of an upload; what is longer than one is
// sent in several.
const partBytes = 16 << 20

// bytesContent is the content of a few bytes.
func bytesContent(b []byte) Content {
	c, err := digest(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil })
	if err != nil {
		panic(err) // memory does not fail
	}
	return c
}

// fileContent reads a file once to say what it holds.
func fileContent(fs disk.FS, path string) (Content, error) {
	return digest(func() (io.ReadCloser, error) {
		f, err := fs.Open(path, disk.Read, false)
		if err != nil {
			return nil, err
		}
		size, err := f.Size()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return struct {
			io.Reader
			io.Closer
		}{io.NewSectionReader(f, 0, size), f}, nil
	})
}

func digest(open func() (io.ReadCloser, error)) (Content, error) {
	c := Content{Open: open}
	r, err := open()
	if err != nil {
		return c, err
	}
	whole, part := blake3.New(), md5.New()
	for err == nil {
		part.Reset()
		var n int64
		n, err = io.CopyN(io.MultiWriter(whole, part), r, partBytes)
		if n > 0 || c.parts == nil {
			c.parts = append(c.parts, [16]byte(part.Sum(nil)))
		}
		c.Bytes += n
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	whole.Sum(c.Digest[:0])
	return c, errors.Join(err, r.Close())
}

// etag is what an S3 server says of an object that was put in parts of partBytes.
func (c *Content) etag() string {
	if c.Bytes <= partBytes {
		return hex.EncodeToString(c.parts[0][:])
	}
	all := md5.New()
	for _, p := range c.parts {
		all.Write(p[:])
	}
	return fmt.Sprintf("%s-%d", hex.EncodeToString(all.Sum(nil)), len(c.parts))
}

// same reads an object and compares it.
func (c *Content) same(r io.Reader) (bool, error) {
	h := blake3.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return false, err
	}
	return n == c.Bytes && Digest(h.Sum(nil)) == c.Digest, nil
}

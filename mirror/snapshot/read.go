package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	iofs "io/fs"

	"github.com/zeebo/blake3"

	"onebeat/engine/app"
	"onebeat/mirror/disk"
)

// File is one snapshot.
type File struct {
	Path      string
	FileBytes int64
	Header    Header
	// Damage is what is wrong with it as far as it was looked at; nil: nothing. The
	// header is the file's only without any.
	Damage *Damage
	fs     disk.FS
}

// look reads and checks the header, and the file's length against it.
func look(fs disk.FS, path string, position uint64) (File, error) {
	x := File{Path: path, fs: fs}
	harmed := func(offset int64, problem string) (File, error) {
		x.Damage = &Damage{path, offset, position, problem}
		x.Header = Header{Position: position}
		return x, nil
	}
	f, err := fs.Open(path, disk.Read, false)
	if errors.Is(err, iofs.ErrNotExist) {
		return x, err
	} else if err != nil {
		return harmed(0, err.Error())
	}
	defer f.Close() // only read
	if x.FileBytes, err = f.Size(); err != nil {
		return harmed(0, err.Error())
	}
	var b [HeaderBytes]byte
	switch err := disk.ReadFull(f, b[:], 0); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return harmed(x.FileBytes, "it ends within its header")
	case err != nil:
		return harmed(0, err.Error())
	}
	if err := x.Header.Parse(b[:]); err != nil {
		return harmed(0, err.Error())
	}
	if x.Header.Position != position {
		return harmed(offPosition, fmt.Sprintf("it is of position %d", x.Header.Position))
	}
	if want := x.Header.fileBytes(); x.FileBytes != want {
		return harmed(min(x.FileBytes, want), fmt.Sprintf("it has %d bytes, its header says %d", x.FileBytes, want))
	}
	return x, nil
}

// Open opens the file as it is, to send it.
func (x *File) Open() (io.ReadCloser, error) {
	f, err := x.fs.Open(x.Path, disk.Read, false)
	if err != nil {
		return nil, err
	}
	return &struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, 0, x.FileBytes), f}, nil
}

// Verify reads every byte. tell, if not nil, hears how far it is.
func (x *File) Verify(tell func(done, all int64)) error {
	if x.Damage != nil {
		return x.Damage
	}
	f, err := x.fs.Open(x.Path, disk.Read, false)
	if err != nil {
		return err
	}
	return errors.Join(verify(f, x.Path, &x.Header, tell), f.Close())
}

func verify(f io.ReaderAt, path string, h *Header, tell func(done, all int64)) error {
	r := newBlockReader(f, path, h)
	r.tell = tell
	_, err := io.Copy(io.Discard, r)
	return err
}

// Load brings the state into a fresh machine. The whole file is verified on the
// way, and the digest of what came out; a machine that was refused is of no use.
func (x *File) Load(m app.Machine) error {
	if x.Damage != nil {
		return x.Damage
	}
	f, err := x.fs.Open(x.Path, disk.Read, false)
	if err != nil {
		return err
	}
	defer f.Close() // only read
	r := newBlockReader(f, x.Path, &x.Header)
	state := app.NewStateReader(r)
	err = m.Load(state)
	// Damage in the file explains what was refused better than the refusal does.
	if _, rest := io.Copy(io.Discard, r); rest != nil {
		return rest
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", x.Path, err)
	case state.Count() != x.Header.StateBytes:
		return fmt.Errorf("%s: %w: %d bytes of the state were read, it has %d", x.Path, app.ErrState, state.Count(), x.Header.StateBytes)
	case m.Digest() != x.Header.Digest:
		return fmt.Errorf("%s: %w: digest %016x, saved with %016x", x.Path, app.ErrState, m.Digest(), x.Header.Digest)
	}
	return nil
}

// blockReader gives back the state, each block checked before it is given, and all
// of them at the end.
type blockReader struct {
	f     io.ReaderAt
	path  string
	h     *Header
	at    int64  // of the next block
	left  uint64 // of the state
	block []byte
	rest  []byte // of the block, not given yet
	sum   *blake3.Hasher
	err   error
	tell  func(done, all int64)
}

func newBlockReader(f io.ReaderAt, path string, h *Header) *blockReader {
	return &blockReader{f: f, path: path, h: h, at: HeaderBytes, left: h.StateBytes,
		block: make([]byte, BlockBytes+crcBytes), sum: blake3.New()}
}

// Read implements io.Reader.
func (r *blockReader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 && r.err == nil {
		r.err = r.next()
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *blockReader) harmed(offset int64, problem string) error {
	return &Damage{r.path, offset, r.h.Position, problem}
}

func (r *blockReader) read(b []byte) error {
	err := disk.ReadFull(r.f, b, r.at)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return r.harmed(r.at, "the file ends too early")
	}
	if err != nil {
		return r.harmed(r.at, err.Error())
	}
	return nil
}

// next reads a block; io.EOF behind the last one, if all of it was as written.
func (r *blockReader) next() error {
	if r.left == 0 {
		return r.end()
	}
	n := int(min(r.left, BlockBytes))
	b := r.block[:n+crcBytes]
	if err := r.read(b); err != nil {
		return err
	}
	if crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {
		return r.harmed(r.at, fmt.Sprintf("a block of %d bytes has another checksum", n))
	}
	_, _ = r.sum.Write(b) // cannot fail
	r.at += int64(len(b))
	r.left -= uint64(n)
	r.rest = b[:n]
	if r.tell != nil {
		r.tell(r.at, r.h.fileBytes())
	}
	return nil
}

func (r *blockReader) end() error {
	var header [HeaderBytes]byte
	r.h.Put(header[:])
	_, _ = r.sum.Write(header[:]) // cannot fail
	b := r.block[:digestBytes]
	if err := r.read(b); err != nil {
		return err
	}
	if string(b) != string(r.sum.Sum(nil)) {
		return r.harmed(r.at, "the digest of the whole is another")
	}
	return io.EOF
}

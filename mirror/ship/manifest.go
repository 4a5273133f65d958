package ship

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/zeebo/blake3"
)

// ManifestVersion is of the manifest. A reader refuses others.
const ManifestVersion = 1

// manifestName ends the name of a manifest.
const manifestName = "manifest.json"

// manifestMaxBytes bounds what is read as a manifest: some 200,000 segments.
const manifestMaxBytes = 64 << 20

// ErrManifest means that a manifest is not what a shipper wrote.
var ErrManifest = errors.New("manifest")

// File is an object and the file it was made of.
type File struct {
	Name   string `json:"name"`   // of the file
	Object string `json:"object"` // under the manifest's directory
	Bytes  int64  `json:"bytes"`
	Digest Digest `json:"blake3"`
}

// Segment is a closed segment in a store.
type Segment struct {
	File
	Index     *File  `json:"index,omitempty"`
	First     uint64 `json:"first"`
	End       uint64 `json:"end"`
	Records   uint64 `json:"records"`
	LastNs    int64  `json:"last_ns"` // lane time of the last record
	LastEpoch uint32 `json:"last_epoch"`
	Chain     string `json:"chain"` // over the log up to End
}

// Snapshot is one in a store.
type Snapshot struct {
	File
	Position uint64 `json:"position"`
}

// Manifest says what of a lane's log is whole in a store.
type Manifest struct {
	Version  int    `json:"version"`
	Lane     uint8  `json:"lane"`
	Node     uint8  `json:"node"` // that archived it
	Identity string `json:"identity"`
	Revision uint64 `json:"revision"`
	WallNs   int64  `json:"wall_ns"` // when it was written
	// Segments in the order of the log; what lies between two is missing.
	Segments  []Segment  `json:"segments"`
	Snapshots []Snapshot `json:"snapshots,omitempty"` // rising positions
	Files     []File     `json:"files,omitempty"`     // notes, and records that were cut off
	// Garbage are objects that no longer count and may still be there.
	Garbage []string `json:"garbage,omitempty"`
}

// Begin returns the position of the first record.
func (m *Manifest) Begin() uint64 {
	if len(m.Segments) == 0 {
		return 0
	}
	return m.Segments[0].First
}

// End returns the position behind the last record.
func (m *Manifest) End() uint64 {
	if n := len(m.Segments); n > 0 {
		return m.Segments[n-1].End
	}
	return 0
}

// encode returns the manifest's object: a line of JSON and a line with its digest.
func (m *Manifest) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	sum := blake3.Sum256(b)
	return append(append(append(b, '\n'), Digest(sum).String()...), '\n'), nil
}

// decodeManifest is encode's reverse. It believes nothing that is not checked.
func decodeManifest(b []byte) (*Manifest, error) {
	line, rest, found := bytes.Cut(b, []byte{'\n'})
	var want Digest
	sum, ended := bytes.CutSuffix(rest, []byte{'\n'})
	if !found || !ended || want.UnmarshalText(sum) != nil || blake3.Sum256(line) != want {
		return nil, fmt.Errorf("%w: its digest is wrong", ErrManifest)
	}
	m := &Manifest{}
	if err := json.Unmarshal(line, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if m.Version != ManifestVersion {
		return nil, fmt.Errorf("%w: of version %d, this program reads %d", ErrManifest, m.Version, ManifestVersion)
	}
	end := uint64(0)
	for i := range m.Segments {
		s := &m.Segments[i]
		if s.First < end || s.End < s.First || checkFile(&s.File) != nil || s.Index != nil && checkFile(s.Index) != nil {
			return nil, fmt.Errorf("%w: segment %q from %d to %d behind %d", ErrManifest, s.Name, s.First, s.End, end)
		}
		end = s.End
	}
	for i := range m.Snapshots {
		if err := checkFile(&m.Snapshots[i].File); err != nil {
			return nil, err
		}
	}
	for i := range m.Files {
		if err := checkFile(&m.Files[i]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// checkFile keeps a manifest from naming what lies outside of its directories.
func checkFile(f *File) error {
	if f.Name == "" || f.Name != path.Base(f.Name) || f.Name[0] == '.' || f.Object != path.Base(f.Object) || f.Object[0] == '.' || f.Bytes < 0 {
		return fmt.Errorf("%w: a file named %q, object %q, of %d bytes", ErrManifest, f.Name, f.Object, f.Bytes)
	}
	return nil
}

// readManifest returns the manifest of a directory of a store; nil: there is none.
func readManifest(ctx context.Context, s Store, dir string) (*Manifest, error) {
	r, err := s.Get(ctx, path.Join(dir, manifestName))
	if errors.Is(err, ErrNoObject) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, manifestMaxBytes))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", s, path.Join(dir, manifestName), err)
	}
	return m, nil
}

func writeManifest(ctx context.Context, s Store, dir string, m *Manifest) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	return s.Put(ctx, path.Join(dir, manifestName), bytesContent(b))
}

package drill

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
)

// soakDisk is a small filesystem that a node archives on.
type soakDisk struct {
	dir    string
	filler string
}

// soakDiskBytes holds what is retained, twice; retention keeps that much.
const (
	soakDiskBytes  = 192 << 20
	soakRetain     = "64MiB"
	soakSegment    = "4MiB"
	soakSnapshots  = 50_000 // records between two
	soakStreamPort = 7600
	soakSalvage    = "20ms"
)

func mountDisk(dir string) (*soakDisk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := unix.Mount("onebeat-soak", dir, "tmpfs", 0, fmt.Sprintf("size=%d", soakDiskBytes)); err != nil {
		return nil, fmt.Errorf("mount a small disk at %s: %w", dir, err)
	}
	return &soakDisk{dir: dir, filler: filepath.Join(dir, "filler")}, nil
}

// fill takes all the room.
func (d *soakDisk) fill() error {
	f, err := os.Create(d.filler)
	if err != nil {
		return err
	}
	piece := make([]byte, 1<<20)
	for err == nil {
		if _, err = f.Write(piece); errors.Is(err, unix.ENOSPC) && len(piece) > 4096 {
			piece, err = piece[:len(piece)/2], nil
		}
	}
	if errors.Is(err, unix.ENOSPC) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

func (d *soakDisk) free() error { return os.Remove(d.filler) }

// cut takes the end off the newest segment of each archive.
func (d *soakDisk) cut(rng *rand.Rand) error {
	segments, err := filepath.Glob(filepath.Join(d.dir, "*", "*.seg"))
	if err != nil || len(segments) == 0 {
		return err
	}
	path := segments[len(segments)-1]
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, rng.Int64N(st.Size()))
}

func (d *soakDisk) unmount() error {
	if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", d.dir, err)
	}
	return nil
}

// prepareSoak makes disks and certificates before the nodes start.
func (r *run) prepareSoak() error {
	if r.o.Fault != FaultSoak {
		return nil
	}
	r.disks = map[string]*soakDisk{}
	for _, place := range []string{lab.NodeA, lab.NodeB} {
		d, err := mountDisk(soakDiskDir(r.lab, place))
		if err != nil {
			return err
		}
		r.disks[place] = d
	}
	return scene.WriteCertificates(r.lab.RunDir, lab.NodeNumber(lab.NodeA), lab.NodeNumber(lab.NodeB))
}

func (r *run) closeDisks() error {
	var errs []error
	for _, d := range r.disks {
		errs = append(errs, d.unmount())
	}
	return errors.Join(errs...)
}

func soakDiskDir(l *lab.Lab, place string) string {
	return filepath.Join(l.RunDir, fmt.Sprintf("disk-%d", lab.NodeNumber(place)))
}

// soakSections are those of a node that archives on a small disk, saves its state
// and gives both to its peer.
func soakSections(l *lab.Lab, node, link *strings.Builder) {
	fmt.Fprintf(node, "[archive]\ndir = \"%s/disk-$NODE\"\nsegment_size = %q\nretain_size = %q\n[snapshot]\nrecords = %d\nkeep = 2\n",
		l.RunDir, soakSegment, soakRetain, soakSnapshots)
	fmt.Fprintf(node, "[stream]\nlisten = \"%s:%d\"\ncertificate = \"node-$NODE.crt\"\nkey = \"node-$NODE.key\"\nauthorities = \"authority.crt\"\nsalvage = %q\n",
		soakLinkAddress("$NODE"), soakStreamPort, soakSalvage)
	fmt.Fprintf(node, "[mirrord]\nlisten = \"%s:%d\"\n", soakLinkAddress("$NODE"), soakMirrordPort)
	fmt.Fprintf(link, "peer_stream = \"%s:%d\"\npeer_mirrord = \"%s:%d\"\n", soakLinkAddress("$PEER"), soakStreamPort, soakLinkAddress("$PEER"), soakMirrordPort)
}

// soakLinkAddress is a node's on the cable between the two.
func soakLinkAddress(number string) string { return "10.99.0." + number }

package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"onebeat/xdp/frame"
)

// Sizes of bpf/onebeat.h and maps.h that user space needs; layout_test.go
// compares them with the compiled programs.
const (
	Lanes          = 16
	Queues         = 64
	TCPPorts       = 4
	LaneBytes      = 1024
	AuthorityBytes = 64
	RingSlackBytes = 2048
	NHWords        = 384 + 24
	LinkHeaders    = 42 + 96
	PayloadMax     = 1536
)

var (
	// ErrIncompatible means that pinned maps are of another version or size.
	ErrIncompatible = errors.New("pinned maps are of another version or size")
	// ErrNoBPFFS means that the pin directory is not on a BPF filesystem.
	ErrNoBPFFS = errors.New("not a BPF filesystem")
)

// Options say what the programs are loaded with.
type Options struct {
	// Dir is where maps are pinned, on a bpffs; empty for maps that die with
	// the process (tests).
	Dir string
	// RingBytes is the size of every lane's ring, a power of two.
	RingBytes uint64
	// LinkPort is the UDP port of link frames; 0 on a node without a link.
	LinkPort uint16
	// LaneIP holds the lane addresses by lane number, zero for none.
	LaneIP [Lanes]frame.IP
	// OrderIP holds this node's own addresses on the order NIC by lane number,
	// to which the peer sends what travels on the second path; zero for none.
	OrderIP [Lanes][4]byte
	// OrderVLAN is the 802.1Q tag that frames of the order network carry; 0: none.
	// They reach the engine with it, as do its own frames the network.
	OrderVLAN uint16
	// TCPPorts are those that the kernel's stack serves at a lane address, by lane
	// number, in host order, zero behind the last.
	TCPPorts [Lanes][TCPPorts]uint16
}

// Kernel is the loaded programs and their maps, shared with whoever else has
// them pinned. Its methods are for the cold side; what the order path touches
// is the memory that Authority, Lane and Ring return.
type Kernel struct {
	Steer        *ebpf.Program // for the order NIC
	Link         *ebpf.Program // for the link NIC
	Stack        *ebpf.Program // for what the kernel's stack sends by the order NIC
	timerControl *ebpf.Program
	exit, engine *ebpf.Program // death of an engine; its registration
	exitLink     ebpflink.Link

	// Adopted is true when pinned maps of an earlier process go on being used.
	Adopted bool

	dir       string
	ringBytes uint64
	maps      map[string]*ebpf.Map
	authority []byte
	lanes     []byte
	rings     [Lanes]ringMap
}

type ringMap struct {
	m   *ebpf.Map
	mem []byte
}

// shared are the maps that outlive the process. reasons stay so that counters
// go on; the socket and device maps so that the old and the new program of a
// restart see the same ones.
var shared = []string{"authority", "lanes", "nh_keys", "rings", "xsks_order", "xsks_link", "devs", "reasons", "timers"}

// Load loads the programs with maps pinned under Dir: those of an earlier
// process if they fit (its rings, words and counters go on), else new ones.
func Load(o Options) (*Kernel, error) {
	if o.RingBytes == 0 || o.RingBytes&(o.RingBytes-1) != 0 {
		return nil, fmt.Errorf("ring of %d bytes: must be a power of two", o.RingBytes)
	}
	k := &Kernel{dir: o.Dir, ringBytes: o.RingBytes, maps: map[string]*ebpf.Map{}}
	if err := k.load(&o); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (k *Kernel) load(o *Options) error {
	if k.dir != "" {
		if err := prepareDir(k.dir); err != nil {
			return err
		}
	}
	steer, err := loadSteer()
	if err != nil {
		return fmt.Errorf("steering program: %w", err)
	}
	mirror, err := loadLink()
	if err != nil {
		return fmt.Errorf("link program: %w", err)
	}
	exit, err := loadExit()
	if err != nil {
		return fmt.Errorf("exit program: %w", err)
	}
	stack, err := loadStack()
	if err != nil {
		return fmt.Errorf("stack program: %w", err)
	}
	for _, spec := range []*ebpf.CollectionSpec{steer, mirror, exit, stack} {
		if err := prepare(spec, o); err != nil {
			return err
		}
	}
	if err := k.openMaps(mirror); err != nil {
		return err
	}
	if err := k.loadPrograms(steer, mirror, exit, stack); err != nil {
		return err
	}
	if err := k.watchExits(); err != nil {
		return err
	}
	if k.authority, err = mapMemory(k.maps["authority"], Lanes*AuthorityBytes); err != nil {
		return fmt.Errorf("map authority words: %w", err)
	}
	if k.lanes, err = mapMemory(k.maps["lanes"], Lanes*LaneBytes); err != nil {
		return fmt.Errorf("map lane table: %w", err)
	}
	return nil
}

// prepare sets what is constant to the verifier.
func prepare(spec *ebpf.CollectionSpec, o *Options) error {
	rings := spec.Maps["rings"]
	rings.InnerMap.ValueSize = uint32(o.RingBytes) + RingSlackBytes
	port := [2]byte{byte(o.LinkPort >> 8), byte(o.LinkPort)}
	var tcp [Lanes][TCPPorts][2]byte // in network order
	for lane := range o.TCPPorts {
		for i, p := range o.TCPPorts[lane] {
			tcp[lane][i] = [2]byte{byte(p >> 8), byte(p)}
		}
	}
	var four [Lanes][4]byte
	var six [Lanes][16]byte
	for lane, ip := range o.LaneIP {
		if ip.Is4() {
			four[lane] = ip.As4()
		} else {
			six[lane] = ip
		}
	}
	return errors.Join(
		spec.Variables["ring_size"].Set(o.RingBytes),
		spec.Variables["link_port"].Set(port),
		spec.Variables["lane_ip"].Set(four),
		spec.Variables["lane_ip6"].Set(six),
		spec.Variables["order_ip"].Set(o.OrderIP),
		spec.Variables["order_vlan"].Set(o.OrderVLAN),
		spec.Variables["tcp_port"].Set(tcp),
	)
}

// openMaps adopts all pinned maps or creates all anew: a mixture would pair a
// ring with the words of another. Maps without any ring hold nothing worth
// keeping, and do not tell for which ring size they were made.
func (k *Kernel) openMaps(spec *ebpf.CollectionSpec) error {
	adopt, err := k.checkRings()
	if err != nil {
		return err
	}
	for _, name := range shared {
		if !adopt {
			break
		}
		m, err := ebpf.LoadPinnedMap(k.mapPin(name), nil)
		if errors.Is(err, os.ErrNotExist) {
			adopt = false
			break
		}
		if err != nil {
			return fmt.Errorf("open pinned map %s: %w", name, err)
		}
		k.maps[name] = m
		if err := spec.Maps[name].Compatible(m); err != nil {
			return fmt.Errorf("%w: map %s in %s: %w; run `onebeat node --cleanup` to start with empty rings", ErrIncompatible, name, k.dir, err)
		}
	}
	if adopt {
		k.Adopted = true
		return nil
	}
	k.closeMaps()
	if err := k.unpinRings(); err != nil {
		return err
	}
	for _, name := range shared {
		m, err := ebpf.NewMap(spec.Maps[name])
		if err != nil {
			return fmt.Errorf("create map %s: %w", name, err)
		}
		k.maps[name] = m
		if k.dir == "" {
			continue
		}
		if err := os.Remove(k.mapPin(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("replace pinned map %s: %w", name, err)
		}
		if err := m.Pin(k.mapPin(name)); err != nil {
			return fmt.Errorf("pin map %s: %w", name, err)
		}
	}
	return nil
}

// checkRings reports whether rings are pinned, and refuses those of another
// size: their positions would mean other bytes.
func (k *Kernel) checkRings() (pinned bool, err error) {
	if k.dir == "" {
		return false, nil
	}
	for lane := range Lanes {
		m, err := ebpf.LoadPinnedMap(k.ringPin(lane), nil)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("open pinned ring %d: %w", lane, err)
		}
		valueBytes := m.ValueSize()
		if err := m.Close(); err != nil {
			return false, fmt.Errorf("close ring %d: %w", lane, err)
		}
		if valueBytes != uint32(k.ringBytes)+RingSlackBytes {
			return false, fmt.Errorf("%w: ring %d in %s has %d bytes, ring_size is %d; set it back, or run `onebeat node --cleanup` to start with empty rings",
				ErrIncompatible, lane, k.dir, valueBytes-RingSlackBytes, k.ringBytes)
		}
		pinned = true
	}
	return pinned, nil
}

// unpinRings forgets the rings of words that are being replaced.
func (k *Kernel) unpinRings() error {
	if k.dir == "" {
		return nil
	}
	for lane := range Lanes {
		if err := os.Remove(k.ringPin(lane)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("replace pinned ring %d: %w", lane, err)
		}
	}
	return nil
}

func (k *Kernel) loadPrograms(specs ...*ebpf.CollectionSpec) error {
	for _, spec := range specs {
		replace := map[string]*ebpf.Map{}
		for name := range spec.Maps {
			if m := k.maps[name]; m != nil {
				replace[name] = m
			}
		}
		c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: replace})
		if err != nil {
			var verifier *ebpf.VerifierError
			if errors.As(err, &verifier) {
				return fmt.Errorf("the kernel refused a program; onebeat needs Linux 6.1 or later with BTF: %+v", verifier)
			}
			return fmt.Errorf("load programs: %w", err)
		}
		for name, p := range c.Programs {
			switch name {
			case "ob_steer":
				k.Steer = p
			case "ob_link":
				k.Link = p
			case "ob_stack":
				k.Stack = p
			case "ob_timer_control":
				k.timerControl = p
			case "ob_exit":
				k.exit = p
			case "ob_engine":
				k.engine = p
			}
			delete(c.Programs, name)
		}
		c.Close() // the maps it opened; ours are clones
	}
	return nil
}

func mapMemory(m *ebpf.Map, lengthBytes int) ([]byte, error) {
	return unix.Mmap(m.FD(), 0, lengthBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// Authority returns the memory of a lane's authority word.
func (k *Kernel) Authority(lane int) []byte {
	return k.authority[lane*AuthorityBytes : (lane+1)*AuthorityBytes]
}

// Lane returns the memory of a lane's table.
func (k *Kernel) Lane(lane int) []byte { return k.lanes[lane*LaneBytes : (lane+1)*LaneBytes] }

// OpenRing returns the memory of a lane's ring with its slack, creating it if
// the lane has none; created is then true.
func (k *Kernel) OpenRing(lane int) (mem []byte, created bool, err error) {
	r := &k.rings[lane]
	if r.mem != nil {
		return r.mem, false, nil
	}
	valueBytes := uint32(k.ringBytes) + RingSlackBytes
	if k.dir != "" {
		r.m, err = ebpf.LoadPinnedMap(k.ringPin(lane), nil)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, false, fmt.Errorf("open pinned ring %d: %w", lane, err)
		}
	}
	if r.m == nil {
		created = true
		r.m, err = ebpf.NewMap(&ebpf.MapSpec{
			Name: fmt.Sprintf("ring_%d", lane), Type: ebpf.Array, KeySize: 4, ValueSize: valueBytes,
			MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
		})
		if err != nil {
			return nil, false, fmt.Errorf("create ring %d of %d bytes: %w", lane, k.ringBytes, err)
		}
		if k.dir != "" {
			if err := r.m.Pin(k.ringPin(lane)); err != nil {
				return nil, false, fmt.Errorf("pin ring %d: %w", lane, err)
			}
		}
	}
	if err := k.maps["rings"].Put(uint32(lane), r.m); err != nil {
		return nil, false, fmt.Errorf("publish ring %d: %w", lane, err)
	}
	if r.mem, err = mapMemory(r.m, int(valueBytes)); err != nil {
		return nil, false, fmt.Errorf("map ring %d: %w", lane, err)
	}
	return r.mem, created, nil
}

// SetNHKey stores the payload hash key of a lane.
func (k *Kernel) SetNHKey(lane int, key *[NHWords]uint32) error {
	return k.maps["nh_keys"].Put(uint32(lane), key)
}

// SetOrderSocket makes order frames of a lane that arrive on queue go to the
// AF_XDP socket fd, which is bound to it.
func (k *Kernel) SetOrderSocket(lane, queue, fd int) error {
	return k.maps["xsks_order"].Put(uint32(lane*Queues+queue), uint32(fd))
}

// SetLinkSocket does the same for link frames that user space decides about.
func (k *Kernel) SetLinkSocket(lane, queue, fd int) error {
	return k.maps["xsks_link"].Put(uint32(lane*Queues+queue), uint32(fd))
}

// SetDevices says which NICs a lane's released and forwarded frames leave by.
// It must run in the network namespace of the NICs: the kernel resolves the
// indices in the caller's.
func (k *Kernel) SetDevices(lane, orderIfindex, linkIfindex int) error {
	if err := k.maps["devs"].Put(uint32(lane*2), uint32(orderIfindex)); err != nil {
		return fmt.Errorf("order NIC: %w", err)
	}
	if linkIfindex == 0 {
		return nil
	}
	if err := k.maps["devs"].Put(uint32(lane*2+1), uint32(linkIfindex)); err != nil {
		return fmt.Errorf("link NIC: %w", err)
	}
	return nil
}

// StartTimer arms the silence timer of a lane with the period of its table.
func (k *Kernel) StartTimer(lane int) error { return k.controlTimer(lane, 0) }

// StopTimer cancels it.
func (k *Kernel) StopTimer(lane int) error { return k.controlTimer(lane, 1) }

func (k *Kernel) controlTimer(lane int, stop uint32) error {
	args := struct{ Lane, Stop uint32 }{uint32(lane), stop}
	rc, err := k.timerControl.Run(&ebpf.RunOptions{Context: args})
	if err != nil {
		return fmt.Errorf("timer of lane %d: %w", lane, err)
	}
	if int32(rc) < 0 {
		return fmt.Errorf("timer of lane %d: %w", lane, unix.Errno(-int32(rc)))
	}
	return nil
}

// watchExits attaches the exit program. Its link is pinned like those of the
// NICs: it must see the end of this process.
func (k *Kernel) watchExits() error {
	var err error
	if k.exitLink, err = ebpflink.AttachRawTracepoint(ebpflink.RawTracepointOptions{Name: "sched_process_exit", Program: k.exit}); err != nil {
		return fmt.Errorf("watch for the engine's death (tracepoint sched_process_exit): %w", err)
	}
	if k.dir == "" {
		return nil
	}
	pin := filepath.Join(k.dir, exitLinkPin)
	if err := os.Remove(pin); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replace %s: %w", pin, err)
	}
	if err := k.exitLink.Pin(pin); err != nil {
		return fmt.Errorf("pin %s: %w", pin, err)
	}
	return nil
}

// EnterEngine makes the calling thread the engine of a lane: when it ends, by
// whatever means, the kernel knows at once. The goroutine is locked to it.
func (k *Kernel) EnterEngine(lane int) error { return k.registerEngine(lane, 0) }

// LeaveEngine ends that: the thread may end without meaning anything.
func (k *Kernel) LeaveEngine(lane int) error { return k.registerEngine(lane, 1) }

func (k *Kernel) registerEngine(lane int, leave uint32) error {
	args := struct{ Lane, Leave uint32 }{uint32(lane), leave}
	rc, err := k.engine.Run(&ebpf.RunOptions{Context: args})
	if err == nil && rc != 0 {
		err = unix.EINVAL
	}
	if err != nil {
		return fmt.Errorf("engine of lane %d: %w", lane, err)
	}
	return nil
}

// Close unmaps and closes everything; what is pinned stays.
func (k *Kernel) Close() error {
	var errs []error
	unmap := func(b *[]byte) {
		if *b != nil {
			errs = append(errs, unix.Munmap(*b))
			*b = nil
		}
	}
	unmap(&k.authority)
	unmap(&k.lanes)
	for i := range k.rings {
		unmap(&k.rings[i].mem)
		errs = append(errs, k.rings[i].m.Close())
		k.rings[i].m = nil
	}
	k.closeMaps()
	if k.exitLink != nil {
		errs = append(errs, k.exitLink.Close())
	}
	for _, p := range []*ebpf.Program{k.Steer, k.Link, k.Stack, k.timerControl, k.exit, k.engine} {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

func (k *Kernel) closeMaps() {
	for name, m := range k.maps {
		m.Close()
		delete(k.maps, name)
	}
}

func (k *Kernel) mapPin(name string) string { return filepath.Join(k.dir, "map_"+name) }
func (k *Kernel) ringPin(lane int) string {
	return filepath.Join(k.dir, RingPin(lane))
}

package drill

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"onebeat/bench/lab"
	"onebeat/tools/control"
)

const (
	witnessPort    = 7500
	witnessKeyFile = "witness.key"
	etcdPort       = 2379

	// arbiterBack is what an arbiter that has come back may take until the
	// lane's nodes have told it what it must know.
	arbiterBack = time.Second
)

func arbiterAt(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(lab.WitnessIP), port)
}

// arbiterSection is what the nodes' files say of the third party.
func arbiterSection(arbitration string) string {
	if arbitration == Etcd {
		return fmt.Sprintf("[etcd]\nendpoints = [\"http://%v\"]\nprefix = \"/onebeat/drill\"\n", arbiterAt(etcdPort))
	}
	return fmt.Sprintf("[witness]\naddress = \"%v\"\nkey_file = %q\n", arbiterAt(witnessPort), witnessKeyFile)
}

// writeArbiterKey makes the key that witness and nodes share.
func writeArbiterKey(l *lab.Lab) error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.RunDir, witnessKeyFile), []byte(hex.EncodeToString(key)+"\n"), 0o600)
}

func (r *run) arbiterCommand() []string {
	if r.o.Arbitration == Etcd {
		return []string{"witness", "--etcd-embedded", "--listen", arbiterAt(etcdPort).String(),
			"--data-dir", filepath.Join(r.lab.RunDir, "etcd"), "--name", lab.Witness, "--run-dir", r.lab.RunDir}
	}
	return []string{"witness", "--listen", arbiterAt(witnessPort).String(),
		"--key-file", filepath.Join(r.lab.RunDir, witnessKeyFile), "--name", lab.Witness, "--run-dir", r.lab.RunDir}
}

// startArbiter starts the third party of the lanes' arbitration, if there is
// one, and waits until it answers.
func (r *run) startArbiter() error {
	if r.o.Arbitration != Witness && r.o.Arbitration != Etcd {
		return nil
	}
	if err := r.begin(lab.Witness); err != nil {
		return err
	}
	p := r.processes[lab.Witness]
	var why error
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); time.Sleep(pollEvery) {
		if p.ended() {
			return fmt.Errorf("the arbiter ended while starting: %w", p.why())
		}
		if why = call(r.lab, lab.Witness, 0, control.CmdStatus, nil); why == nil {
			return nil
		}
		select {
		case <-r.stop:
			return ErrStopped
		default:
		}
	}
	return errors.Join(fmt.Errorf("the arbiter does not answer within %v", readyTimeout), why)
}

package fixload

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"onebeat/bench/lab"
	"onebeat/bench/scene"
)

// secureLane is served with TLS, and asks for certificates.
const secureLane = 1

const (
	certificateFile = "fix.pem"
	keyFile         = "fix-key.pem"
)

// attackedLanes are a lane with a good client and a bad one on each face, and one
// that asks for certificates.
func (b *fixBed) attackedLanes(lines string) ([]scene.Lane, error) {
	if err := b.writeCertificate(); err != nil {
		return nil, err
	}
	narrow := fmt.Sprintf("pending_per_address = 2\nconnects_per_address = %d\n", b.o.Connects)
	fix := fmt.Sprintf("[lane.fix]\nport = %d\n%s", scene.FIXPort, narrow)
	for _, s := range []struct{ name, password string }{{goodSession, goodPassword}, {badSession, badPassword}} {
		file := filepath.Join(b.Lab.RunDir, s.name+".password")
		if err := os.WriteFile(file, []byte(s.password+"\n"), 0o600); err != nil {
			return nil, err
		}
		fix += fmt.Sprintf("[[lane.fix.session]]\nname = %q\nsender_comp_id = %q\ntarget_comp_id = %q\nusername = %q\npassword_file = %q\n",
			s.name, scene.FIXNode, s.name, s.name, file)
	}
	secure := fmt.Sprintf("[lane.fix]\nport = %d\ncertificate = %q\nkey = %q\nauthorities = %q\n%s[[lane.fix.session]]\nname = \"secure\"\nsender_comp_id = %q\ntarget_comp_id = \"SECURE\"\n",
		scene.FIXPort, certificateFile, keyFile, certificateFile, narrow, scene.FIXNode)
	bad := fmt.Sprintf("[[lane.session]]\nid = %q\nname = \"bad\"\nkey = %q\n", badFIXPSession, badPassword)
	return []scene.Lane{
		{ID: 0, Primary: lab.NodeA, Standby: lab.NodeB, App: b.o.App, Lines: lines, SessionLines: bad, FIX: fix},
		{ID: secureLane, Primary: lab.NodeA, Standby: lab.NodeB, App: b.o.App, Lines: lines, FIX: secure},
	}, nil
}

// writeCertificate writes a certificate of a host that trusts nobody else's.
func (b *fixBed) writeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "onebeat"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(b.Lab.RunDir, certificateFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(b.Lab.RunDir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}), 0o600))
}

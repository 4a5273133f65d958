package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Authority signs the certificates of nodes. Keep its key off the nodes: who has
// it can be any of them.
type Authority struct {
	certificate *x509.Certificate
	der         []byte
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority that signs for itself.
func NewAuthority(validFor time.Duration) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := template("onebeat authority", validFor)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	return &Authority{c, der, key}, err
}

// LoadAuthority reads what PEM returned.
func LoadAuthority(certificate, key []byte) (*Authority, error) {
	c, _ := pem.Decode(certificate)
	k, _ := pem.Decode(key)
	if c == nil || k == nil {
		return nil, fmt.Errorf("%w: no authority in PEM form", ErrCredentials)
	}
	parsed, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: authority: %w", ErrCredentials, err)
	}
	private, err := x509.ParseECPrivateKey(k.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: authority's key: %w", ErrCredentials, err)
	}
	return &Authority{parsed, c.Bytes, private}, nil
}

// PEM returns the authority's certificate and its key.
func (a *Authority) PEM() (certificate, key []byte, err error) { return encode(a.der, a.key) }

// Issue makes a node's certificate and key, both PEM.
func (a *Authority) Issue(node uint8, validFor time.Duration) (certificate, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t, err := template(NodeName(node), validFor)
	if err != nil {
		return nil, nil, err
	}
	t.DNSNames = []string{NodeName(node)}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, a.certificate, &k.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	return encode(der, k)
}

// clockSlack lets hosts use a certificate at once whose clocks differ.
const clockSlack = time.Hour

func template(name string, validFor time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-clockSlack), NotAfter: now.Add(validFor)}, nil
}

func encode(der []byte, key *ecdsa.PrivateKey) (certificate, private []byte, err error) {
	k, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: k}), nil
}

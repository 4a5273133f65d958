package stream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Credentials are who a host is and whom it believes.
type Credentials struct {
	Node        uint8 // as the certificate says
	certificate tls.Certificate
	authorities *x509.CertPool
}

// ErrCredentials means that certificate, key and authorities do not make a node.
var ErrCredentials = errors.New("credentials")

// nameSuffix ends the DNS name in a node's certificate.
const nameSuffix = ".onebeat"

// NodeName returns the DNS name that a node's certificate must bear.
func NodeName(node uint8) string { return fmt.Sprintf("node-%d%s", node, nameSuffix) }

// parseNodeName is NodeName's reverse.
func parseNodeName(name string) (node uint8, ok bool) {
	digits, found := strings.CutPrefix(name, "node-")
	digits, end := strings.CutSuffix(digits, nameSuffix)
	n, err := strconv.ParseUint(digits, 10, 8)
	return uint8(n), found && end && err == nil && n > 0 && digits == strconv.FormatUint(n, 10)
}

// LoadCredentials reads PEM files.
func LoadCredentials(certificate, key, authorities string) (*Credentials, error) {
	c, err := os.ReadFile(certificate)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %w", ErrCredentials, err)
	}
	k, err := os.ReadFile(key)
	if err != nil {
		return nil, fmt.Errorf("%w: key: %w", ErrCredentials, err)
	}
	a, err := os.ReadFile(authorities)
	if err != nil {
		return nil, fmt.Errorf("%w: authorities: %w", ErrCredentials, err)
	}
	return ParseCredentials(c, k, a)
}

// ParseCredentials makes credentials of PEM blocks.
func ParseCredentials(certificate, key, authorities []byte) (*Credentials, error) {
	c := &Credentials{authorities: x509.NewCertPool()}
	var err error
	if c.certificate, err = tls.X509KeyPair(certificate, key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	if !c.authorities.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%w: authorities: no certificate in PEM form in it", ErrCredentials)
	}
	leaf := c.certificate.Leaf
	if c.Node, err = nodeOf(leaf); err != nil {
		return nil, err
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: c.authorities, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			return nil, fmt.Errorf("%w: the certificate must be signed by the authorities, valid now, and for both server and client use: %w", ErrCredentials, err)
		}
	}
	return c, nil
}

// nodeOf returns the node that a certificate is of.
func nodeOf(leaf *x509.Certificate) (uint8, error) {
	for _, name := range leaf.DNSNames {
		if node, ok := parseNodeName(name); ok {
			return node, nil
		}
	}
	return 0, fmt.Errorf("%w: the certificate has no DNS name like %q, which says whose it is; `onebeat certs` makes such ones", ErrCredentials, NodeName(1))
}

// protocol is what both ends agree on in the handshake.
const protocol = "onebeat-stream"

func (c *Credentials) common() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.certificate}, NextProtos: []string{protocol},
		// Whole records from the start: a stream is long.
		DynamicRecordSizingDisabled: true, SessionTicketsDisabled: true,
	}
}

func (c *Credentials) server() *tls.Config {
	t := c.common()
	t.ClientAuth, t.ClientCAs = tls.RequireAndVerifyClientCert, c.authorities
	return t
}

func (c *Credentials) client(server uint8) *tls.Config {
	t := c.common()
	t.RootCAs, t.ServerName = c.authorities, NodeName(server)
	return t
}

package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
)

// TLS is how the cluster's members are spoken to; nil: in clear text. Relative
// paths are relative to the configuration file.
func (e *Etcd) TLS(configFile string) (*tls.Config, error) {
	if e.CAFile == "" && e.CertFile == "" {
		return nil, nil
	}
	at := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(filepath.Dir(configFile), path)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.CAFile != "" {
		pem, err := os.ReadFile(at(e.CAFile))
		if err != nil {
			return nil, fmt.Errorf("etcd.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd.ca_file: %s holds no certificate; give a PEM file", e.CAFile)
		}
	}
	if e.CertFile != "" {
		own, err := tls.LoadX509KeyPair(at(e.CertFile), at(e.KeyFile))
		if err != nil {
			return nil, fmt.Errorf("etcd.cert_file, etcd.key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}

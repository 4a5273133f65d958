package config

import (
	"fmt"
	"path/filepath"
)

// Stream is the server that gives this node's logs and snapshots to its peers and
// to further copies, over TCP with TLS 1.3 and a certificate at either end.
type Stream struct {
	// Listen is where; without it this node only asks others.
	Listen Endpoint `toml:"listen"`
	// Certificate and Key are this node's own, Authorities whom it believes: PEM
	// files. The certificate bears the DNS name node-<number>.onebeat.
	Certificate string `toml:"certificate" required:"true"`
	Key         string `toml:"key" required:"true"`
	Authorities string `toml:"authorities" required:"true"`
	// RateLimit bounds what one client gets in a second; 0: no bound.
	RateLimit Size `toml:"rate_limit" default:"0"`
	// Connections bounds how many there are at once.
	Connections int `toml:"connections" default:"64" range:"4..4096"`
	// Salvage is how long a successor under policy none waits for the end of a dead
	// engine's log before it goes on without; 0s: not at all.
	Salvage Duration `toml:"salvage" default:"20ms" range:"0s..10s"`
}

// minRateLimit lets a chunk through in a moment.
const minRateLimit = Size(64 << 10)

func (k *checker) stream() {
	s := k.c.Stream
	at := func(name string) string { return join("stream", name) }
	for i := range k.c.Links {
		l, path := &k.c.Links[i], linkPath(i)
		for name, e := range map[string]Endpoint{"peer_stream": l.PeerStream, "peer_mirrord": l.PeerMirrord} {
			if e.IsValid() && s == nil && k.ok("stream") {
				k.fail(join(path, name), "is of no use without certificates", "add [stream] with certificate, key and authorities")
			}
			if e.IsValid() && s != nil && e == s.Listen && k.ok(at("listen")) {
				k.fail(join(path, name), fmt.Sprintf("%v is this node's own [stream] address", e), "give the peer's")
			}
		}
		if l.PeerStream.IsValid() && l.PeerStream == l.PeerMirrord {
			k.fail(join(path, "peer_mirrord"), "is the peer's node itself", "give the daemon's own address, or remove it")
		}
	}
	if s == nil {
		return
	}
	if k.ok(at("rate_limit")) && s.RateLimit != 0 && s.RateLimit < minRateLimit {
		k.fail(at("rate_limit"), fmt.Sprintf("%v in a second is less than %v: a standby would never catch up", s.RateLimit, minRateLimit), "raise it, or remove it")
	}
}

// Path returns where a file of the section is: relative paths are relative to the
// configuration file.
func (s *Stream) Path(configFile, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(configFile), name)
}

// Package bpf holds the kernel's half of onebeat: the steering program of the
// order NIC, the mirror program of the link NIC and their maps, and typed Go
// access to them. It knows frames, positions and authority words, and nothing
// of orders or roles.
package bpf

package bpf

// The objects are committed, so building needs no clang; `make generate`
// compiles them again and CI compares.
//
//go:generate go tool bpf2go -no-global-types -tags linux -target amd64 -output-stem steer steer steer.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I. -I/usr/include/x86_64-linux-gnu
//go:generate go tool bpf2go -no-global-types -tags linux -target amd64 -output-stem link link link.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I. -I/usr/include/x86_64-linux-gnu
//go:generate go tool bpf2go -no-global-types -tags linux -target amd64 -output-stem exit exit exit.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I. -I/usr/include/x86_64-linux-gnu
//go:generate go tool bpf2go -no-global-types -tags linux -target amd64 -output-stem stack stack stack.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I. -I/usr/include/x86_64-linux-gnu
//go:generate go tool bpf2go -no-global-types -tags linux -target amd64 -output-stem connects connects connects.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I. -I/usr/include/x86_64-linux-gnu
//go:generate go tool bpf2go -no-global-types -tags linux -target amd64 -output-stem fault fault fault.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I. -I/usr/include/x86_64-linux-gnu
//go:generate go tool bpf2go -no-global-types -tags linux -target amd64 -output-stem tick -output-suffix _test tick tick.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I. -I/usr/include/x86_64-linux-gnu

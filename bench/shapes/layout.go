package shapes

import (
	"fmt"
	"strconv"
	"strings"

	"onebeat/pin"
)

// Layout says which thread runs where. Every thread is locked and spins.
type Layout struct {
	Primary int // core of the primary's loop, or of the echo
	Client  int // core of the measuring client
	// Standby is the core of the standby's loop; pin.NoCore: the client's
	// thread runs it between two orders, while nothing is being measured.
	Standby int
}

// DefaultLayout takes the first cores this process may run on: three if there
// are as many, else two.
func DefaultLayout() (Layout, error) {
	cores, err := pin.AllowedCores()
	if err != nil {
		return Layout{}, err
	}
	switch {
	case len(cores) >= 3:
		return Layout{Primary: cores[0], Client: cores[1], Standby: cores[2]}, nil
	case len(cores) == 2:
		return Layout{Primary: cores[0], Client: cores[1], Standby: pin.NoCore}, nil
	}
	return Layout{}, fmt.Errorf("bench needs two cores, one for the primary and one for the client; this process may run on %v", cores)
}

// ParseLayout reads "primary,client" or "primary,client,standby".
func ParseLayout(text string) (Layout, error) {
	l := Layout{Standby: pin.NoCore}
	fields := strings.Split(text, ",")
	at := []*int{&l.Primary, &l.Client, &l.Standby}
	if len(fields) < 2 || len(fields) > len(at) {
		return l, fmt.Errorf("layout %q: give two or three cores, like 0,1 or 0,1,2", text)
	}
	for i, f := range fields {
		core, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || core < 0 {
			return l, fmt.Errorf("layout %q: %q is no core", text, f)
		}
		for _, other := range at[:i] {
			if *other == core {
				return l, fmt.Errorf("layout %q: two spinning threads on core %d; leave the standby out and it shares the client's thread", text, core)
			}
		}
		*at[i] = core
	}
	return l, nil
}

func (l Layout) String() string {
	if l.Standby == pin.NoCore {
		return fmt.Sprintf("primary on core %d; client, venue and, between two orders, standby on one thread on core %d", l.Primary, l.Client)
	}
	return fmt.Sprintf("primary on core %d; client and venue on core %d; standby on core %d", l.Primary, l.Client, l.Standby)
}

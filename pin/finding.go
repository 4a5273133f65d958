package pin

import "fmt"

// Severity says how much a finding matters.
type Severity int

const (
	// Note is as it should be, or a matter of taste.
	Note Severity = iota
	// Warning costs latency now and then.
	Warning
	// Problem makes the latency goals unreachable.
	Problem
)

var severities = [...]string{"note", "warning", "problem"}

func (s Severity) String() string {
	if s >= 0 && int(s) < len(severities) {
		return severities[s]
	}
	return fmt.Sprintf("Severity(%d)", int(s))
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads it.
func (s *Severity) UnmarshalText(text []byte) error {
	for i, name := range severities {
		if name == string(text) {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("severity %q", text)
}

// Finding is one line of a check-up.
type Finding struct {
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"`
	What     string   `json:"what"`
	// Why it matters and how much; Remedy is what to do. Both are empty for a Note.
	Why    string `json:"why,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// Changes are what Apply does about it; none where it takes a reboot, a hand,
	// or would interrupt the link.
	Changes []Change `json:"changes,omitempty"`
}

// note is a finding that all is well.
func note(subject, format string, args ...any) Finding {
	return Finding{Severity: Note, Subject: subject, What: fmt.Sprintf(format, args...)}
}

func warning(subject, what, why, remedy string, changes ...Change) Finding {
	return Finding{Warning, subject, what, why, remedy, changes}
}

func problem(subject, what, why, remedy string, changes ...Change) Finding {
	return Finding{Problem, subject, what, why, remedy, changes}
}

func unreadable(subject string, err error) Finding {
	return warning(subject, "cannot be read: "+err.Error(), "what is not known cannot be ruled out", "run as root")
}

package engine

import "onebeat/engine/app"

const machineVersion = 1

// Save implements app.Machine.
func (m *Machine) Save(w *app.StateWriter) {
	w.Section("machine", machineVersion)
	w.U32("epoch", m.epoch)
	w.U8("writer", m.writer)
	w.Bool("venue", m.venue != nil)
	w.End()
	m.server.Save(w)
	if m.venue != nil {
		m.venue.Save(w)
	}
	m.app.Save(w)
}

// Load implements app.Machine.
func (m *Machine) Load(r *app.StateReader) error {
	r.Section("machine", machineVersion)
	m.epoch, m.writer = r.U32(), r.U8()
	if venue := r.Bool(); r.Err() == nil && venue != (m.venue != nil) {
		r.Fail("one of the two has a venue, the other has none: give this node the configuration that it was saved with")
	}
	r.End()
	if err := m.server.Load(r); err != nil {
		return err
	}
	if m.venue != nil {
		if err := m.venue.Load(r); err != nil {
			return err
		}
	}
	r.Sessions = uint32(m.server.Sessions())
	return m.app.Load(r)
}

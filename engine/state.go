package engine

import "onebeat/engine/app"

const machineVersion = 2 // 2: the release policy's last change

// Save implements app.Machine.
func (m *Machine) Save(w *app.StateWriter) {
	w.Section("machine", machineVersion)
	w.U32("epoch", m.epoch)
	w.U8("writer", m.writer)
	w.Bool("venue", m.venue != nil)
	w.U16("policy change bytes", uint16(m.changeBytes))
	if m.changeBytes > 0 {
		w.Bytes("policy change", m.change[:m.changeBytes])
	}
	w.End()
	m.server.Save(w)
	if m.venue != nil {
		m.venue.Save(w)
	}
	m.app.Save(w)
}

// Load implements app.Machine.
func (m *Machine) Load(r *app.StateReader) error {
	version := r.Section("machine", machineVersion)
	m.epoch, m.writer = r.U32(), r.U8()
	if venue := r.Bool(); r.Err() == nil && venue != (m.venue != nil) {
		r.Fail("one of the two has a venue, the other has none: give this node the configuration that it was saved with")
	}
	if version > 1 {
		if m.changeBytes = int(r.U16()); m.changeBytes > len(m.change) {
			r.Fail("a change of the policy of %d bytes", m.changeBytes)
			m.changeBytes = 0
		}
		r.Bytes(m.change[:m.changeBytes])
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

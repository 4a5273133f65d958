package engine

import "onebeat/engine/app"

const machineVersion = 3 // 2: the release policy's last change; 3: several venues

// Save implements app.Machine.
func (m *Machine) Save(w *app.StateWriter) {
	w.Section("machine", machineVersion)
	w.U32("epoch", m.epoch)
	w.U8("writer", m.writer)
	w.Int("venues", len(m.venues))
	w.U16("policy change bytes", uint16(m.changeBytes))
	if m.changeBytes > 0 {
		w.Bytes("policy change", m.change[:m.changeBytes])
	}
	w.End()
	m.server.Save(w)
	m.fix.Save(w)
	for i := range m.venues {
		m.venues[i].save(w)
	}
	m.app.Save(w)
}

// Load implements app.Machine.
func (m *Machine) Load(r *app.StateReader) error {
	version := r.Section("machine", machineVersion)
	m.epoch, m.writer = r.U32(), r.U8()
	venues := len(m.venues)
	if version > 2 {
		r.Is("the number of venues", venues)
	} else if one := r.Bool(); r.Err() == nil && (one != (venues > 0) || venues > 1) {
		r.Fail("a state with one venue or none, and %d venues here: give this node the configuration that it was saved with", venues)
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
	if err := m.fix.Load(r); err != nil {
		return err
	}
	for i := range m.venues {
		if err := m.venues[i].load(r, version > 2); err != nil {
			return err
		}
	}
	r.Sessions = uint32(m.server.Sessions() + m.fix.Clients())
	return m.app.Load(r)
}

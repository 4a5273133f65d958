package pin

import _ "unsafe" // for go:linkname

// The runtime keeps both as they are for those who link to them (go.dev/issue/67401).

//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

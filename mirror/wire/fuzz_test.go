package wire

import "testing"

func FuzzParse(f *testing.F) {
	f.Add(testFrame(0, 0))
	f.Add(testFrame(64, 100))
	f.Add(testFrame(64, 100)[:95])
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Header
		if h.Parse(b) != OK {
			return
		}
		if len(h.Records(b))+len(h.Ride(b))+HeaderBytes != len(b) {
			t.Fatal("lengths do not add up")
		}
		a := testAuth()
		a.Seal(b)
		if !a.Verify(b) {
			t.Fatal("own frame refused")
		}
	})
}

func FuzzHello(f *testing.F) {
	b := make([]byte, HelloBytes)
	h := testHello()
	h.Put(b)
	f.Add(b)
	f.Add(b[:24])
	f.Add(make([]byte, HelloBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Hello
		if !h.Parse(b) {
			return
		}
		again := make([]byte, HelloBytes)
		h.Put(again)
		if string(again) != string(b) {
			t.Fatalf("%+v does not encode to what it was decoded from", h)
		}
	})
}

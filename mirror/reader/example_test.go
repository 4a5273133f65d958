package reader_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"onebeat/engine/app"
	"onebeat/mirror/reader"
)

// Another process on the host follows a lane and keeps where it is, to go on there
// the next time.
func Example() {
	r, err := reader.Open(reader.Config{BPFFS: "/sys/fs/bpf/onebeat-a", Lane: 0, Archive: "/var/lib/onebeat/a-lane0"})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	if text, err := os.ReadFile("position"); err == nil {
		mark, err := reader.ParseMark(string(text))
		if err != nil {
			log.Fatal(err)
		}
		if err := r.Resume(mark); err != nil {
			log.Fatal(err)
		}
	}
	err = r.Follow(context.Background(), time.Millisecond, func(rec *app.Record) error {
		fmt.Println(rec.Position, rec.Type, len(rec.Payload))
		return os.WriteFile("position", []byte(r.Mark().String()), 0o600)
	})
	log.Fatal(err)
}

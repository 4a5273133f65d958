package export

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// flowing grows a lane in the background until it is told to stop.
func (l *laneLog) flowing(every time.Duration, records int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			l.grow(records)
			time.Sleep(every)
		}
	}()
	stop = func() { cancel(); <-done }
	l.t.Cleanup(stop)
	return stop
}

// TestKilledAgainAndAgain (EXPORT_KILLS times, 18): a real process, killed at random moments while records
// flow, and servers that are killed, too: row by row what is made in one go.
func TestKilledAgainAndAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("kills dozens of processes")
	}
	pg, rd := startPostgres(t, "fsync=on"), startRedis(t, "--appendonly", "yes")
	l := newLane(t, true, 11)
	l.grow(500)
	path := l.config("killed", postgresSection(pg.dir, "killed")+redisSection(rd.dir, "killed"))
	r := rand.New(rand.NewPCG(11, 11))
	stop := l.flowing(8*time.Millisecond, 30)
	kills := 18
	if s := os.Getenv("EXPORT_KILLS"); s != "" {
		var err error
		kills, err = strconv.Atoi(s)
		must(t, err)
	}
	for n := range kills {
		c := child(t, path)
		time.Sleep(time.Duration(60+r.IntN(500)) * time.Millisecond)
		switch n % 18 {
		case 4, 11:
			pg.stop(syscall.SIGKILL)
			time.Sleep(50 * time.Millisecond)
			pg.start()
			time.Sleep(300 * time.Millisecond)
		case 7, 14:
			rd.stop(syscall.SIGKILL)
			time.Sleep(50 * time.Millisecond)
			rd.start()
			time.Sleep(300 * time.Millisecond)
		}
		must(t, c.Process.Kill())
		_ = c.Wait()
	}
	stop()
	before := query(t, pg.dir, "SELECT records::text FROM killed_lane3.mark")
	once(t, path)
	once(t, l.config("whole", postgresSection(pg.dir, "whole")+redisSection(rd.dir, "whole")))
	same(t, tables(t, pg.dir, "killed_lane3"), tables(t, pg.dir, "whole_lane3"))
	same(t, keys(t, rd.dir, "killed"), keys(t, rd.dir, "whole"))
	checkSQL(t, pg.dir, "killed_lane3")
	t.Logf("%d kills, %d records, %s of them stored before the last one", kills, l.records.Load(), before[0])
	if before[0] == "0" {
		t.Error("the killed ones stored nothing")
	}
}

// TestCutInTheMiddleOfACommit: the server commits and nobody hears of it, or never
// gets the word.
func TestCutInTheMiddleOfACommit(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for servers again and again")
	}
	pg, rd := startPostgres(t), startRedis(t)
	l := newLane(t, false, 12)
	l.grow(500)
	pgCut := newCutter(t, filepath.Join(pg.dir, ".s.PGSQL.5432"), "commit")
	rdCut := newCutter(t, filepath.Join(rd.dir, "redis.sock"), "\r\nexec\r\n")
	x := start(t, l.config("cut", postgresSection(pgCut.dir, "cut")+redisSection(rdCut.dir, "cut")))
	stop := l.flowing(4*time.Millisecond, 10)
	const cuts = 12
	targets := map[string]*cutter{KindPostgres: pgCut, KindRedis: rdCut}
	since := map[string]uint64{}
	eventually(t, fmt.Sprintf("%d cuts of each kind", cuts), func() bool {
		enough := true
		for kind, c := range targets {
			before, behind := c.cuts[cutBefore].Load(), c.cuts[cutBehind].Load()
			enough = enough && before >= cuts && behind >= cuts
			// Not while it connects: it would get no farther.
			if records := x.feed(kind).Records; records > since[kind] && c.armed.CompareAndSwap(0, 1+(before+behind)%2) {
				since[kind] = records
			}
		}
		return enough
	})
	stop()
	x.stop()
	once(t, l.config("rest", postgresSection(pg.dir, "cut")+redisSection(rd.dir, "cut")))
	once(t, l.config("whole", postgresSection(pg.dir, "whole")+redisSection(rd.dir, "whole")))
	same(t, tables(t, pg.dir, "cut_lane3"), tables(t, pg.dir, "whole_lane3"))
	same(t, keys(t, rd.dir, "cut"), keys(t, rd.dir, "whole"))
	t.Logf("%d and %d commits of PostgreSQL cut before and behind, %d and %d of Redis; %d records", pgCut.cuts[cutBefore].Load(), pgCut.cuts[cutBehind].Load(),
		rdCut.cuts[cutBefore].Load(), rdCut.cuts[cutBehind].Load(), l.records.Load())
}

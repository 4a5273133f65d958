package export

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"onebeat/tools/config"
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
	return func() { cancel(); <-done }
}

// TestKilledAgainAndAgain: a real process, killed at random moments while records
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
	stop := l.flowing(5*time.Millisecond, 60)
	const kills = 36
	for n := range kills {
		c := child(t, path)
		time.Sleep(time.Duration(60+r.IntN(500)) * time.Millisecond)
		switch n {
		case 9, 21:
			pg.stop(syscall.SIGKILL)
			time.Sleep(50 * time.Millisecond)
			pg.start()
			time.Sleep(300 * time.Millisecond)
		case 15, 27:
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
	pg, rd := startPostgres(t), startRedis(t)
	l := newLane(t, false, 12)
	l.grow(500)
	pgCut := newCutter(t, filepath.Join(pg.dir, ".s.PGSQL.5432"), "commit")
	rdCut := newCutter(t, filepath.Join(rd.dir, "redis.sock"), "\r\nexec\r\n")
	cfg, err := config.LoadExport(l.config("cut", postgresSection(pgCut.dir, "cut")+redisSection(rdCut.dir, "cut")))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, Options{Log: silent()}) }()
	stop := l.flowing(2*time.Millisecond, 30)
	const cuts = 20
	eventually(t, "enough cuts", func() bool {
		enough := true
		for _, c := range []*cutter{pgCut, rdCut} {
			before, behind := c.cuts[cutBefore].Load(), c.cuts[cutBehind].Load()
			enough = enough && before >= cuts && behind >= cuts
			c.armed.CompareAndSwap(0, 1+(before+behind)%2)
		}
		return enough
	})
	stop()
	cancel()
	must(t, <-ended)
	once(t, l.config("rest", postgresSection(pg.dir, "cut")+redisSection(rd.dir, "cut")))
	once(t, l.config("whole", postgresSection(pg.dir, "whole")+redisSection(rd.dir, "whole")))
	same(t, tables(t, pg.dir, "cut_lane3"), tables(t, pg.dir, "whole_lane3"))
	same(t, keys(t, rd.dir, "cut"), keys(t, rd.dir, "whole"))
	t.Logf("%d and %d commits of PostgreSQL cut before and behind, %d and %d of Redis; %d records", pgCut.cuts[cutBefore].Load(), pgCut.cuts[cutBehind].Load(),
		rdCut.cuts[cutBefore].Load(), rdCut.cuts[cutBehind].Load(), l.records.Load())
}

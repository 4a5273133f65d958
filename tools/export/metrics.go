package export

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"onebeat/tools/config"
	"onebeat/tools/control"
)

// metric is one time series per feed, in Prometheus' text format.
type metric struct {
	name, kind, help string
	value            func(s *control.FeedStatus) float64
}

var metrics = []metric{
	{"position_bytes", "gauge", "Position in the lane's log behind the last record stored.", func(s *control.FeedStatus) float64 { return float64(s.Position) }},
	{"behind_bytes", "gauge", "Bytes of the log that are read and not stored.", func(s *control.FeedStatus) float64 { return float64(s.BehindBytes) }},
	{"behind_seconds", "gauge", "How long there has been something to store; 0: current.", func(s *control.FeedStatus) float64 { return float64(s.BehindNs) / 1e9 }},
	{"records_total", "counter", "Records stored since the log's beginning.", func(s *control.FeedStatus) float64 { return float64(s.Records) }},
	{"batches_total", "counter", "Transactions since the process began.", func(s *control.FeedStatus) float64 { return float64(s.Batches) }},
	{"store_seconds_total", "counter", "Time spent in the target.", func(s *control.FeedStatus) float64 { return s.StoreSecs }},
	{"failures_total", "counter", "Things that failed and were tried again.", func(s *control.FeedStatus) float64 { return float64(s.Failures) }},
	{"failing", "gauge", "1: the last thing tried failed.", func(s *control.FeedStatus) float64 { return truth(s.Failing) }},
	{"refused", "gauge", "1: the read model is not kept any further, and somebody has to do something.", func(s *control.FeedStatus) float64 { return truth(s.State == stateRefused) }},
}

func truth(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

// serveMetrics answers Prometheus; it returns what ends that.
func serveMetrics(at config.Endpoint, status func() *control.ExportStatus) (end func(), err error) {
	if !at.IsValid() {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("export.metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(w, status())
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }()
	return func() { _ = s.Shutdown(context.Background()) }, nil
}

func writeMetrics(to io.Writer, s *control.ExportStatus) {
	w := bufio.NewWriter(to)
	defer w.Flush()
	for _, m := range metrics {
		fmt.Fprintf(w, "# HELP onebeat_export_%s %s\n# TYPE onebeat_export_%s %s\n", m.name, m.help, m.name, m.kind)
		for i := range s.Feeds {
			f := &s.Feeds[i]
			fmt.Fprintf(w, "onebeat_export_%s{lane=\"%d\",target=%q} %s\n", m.name, f.Lane, f.Target, strconv.FormatFloat(m.value(f), 'f', -1, 64))
		}
	}
}

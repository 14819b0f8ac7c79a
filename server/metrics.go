package server

import (
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/views"
)

// A meters is what /metrics tells of streams, to whom it may tell of them.
type meters struct {
	engine *views.Engine
	may    func(database, stream string) bool
}

var (
	streamLabels = []string{"database", "stream"}

	appliedDesc = prometheus.NewDesc("weir_stream_applied_sequence",
		"Sequence up to which every view of the stream has applied its log.", streamLabels, nil)
	shownDesc = prometheus.NewDesc("weir_event_shown_delay_seconds",
		"From the log's receipt of an event until reads show it; events that are applied together count as the first of them.", streamLabels, nil)
	committedDesc = prometheus.NewDesc("weir_event_committed_delay_seconds",
		"From the log's receipt of the first event of a commit until it is in the files of all views.", streamLabels, nil)
	commitsDesc = prometheus.NewDesc("weir_commit_seconds",
		"How long a commit of a view took.", streamLabels, nil)
)

// Describe implements prometheus.Collector.
func (m meters) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{appliedDesc, shownDesc, committedDesc, commitsDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m meters) Collect(to chan<- prometheus.Metric) {
	for _, s := range m.engine.Meters() {
		if !m.may(s.Database, s.Stream) {
			continue
		}
		to <- prometheus.MustNewConstMetric(appliedDesc, prometheus.GaugeValue, float64(s.Applied), s.Database, s.Stream)
		for _, h := range []struct {
			desc *prometheus.Desc
			of   views.Delays
		}{{shownDesc, s.Shown}, {committedDesc, s.Committed}, {commitsDesc, s.Commits}} {
			counts := make(map[float64]uint64, len(h.of.Bounds))
			for i, bound := range h.of.Bounds {
				counts[bound.Seconds()] = h.of.Counts[i]
			}
			to <- prometheus.MustNewConstHistogram(h.desc, h.of.Count, h.of.Sum.Seconds(), counts, s.Database, s.Stream)
		}
	}
}

// serveMetrics answers in the format of Prometheus. Who asks logs in as to SQL,
// with HTTP's basic authentication, and may read weir.streams; it gets the
// streams that it may read.
func (s *status) serveMetrics(w http.ResponseWriter, r *http.Request) {
	accounts := s.accounts.Load()
	if accounts == nil || accounts.engine.Load() == nil {
		http.Error(w, *s.unready.Load(), http.StatusServiceUnavailable)
		return
	}
	user, password, _ := r.BasicAuth()
	if user == "" {
		user = "root"
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	account, ok := accounts.accounts.Login(user, password, host, r.TLS != nil)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="weir"`)
		http.Error(w, "an account of weir and its password are needed, as HTTP basic authentication", http.StatusUnauthorized)
		return
	}
	may := account.MayRead
	if account.Root() {
		may = func(string, string) bool { return true }
	} else if !account.MayRead("weir", "streams") {
		http.Error(w, "the account needs GRANT SELECT ON weir.*", http.StatusForbidden)
		return
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(meters{accounts.engine.Load(), may}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

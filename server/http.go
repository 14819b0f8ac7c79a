package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Limits of the HTTP listener, so that a client that stalls cannot hold a
// connection for ever.
const (
	httpHeaderTimeout = 5 * time.Second
	httpTimeout       = 30 * time.Second
	httpIdleTimeout   = 2 * time.Minute
	httpStopTimeout   = time.Second
	httpHeaderBytes   = 64 << 10
)

// status is what the health checks report. Its zero value is not ready and
// has no log yet.
type status struct {
	unready atomic.Pointer[string] // why the instance is not ready, or "" when it is
	healthy atomic.Pointer[func() error]
	ends    atomic.Pointer[Endpoints]
	// accounts are who may ask for metrics, and know the engine; nil at first.
	accounts atomic.Pointer[natsAccounts]
}

// wait makes the instance not ready, for the reason given.
func (s *status) wait(reason string) { s.unready.Store(&reason) }

// ready makes the instance ready at ends.
func (s *status) ready(ends Endpoints) {
	s.ends.Store(&ends)
	s.wait("")
}

// watch makes healthy part of /healthz.
func (s *status) watch(healthy func() error) { s.healthy.Store(&healthy) }

// listenHTTP opens the listener; Serve answers on it.
func listenHTTP(ctx context.Context, addr string, config *tls.Config, st *status, version string, logger *slog.Logger) (*http.Server, net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("--http %s: %w", addr, err)
	}
	if config != nil {
		config.NextProtos = []string{"http/1.1"}
		ln = tls.NewListener(ln, config)
	}
	return &http.Server{
		Handler:           handler(st, version),
		ReadHeaderTimeout: httpHeaderTimeout,
		ReadTimeout:       httpTimeout,
		WriteTimeout:      httpTimeout,
		IdleTimeout:       httpIdleTimeout,
		MaxHeaderBytes:    httpHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}, ln, nil
}

// serveHTTP answers until the server is shut down.
func serveHTTP(srv *http.Server, ln net.Listener) error {
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

// stopHTTP lets requests finish for a moment, then closes what is left:
// connections that have not sent a request count as busy.
func stopHTTP(ctx context.Context, srv *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, httpStopTimeout)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return srv.Close()
	}
	return nil
}

func handler(st *status, version string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", st.serveHealth)
	mux.HandleFunc("GET /readyz", st.serveReady)
	mux.HandleFunc("GET /metrics", st.serveMetrics)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		st.serveHome(w, version)
	})
	return mux
}

// serveHealth answers 200 while the process is alive and the log, once it is
// open, can take events.
func (s *status) serveHealth(w http.ResponseWriter, _ *http.Request) {
	if healthy := s.healthy.Load(); healthy != nil {
		if err := (*healthy)(); err != nil {
			http.Error(w, "log: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

// serveReady answers 200 while queries and publishers are welcome.
func (s *status) serveReady(w http.ResponseWriter, _ *http.Request) {
	if reason := *s.unready.Load(); reason != "" {
		http.Error(w, reason, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (s *status) serveHome(w http.ResponseWriter, version string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "weir %s: event streams as SQL tables\n\n", version)
	ends := s.ends.Load()
	if ends == nil {
		fmt.Fprintln(w, *s.unready.Load())
		return
	}
	host, port, _ := net.SplitHostPort(ends.MySQL)
	fmt.Fprintf(w, "Query     mysql -h%s -P%s -uroot analytics\n", host, port)
	fmt.Fprintf(w, "Publish   %s\n", ends.NATS)
	fmt.Fprintf(w, "Health    %s/healthz  %s/readyz  %s/metrics\n", ends.HTTP, ends.HTTP, ends.HTTP)
}

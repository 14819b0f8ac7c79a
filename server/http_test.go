package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHealthAndReadiness(t *testing.T) {
	var st status
	h := handler(&st, "v0")
	expect := func(path string, code int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != code || w.Body.String() != body+"\n" {
			t.Errorf("GET %s: got %d %q, want %d %q", path, w.Code, w.Body, code, body)
		}
	}

	st.wait("starting: opening the log")
	expect("/healthz", http.StatusOK, "ok")
	expect("/readyz", http.StatusServiceUnavailable, "starting: opening the log")

	var broken error
	st.watch(func() error { return broken })
	st.ready(Endpoints{MySQL: "127.0.0.1:3306"})
	expect("/healthz", http.StatusOK, "ok")
	expect("/readyz", http.StatusOK, "ready")

	broken = errors.New("disk full")
	expect("/healthz", http.StatusServiceUnavailable, "log: disk full")
	expect("/readyz", http.StatusOK, "ready") // reads go on

	st.wait("stopping")
	expect("/readyz", http.StatusServiceUnavailable, "stopping")
}

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:80":   "127.0.0.1:80",
		"[::]:80":        "127.0.0.1:80",
		"0.0.0.0:80":     "127.0.0.1:80",
		"192.0.2.7:3306": "192.0.2.7:3306",
		"[::1]:80":       "[::1]:80",
	} {
		if got := reachable(addr); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

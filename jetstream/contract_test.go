package jetstream

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/views"
	"weir/views/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts a server for a test, which it does not outlive.
func open(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	s, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	logtest.Run(t, func(t *testing.T) views.Broker { return open(t, Config{Sync: 100 * time.Millisecond}) })
}

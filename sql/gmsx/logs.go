package gmsx

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	vtlog "github.com/dolthub/vitess/go/vt/log"
	"github.com/sirupsen/logrus"
)

// The engine logs through logrus and the protocol through the standard
// library's log, both to stderr, both unbounded: a client that sends bad
// packets or bad statements writes as much as it likes. All of it goes to
// slog here, at most logBurst lines each logWindow, and nothing below a
// warning.
const (
	logWindow = 10 * time.Second
	logBurst  = 20
)

// logTarget is where the logs of the process's engines go: the latest one's
// Logger, as the sources are global too.
var logTarget atomic.Pointer[slog.Logger]

var bridgeOnce sync.Once

func bridgeLogs(l *slog.Logger) {
	logTarget.Store(l)
	bridgeOnce.Do(func() {
		logrus.SetOutput(io.Discard)
		logrus.SetLevel(logrus.WarnLevel)
		logrus.AddHook(logrusHook{})
		vtlog.Info = func(...any) {}
		vtlog.Infof = func(string, ...any) {}
		vtlog.Warning = func(v ...any) { logLimited(slog.LevelWarn, fmt.Sprint(v...)) }
		vtlog.Warningf = func(f string, v ...any) { logLimited(slog.LevelWarn, fmt.Sprintf(f, v...)) }
		vtlog.Error = vtlog.Warning
		vtlog.Errorf = vtlog.Warningf
	})
}

type logrusHook struct{}

func (logrusHook) Levels() []logrus.Level {
	return []logrus.Level{logrus.PanicLevel, logrus.FatalLevel, logrus.ErrorLevel, logrus.WarnLevel}
}

func (logrusHook) Fire(e *logrus.Entry) error {
	level := slog.LevelWarn
	if e.Level <= logrus.FatalLevel {
		level = slog.LevelError
	}
	msg := e.Message
	if err, ok := e.Data[logrus.ErrorKey]; ok {
		msg = fmt.Sprintf("%s: %v", msg, err)
	}
	logLimited(level, msg)
	return nil
}

// limiter counts the lines of the current window.
var limiter struct {
	sync.Mutex
	from       time.Time
	lines      int
	suppressed int
}

// clientGone are what the protocol reports as errors when a client, or the
// server itself, has closed a connection: nothing that anybody must act on.
var clientGone = []string{"use of closed network connection", "connection reset by peer", "broken pipe"}

// logLimited logs msg unless too much was logged just now.
func logLimited(level slog.Level, msg string) {
	if slices.ContainsFunc(clientGone, func(s string) bool { return strings.Contains(msg, s) }) {
		level = slog.LevelDebug
	}
	l := logTarget.Load()
	limiter.Lock()
	now := time.Now()
	if now.Sub(limiter.from) > logWindow {
		if n := limiter.suppressed; n > 0 {
			defer l.Warn("mysql: suppressed log lines", "lines", n)
		}
		limiter.from, limiter.lines, limiter.suppressed = now, 0, 0
	}
	limiter.lines++
	if limiter.lines > logBurst {
		limiter.suppressed++
		limiter.Unlock()
		return
	}
	limiter.Unlock()
	l.Log(context.Background(), level, "mysql: "+shorten(msg))
}

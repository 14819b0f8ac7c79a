package peer

import (
	"context"
	gosql "database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"weir/bench/result"
	"weir/bench/work"
)

// A Weir is a server as users run it.
type Weir struct {
	*process
	DB      *gosql.DB
	NATS    string // where publishers connect to
	Started time.Time
	Ready   time.Duration // from then until it answered
	mysql   string
	http    string
	data    string
}

// StartWeir starts the program bin on data; env is added to its environment.
func StartWeir(ctx context.Context, bin, data string, env ...string) (*Weir, error) {
	w := &Weir{data: data, Started: time.Now()}
	ends := filepath.Join(data, "endpoints.json")
	if err := os.Remove(ends); err != nil && !os.IsNotExist(err) { // of a server that was killed
		return nil, err
	}
	cmd := exec.Command(bin, "serve", "--data", data, "--mysql", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0") //nolint:noctx // Stop ends it, as its own shutdown does
	cmd.Env = append(append(os.Environ(), "WEIR_LOG_LEVEL=warn"), env...)
	var err error
	w.process, err = launch(ctx, cmd, func() error {
		text, err := os.ReadFile(ends)
		if err != nil {
			return err
		}
		var at struct{ MySQL, NATS, HTTP string }
		if err := json.Unmarshal(text, &at); err != nil {
			return err
		}
		w.NATS, w.mysql, w.http = at.NATS, at.MySQL, at.HTTP
		return nil
	})
	if err != nil {
		return nil, err
	}
	if w.DB, err = gosql.Open("mysql", mysqlSource("root", w.mysql, false)); err != nil {
		return nil, err
	}
	var one int
	err = w.DB.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	w.Ready = time.Since(w.Started)
	return w, err
}

// PID returns the number of the process.
func (w *Weir) PID() int { return w.cmd.Process.Pid }

// Data returns the directory of its files.
func (w *Weir) Data() string { return w.data }

// Stop lets the server end by itself.
func (w *Weir) Stop() error {
	_ = w.DB.Close()
	return w.stop(os.Interrupt)
}

// Kill ends the server as a crash would.
func (w *Weir) Kill() error {
	_ = w.DB.Close()
	return w.stop(syscall.SIGKILL)
}

// Open returns up to so many connections for queries.
func (w *Weir) Open(clients int, prepared bool) (Querier, error) {
	return newPool("mysql", mysqlSource("root", w.mysql, prepared), clients, prepared, nil)
}

// Exec runs statements in turn.
func (w *Weir) Exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := w.DB.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// Wait returns once the views of a stream have applied so many events.
func (w *Weir) Wait(ctx context.Context, stream string, events int64) error {
	for deadline := time.Now().Add(10 * time.Minute); ; {
		var ok int
		if err := w.DB.QueryRowContext(ctx, "SELECT WAIT_FOR_SEQ(?, ?, 60)", stream, events).Scan(&ok); err != nil {
			return err
		}
		if ok == 1 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the views of %s do not reach event %d within 10 minutes", stream, events)
		}
	}
}

// Histogram returns what the server has measured under a name since it
// started; nothing where it has no such measure.
func (w *Weir) Histogram(ctx context.Context, name string) (result.Histogram, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.http+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	got, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = got.Body.Close() }()
	return result.ReadHistogram(got.Body, name)
}

// Check compares all views of an input with what they have to hold after so
// many events.
func (w *Weir) Check(ctx context.Context, answers map[string]*work.Answer, in *work.Input) error {
	q, err := w.Open(1, false)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	for _, v := range in.Views {
		if err := Check(ctx, q, work.Weir, in, &v, answers[v.Name]); err != nil {
			return fmt.Errorf("weir: %w", err)
		}
	}
	return nil
}

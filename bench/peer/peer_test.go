package peer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"weir/bench/work"
)

// TestAnswers holds every database that is installed to the answers that are
// computed by hand, in every way of keeping views and when they are recomputed.
func TestAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts databases")
	}
	for _, start := range []func(context.Context, string) (Database, error){StartMariaDB, StartPostgres, StartClickHouse} {
		dir := t.TempDir()
		if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // PostgreSQL's user passes through
			t.Fatal(err)
		}
		db, err := start(t.Context(), dir)
		if errors.Is(err, ErrMissing) {
			t.Log(err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Run(db.Name(), func(t *testing.T) { answers(t, db) })
		if err := db.Stop(); err != nil {
			t.Errorf("%s: %v", db.Name(), err)
		}
	}
}

func answers(t *testing.T, db Database) {
	ctx := t.Context()
	q, err := db.Open(ctx, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	input := t.TempDir()
	for _, w := range work.Workloads {
		in := work.New(w, 1, 2500)
		check := func(what string, v *work.View, events int64) {
			t.Helper()
			if err := Check(ctx, q, db.Dialect(), in, v, in.Answer(v, events)); err != nil {
				t.Errorf("%s, %s: %v", w.Name, what, err)
			}
		}
		if w.Additive() {
			for _, way := range db.Ways() {
				events := min(int64(way.Batch)*40, in.Events) // several batches, the last one not full
				if err := write(ctx, db, in, way, events); err != nil {
					t.Fatalf("%s, %s: %v", w.Name, way.Name, err)
				}
				for _, v := range w.Views {
					check(way.Name, &v, events)
				}
			}
		}
		if db.Dialect() == work.MariaDB && !w.Additive() {
			continue // it has no percentile
		}
		if err := db.Load(ctx, in, input); err != nil {
			t.Fatalf("%s: %v", w.Name, err)
		}
		v := w.Views[0]
		if err := db.Recompute(ctx, w, &v); err != nil {
			t.Fatalf("%s: %v", w.Name, err)
		}
		check("recomputed", &v, in.Events)
	}
}

func write(ctx context.Context, db Database, in *work.Input, way Way, events int64) error {
	writer, err := db.Setup(ctx, in.Workload, way)
	if err != nil {
		return err
	}
	defer func() { _ = writer.Close() }()
	for at := int64(0); at < events; {
		rows := make([][]work.Value, min(int64(way.Batch), events-at))
		for i := range rows {
			rows[i] = make([]work.Value, len(in.Columns))
			in.Row(at+int64(i), rows[i])
		}
		if err := writer.Write(ctx, rows); err != nil {
			return err
		}
		at += int64(len(rows))
	}
	return nil
}

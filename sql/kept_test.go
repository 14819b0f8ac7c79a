package sql

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/views"
	"weir/views/logtest"
)

// TestKeptColumnsEqualTheEngine holds passes over columns that are kept in memory
// to what the engine gives for the rows as they are read one by one, while events
// come, windows go, and the layers change.
func TestKeptColumnsEqualTheEngine(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { keptColumns(t, rand.New(rand.NewPCG(seed, 11))) })
	}
}

// Kept columns have a bound, are those of a view as long as there is one, and
// EXPLAIN says where they are read.
func TestKeptColumnsAreBounded(t *testing.T) {
	const query = "SELECT s, COUNT(*), SUM(total), MAX(word) FROM lam GROUP BY s ORDER BY s"
	for _, keep := range []int64{0, 1 << 10} {
		w := &keptWorld{t: t, r: rand.New(rand.NewPCG(1, 2)), broker: &logtest.Memory{}}
		w.s = newKeepingServer(t, w.broker, 0, keep)
		w.create()
		w.publish(2000)
		var first []string
		for range 4 {
			rows, err := selected(t, w.s, query)
			if first == nil {
				first = rows
			}
			if err != nil || !slices.Equal(rows, first) {
				t.Fatalf("got %q and %v, want %q", rows, err, first)
			}
		}
		plan, err := selected(t, w.s, "EXPLAIN FORMAT=TREE "+query)
		if err != nil {
			t.Fatal(err)
		}
		bytes, passes := w.s.cfg.Engine.KeptColumns()
		if said := strings.Contains(strings.Join(plan, "\n"), "columns kept in memory"); said != (keep == 0) {
			t.Errorf("with room for %d bytes the plan is\n%s", keep, strings.Join(plan, "\n"))
		}
		if keep == 0 && (bytes == 0 || passes < 2) || keep != 0 && (bytes > keep || passes != 0) {
			t.Errorf("with room for %d bytes %d are kept, for %d passes", keep, bytes, passes)
		}
		w.exec("DROP MATERIALIZED VIEW lam")
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if bytes, _ = w.s.cfg.Engine.KeptColumns(); bytes == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d bytes are kept of a view that was dropped", bytes)
			}
		}
	}
}

// A keptWorld is a server with views that change.
type keptWorld struct {
	t      *testing.T
	r      *rand.Rand
	s      *Server
	broker *logtest.Memory
	seq    uint64
	minute int
}

var keptDefinitions = map[string]string{
	"lam": "SELECT k, s, COUNT(*) AS n, SUM(c) AS total, AVG(x) AS mean, MAX(w) AS word, SUM(big) AS wide FROM e GROUP BY k, s",
	"kap": "SELECT s, k, COUNT(*) AS n, SUM(c) AS total, AVG(x) AS mean, MAX(w) AS word, SUM(big) AS wide FROM e GROUP BY s, k",
	"win": "SELECT TUMBLE(ts, INTERVAL 1 MINUTE) AS m, k, COUNT(*) AS n, SUM(c) AS total, AVG(x) AS mean, MAX(w) AS word, SUM(big) AS wide FROM e GROUP BY m, k",
}

var keptOptions = map[string]string{"lam": "mode = 'lambda'", "kap": "mode = 'kappa'", "win": "retention = '20m'"}

func keptColumns(t *testing.T, r *rand.Rand) {
	w := &keptWorld{t: t, r: r, broker: &logtest.Memory{}}
	w.s = newTestServer(t, w.broker, 0)
	w.create()
	w.publish(400)
	for step := range 150 {
		name := pick(r, "lam", "kap", "win")
		switch n := r.IntN(30); {
		case n == 0:
			w.exec("REFRESH MATERIALIZED VIEW " + name)
		case n == 1:
			w.exec("REFRESH MATERIALIZED VIEW " + name + " FULL")
		case n == 2:
			w.exec("CREATE OR REPLACE MATERIALIZED VIEW " + name + " WITH (" + keptOptions[name] + ") AS " + strings.Replace(keptDefinitions[name], "FROM e", fmt.Sprintf("FROM e WHERE k <> %d", step), 1))
		case n == 3:
			_ = w.s.Exec(t.Context(), "test", "ALTER MATERIALIZED VIEW "+name+" ROLLBACK") // where there is what to go back to
		case n < 20:
			w.publish(1 + r.IntN(pick(r, 3, 40, 40, 300)))
		}
		for range 2 {
			w.compare(pick(r, "lam", "kap", "win", "lam_batch", "win_batch"))
		}
	}
	if _, passes := w.s.cfg.Engine.KeptColumns(); passes < 50 {
		t.Errorf("only %d passes were over kept columns", passes)
	}
}

// create makes the stream and its views.
func (w *keptWorld) create() {
	w.t.Helper()
	w.exec("CREATE STREAM e (ts DATETIME(6), k INT, s VARCHAR(20), w VARCHAR(40), c DECIMAL(10,2), x DOUBLE, big DECIMAL(18,0)) WITH (event_time = 'ts')")
	for _, name := range []string{"lam", "kap", "win"} {
		w.exec("CREATE MATERIALIZED VIEW " + name + " WITH (" + keptOptions[name] + ") AS " + keptDefinitions[name])
	}
}

func (w *keptWorld) exec(q string) {
	w.t.Helper()
	if err := w.s.Exec(w.t.Context(), "test", q); err != nil {
		w.t.Fatalf("%s: %v", q, err)
	}
}

func (w *keptWorld) publish(n int) {
	w.t.Helper()
	r := w.r
	msgs := make([]views.Message, 0, n)
	for range n {
		if r.IntN(20) == 0 {
			w.minute++
		}
		ts := time.Date(2026, 1, 1, 10, w.minute-r.IntN(15), r.IntN(60), 0, time.UTC).Format(`"2006-01-02T15:04:05Z"`)
		if r.IntN(30) == 0 {
			ts = "null"
		}
		big := "1"
		if r.IntN(400) == 0 {
			big = strings.Repeat("9", 18)
		}
		msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, `{"ts":%s,"k":%s,"s":%s,"w":"w%d","c":%d.%02d,"x":%g,"big":%s}`, ts,
			pick(r, "null", fmt.Sprint(r.IntN(40)), fmt.Sprint(r.IntN(40)), fmt.Sprint(r.IntN(40+w.minute))), pick(r, "null", `"a"`, `"b"`, `"b\u0000c"`, `"ż"`),
			r.IntN(2000), r.IntN(100), r.IntN(100), float64(r.IntN(64))/8, big)})
	}
	if _, err := w.broker.Publish(w.t.Context(), "e", msgs); err != nil {
		w.t.Fatal(err)
	}
	w.seq += uint64(n)
	wait(w.t, w.s, "e", w.seq)
}

// compare runs a query on a relation of a view, and on its rows as the engine has
// them.
func (w *keptWorld) compare(view string) {
	w.t.Helper()
	r := w.r
	a, b := "k", "s"
	switch view[:3] {
	case "kap":
		a, b = "s", "k"
	case "win":
		a, b = "m", "k"
	}
	value := map[string]func() string{
		"k": func() string { return fmt.Sprint(r.IntN(45)) },
		"s": func() string { return pick(r, "'a'", "'b'", "'z'") },
		"m": func() string {
			return "'" + time.Date(2026, 1, 1, 10, w.minute-r.IntN(30), 0, 0, time.UTC).Format(time.DateTime) + "'"
		},
	}
	where := pick(r, "", "", "", fmt.Sprintf(" WHERE %s >= %s", a, value[a]()), fmt.Sprintf(" WHERE %s <= %s", a, value[a]()),
		fmt.Sprintf(" WHERE %s = %s", b, value[b]()), fmt.Sprintf(" WHERE %s IN (%s, %s) AND n > 1", a, value[a](), value[a]()),
		fmt.Sprintf(" WHERE %s >= %s AND %s > %s", a, value[a](), b, value[b]()), " WHERE total > 900", fmt.Sprintf(" WHERE %s IS NULL", a))
	by := pick(r, a, b)
	text := pick(r,
		fmt.Sprintf("SELECT %s, COUNT(*), SUM(n), SUM(total), MAX(mean) FROM $%s GROUP BY %s ORDER BY %s", by, where, by, by),
		fmt.Sprintf("SELECT %s, MIN(total), MAX(word), SUM(wide) FROM $%s GROUP BY %s ORDER BY %s", by, where, by, by),
		fmt.Sprintf("SELECT COUNT(*), SUM(n), AVG(total) FROM $%s", where),
		"SELECT COUNT(*) FROM $",
		fmt.Sprintf("SELECT %s, %s, total FROM $%s ORDER BY total DESC, %s, %s LIMIT 10", a, b, where, a, b),
		fmt.Sprintf("SELECT %s, %s, n, word FROM $%s ORDER BY n, %s, %s LIMIT 7", a, b, where, a, b),
		fmt.Sprintf("SELECT %s, mean FROM $%s ORDER BY mean DESC, %s, %s LIMIT 5", b, where, a, b),
		fmt.Sprintf("SELECT LEFT(word, 2) AS l, COUNT(*), SUM(n) FROM $%s GROUP BY l ORDER BY l", where),
	)
	got, err := selected(w.t, w.s, strings.ReplaceAll(text, "$", view))
	if err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
	want, err := selected(w.t, w.s, strings.ReplaceAll(text, "$", "(SELECT * FROM "+view+" LIMIT 1000000) AS v"))
	if err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("%s at sequence %d:\n got %q\nwant %q", strings.ReplaceAll(text, "$", view), w.seq, got, want)
	}
}

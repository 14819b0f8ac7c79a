package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/fault"
)

// TestCrashDuringTables kills the server while statements write tables: at
// every point where that could matter, and at random. Each statement has
// changed all of its rows or none, those that were answered have, and indexes
// say what rows do.
func TestCrashDuringTables(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), crashLimit)
	defer cancel()
	s := newServer(ctx, t)
	b := &saboteur{t: t, s: s, c: newClient(t, s), choose: random(t, 31)}
	b.c.exec(ctx, "CREATE TABLE digits (n INT PRIMARY KEY)")
	b.c.exec(ctx, "INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)")
	b.c.exec(ctx, "CREATE TABLE numbers (id INT PRIMARY KEY, v INT NOT NULL, KEY by_v (v))")
	const all = "SELECT a.n * 100 + b.n * 10 + c.n AS id, 0 AS v FROM digits a, digits b, digits c"
	b.c.exec(ctx, "INSERT INTO numbers "+all)

	// state is what a client sees: how many rows, of how many values, and which.
	state := func() string {
		rows := b.c.rows(ctx, "SELECT COUNT(*), COUNT(DISTINCT v), COALESCE(MIN(v), 0) FROM numbers")
		got := strings.Join(rows[0], " ")
		if by := b.c.value(ctx, "SELECT COUNT(*) FROM numbers WHERE v >= -1"); by != rows[0][0] {
			t.Fatalf("%s: the index has %s rows", got, by)
		}
		columns := len(b.c.rows(ctx, "SHOW COLUMNS FROM numbers"))
		return fmt.Sprint(got, " ", columns)
	}
	statements := []string{
		"UPDATE numbers SET v = v + 1",
		"DELETE FROM numbers WHERE id < 1000",
		"INSERT INTO numbers (id, v) " + all,
		"REPLACE INTO numbers (id, v) SELECT id, v + 3 FROM numbers",
		"INSERT INTO numbers (id, v) SELECT id, 0 FROM numbers ORDER BY id DESC ON DUPLICATE KEY UPDATE v = numbers.v + 5",
		"TRUNCATE numbers",
		"INSERT INTO numbers (id, v) " + all,
		"ALTER TABLE numbers ADD COLUMN extra VARCHAR(20) DEFAULT 'x', DROP INDEX by_v, ADD INDEX by_v (v, extra)",
		"ALTER TABLE numbers DROP COLUMN extra",
	}
	points := slices.DeleteFunc(slices.Clone(fault.CrashPoints), func(p string) bool { return !strings.HasPrefix(p, "tables.") })
	rounds := max(*crashes/2, 1)
	for i := range rounds * len(statements) {
		statement := statements[i%len(statements)]
		before := state()
		env := ""
		if i%2 == 0 {
			env = points[b.choose.IntN(len(points))]
		}
		var answered bool
		if env != "" {
			s.kill()
			if !s.launch(ctx, fault.Variable+"="+env+"=crash:1") {
				t.Fatalf("%s came before the statement", env)
			}
			p, err := s.running(ctx)
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.c.db.ExecContext(ctx, statement)
			if e := answer(err); e != nil {
				t.Fatalf("%v\n%s", e, statement)
			}
			if answered = err == nil; !answered {
				<-p.logDone
			}
			s.kill()
			s.start(ctx)
		} else {
			answered = b.strike(ctx, statement, 30*time.Millisecond)
		}
		after := state()
		fields := strings.Fields(after)
		if fields[0] != "0" && fields[0] != "1000" || fields[1] != "0" && fields[1] != "1" {
			t.Fatalf("%s (%q, answered: %v): from %s to %s: neither all of it nor nothing", statement, env, answered, before, after)
		}
		if env == "tables.before" || env == "tables.written" {
			if after != before {
				t.Fatalf("%s at %s: from %s to %s", statement, env, before, after)
			}
		}
		if after == before { // it must take effect for the next one to be what it says
			if answered && env == "" && !strings.HasPrefix(statement, "TRUNCATE") && !strings.HasPrefix(statement, "DELETE") {
				t.Fatalf("%s was answered and %s is as before", statement, before)
			}
			b.c.exec(ctx, statement)
		}
	}
	t.Logf("%d kills, %d broke a statement off", s.starts-1, b.broken)
}

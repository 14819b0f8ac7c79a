package sql

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/views"
	"weir/views/logtest"
)

// rawLog is a stream whose queries are compared with the engine's own way.
type rawLog struct {
	t      *testing.T
	r      *rand.Rand
	broker *logtest.Memory
	server *Server
	last   uint64
	start  time.Time
}

// openRawLog makes a log with dead letters, repeats, gaps and a lost beginning.
func openRawLog(t *testing.T, seed uint64, options string, damaged bool) *rawLog {
	t.Helper()
	l := &rawLog{t: t, r: rand.New(rand.NewPCG(seed, 1)), broker: &logtest.Memory{BatchMax: 37}, start: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	var passed atomic.Int64 // of the log's clock
	l.broker.SetTime(func() time.Time { return l.start.Add(time.Duration(passed.Load())) })
	compiler, err := sharedCompiler()
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	engine, err := views.Open(t.Context(), views.Config{Dir: t.TempDir(), Broker: l.broker, Compiler: compiler, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	l.server, err = Listen(Config{Addr: "127.0.0.1:0", Dir: t.TempDir(), Engine: engine, Compiler: compiler, Version: "v0", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.server.Close(), l.server.engine.Close(), engine.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := l.server.Exec(t.Context(), "test", `CREATE STREAM ev (n INT, w VARCHAR(10), x DOUBLE, price DECIMAL(10,2), at DATETIME(6), big BIGINT UNSIGNED, doubled INT AS (n * 2))`+options); err != nil {
		t.Fatal(err)
	}
	for range 300 + l.r.IntN(400) {
		if l.r.IntN(3) > 0 {
			passed.Add(int64(time.Duration(l.r.IntN(8)) * 250 * time.Millisecond))
		}
		msg := views.Message{Payload: l.payload()}
		if l.r.IntN(3) == 0 {
			msg.ID = fmt.Sprint("id", l.r.IntN(200))
		}
		if l.last, err = l.broker.Publish(t.Context(), "ev", []views.Message{msg}); err != nil {
			t.Fatal(err)
		}
	}
	if damaged {
		for range l.r.IntN(20) {
			l.broker.Drop("ev", 1+l.r.Uint64N(l.last))
		}
	}
	if l.r.IntN(2) == 0 {
		l.broker.Trim("ev", l.r.Uint64N(l.last/2))
	}
	return l
}

func (l *rawLog) payload() []byte {
	if l.r.IntN(12) == 0 {
		return []byte(pick(l.r, "broken", "", "[1]", `{"n":`, `"text"`))
	}
	var fields []string
	add := func(format string, args ...any) {
		if l.r.IntN(8) > 0 {
			fields = append(fields, fmt.Sprintf(format, args...))
		}
	}
	add(`"n":%d`, l.r.IntN(40)-20)
	add(`"w":"%s"`, pick(l.r, "a", "b", "bc", "", "A", "ü"))
	add(`"x":%g`, float64(l.r.IntN(100))/8)
	add(`"price":%d.%02d`, l.r.IntN(50), l.r.IntN(100))
	add(`"at":"2026-03-01 %02d:00:00"`, l.r.IntN(24))
	add(`"big":%d`, l.r.Uint64())
	if l.r.IntN(20) == 0 {
		fields = append(fields, `"n":"x"`)
	}
	return []byte("{" + strings.Join(fields, ",") + "}")
}

// query returns the rows of a SELECT, by the engine alone if plain.
func (l *rawLog) query(text string, plain bool) (gms.Schema, []gms.Row) {
	l.t.Helper()
	l.server.plainStreams.Store(plain)
	defer l.server.plainStreams.Store(false)
	ctx, end := l.server.engine.NewContext(l.t.Context(), views.DefaultDatabase)
	defer end()
	schema, iter, err := l.server.engine.Query(ctx, text)
	if err != nil {
		l.t.Fatalf("%s: %v", text, err)
	}
	var rows []gms.Row
	for {
		row, err := iter.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			l.t.Fatalf("%s: %v", text, err)
		}
		rows = append(rows, plainRow(ctx, schema, row))
	}
	if err := iter.Close(ctx); err != nil {
		l.t.Fatalf("%s: %v", text, err)
	}
	return schema, rows
}

// A condition is text in which SEQ stands for _seq, which the oracle's query
// has as _seq+0: with that, no range of sequences is read.
func (l *rawLog) condition(depth int) string {
	if depth > 0 && l.r.IntN(2) == 0 {
		a, b := l.condition(depth-1), l.condition(depth-1)
		return pick(l.r, "("+a+" AND "+b+")", "("+a+" OR "+b+")", "NOT ("+a+")", a)
	}
	seq := func() string {
		n := int64(l.r.Uint64N(l.last+40)) - 20
		return pick(l.r, fmt.Sprint(n), fmt.Sprint(n), fmt.Sprintf("%d.5", n), fmt.Sprintf("'%d'", max(n, 0)), "NULL", fmt.Sprintf("%d + 3", n))
	}
	at := func() string {
		return "'" + l.start.Add(time.Duration(l.r.IntN(3600))*250*time.Millisecond-time.Minute).Format(pick(l.r, "2006-01-02 15:04:05.000000", "2006-01-02 15:04:05", "2006-01-02")) + "'"
	}
	op := func() string { return pick(l.r, "=", "<", "<=", ">", ">=", "<>", "<=>") }
	switch l.r.IntN(16) {
	case 0, 1, 2:
		return "SEQ " + op() + " " + seq()
	case 3:
		return seq() + " " + op() + " SEQ"
	case 13, 14:
		o := op() // no index has several ranges of one relation
		return fmt.Sprintf("(SEQ %s %s OR SEQ %s %s)", o, seq(), o, seq())
	case 4:
		return fmt.Sprintf("SEQ BETWEEN %s AND %s", seq(), seq())
	case 5:
		return fmt.Sprintf("SEQ IN (%s, %s, %s)", seq(), seq(), seq())
	case 6, 7:
		return "_time " + op() + " " + at()
	case 8:
		return fmt.Sprintf("_time BETWEEN %s AND %s", at(), at())
	case 9:
		return fmt.Sprintf("n %s %d", op(), l.r.IntN(20)-10)
	case 10:
		return pick(l.r, "w = 'a'", "w LIKE 'b%'", "w LIKE '%ü%'", "w IS NULL", "w IN ('a', 'bc')", "LENGTH(w) = 2", "w > 'a'", "_id IS NOT NULL", "_id = 'id7'")
	case 11:
		return pick(l.r, "x > 3.5", "x BETWEEN 2 AND 9", "price >= 12.34", "price = 7", "n + 1 > 3", "n", "x > n", "doubled < 10")
	case 12:
		return pick(l.r, "big > 9223372036854775807", "big < 100", "at > '2026-03-01 08:00:00'", "at IS NULL", "_payload LIKE '%x%'")
	default:
		return "SEQ % 3 = 1"
	}
}

// compare holds a query to what the engine makes of the whole log. By order
// says that the order of the rows counts.
func (l *rawLog) compare(query string, byOrder bool) {
	l.t.Helper()
	text := strings.ReplaceAll(query, "SEQ", "_seq")
	schema, got := l.query(text, false)
	_, want := l.query(strings.ReplaceAll(query, "SEQ", "(_seq + 0)"), true)
	if byOrder {
		for i := range min(len(got), len(want)) {
			if compareRows(got[i], want[i]) != 0 {
				l.t.Fatalf("%s\nrow %d is %v, want %v", text, i, got[i], want[i])
			}
		}
	}
	if diff := diffRows(schema, got, want); diff != "" {
		l.t.Fatalf("%s\n%s", text, diff)
	}
}

// Whatever a query on a stream asks, it is answered as by reading the whole log.
func TestStreamQueriesEqualTheLog(t *testing.T) {
	for i, options := range []string{"", " WITH (dedup_window = '1h')", ""} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			seed := *propertySeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("seed %d", seed)
			l := openRawLog(t, seed, options, i == 2)
			for range 120 {
				l.random()
			}
			l.compare("SELECT COUNT(*) FROM ev", true)
			l.compare("SELECT COUNT(*) AS a, COUNT(1) AS b FROM ev AS e", true)
		})
	}
}

func (l *rawLog) random() {
	l.t.Helper()
	where := ""
	if l.r.IntN(6) > 0 {
		where = " WHERE " + l.condition(2)
	}
	items := pick(l.r, "_seq, n", "*", "w, _seq, _time, x", "_id, _subject, price, doubled, big")
	switch l.r.IntN(6) {
	case 0:
		l.compare("SELECT "+items+" FROM ev"+where, false)
	case 1:
		limit := ""
		if l.r.IntN(2) == 0 {
			limit = fmt.Sprintf(" LIMIT %d OFFSET %d", l.r.IntN(20), l.r.IntN(4))
		}
		l.compare("SELECT "+items+" FROM ev"+where+" ORDER BY SEQ"+pick(l.r, "", " DESC")+limit, true)
	case 2:
		dir := pick(l.r, "", " DESC")
		l.compare("SELECT _seq AS s, n FROM ev"+where+" ORDER BY _time"+dir+", SEQ"+dir+pick(l.r, "", ", n")+pick(l.r, "", " LIMIT 9"), true)
	case 3:
		l.compare("SELECT d.* FROM (SELECT _seq, n, w, _time FROM ev"+where+") AS d WHERE d.n > 0", false)
	case 4:
		l.compare("SELECT a._seq, b._seq AS other FROM (SELECT * FROM ev"+where+") AS a JOIN ev AS b ON a.n = b._seq WHERE b._time > '2026-03-01'", false)
	default:
		group := pick(l.r, "", "w", "w, n", "TUMBLE(_time, INTERVAL 1 MINUTE)", "SEQ % 2")
		items := "COUNT(*) AS c, COUNT(n) AS cn, SUM(n) AS s, AVG(price) AS a, MIN(x) AS lo, MAX(_time) AS hi, COUNT(DISTINCT w) AS d"
		if l.r.IntN(4) == 0 {
			items = "COUNT(*) AS c"
		}
		if group == "" {
			l.compare("SELECT "+items+" FROM ev"+where, false)
			return
		}
		l.compare("SELECT "+group+", "+items+" FROM ev"+where+" GROUP BY "+group, false)
	}
}

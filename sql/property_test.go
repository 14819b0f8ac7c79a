package sql

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"

	"weir/sql/gmsx"
	"weir/views"
	"weir/views/logtest"
	"weir/views/partial"
)

// The property that weir promises: whatever happens to it, a view read at the
// sequence S has the rows of its SELECT over the events 1..S.
//
// The oracle is the engine's own executor, which runs the same SELECT over the
// stream's rows, with none of weir's pipeline, states and files. A few sums are
// also kept in plain Go, which does not share the decoder either.

var (
	propertyRuns = flag.Int("property.runs", 6, "how many random histories TestViewsEqualTheLog goes through")
	propertySeed = flag.Uint64("property.seed", 0, "the seed of the only history to go through; 0 takes new ones")
)

const propertyStream = `CREATE STREAM ev (
  ts DATETIME(6), k VARCHAR(20), n INT, big BIGINT, u BIGINT UNSIGNED, x DOUBLE,
  price DECIMAL(12,2), wide DECIMAL(30,6), flag BOOLEAN, url TEXT PATH '$.r.url', req INT NOT NULL, day DATE,
  minprice INT AS (URL_PARAM(url, 'minprice'))
) WITH (event_time = 'ts'%s)`

// A propertyDef is a SELECT in parts, so that the oracle can bound it by _seq.
type propertyDef struct{ items, where, group string }

func (d propertyDef) query() string { return d.selectFrom("ev") }

func (d propertyDef) selectFrom(from string) string {
	q := "SELECT " + d.items + " FROM " + from
	if d.where != "" {
		q += " WHERE " + d.where
	}
	if d.group != "" {
		q += " GROUP BY " + d.group
	}
	return q
}

// until is the same SELECT over the events up to seq.
func (d propertyDef) until(seq uint64) string {
	bound := fmt.Sprintf("_seq <= %d AND (k IS NULL OR k <> '%s')", seq, repeated)
	if d.where != "" {
		bound = "(" + d.where + ") AND " + bound
	}
	d.where = bound
	hop, ok := hopIn(d.items)
	if !ok {
		return d.query()
	}
	d.items = strings.Replace(d.items, hop.call(), hop.start(), 1)
	d.where += fmt.Sprintf(" AND (ts IS NULL AND hops.i = 0 OR ts < %s + INTERVAL %d SECOND)", hop.start(), hop.size)
	return d.selectFrom("ev JOIN (" + hop.numbers() + ") AS hops")
}

// A hopDef is HOP(ts, …) with so many seconds. The engine has no rows in several
// windows, so the oracle joins each event with the numbers of its windows: the
// start of window i is that of the slide which holds the time i slides before.
type hopDef struct{ slide, size, offset int }

const hopFormat = "HOP(ts, INTERVAL %d SECOND, INTERVAL %d SECOND, INTERVAL %d SECOND)"

func hopIn(items string) (h hopDef, ok bool) {
	at := strings.Index(items, "HOP(")
	if at < 0 {
		return h, false
	}
	n, err := fmt.Sscanf(items[at:], hopFormat, &h.slide, &h.size, &h.offset)
	return h, n == 3 && err == nil
}

func (h hopDef) call() string { return fmt.Sprintf(hopFormat, h.slide, h.size, h.offset) }

func (h hopDef) start() string {
	return fmt.Sprintf("TUMBLE(ts - INTERVAL hops.i * %d SECOND, INTERVAL %d SECOND, INTERVAL %d SECOND)", h.slide, h.slide, h.offset)
}

// numbers is a SELECT of 0, 1, … up to as many as an event has windows.
func (h hopDef) numbers() string {
	numbers := []string{"SELECT 0 AS i"}
	for i := 1; i*h.slide < h.size; i++ {
		numbers = append(numbers, fmt.Sprintf("SELECT %d", i))
	}
	return strings.Join(numbers, " UNION ALL ")
}

// randomHops returns definitions with windows that overlap, or leave gaps.
func randomHops(r *rand.Rand) []propertyDef {
	hop := func() string {
		h := hopDef{slide: pick(r, 1, 7, 30, 60, 90, 3600)}
		h.size = pick(r, h.slide*(1+r.IntN(6)), 1+r.IntN(6*h.slide))
		h.offset = r.IntN(20*h.slide) - 10*h.slide
		return h.call()
	}
	return []propertyDef{
		{hop() + " AS w, k, COUNT(*) AS c, SUM(n) AS s, AVG(x) AS a, MIN(n) AS lo, COUNT(DISTINCT n) AS d", "", "w, k"},
		{"k, " + hop() + " AS w, COUNT(*) AS c, APPROX_PERCENTILE(x, 0.5) AS p, SUM(price) / COUNT(*) AS mean, MAX(ts) AS latest", "n > 0", "k, w"},
		{hop() + " AS w, COUNT(*) AS c, APPROX_COUNT_DISTINCT(req) AS reqs", "", "w"},
	}
}

// totals is the definition whose rows are also kept in plain Go.
var totals = propertyDef{"k, COUNT(*) AS events, SUM(n) AS total", "", "k"}

// digests is another one.
var digests = propertyDef{`k, BIT_AND(n) AS ba, BIT_OR(n) AS bo, BIT_XOR(n) AS bx, VAR_POP(n) AS vp, STDDEV_SAMP(n) AS ss,
  FIRST(n, _seq) AS first_n, LAST(n, _seq) AS last_n, LAST(_seq, n) AS most, ANY_VALUE(n) AS some, APPROX_TOP_K(n, 1000) AS top`, "", "k"}

var propertyDefs = []propertyDef{
	totals, digests,
	{"TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, k, COUNT(*) AS c, COUNT(n) AS cn, SUM(n) AS s, AVG(n) AS a, MIN(n) AS lo, MAX(n) AS hi", "", "minute, k"},
	{"k, SUM(x) AS s, AVG(x) AS a, MIN(x) AS lo, MAX(x) AS hi, APPROX_PERCENTILE(x, 0.5) AS p50, APPROX_PERCENTILE(x, 0.95) AS p95, APPROX_COUNT_DISTINCT(x) AS d", "", "k"},
	{`COUNT(*) AS c, SUM(big) AS sb, AVG(big) AS ab, SUM(u) AS su, AVG(u) AS au, SUM(price) AS sp, AVG(price) AS ap, SUM(wide) AS sw, AVG(wide) AS aw,
	  MIN(wide) AS lw, MAX(wide) AS hw, MIN(k) AS lk, MAX(k) AS hk, MIN(ts) AS lt, MAX(ts) AS ht, COUNT(DISTINCT k) AS dk, COUNT(DISTINCT price) AS dp,
	  COUNT(DISTINCT wide) AS dw, COUNT(DISTINCT x) AS dx, APPROX_COUNT_DISTINCT(k) AS adk, APPROX_COUNT_DISTINCT(req) AS adr, MIN(u) AS lu, MAX(u) AS hu,
	  APPROX_PERCENTILE(price, 0.9) AS pp`, "", ""},
	{"k, n * 2 AS twice, UPPER(k) AS up, _id, price, wide, day, url", "n > 3", ""},
	{"_seq, ts, x, flag, k LIKE 'a%' AS a", "x IS NOT NULL OR flag", ""},
	{"k, SUM(price) / COUNT(*) AS mean, SUM(n) * 100.0 / COUNT(*) AS share, CONCAT(k, '-', COUNT(*)) AS label, MAX(n) - MIN(n) AS spread, COUNT(*) AS c", "", "k"},
	{"SUM(n) / COUNT(n) AS mean, AVG(price) + 1 AS more", "", ""},
	{"CASE WHEN n < 0 THEN 'negative' WHEN n < 10 THEN 'small' ELSE 'big' END AS size, SUM(flag) AS flags, SUM(n >= 5) AS hot, COUNT(DISTINCT k) AS ks, COUNT(DISTINCT n) AS ns", "req IS NOT NULL", "size"},
	{"URL_PATH(url) AS path, minprice, COUNT(*) AS c, SUM(minprice) AS m", "url LIKE '/a%' OR minprice > 10", "path, minprice"},
	{"k, n", "", "k, n"},
	{"price, COUNT(*) AS c, MIN(req) AS first_req", "", "price"},
	{"wide, COUNT(*) AS c", "", "wide"},
	{"day, u, COUNT(*) AS c, MAX(day) AS last_day", "", "day, u"},
	{"TUMBLE(ts, INTERVAL 1 HOUR, INTERVAL 7 MINUTE) AS hour, COUNT(DISTINCT k) AS ks, APPROX_COUNT_DISTINCT(k) AS aks", "k <> 'b' OR k IS NULL", "hour"},
	{"COUNT(*) AS c, SUM(n) AS s, AVG(x) AS a, MIN(k) AS lo, APPROX_PERCENTILE(x, 0.5) AS p, COUNT(DISTINCT k) AS d, APPROX_COUNT_DISTINCT(k) AS ad", "n > 1000000", ""},
	{"x, COUNT(*) AS c", "", "x"},
	{"ROUND(x, 1) AS r, LENGTH(k) AS l, DATE(ts) AS d, COUNT(*) AS c, SUM(LENGTH(k)) AS sl, MAX(UPPER(k)) AS mk", "", "r, l, d"},
	{"_subject, flag, COUNT(*) AS c, MIN(_seq) AS a, MAX(_seq) AS z", "COALESCE(n, 0) >= 0", "_subject, flag"},
	{`k, FIRST(n, ts) AS a, LAST(price, ts) AS b, FIRST(url, wide) AS c, LAST(wide, k) AS d, LAST(x, price) AS e, FIRST(ts, day) AS f, LAST(k, u) AS g, ANY_VALUE(x) AS h,
	  ANY_VALUE(url) AS i, ANY_VALUE(wide) AS j, BIT_AND(big) AS l, BIT_OR(u) AS m, BIT_XOR(big) AS o, BIT_OR(price) AS p, BIT_XOR(wide) AS q, BIT_XOR(x) AS r, BIT_OR(k) AS s`, "", "k"},
	{`TUMBLE(ts, INTERVAL 1 HOUR) AS hour, STDDEV(x) AS a, VAR_SAMP(price) AS b, VARIANCE(flag) AS c, STDDEV_SAMP(n) AS d, VAR_POP(n * 1e-3 + 1e9) AS e, STD(k) AS f,
	  APPROX_TOP_K(k, 3) AS g, APPROX_TOP_K(price, 15) AS h, APPROX_TOP_K(x, 20) AS i, APPROX_TOP_K(flag, 1) AS j, APPROX_TOP_K(DATE(ts), 5) AS l`, "", "hour"},
	{"CONCAT(LAST(k, _seq), '!') AS last_k, STDDEV(n) / COUNT(*) AS s, BIT_OR(n) & 1 AS odd, FIRST(UPPER(k), ts) AS up, ANY_VALUE(n + 1) AS more, APPROX_TOP_K(url, 20) AS urls", "", ""},
	{"FIRST(k, ts) AS a, LAST(n, ts) AS b, ANY_VALUE(x) AS c, BIT_AND(n) AS d, BIT_OR(n) AS e, BIT_XOR(n) AS f, STDDEV(x) AS g, VAR_SAMP(x) AS h, APPROX_TOP_K(k, 3) AS i", "n > 1000000", ""},
	{"n IN (1, 2, 3) AS few, k = 'a' AS a, COUNT(*) AS c, AVG(IF(flag, x, 0)) AS m", "NOT (n BETWEEN 5 AND 7)", "few, a"},
}

// A world is a weir without a network, with all that happens to it.
type world struct {
	t      *testing.T
	r      *rand.Rand
	broker *logtest.Memory
	log    views.Log
	logs   *errorLog
	dir    string

	engine *views.Engine
	server *Server
	wg     sync.WaitGroup // publishers and refreshes

	ids    []string
	sends  *sends       // with dedup_window
	events []plainEvent // by sequence
	choice []propertyDef
	defs   map[string]propertyDef // these, by their text
	views  int                    // made so far
	images []string               // copies of the data directory, as a crash would have left it
	// trims says that the log may lose its beginning, and trimmed that it has:
	// first is where it begins.
	trims, trimmed bool
	first          int
	trace          []string
}

// A plainEvent is what the test itself knows of an event.
type plainEvent struct {
	valid  bool
	repeat bool // and counts nowhere
	k      *string
	n      *int64
}

func TestViewsEqualTheLog(t *testing.T) {
	if *propertySeed != 0 {
		runWorld(t, *propertySeed)
		return
	}
	for range *propertyRuns {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { runWorld(t, seed) })
		if t.Failed() {
			return
		}
	}
}

func runWorld(t *testing.T, seed uint64) {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 0)), logs: &errorLog{}, defs: map[string]propertyDef{},
		dir: filepath.Join(t.TempDir(), "0"),
	}
	w.broker = &logtest.Memory{BatchMax: 1 + w.r.IntN(100)}
	w.choice = slices.Concat(propertyDefs, randomHops(w.r))
	for _, d := range w.choice {
		w.defs[d.query()] = d
	}
	defer func() {
		if t.Failed() {
			t.Logf("repeat with -property.seed=%d; what happened:\n%s", seed, strings.Join(w.trace, "\n"))
		}
	}()
	w.open()
	if w.trims = w.r.IntN(4) == 0; w.trims {
		w.choice = []propertyDef{totals} // what the test keeps itself
	}
	defer func() { w.close() }()
	w.exec(fmt.Sprintf(propertyStream, w.dedupOption()))
	var err error
	if w.log, err = w.broker.OpenLog(t.Context(), "ev"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.createView()
	}
	for range 25 + w.r.IntN(20) {
		w.step()
	}
	w.finish()
}

// finish checks everything, as it is, recomputed, and opened again.
func (w *world) finish() {
	w.wg.Wait()
	w.settle()
	w.checkAll()
	w.checkDeadLetters()
	for _, v := range w.viewList() {
		w.exec("REFRESH MATERIALIZED VIEW " + v.Def().Name + []string{"", " FULL"}[w.r.IntN(2)])
	}
	w.checkAll()
	w.close()
	w.open()
	w.checkAll()
	w.checkDeadLetters()
	if s := w.logs.unexpected(); s != "" {
		w.t.Errorf("errors were logged:\n%s", s)
	}
}

// step publishes some events while something else happens.
func (w *world) step() {
	w.publish()
	switch n := w.r.IntN(26); {
	case n >= 20:
		w.operate()
	case n < 6:
		w.check()
	case n < 9:
		w.refresh(w.r.IntN(3) == 0)
	case n < 12:
		w.createView()
	case n < 13:
		w.replaceView()
	case n < 14:
		w.dropView()
	case n < 16:
		w.saveImage()
	case n < 17:
		w.restart()
	case n < 19:
		w.crash()
	default:
		w.settle()
		w.check()
	}
}

func (w *world) did(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%4d: ", len(w.events))+fmt.Sprintf(format, args...))
}

// open starts weir on w.dir.
func (w *world) open() {
	w.t.Helper()
	logger := slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelError}))
	compiler, err := sharedCompiler()
	if err != nil {
		w.t.Fatal(err)
	}
	w.engine, err = views.Open(w.t.Context(), views.Config{Dir: w.dir, Broker: w.broker, Compiler: compiler, Logger: logger, KeepLeast: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	w.server, err = Listen(Config{Addr: "127.0.0.1:0", Dir: w.dir, Engine: w.engine, Compiler: compiler, Version: "v0", Logger: logger})
	if err != nil {
		w.t.Fatal(err)
	}
	w.server.plainStreams.Store(true) // the oracle has none of weir's pipeline
	_, building := w.engine.Views()
	for _, def := range building {
		w.awaitBuild(def.Name)
	}
}

var sharedCompiler = sync.OnceValues(NewCompiler)

// awaitBuild waits until a view answers queries, or is gone.
func (w *world) awaitBuild(name string) {
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := w.engine.View(views.DefaultDatabase, name)
		if !errors.Is(err, views.ErrBuilding) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatal(err)
		}
		runtime.Gosched()
	}
}

func (w *world) close() {
	w.wg.Wait()
	if w.server != nil {
		if err := errors.Join(w.server.Close(), w.server.engine.Close()); err != nil {
			w.t.Error(err)
		}
	}
	if w.engine != nil {
		if err := w.engine.Close(); err != nil {
			w.t.Error(err)
		}
	}
	w.server, w.engine = nil, nil
}

func (w *world) restart() {
	w.did("restart")
	w.close()
	w.open()
}

// saveImage keeps the files as they are at this moment.
func (w *world) saveImage() {
	image := filepath.Join(w.t.TempDir(), strconv.Itoa(len(w.images)))
	for !copyAsCrashed(w.t, w.dir, image) {
		if err := os.RemoveAll(image); err != nil {
			w.t.Fatal(err)
		}
	}
	w.images = append(w.images, image)
	w.did("image %d", len(w.images))
}

// crash goes on from files that are as old as an image, while the log has all
// that was acknowledged.
func (w *world) crash() {
	if len(w.images) == 0 || w.r.IntN(2) == 0 {
		w.saveImage()
	}
	i := w.r.IntN(len(w.images))
	w.did("crash, and on from image %d", i+1)
	w.close()
	w.dir = w.images[i]
	w.images = slices.Delete(w.images, i, i+1)
	w.open()
}

// copyAsCrashed copies a data directory that is in use and says whether the
// copy is what a crash could have left: no file was committed to, made or
// removed meanwhile. bbolt commits by writing one of a file's first two pages;
// whatever else it writes before that is not part of anything yet.
func copyAsCrashed(t *testing.T, from, to string) bool {
	t.Helper()
	before := commits(t, from)
	if err := os.CopyFS(to, os.DirFS(from)); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	after := commits(t, from)
	if len(before) != len(after) {
		return false
	}
	for path, b := range before {
		if a, ok := after[path]; !ok || !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}

// commits has the first two pages of each file.
func commits(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	pages := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		b := make([]byte, 2*os.Getpagesize())
		n, _ := io.ReadFull(f, b)
		pages[path] = b[:n]
		return nil
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return pages
}

// settle waits until every view has applied what was published.
func (w *world) settle() {
	w.wg.Wait()
	s, _ := w.engine.Stream(views.DefaultDatabase, "ev")
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := s.WaitApplied(ctx, uint64(len(w.events))); err != nil {
		w.t.Fatalf("the views have applied %d of %d events: %v", s.Applied(), len(w.events), err)
	}
}

// publish starts to publish some events and returns.
func (w *world) publish() {
	w.wg.Wait()
	w.passTime()
	var chunks [][]views.Message
	for range w.r.IntN(6) {
		var msgs []views.Message
		for range 1 + w.r.IntN([]int{3, 40, 300}[w.r.IntN(3)]) {
			msgs = append(msgs, w.message())
		}
		chunks = append(chunks, msgs)
	}
	w.wg.Go(func() {
		for _, msgs := range chunks {
			if _, err := w.broker.Publish(w.t.Context(), "ev", msgs); err != nil {
				w.t.Error(err)
			}
		}
	})
}

// message returns the next event, or once in a while one that was there before.
func (w *world) message() views.Message {
	r := w.r
	if w.sends != nil {
		return w.sendAgain()
	}
	if len(w.ids) > 0 && r.IntN(8) == 0 {
		// The publisher tries again. Only the first one counts, so a
		// different payload would show that the second did.
		return views.Message{ID: w.ids[r.IntN(len(w.ids))], Payload: []byte(`{"req":1,"k":"` + repeated + `","n":1000000}`)}
	}
	m := views.Message{}
	if r.IntN(3) == 0 {
		m.ID = fmt.Sprintf("id%d", len(w.events))
		w.ids = append(w.ids, m.ID)
	}
	var e plainEvent
	m.Payload, e = w.payload()
	w.events = append(w.events, e)
	return m
}

func (w *world) payload() ([]byte, plainEvent) {
	r := w.r
	switch r.IntN(40) {
	case 0:
		return []byte(`{"req":1,"k":`), plainEvent{} // does not parse
	case 1:
		return []byte(`[1,2]`), plainEvent{}
	case 2:
		return []byte(`{"k":"a","n":5}`), plainEvent{} // lacks req
	case 3:
		return []byte(`{"req":"none","k":"a"}`), plainEvent{} // of the wrong type
	}
	e := plainEvent{valid: true}
	fields := []string{fmt.Sprintf(`"req":%d`, r.IntN(5000))}
	add := func(name, value string) { fields = append(fields, `"`+name+`":`+value) }
	maybe := func(name string, value func() string) {
		switch r.IntN(12) {
		case 0:
		case 1:
			add(name, "null")
		case 2:
			add(name, []string{`{"a":1}`, `[]`}[r.IntN(2)]) // of no type that a column has
		default:
			add(name, value())
		}
	}
	maybe("ts", func() string { return `"` + w.eventTime().Format("2006-01-02T15:04:05.999999Z") + `"` })
	if r.IntN(8) > 0 {
		k := pick(r, "a", "b", "c", "ab", "", "äöü", "日本", "A", "a ", "%", `k`+strconv.Itoa(r.IntN(30)))
		e.k = &k
		add("k", strconv.Quote(k))
	}
	if r.IntN(8) > 0 {
		n := int64(r.IntN(20) - 5)
		if r.IntN(20) == 0 {
			n = pick(r, math.MaxInt32, math.MinInt32, int64(r.Int32()))
		}
		e.n = &n
		add("n", strconv.FormatInt(n, 10))
	}
	maybe("big", func() string { return strconv.FormatInt(int64(r.Uint64()>>r.IntN(64)), 10) })
	maybe("u", func() string { return strconv.FormatUint(r.Uint64()>>r.IntN(64)&^0xff, 10) })
	maybe("x", func() string {
		return pick(r, "0", "-0.0", "0.1", strconv.Itoa(r.IntN(50)), strconv.FormatFloat(math.Round(r.NormFloat64()*8)/4, 'g', -1, 64))
	})
	maybe("price", func() string { return fmt.Sprintf("%d.%02d", r.IntN(30), r.IntN(4)*25) })
	maybe("wide", func() string {
		return fmt.Sprintf(`"%s%d.%06d"`, pick(r, "", "-"), r.Uint64()>>r.IntN(64), r.IntN(1e6))
	})
	maybe("flag", func() string { return pick(r, "true", "false", "1", "0") })
	maybe("r", func() string {
		return fmt.Sprintf(`{"url":"%s%s"}`, pick(r, "/a", "/a/b", "/b", "", "http://h/a"), pick(r, "", "?minprice=20", "?x=1&minprice="+strconv.Itoa(r.IntN(30)), "?minprice=x", "#f"))
	})
	maybe("day", func() string { return `"` + w.eventTime().Format(time.DateOnly) + `"` })
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return []byte("{" + strings.Join(fields, ",") + "}"), e
}

// eventTime is mostly soon after the others, sometimes late, long ago or far
// in the future.
func (w *world) eventTime() time.Time {
	base := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(len(w.events)) * time.Second)
	switch w.r.IntN(12) {
	case 0:
		return base.Add(-time.Duration(w.r.IntN(72)) * time.Hour)
	case 1:
		return pick(w.r, time.Unix(-1, 999_999_000), time.Date(1600, 2, 29, 0, 0, 0, 0, time.UTC), time.Date(9998, 12, 31, 23, 59, 59, 0, time.UTC)).UTC()
	default:
		return base.Add(time.Duration(w.r.IntN(90_000)-60_000) * time.Millisecond)
	}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (w *world) viewList() []*views.View {
	list, _ := w.engine.Views()
	return list
}

func (w *world) randomView() *views.View {
	list := w.viewList()
	if len(list) == 0 {
		return nil
	}
	return pick(w.r, list...)
}

func (w *world) options() string {
	return pick(w.r,
		"mode = 'lambda', batch_interval = '1h'",
		"mode = 'lambda', batch_interval = '100ms'",
		fmt.Sprintf("mode = 'lambda', batch_events = %d", 50+w.r.IntN(500)),
		"mode = 'kappa'")
}

func (w *world) createView() {
	if len(w.viewList()) >= 8 || w.trimmed {
		return
	}
	w.views++
	name := fmt.Sprintf("v%d", w.views)
	w.exec(fmt.Sprintf("CREATE MATERIALIZED VIEW %s WITH %s", name, w.randomDefinition()))
}

func (w *world) replaceView() {
	if v := w.randomView(); v != nil && !w.trimmed {
		w.exec(fmt.Sprintf("CREATE OR REPLACE MATERIALIZED VIEW %s WITH %s", v.Def().Name, w.randomDefinition()))
	}
}

// randomDefinition is what follows WITH.
func (w *world) randomDefinition() string {
	def, retention := pick(w.r, w.choice...), ""
	if w.r.IntN(3) == 0 {
		retention = w.retention(def)
	}
	return fmt.Sprintf("(%s%s) AS %s", w.options(), retention, def.query())
}

func (w *world) dropView() {
	if v := w.randomView(); v != nil && !w.trimmed {
		w.exec("DROP MATERIALIZED VIEW " + v.Def().Name)
	}
}

// refresh refreshes a view, sometimes while other things happen.
func (w *world) refresh(full bool) {
	v := w.randomView()
	if v == nil {
		return
	}
	text := "REFRESH MATERIALIZED VIEW " + v.Def().Name
	if full {
		text += " FULL"
	}
	if w.r.IntN(2) == 0 {
		w.exec(text)
		return
	}
	w.did("beside the next: %s", text)
	server := w.server
	w.wg.Go(func() {
		if err := server.Exec(w.t.Context(), "test", text); err != nil {
			w.t.Error(err)
		}
	})
	w.check()
}

func (w *world) exec(text string) {
	w.t.Helper()
	w.did("%s", text)
	if err := w.server.Exec(w.t.Context(), "test", text); err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
}

// query returns the rows of a SELECT, and the sequence at which it read the
// view v, if not nil.
func (w *world) query(text string, v *views.View) (schema gms.Schema, rows []gms.Row, seq uint64) {
	w.t.Helper()
	ctx, end := w.server.engine.NewContext(w.t.Context(), views.DefaultDatabase)
	defer end()
	schema, iter, err := w.server.engine.Query(ctx, text)
	if err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
	defer func() {
		if err := iter.Close(ctx); err != nil {
			w.t.Errorf("%s: %v", text, err)
		}
	}()
	for {
		row, err := iter.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			w.t.Fatalf("%s: %v", text, err)
		}
		rows = append(rows, plainRow(ctx, schema, row))
	}
	if v != nil {
		snap, err := readSet(ctx).Snapshot(v)
		if err != nil {
			w.t.Fatal(err)
		}
		seq = snap.Seq
	}
	return schema, rows, seq
}

func (w *world) checkAll() {
	w.t.Helper()
	for _, v := range w.viewList() {
		w.checkView(v)
	}
}

func (w *world) check() {
	w.t.Helper()
	if v := w.randomView(); v != nil {
		w.checkView(v)
	}
}

// checkView compares v, and its definition over v_batch and v_speed as SQL,
// with the SELECT over the stream's events up to the sequence that was read.
func (w *world) checkView(v *views.View) {
	w.t.Helper()
	def, ok := w.defs[v.Def().Query]
	if !ok {
		w.t.Fatalf("view %s has an unknown definition: %s", v.Def().Name, v.Def().Query)
	}
	for _, text := range []string{"SELECT * FROM " + v.Def().Name, servingSQL(v)} {
		schema, got, seq := w.query(text, v)
		switch def {
		case totals:
			w.checkTotals(got, seq)
		case digests:
			w.checkDigests(got, seq)
		}
		if w.trimmed {
			continue
		}
		oracle := def.until(seq)
		if v.Plan().Projection && !strings.HasPrefix(def.items, "_seq") {
			oracle = strings.Replace(oracle, " FROM ev", ", _seq FROM ev", 1)
		}
		_, want, _ := w.query(oracle, nil)
		want = w.withoutExpired(v, want, seq)
		w.did("check %s at %d: %d rows", v.Def().Name, seq, len(got))
		if diff := diffRows(schema, got, want); diff != "" {
			w.t.Fatalf("%s (%s) at sequence %d:\n%s\ndiffers from\n%s\n%s", text, v.Def().Query, seq, text, oracle, diff)
		}
	}
}

// checkTotals compares rows of the definition totals with sums made here.
func (w *world) checkTotals(rows []gms.Row, seq uint64) {
	w.t.Helper()
	type sums struct{ count, n, total int64 }
	want := map[string]sums{}
	for _, e := range w.events[:seq] {
		if !e.valid {
			continue
		}
		key := "NULL"
		if e.k != nil {
			key = "'" + *e.k
		}
		s := want[key]
		s.count++
		if e.n != nil {
			s.n++
			s.total += *e.n
		}
		want[key] = s
	}
	if len(rows) != len(want) {
		w.t.Fatalf("%d groups at sequence %d, want %d", len(rows), seq, len(want))
	}
	for _, row := range rows {
		key := "NULL"
		if k, ok := row[0].(string); ok {
			key = "'" + k
		}
		s := want[key]
		var total any
		if s.n > 0 {
			total = decimal.NewFromInt(s.total)
		}
		if compareCells(row[1], s.count) != 0 || compareCells(row[2], total) != 0 {
			w.t.Fatalf("group %s at sequence %d: COUNT(*) %v, SUM(n) %v; want %d, %v", key, seq, row[1], row[2], s.count, total)
		}
	}
}

// checkDigests compares rows of the definition digests with what is computed here.
func (w *world) checkDigests(rows []gms.Row, seq uint64) {
	w.t.Helper()
	type event struct {
		n   *int64
		seq int
	}
	groups := map[string][]event{}
	for i, e := range w.events[:seq] {
		if !e.valid {
			continue
		}
		key := "NULL"
		if e.k != nil {
			key = "'" + *e.k
		}
		groups[key] = append(groups[key], event{e.n, i + 1})
	}
	for _, row := range rows {
		key := "NULL"
		if k, ok := row[0].(string); ok {
			key = "'" + k
		}
		and, or, xor := ^uint64(0), uint64(0), uint64(0)
		var most, some any
		var best, count, sum, m2 float64
		times := map[int64]int64{}
		for _, e := range groups[key] {
			if e.n == nil {
				continue
			}
			n := *e.n
			and, or, xor = and&uint64(n), or|uint64(n), xor^uint64(n)
			if some == nil {
				some = n
			}
			if f := float64(n); most == nil || f >= best {
				best, most = f, int64(e.seq)
			}
			count, sum = count+1, sum+float64(n)
			times[n]++
		}
		for _, e := range groups[key] {
			if e.n != nil {
				d := float64(*e.n) - sum/count
				m2 += d * d
			}
		}
		want := gms.Row{row[0], and, or, xor, nil, nil, optional(groups[key][0].n), optional(groups[key][len(groups[key])-1].n), most, some, topOf(times)}
		if count > 0 {
			want[4] = m2 / count
		}
		if count > 1 {
			want[5] = math.Sqrt(m2 / (count - 1))
		}
		for c := range want {
			if !sameCell(row[c], want[c]) {
				w.t.Fatalf("group %s at sequence %d: column %d is %v, want %v", key, seq, c, row[c], want[c])
			}
		}
	}
}

func optional(n *int64) any {
	if n == nil {
		return nil
	}
	return *n
}

// topOf is APPROX_TOP_K where it is exact.
func topOf(times map[int64]int64) any {
	if len(times) == 0 {
		return nil
	}
	var entries []string
	for _, n := range slices.SortedFunc(maps.Keys(times), func(a, b int64) int { return cmp.Or(cmp.Compare(times[b], times[a]), cmp.Compare(a, b)) }) {
		entries = append(entries, fmt.Sprintf(`{"value":%d,"count":%d}`, n, times[n]))
	}
	return "[" + strings.Join(entries[:min(len(entries), partial.TopKMax)], ",") + "]"
}

// checkDeadLetters checks that each event that does not decode is a dead
// letter once.
func (w *world) checkDeadLetters() {
	w.t.Helper()
	var want []uint64
	for i, e := range w.events {
		if !e.valid && !e.repeat {
			want = append(want, uint64(i+1))
		}
	}
	_, rows, _ := w.query("SELECT seq FROM weir.dead_letters ORDER BY seq", nil)
	var got []uint64
	for _, row := range rows {
		got = append(got, row[0].(decimal.Decimal).BigInt().Uint64())
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("dead letters %v, want %v", got, want)
	}
	_, rows, _ = w.query("SELECT dead_letters FROM weir.streams WHERE name = 'ev'", nil)
	if n := rows[0][0]; compareCells(n, int64(len(want))) != 0 {
		w.t.Errorf("weir.streams counts %v dead letters, want %d", n, len(want))
	}
	w.checkRepeats()
}

// diffRows describes how two multisets of rows differ; "" is not at all.
func diffRows(schema gms.Schema, got, want []gms.Row) string {
	slices.SortFunc(got, compareRows)
	slices.SortFunc(want, compareRows)
	var b strings.Builder
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			fmt.Fprintf(&b, "row %d: none, want %v\n", i, want[i])
		case i >= len(want):
			fmt.Fprintf(&b, "row %d: %v, want none\n", i, got[i])
		case len(got[i]) != len(want[i]):
			fmt.Fprintf(&b, "row %d has %d columns, want %d\n", i, len(got[i]), len(want[i]))
		default:
			for c := range got[i] {
				if !sameCell(got[i][c], want[i][c]) {
					fmt.Fprintf(&b, "row %d %v, column %s: %v (%T), want %v (%T)\n", i, got[i], schema[c].Name, got[i][c], got[i][c], want[i][c], want[i][c])
				}
			}
		}
		if b.Len() > 1500 {
			b.WriteString("…\n")
			break
		}
	}
	return b.String()
}

// plainRow makes values of one kind of one Go type, those of the type that the
// schema announces: some functions return others, such as text for a DATE.
func plainRow(ctx context.Context, schema gms.Schema, row gms.Row) gms.Row {
	row = slices.Clone(row)
	for i, x := range row {
		if c, _, err := schema[i].Type.Convert(ctx, x); err == nil {
			x = c
		}
		row[i] = plainCell(ctx, x)
	}
	return row
}

func plainCell(ctx context.Context, x any) any {
	if w, ok := x.(gms.AnyWrapper); ok {
		u, err := w.UnwrapAny(ctx)
		if err != nil {
			panic(err)
		}
		x = u
	}
	switch v := x.(type) {
	case []byte:
		return string(v)
	case float32:
		return float64(v)
	case bool:
		if v {
			return decimal.NewFromInt(1)
		}
		return decimal.Zero
	case uint64:
		return decimal.NewFromUint64(v)
	case types.Timespan, int64, int32, int16, int8, int, uint32, uint16, uint8:
		n, _ := gmsx.Integer(v)
		return decimal.NewFromInt(n)
	default:
		return x
	}
}

func compareRows(a, b gms.Row) int {
	for i := range min(len(a), len(b)) {
		if c := compareCells(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

// compareCells orders values: NULL first, then as their type does.
func compareCells(a, b any) int {
	a, b = plainCell(context.Background(), a), plainCell(context.Background(), b)
	if a == nil || b == nil {
		return cmp.Compare(boolInt(a != nil), boolInt(b != nil))
	}
	switch x := a.(type) {
	case decimal.Decimal:
		switch y := b.(type) {
		case decimal.Decimal:
			return x.Cmp(y)
		case float64:
			return cmp.Compare(x.InexactFloat64(), y)
		}
	case float64:
		switch y := b.(type) {
		case decimal.Decimal:
			return cmp.Compare(x, y.InexactFloat64())
		case float64:
			return cmp.Compare(x, y)
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y)
		}
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	}
	return strings.Compare(fmt.Sprintf("%T %v", a, a), fmt.Sprintf("%T %v", b, b))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sameCell allows DOUBLEs what the order of adding them up makes of them.
func sameCell(a, b any) bool {
	x, ok1 := a.(float64)
	y, ok2 := b.(float64)
	if ok1 && ok2 {
		return math.Abs(x-y) <= 1e-9*max(1, math.Abs(x), math.Abs(y))
	}
	return compareCells(a, b) == 0
}

// errorLog keeps what is logged.
type errorLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *errorLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// unexpected returns what is not about failures that were injected.
func (l *errorLog) unexpected() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := slices.Collect(strings.Lines(l.b.String()))
	return strings.Join(slices.DeleteFunc(lines, func(s string) bool { return strings.Contains(s, "injected failure") }), "")
}

package main

import (
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/bench/peer"
	"weir/bench/result"
	"weir/bench/work"
)

// A query is what is timed: SQL in which $ stands for the layer and ? for an
// argument, and its arguments for so many minutes of facts.
type query struct {
	name, text string
	other      map[work.Dialect]string // where a peer says it otherwise
	args       func(r *rand.Rand, minutes int) []any
	crowd      bool // also asked by several clients at once
	unordered  bool // rows come in any order
}

// span returns arguments for a range of so many minutes.
func span(length int) func(r *rand.Rand, minutes int) []any {
	return func(r *rand.Rand, minutes int) []any {
		from := r.IntN(max(1, minutes-length))
		return []any{minuteAt(from), minuteAt(from + length)}
	}
}

func campaignArg(r *rand.Rand, _ int) []any { return []any{fmt.Sprintf("c%d", r.IntN(campaigns))} }

func noArgs(*rand.Rand, int) []any { return nil }

var queryList = []query{
	{name: "point lookup", text: "SELECT n, revenue, mean FROM facts$ WHERE minute = ? AND campaign = ?", crowd: true, args: func(r *rand.Rand, minutes int) []any {
		return []any{minuteAt(r.IntN(minutes)), fmt.Sprintf("c%d", r.IntN(campaigns))}
	}},
	{name: "range, 1000 rows", text: "SELECT minute, campaign, n, revenue FROM facts$ WHERE minute >= ? AND minute < ?", args: span(10), crowd: true, unordered: true},
	{name: "newest 10 rows by key", text: "SELECT minute, campaign, n, revenue FROM facts$ ORDER BY minute DESC, campaign DESC LIMIT 10", args: noArgs},
	{name: "newest 20 windows of a key", text: "SELECT minute, n, revenue FROM history$ WHERE campaign = ? ORDER BY minute DESC LIMIT 20", args: campaignArg},
	{name: "the same, key behind the window", text: "SELECT minute, n, revenue FROM facts$ WHERE campaign = ? ORDER BY minute DESC LIMIT 20", args: campaignArg},
	{name: "top 10 rows by a sum", text: "SELECT minute, campaign, revenue FROM facts$ ORDER BY revenue DESC, minute, campaign LIMIT 10", args: noArgs, crowd: true},
	{name: "top 10 groups", text: "SELECT campaign, SUM(revenue) AS total FROM facts$ GROUP BY campaign ORDER BY total DESC LIMIT 10", args: noArgs, crowd: true},
	{name: "group by", text: "SELECT campaign, COUNT(*), SUM(n), SUM(revenue), MAX(most) FROM facts$ GROUP BY campaign ORDER BY campaign", args: noArgs, crowd: true},
	{
		name: "group by, filter",
		text: "SELECT campaign, SUM(n), AVG(revenue) FROM facts$ WHERE minute >= ? AND minute < ? AND n > 0 GROUP BY campaign HAVING SUM(n) > 3 ORDER BY campaign", args: span(300),
		other: map[work.Dialect]string{ // its AVG of a Decimal has the scale of the Decimal
			work.ClickHouse: "SELECT campaign, SUM(n), AVG(toFloat64(revenue)) FROM facts WHERE minute >= ? AND minute < ? AND n > 0 GROUP BY campaign HAVING SUM(n) > 3 ORDER BY campaign",
		},
	},
	{
		name: "Grafana buckets",
		text: "SELECT UNIX_TIMESTAMP(minute) DIV 300 * 300 AS time, SUM(n) AS total FROM facts$ WHERE minute >= ? AND minute < ? GROUP BY time ORDER BY time", args: span(500),
		other: map[work.Dialect]string{
			work.Postgres:   "SELECT CAST(floor(extract(epoch FROM minute) / 300) * 300 AS BIGINT) AS time, SUM(n) AS total FROM facts WHERE minute >= ? AND minute < ? GROUP BY 1 ORDER BY 1",
			work.ClickHouse: "SELECT intDiv(toUInt32(minute), 300) * 300 AS time, SUM(n) AS total FROM facts WHERE minute >= ? AND minute < ? GROUP BY time ORDER BY time",
		},
	},
	{
		name: "join by key, 1000 rows", unordered: true,
		text: "SELECT f.minute, f.campaign, f.n, c.cost FROM facts$ f JOIN costs$ c ON c.minute = f.minute AND c.campaign = f.campaign WHERE f.minute >= ? AND f.minute < ?", args: span(10),
		other: map[work.Dialect]string{work.ClickHouse: ""}, // 18.16 reads the whole right side, and says joins otherwise
	},
	{name: "count(*)", text: "SELECT COUNT(*) FROM facts$", args: noArgs},
	{name: "min and max of the key", text: "SELECT MIN(minute), MAX(minute) FROM facts$", args: noArgs},
}

// in returns the statement for a contender; none where it takes no part.
func (q query) in(t target) string {
	if own, ok := q.other[t.dialect]; ok {
		return own
	}
	return strings.ReplaceAll(q.text, "$", t.layer)
}

// A target is a server, and a layer there, that queries are timed on.
type target struct {
	name, layer string
	dialect     work.Dialect
	open        func(ctx context.Context, clients int, prepared bool) (peer.Querier, error)
}

// What one cell is measured for in each round: the least with one client, and
// with several.
const (
	cellTime  = 150 * time.Millisecond
	crowdTime = time.Second
)

// queries measures what reading a view costs: on the view, on its batch layer
// alone, and in peers that have its finished rows and its key.
func (b *bench) queries(ctx context.Context, f *result.File) error {
	for _, rows := range b.Rows {
		if rows < 10_000 {
			return errors.New("--rows must be 10,000 or more")
		}
		data := fmt.Sprint("queries-", rows)
		if err := b.queriesOf(ctx, f, data, rows); err != nil {
			return fmt.Errorf("%d rows: %w", rows, err)
		}
		if b.own {
			if err := os.RemoveAll(filepath.Join(b.Dir, data)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) queriesOf(ctx context.Context, f *result.File, data string, rows int) (err error) {
	w, err := b.loadFacts(ctx, data, rows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	own := func(_ context.Context, clients int, prepared bool) (peer.Querier, error) {
		return w.Open(clients, prepared)
	}
	weirs := []target{{"weir v", "", work.Weir, own}, {"weir v_batch", "_batch", work.Weir, own}}
	scale := work.Thousands(int64(rows)) + " rows"
	for round := range b.Rounds {
		turn := func(t target) error { return b.turn(ctx, f, t, weirs[0], scale, rows/campaigns, uint64(round)) }
		for _, t := range weirs {
			if err := turn(t); err != nil {
				return err
			}
		}
		if err := b.peers(ctx, f, data, func(db peer.Database) error {
			done := filepath.Join(b.Dir, data, "copied to "+db.Name())
			if _, err := os.Stat(done); err != nil || db.Dialect() == work.ClickHouse {
				if err := copyFacts(ctx, w, db); err != nil {
					return err
				}
				if err := os.WriteFile(done, nil, 0o644); err != nil {
					return err
				}
			}
			return turn(target{name: db.Name(), dialect: db.Dialect(), open: db.Open})
		}); err != nil {
			return err
		}
	}
	return nil
}

// turn times all queries on one contender, after it has answered as weir does.
func (b *bench) turn(ctx context.Context, f *result.File, t, weir target, scale string, minutes int, seed uint64) error {
	for _, q := range queryList {
		if q.in(t) == "" || !strings.Contains(q.name, b.Only) {
			continue
		}
		if t.name != weir.name && t.layer == "" {
			if err := sameAnswers(ctx, q, weir, t, minutes); err != nil {
				return err
			}
		}
		fig := result.Figure{Workload: scale, Contender: t.name, How: q.name, Unit: "µs"}
		for _, prepared := range []bool{false, true} {
			fig.Measure = "1 client, text"
			if prepared {
				fig.Measure = "1 client, prepared"
			}
			if prepared && t.dialect == work.ClickHouse {
				continue
			}
			took, err := ask(ctx, t, q, 1, prepared, cellTime, minutes, seed)
			if err != nil {
				return err
			}
			add(f, fig, result.Quantile(took, 0.5))
		}
		for _, clients := range b.Clients {
			if clients == 1 || !q.crowd {
				continue
			}
			begin := time.Now()
			took, err := ask(ctx, t, q, clients, false, crowdTime, minutes, seed)
			if err != nil {
				return err
			}
			all := time.Since(begin).Seconds()
			for _, p := range []struct {
				name, unit string
				value      float64
			}{
				{"rate", "queries/s", float64(len(took)) / all},
				{"p50", "µs", result.Quantile(took, 0.5)},
				{"p99", "µs", result.Quantile(took, 0.99)},
			} {
				fig.Measure, fig.Unit = fmt.Sprintf("%d clients, %s", clients, p.name), p.unit
				if p.name == "rate" {
					add(f, fig, p.value)
				} else {
					f.Add(fig, p.value)
				}
			}
		}
	}
	return nil
}

// ask lets so many clients ask a query again and again, and returns how long
// each took in microseconds. The arguments depend on the seed alone.
func ask(ctx context.Context, t target, q query, clients int, prepared bool, least time.Duration, minutes int, seed uint64) ([]float64, error) {
	text := q.in(t)
	var mu sync.Mutex
	var all []float64
	var failed error
	var group sync.WaitGroup
	end := time.Now().Add(least)
	for client := range clients {
		querier, err := t.open(ctx, 1, prepared)
		if err != nil {
			return nil, err
		}
		group.Go(func() {
			defer func() { _ = querier.Close() }()
			r := rand.New(rand.NewPCG(seed, uint64(client)))
			var took []float64
			err := querier.Query(ctx, text, q.args(r, minutes), nil) // connects, prepares
			for err == nil && (len(took) < 3 || time.Now().Before(end)) {
				args := q.args(r, minutes)
				begin := time.Now()
				err = querier.Query(ctx, text, args, nil)
				took = append(took, float64(time.Since(begin).Nanoseconds())/1000)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s on %s: %w", q.name, t.name, err)
			}
		})
	}
	group.Wait()
	return all, failed
}

// sameAnswers fails where a contender answers a query otherwise than weir.
func sameAnswers(ctx context.Context, q query, weir, other target, minutes int) error {
	for seed := range uint64(3) {
		args := q.args(rand.New(rand.NewPCG(seed, 2)), minutes)
		var lists [][]string
		for _, t := range []target{weir, other} {
			list, err := answerOf(ctx, q, t, args)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", q.name, t.name, err)
			}
			lists = append(lists, list)
		}
		if len(lists[0]) == 0 {
			return fmt.Errorf("%s %v: no rows to compare", q.name, args)
		}
		if len(lists[0]) != len(lists[1]) {
			return fmt.Errorf("%s %v: weir answers %d values, %s %d", q.name, args, len(lists[0]), other.name, len(lists[1]))
		}
		for i, own := range lists[0] {
			if !sameValue(own, lists[1][i]) {
				return fmt.Errorf("%s %v: value %d is %s in weir, %s in %s", q.name, args, i, own, lists[1][i], other.name)
			}
		}
	}
	return nil
}

// answerOf returns the values of all rows, in order.
func answerOf(ctx context.Context, q query, t target, args []any) (list []string, err error) {
	querier, err := t.open(ctx, 1, false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = querier.Close() }()
	var rows [][]string
	err = querier.Query(ctx, q.in(t), args, func(raw []gosql.RawBytes) error {
		row := make([]string, len(raw))
		for i, text := range raw {
			row[i] = plain(string(text))
		}
		rows = append(rows, row)
		return nil
	})
	if q.unordered {
		slices.SortFunc(rows, slices.Compare)
	}
	return slices.Concat(rows...), err
}

// plain takes away how a driver writes a time.
func plain(text string) string {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UTC().Format(time.DateTime)
	}
	return strings.TrimSuffix(text, ".000000")
}

// sameValue says whether two texts are the same, or the same number as far as
// a sum of DOUBLEs or a mean of DECIMALs has one.
func sameValue(a, b string) bool {
	if a == b {
		return true
	}
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && math.Abs(x-y) <= 1e-6*math.Abs(x)
}

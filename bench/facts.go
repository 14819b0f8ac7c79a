package main

import (
	"bytes"
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"weir/bench/peer"
	"weir/bench/work"
)

// The facts that queries read: a view of one row for each minute and campaign,
// from at least one event each.
const (
	campaigns = 100
	firstTime = 1_700_000_040 // a full minute, in Unix seconds
	// late is one in how many rows the speed layer changes or adds.
	late = 50
)

const factStream = "CREATE STREAM ads (ts DATETIME(6) NOT NULL, campaign VARCHAR(20), user INT, kind VARCHAR(10), price DECIMAL(10,2), latency DOUBLE) WITH (event_time = 'ts')"

// factViews are weir's, and as tables those of the peers. Text compares by byte
// in all.
var factViews = []struct {
	name    string
	view    string // weir's definition
	key     string
	columns [][2]string // name and MariaDB's type
}{
	{
		"facts", "TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, campaign, COUNT(*) AS n, SUM(price) AS revenue, AVG(latency) AS mean, MAX(latency) AS most", "minute, campaign",
		[][2]string{{"minute", "DATETIME(6)"}, {"campaign", "VARCHAR(20)"}, {"n", "BIGINT"}, {"revenue", "DECIMAL(32,2)"}, {"mean", "DOUBLE"}, {"most", "DOUBLE"}},
	},
	{
		"costs", "TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, campaign, SUM(user) AS cost, MIN(latency) AS least", "minute, campaign",
		[][2]string{{"minute", "DATETIME(6)"}, {"campaign", "VARCHAR(20)"}, {"cost", "DECIMAL(38,0)"}, {"least", "DOUBLE"}},
	},
	{
		"history", "campaign, TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, COUNT(*) AS n, SUM(price) AS revenue", "campaign, minute",
		[][2]string{{"campaign", "VARCHAR(20)"}, {"minute", "DATETIME(6)"}, {"n", "BIGINT"}, {"revenue", "DECIMAL(32,2)"}},
	},
}

// factTable returns how a peer makes the table of a view.
func factTable(d work.Dialect, at int) string {
	t := factViews[at]
	types := map[work.Dialect]map[string]string{
		work.Postgres:   {"DATETIME(6)": "TIMESTAMP(6)", "DOUBLE": "DOUBLE PRECISION", "VARCHAR(20)": `VARCHAR(20) COLLATE "C"`},
		work.ClickHouse: {"DATETIME(6)": "DateTime", "DOUBLE": "Float64", "VARCHAR(20)": "String", "BIGINT": "Int64", "DECIMAL(32,2)": "Decimal(18,2)", "DECIMAL(38,0)": "Int64"},
	}
	columns := make([]string, len(t.columns))
	for i, c := range t.columns {
		kind := c[1]
		if own, ok := types[d][kind]; ok {
			kind = own
		}
		columns[i] = c[0] + " " + kind
	}
	list := strings.Join(columns, ", ")
	if d == work.ClickHouse {
		return "CREATE TABLE " + t.name + " (" + list + ") ENGINE = MergeTree ORDER BY (" + t.key + ")"
	}
	return "CREATE TABLE " + t.name + " (" + list + ", PRIMARY KEY (" + t.key + "))"
}

func minuteAt(i int) string {
	return time.Unix(firstTime+int64(i)*60, 0).UTC().Format(time.DateTime)
}

// loadFacts starts weir with so many rows of facts, all but the last of which
// are in the batch layer. It uses what an earlier run has left in data.
func (b *bench) loadFacts(ctx context.Context, data string, rows int) (*peer.Weir, error) {
	_, err := os.Stat(filepath.Join(b.Dir, data, "loaded"))
	fresh := errors.Is(err, os.ErrNotExist)
	if err := os.MkdirAll(filepath.Join(b.Dir, data), 0o755); err != nil {
		return nil, err
	}
	w, err := b.weir(ctx, filepath.Join(data, "weir"))
	if err != nil || !fresh {
		return w, err
	}
	if err := b.fillFacts(ctx, w, filepath.Join(b.Dir, data), rows); err != nil {
		return nil, errors.Join(err, w.Stop())
	}
	return w, os.WriteFile(filepath.Join(b.Dir, data, "loaded"), nil, 0o644)
}

func (b *bench) fillFacts(ctx context.Context, w *peer.Weir, dir string, rows int) error {
	if err := w.Exec(ctx, factStream); err != nil {
		return err
	}
	minutes := rows / campaigns
	var text bytes.Buffer
	for i := range rows {
		writeFact(&text, b.Seed, i/campaigns, i%campaigns, 0)
	}
	if err := publishText(ctx, w, dir, &text, rows); err != nil {
		return err
	}
	for _, v := range factViews {
		if err := w.Exec(ctx, "CREATE MATERIALIZED VIEW "+v.name+" WITH (batch_interval = '1000h') AS SELECT "+v.view+" FROM ads GROUP BY "+v.key,
			"REFRESH MATERIALIZED VIEW "+v.name); err != nil {
			return err
		}
	}
	r := rand.New(rand.NewPCG(b.Seed, 1))
	for i := range rows / late {
		minute := minutes + i/2/campaigns // a new row
		if i%2 == 1 {
			minute = r.IntN(minutes) // or one that the batch layer has
		}
		writeFact(&text, b.Seed, minute, i/2%campaigns, 1+i)
	}
	if err := publishText(ctx, w, dir, &text, rows/late); err != nil {
		return err
	}
	return w.Wait(ctx, "ads", int64(rows+rows/late))
}

func writeFact(text *bytes.Buffer, seed uint64, minute, campaign, salt int) {
	h := (uint32(minute*campaigns+campaign+salt*7) + uint32(seed-1)*40503) * 2654435761
	fmt.Fprintf(text, `{"ts":"%sZ","campaign":"c%d","user":%d,"kind":"view","price":%d.%02d,"latency":%d.5}`+"\n",
		strings.Replace(minuteAt(minute), " ", "T", 1), campaign, h>>4%50_000, h>>10%500, h>>3%100, h>>12%2000)
}

// publishText publishes lines, and empties text.
func publishText(ctx context.Context, w *peer.Weir, dir string, text *bytes.Buffer, lines int) error {
	path := filepath.Join(dir, "events.ndjson")
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		return err
	}
	text.Reset()
	_, _, err := publishAll(ctx, publishFlags{URL: w.NATS, Subject: "ads", File: path, Count: int64(lines)})
	return errors.Join(err, os.Remove(path))
}

// copyFacts makes tables of the rows of weir's views.
func copyFacts(ctx context.Context, w *peer.Weir, db peer.Database) error {
	q, err := w.Open(1, false)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	for i, t := range factViews {
		var names []string
		for _, c := range t.columns {
			names = append(names, c[0])
		}
		var rows [][]any
		if err := q.Query(ctx, "SELECT "+strings.Join(names, ", ")+" FROM "+t.name, nil, func(raw []gosql.RawBytes) error {
			row := make([]any, len(raw))
			for i, text := range raw {
				value := string(text)
				if t.columns[i][1] == "DATETIME(6)" {
					value, _, _ = strings.Cut(value, ".") // whole minutes
				}
				row[i] = value
			}
			rows = append(rows, row)
			return nil
		}); err != nil {
			return err
		}
		if err := db.Exec(ctx, "DROP TABLE IF EXISTS "+t.name, factTable(db.Dialect(), i)); err != nil {
			return err
		}
		if err := db.Fill(ctx, t.name, names, rows); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

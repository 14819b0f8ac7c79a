package demo

import (
	"cmp"
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/go-sql-driver/mysql"
)

// A layered number is a count as each of the layers has it.
type layered struct{ batch, speed, merged int64 }

// A row is what is shown of one row of a view.
type row struct {
	key      string
	requests layered
	visitors layered
	price    float64 // average, merged
}

// rows are those of one view at one sequence.
type rows []row

// A snapshot is what the views say at one moment.
type snapshot struct {
	minutes rows // newest first
	items   rows // most requested first
	cut     int64
	runs    int64
}

// A reader asks the server as any MySQL client does.
type reader struct{ db *gosql.DB }

func openReader(addr string) (*reader, error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.DBName = "tcp", addr, "root", "analytics"
	cfg.InterpolateParams = true
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return &reader{gosql.OpenDB(connector)}, nil
}

// Close ends the connections.
func (r *reader) Close() error { return r.db.Close() }

// await returns once the views of the access log have taken in the event seq.
func (r *reader) await(ctx context.Context, seq uint64) error {
	var reached bool
	err := r.db.QueryRowContext(ctx, "SELECT WAIT_FOR_SEQ('access_log', ?, ?)", seq, endTimeout.Seconds()).Scan(&reached)
	if err == nil && !reached {
		err = errors.New("they are too far behind")
	}
	if err != nil {
		return fmt.Errorf("wait for the views to reach event %d: %w", seq, err)
	}
	return nil
}

func (r *reader) read(ctx context.Context) (snapshot, error) {
	var s snapshot
	var err error
	if s.minutes, err = r.view(ctx, "requests_by_minute", "minute"); err != nil {
		return s, err
	}
	if s.items, err = r.view(ctx, "purchases_by_item", "item"); err != nil {
		return s, err
	}
	slices.SortFunc(s.minutes, func(a, b row) int { return cmp.Compare(b.key, a.key) })
	slices.SortFunc(s.items, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.requests.merged, a.requests.merged), cmp.Compare(a.key, b.key))
	})
	const progress = `SELECT (SELECT MAX(batch_seq) FROM weir.views), (SELECT COUNT(*) FROM weir.batch_runs WHERE state = 'done')`
	if err := r.db.QueryRowContext(ctx, progress).Scan(&s.cut, &s.runs); err != nil {
		return s, fmt.Errorf("read weir.views: %w", err)
	}
	return s, nil
}

// layersQuery reads all three relations of a view, whose name and key it takes.
// One statement sees one sequence, so the layers add up.
const layersQuery = `SELECT 'batch' AS layer, %[2]s, requests, visitors, avg_minprice FROM %[1]s_batch
UNION ALL SELECT 'speed', %[2]s, requests, visitors, avg_minprice FROM %[1]s_speed WHERE __serving = 1
UNION ALL SELECT 'merged', %[2]s, requests, visitors, avg_minprice FROM %[1]s`

// view reads a view by its key.
func (r *reader) view(ctx context.Context, name, key string) (_ rows, err error) {
	result, err := r.db.QueryContext(ctx, fmt.Sprintf(layersQuery, name, key))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	found := map[string]*row{}
	for result.Next() {
		var layer, key string
		var requests, visitors int64
		var price gosql.NullFloat64
		if err := result.Scan(&layer, &key, &requests, &visitors, &price); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if found[key] == nil {
			found[key] = &row{key: key}
		}
		found[key].put(layer, requests, visitors, price.Float64)
	}
	if err := result.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	all := make(rows, 0, len(found))
	for _, r := range found {
		all = append(all, *r)
	}
	return all, nil
}

// put puts in what one layer says.
func (r *row) put(layer string, requests, visitors int64, price float64) {
	switch layer {
	case "batch":
		r.requests.batch, r.visitors.batch = requests, visitors
	case "speed":
		// A row for each epoch that serves: two while a batch run goes on.
		r.requests.speed += requests
		r.visitors.speed = max(r.visitors.speed, visitors)
	default:
		r.requests.merged, r.visitors.merged, r.price = requests, visitors, price
	}
}

// total adds up the requests of all rows.
func (all rows) total() layered {
	var sum layered
	for _, r := range all {
		sum.batch += r.requests.batch
		sum.speed += r.requests.speed
		sum.merged += r.requests.merged
	}
	return sum
}

// check returns an error if some row's layers do not add up.
func (s snapshot) check() error {
	for _, r := range slices.Concat(s.minutes, s.items) {
		if n := r.requests; n.batch+n.speed != n.merged {
			return fmt.Errorf("row %s: batch %d + speed %d is not merged %d", r.key, n.batch, n.speed, n.merged)
		}
	}
	return nil
}

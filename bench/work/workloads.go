package work

import "fmt"

// start is the first event time, a full minute, in Unix milliseconds.
const start = 1_700_000_040_000

var (
	adTypes    = [...]string{"banner", "modal", "sponsored-search", "mail", "mobile"}
	eventTypes = [...]string{"view", "click", "purchase"}
	methods    = [...]string{"GET", "GET", "GET", "POST"}
	variants   = [...]string{"A", "B"}

	pathsDrawn = newZipf(100, 0.9)
	usersDrawn = newZipf(100_000, 0.6)
)

// Workloads are those that the benchmark knows.
var Workloads = []*Workload{ads, access, three, rich, keys}

// Named returns a workload.
func Named(name string) (*Workload, error) {
	for _, w := range Workloads {
		if w.Name == name {
			return w, nil
		}
	}
	return nil, fmt.Errorf("no workload %q: there are ads, access, three, rich and keys", name)
}

var ads = &Workload{
	Name:   "ads",
	Stream: "ads",
	Says: "the Yahoo streaming benchmark: views of advertisements per campaign and 10 s of event time, 10,000 events a second of event time. " +
		"Each event carries its campaign, for every contender: weir's views do not join, so the dimension is joined by the publisher or when reading",
	Columns: []Column{
		{"seq", Int},
		{"ts", Millis},
		{"user_id", Text},
		{"page_id", Text},
		{"ad_id", Text},
		{"ad_type", Text},
		{"event_type", Text},
		{"ip", Text},
		{"campaign_id", Int},
	},
	Views: []View{{
		Name:  "ad_views",
		Where: equals("event_type", "view"),
		Keys:  []Key{{"w", "ts", 10_000}, {"campaign_id", "campaign_id", 0}},
		Aggs:  []Agg{{Name: "views", Func: Count}},
	}},
	fill: func(g *generator, i int64, row []Value) {
		ad := g.below(i, 1, 1000)
		row[0].N = i
		row[1].N = start + i/10
		row[2].S = uuid(g.hash(i, 2) % 100_000)
		row[3].S = uuid(g.hash(i, 3) % 10_000)
		row[4].S = uuid(uint64(ad))
		row[5].S = adTypes[g.below(i, 5, uint64(len(adTypes)))]
		row[6].S = eventTypes[g.below(i, 6, uint64(len(eventTypes)))]
		row[7].S = address(g.hash(i, 7))
		row[8].N = ad / 10
	},
}

// accessColumns are those of the access log, as accessFill fills them: 500
// minutes of event time in order, however many events there are.
var accessColumns = []Column{
	{"seq", Int},
	{"ts", Millis},
	{"ip", Text},
	{"method", Text},
	{"path", Text},
	{"user_id", Int},
	{"item_id", Int},
	{"status", Int},
	{"bytes", Int},
	{"latency_ms", Float},
	{"variant", Text},
}

func accessFill(g *generator, i int64, row []Value) {
	row[0].N = i
	row[1].N = start + int64(float64(i)*500*60_000/float64(g.events))
	user := usersDrawn.draw(g.hash(i, 5))
	row[2].S = address(uint64(user) * 0x9E3779B97F4A7C15)
	row[3].S = methods[g.below(i, 3, uint64(len(methods)))]
	row[4].S = paths[pathsDrawn.draw(g.hash(i, 4))]
	row[5].N = user
	row[6].N = g.below(i, 6, 10_000)
	row[7].N = 200
	if h := g.below(i, 7, 1000); h < 23 {
		row[7].N = 500 + h%4
	} else if h < 80 {
		row[7].N = 404
	}
	row[8].N = 100 + g.below(i, 8, 7000)
	// Quarters add up exactly in any order.
	row[9].F = float64(4+g.below(i, 9, 80)+g.below(i, 10, 40)*g.below(i, 11, 8)) / 4
	row[10].S = variants[g.hash(user, 12)%2]
}

var failed = &Condition{"status >= 500", func(w *Workload, row []Value) bool { return row[w.Index("status")].N >= 500 }}

var perMinute = View{
	Name: "per_minute",
	Keys: []Key{{"minute", "ts", 60_000}, {"path", "path", 0}, {"variant", "variant", 0}},
	Aggs: []Agg{
		{Name: "requests", Func: Count},
		{Name: "errors", Func: CountIf, If: failed},
		{Name: "bytes", Func: Sum, Column: "bytes"},
		{Name: "latency", Func: Sum, Column: "latency_ms"},
	},
}

var access = &Workload{
	Name:    "access",
	Stream:  "access",
	Says:    "an access log: requests, errors, bytes and latency per minute, path and variant; up to 100,000 groups",
	Columns: accessColumns,
	Views:   []View{perMinute},
	fill:    accessFill,
}

var three = &Workload{
	Name:    "three",
	Stream:  "access",
	Says:    "the access log with three views at once: the one of workload access, one per path and one per status",
	Columns: accessColumns,
	Views: []View{
		perMinute,
		{
			Name: "per_path",
			Keys: []Key{{"path", "path", 0}},
			Aggs: []Agg{{Name: "requests", Func: Count}, {Name: "errors", Func: CountIf, If: failed}, {Name: "latency", Func: Sum, Column: "latency_ms"}},
		},
		{
			Name: "per_status",
			Keys: []Key{{"status", "status", 0}},
			Aggs: []Agg{{Name: "requests", Func: Count}, {Name: "bytes", Func: Sum, Column: "bytes"}},
		},
	},
	fill: accessFill,
}

var rich = &Workload{
	Name:    "rich",
	Stream:  "access",
	Says:    "the access log with what an upsert cannot keep: mean and 95th percentile of the latency and distinct users, per minute, path and variant",
	Columns: accessColumns,
	Views: []View{{
		Name: "per_minute_rich",
		Keys: perMinute.Keys,
		Aggs: append(append([]Agg(nil), perMinute.Aggs...),
			Agg{Name: "mean", Func: Avg, Column: "latency_ms"},
			Agg{Name: "p95", Func: P95, Column: "latency_ms"},
			Agg{Name: "users", Func: Distinct, Column: "user_id"}),
	}},
	fill: accessFill,
}

var keys = &Workload{
	Name:    "keys",
	Stream:  "visits",
	Says:    "many groups: visits and bytes of each of up to 1,000,000 users, in no order",
	Columns: []Column{{"seq", Int}, {"ts", Millis}, {"user_id", Int}, {"path", Text}, {"bytes", Int}},
	Views: []View{{
		Name: "per_user",
		Keys: []Key{{"user_id", "user_id", 0}},
		Aggs: []Agg{{Name: "visits", Func: Count}, {Name: "bytes", Func: Sum, Column: "bytes"}},
	}},
	fill: func(g *generator, i int64, row []Value) {
		row[0].N = i
		row[1].N = start + i/10
		row[2].N = g.below(i, 2, 1_000_000)
		row[3].S = paths[pathsDrawn.draw(g.hash(i, 3))]
		row[4].N = 100 + g.below(i, 4, 7000)
	},
}

func equals(column, value string) *Condition {
	return &Condition{column + " = '" + value + "'", func(w *Workload, row []Value) bool { return row[w.Index(column)].S == value }}
}

var paths = func() (list [100]string) {
	for i := range list {
		list[i] = fmt.Sprintf("/section%d/page%02d", i%7, i)
	}
	return list
}()

// uuid is the text of a UUID made of n.
func uuid(n uint64) string {
	const digits = "0123456789abcdef"
	var b [36]byte
	x, y := n*0x9E3779B97F4A7C15+1, n*0xBF58476D1CE4E5B9+7
	for i := range b {
		switch i {
		case 8, 13, 18, 23:
			b[i] = '-'
			continue
		case 20:
			x = y
		}
		b[i] = digits[x&15]
		x >>= 4
	}
	return string(b[:])
}

func address(h uint64) string {
	var b [15]byte
	out := b[:0]
	for i := range 4 {
		if i > 0 {
			out = append(out, '.')
		}
		n := h >> (8 * i) & 255
		if n >= 100 {
			out = append(out, '0'+byte(n/100))
		}
		if n >= 10 {
			out = append(out, '0'+byte(n/10%10))
		}
		out = append(out, '0'+byte(n%10))
	}
	return string(out)
}

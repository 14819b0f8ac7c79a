package gmsx

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
	"github.com/shopspring/decimal"
)

// Options.Direct is asked only where the account may read the table.
func TestDirectAsksForPrivileges(t *testing.T) {
	asked := ""
	s := start(t, Options{Direct: func(_ *gms.Context, p *PlainSelect) (*Direct, error) {
		asked = p.Name.Name.String()
		return &Direct{Schema: gms.Schema{{Name: "id", Type: types.Int64}, {Name: "s", Type: types.LongText}}, Rows: &cursorRows{n: cursorRowsMost - 1}}, nil
	}})
	mustExec(t, s.root(t), "CREATE USER reader", "GRANT SELECT ON d.big TO reader")
	db := s.open(t, "reader", "", "")
	expect(t, db, "SELECT id, s FROM big", "4999 row 4999")
	if asked != "big" {
		t.Errorf("Direct was asked for %q", asked)
	}
	_, err := tryQuery(db, "SELECT w, k FROM windows")
	expectError(t, err, 1142, "42000", "denied")
	if asked != "big" {
		t.Errorf("Direct was asked for %q, which the account may not read", asked)
	}
}

// What is more than a SELECT of columns is never given to Options.Direct.
func TestPlainSelect(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT a FROM t": true,
		"SELECT *, a AS b FROM d.t AS x WHERE x.a = 1 AND (2 < b)":   true,
		"SELECT a FROM t WHERE a BETWEEN -1 AND ? AND b IN ('x', ?)": true,
		"SELECT a FROM t ORDER BY a DESC, b LIMIT ? OFFSET 3":        true,
		"SELECT a + 1 FROM t":                                        false,
		"SELECT DISTINCT a FROM t":                                   false,
		"SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1":                false,
		"SELECT a FROM t, u":                                         false,
		"SELECT a FROM (SELECT 1 AS a) t":                            false,
		"SELECT a FROM t WHERE a = 1 OR b = 2":                       false,
		"SELECT a FROM t WHERE NOT a = 1":                            false,
		"SELECT a FROM t WHERE a = b":                                false,
		"SELECT a FROM t WHERE a = 1.5":                              false,
		"SELECT a FROM t WHERE a LIKE 'x'":                           false,
		"SELECT a FROM t WHERE a = @x":                               false,
		"SELECT a FROM t WHERE (a, b) IN ((1, 2))":                   false,
		"SELECT a FROM t WHERE a IN (SELECT 1)":                      false,
		"SELECT a FROM t WHERE a = _latin1 'x'":                      false,
		"SELECT a FROM t GROUP BY a":                                 false,
		"SELECT a FROM t HAVING a > 1":                               false,
		"SELECT a FROM t ORDER BY 1":                                 false,
		"SELECT a FROM t FOR UPDATE":                                 false,
		"SELECT a INTO @x FROM t":                                    false,
		"WITH t AS (SELECT 1 AS a) SELECT a FROM t":                  false,
		"SELECT MIN(a), max(t.b) AS c FROM t WHERE a = 1":            true,
		"SELECT MIN(a), b FROM t":                                    false,
		"SELECT MIN(a) FROM t ORDER BY a":                            false,
		"SELECT MIN(a) FROM t LIMIT 1":                               false,
		"SELECT MIN(DISTINCT a) FROM t":                              false,
		"SELECT MAX(a) OVER () FROM t":                               false,
		"SELECT MIN(a + 1) FROM t":                                   false,
		"SELECT COUNT(*) FROM t":                                     false,
		"SELECT 1":                                                   false,
		"SELECT /* a comment */ a FROM t":                            false,
		"SELECT a FROM t UNION SELECT a FROM t":                      false,
		"SELECT a FROM t WHERE EXISTS (SELECT 1) AND a = 1":          false,
		"SELECT t.a, (SELECT 1) FROM t":                              false,
		"UPDATE t SET a = 1":                                         false,
		"SELECT a FROM t AS OF 1 WHERE a = 1":                        false,
		"SELECT a FROM t USE INDEX (x)":                              false,
		"SELECT a FROM t WHERE a NOT BETWEEN 1 AND 2":                false,
		"SELECT a FROM t WHERE a NOT IN (1)":                         false,
		"SELECT a FROM t WHERE a = X'41'":                            false,
		"SELECT a FROM t WHERE a = 0x41":                             false,
		"SELECT a FROM t WHERE a IS NULL":                            false,
		"SELECT a FROM t WHERE a = NULL":                             false,
		"SELECT a FROM t WHERE a <=> 1":                              false,
		"SELECT a FROM t WHERE a = TRUE":                             false,
		"SELECT a FROM t WHERE a = CAST('2026-01-01' AS DATE) AND 1": false,
		"SELECT a FROM t WHERE a = 'x' COLLATE utf8mb4_general_ci":   false,
		"SELECT a FROM t WHERE a COLLATE utf8mb4_general_ci = 'x'":   false,
		"SELECT a FROM t PARTITION (p) WHERE a = 1":                  false,
		"SELECT a FROM t JOIN u ON t.a = u.a":                        false,
		"SELECT a FROM t WHERE a = -(1)":                             false,
	} {
		stmt, err := ast.Parse(text)
		if err != nil {
			if want {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if got := plainSelect(stmt, true) != nil; got != want {
			t.Errorf("%s: plain is %v", text, got)
		}
	}
}

// Times and decimals are written as the engine writes them.
func TestRowWriterWritesAsTheEngine(t *testing.T) {
	ctx := gms.NewEmptyContext()
	r := rand.New(rand.NewPCG(1, 2))
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC).UnixMicro()
	for i := range 20_000 {
		micros := first + r.Int64N(last-first+1)
		switch i {
		case 0:
			micros = first
		case 1:
			micros = last
		case 2:
			micros = -1
		case 3:
			micros = 0
		}
		if r.IntN(3) == 0 {
			micros -= ((micros % 1e6) + 1e6) % 1e6
		}
		c, ok := civilTime(micros)
		at := time.UnixMicro(micros).UTC()
		want := at.Format("2006-01-02 15:04:05.000000")
		if at.Nanosecond() == 0 {
			want = at.Format(time.DateTime)
		}
		if got := string(c.text(nil, false, 6)); !ok || got != want {
			t.Fatalf("%d is %s, want %s", micros, got, want)
		}
	}
	for _, micros := range []int64{first - 1, last + 1, math.MinInt64, math.MaxInt64} {
		if _, ok := civilTime(micros); ok {
			t.Errorf("%d microseconds are within the years 1 to 9999", micros)
		}
	}
	for range 20_000 {
		scale := r.IntN(10)
		d := decimal.New(r.Int64()>>r.IntN(64)*int64(1-2*r.IntN(2)), -int32(scale))
		units, ok := unitsOf(d, int32(scale))
		if d.NumDigits() <= 18 != ok {
			t.Fatalf("%s: %v", d, ok)
		}
		if !ok {
			continue
		}
		want, err := types.MustCreateColumnDecimalType(40, uint8(scale)).SQL(ctx, nil, d)
		if got := string(appendUnits(nil, units, scale)); err != nil || got != want.ToString() {
			t.Fatalf("%v is %s, want %s, %v", d, got, want.ToString(), err)
		}
	}
}

package ddl

import (
	"errors"
	"strings"
	"testing"
)

var fuzzSeeds = []string{
	"CREATE STREAM IF NOT EXISTS d.s (ts DATETIME(6) NOT NULL, `k` VARCHAR(9) PATH '$.k' COMMENT 'c', n INT AS ((a) + 1) STORED) WITH (format = 'csv', replicas = 3) COMMENT 'x'",
	"CREATE STREAM s (a DECIMAL(18,4), b DOUBLE PRECISION, c BIGINT UNSIGNED, d TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)",
	"CREATE OR REPLACE MATERIALIZED VIEW v WITH (mode = kappa, retention = 90d) AS SELECT ';' /*! x */ FROM `s` -- c\n;",
	"CREATE MATERIALIZED VIEW IF NOT EXISTS v AS (SELECT 1)",
	"DROP STREAM IF EXISTS s", "DROP MATERIALIZED VIEW v", "SHOW STREAMS FROM d LIKE 'a\\_%'", "SHOW MATERIALIZED VIEWS",
	"SHOW CREATE STREAM s", "SHOW CREATE MATERIALIZED VIEW v", "REFRESH MATERIALIZED VIEW v FULL",
	"ALTER MATERIALIZED VIEW v SET (batch_events = 10)", "ALTER MATERIALIZED VIEW v ROLLBACK", "AUDIT MATERIALIZED VIEW v",
	"/*!40101 SET x */; # c\nSELECT 'a''b', \"c\\\"d\" -- e", "SELECT '", "/* x", "CREATE STREAM s (a INT AS (1 --", "CREATE STREAM s (a INT AS (/*!x*/))",
}

// What parses prints as SQL that parses to the same; what does not is an error
// with a place in the text.
func FuzzParse(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		s, err := Parse(query)
		switch {
		case err != nil:
			checkError(t, query, err)
		case s != nil:
			checkRoundTrip(t, s)
		}
	})
}

// The parts of a script are all of its tokens, at the places they say, and
// split the same when they are put together again.
func FuzzSplit(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(s + ";\n" + s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		parts, err := Split(script)
		if err != nil {
			checkError(t, script, err)
			return
		}
		var joined strings.Builder
		for _, p := range parts {
			line, _ := Locate(script, p.Pos)
			if p.Text == "" || !strings.HasPrefix(script[p.Pos:], p.Text) || line != p.Line {
				t.Fatalf("%q is not at line %d, byte %d", p.Text, p.Line, p.Pos)
			}
			joined.WriteString(p.Text + ";\n")
		}
		again, err := Split(joined.String())
		if err != nil || len(again) != len(parts) {
			t.Fatalf("%d parts, then %d: %v", len(parts), len(again), err)
		}
		for i := range parts {
			if parts[i].Text != again[i].Text {
				t.Fatalf("part %d is %q, then %q", i, parts[i].Text, again[i].Text)
			}
		}
	})
}

func checkError(t *testing.T, src string, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T: %v", err, err)
	}
	line, column := Locate(src, e.Pos)
	if e.Pos < 0 || e.Pos > len(src) || e.Line != line || e.Column != column || e.Msg == "" {
		t.Fatalf("%#v", e)
	}
	if e.Error() == "" || !strings.HasSuffix(e.Caret(), "^") {
		t.Fatalf("%v\n%s", e, e.Caret())
	}
}

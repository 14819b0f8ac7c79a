package sql

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// TestLoadWarnings loads files whose lines do not fit, and lists what it is told
// of them: fields that only SET assigns to are not missing.
func TestLoadWarnings(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn := wireConn(t, "root@tcp("+serveTest(t, tablesServer(t))+")/analytics")
	exec := func(q string) {
		t.Helper()
		if _, err := conn.ExecContext(ctx, q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	exec("CREATE TABLE loaded (a INT PRIMARY KEY, b VARCHAR(5), c DECIMAL(5,2))")
	for _, c := range []struct {
		into, file string
		want       []string
	}{
		{"", "1,abc,1.239\n2\nx,toolong,3\n4,d,5,6\n1,dup,1\n", []string{
			"Note 1265 Data truncated for column 'c' at row 1",
			"Warning 1261 Row 2 doesn't contain data for all columns",
			"Warning 1261 Row 2 doesn't contain data for all columns",
			"Warning 1366 Incorrect integer value: 'x' for column 'a' at row 3",
			"Warning 1265 Data truncated for column 'b' at row 3",
			"Warning 1262 Row 4 was truncated; it contained more data than there were input columns",
			"Warning 1062 Duplicate entry '1' for key 'loaded.PRIMARY'",
		}},
		{"(b, a)", "x,11\ny,12\n", nil},
		{"(a, b) SET c = a * 2", "21,x\n22\n", []string{"Warning 1261 Row 2 doesn't contain data for all columns"}},
		{"(@x, @skip, @skip, b) SET a = @x + 1", "30,,,x\n", nil},
		{"(@x) SET a = @x", "41\n42\n", nil},
	} {
		mysql.RegisterReaderHandler("loaded", func() io.Reader { return strings.NewReader(c.file) })
		exec("LOAD DATA LOCAL INFILE 'Reader::loaded' INTO TABLE loaded FIELDS TERMINATED BY ',' " + c.into)
		rows, err := conn.QueryContext(ctx, "SHOW WARNINGS")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for rows.Next() {
			var level, code, message string
			if err := rows.Scan(&level, &code, &message); err != nil {
				t.Fatal(err)
			}
			got = append(got, level+" "+code+" "+message)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		_ = rows.Close()
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: warnings\n%s\nwant\n%s", c.into, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
	mysql.DeregisterReaderHandler("loaded")
	var got string
	const all = "SELECT GROUP_CONCAT(CONCAT_WS(':', a, IFNULL(b, '-'), IFNULL(c, '-')) ORDER BY a) FROM loaded"
	if err := conn.QueryRowContext(ctx, all).Scan(&got); err != nil {
		t.Fatal(err)
	}
	const want = "0:toolo:3.00,1:abc:1.24,2:-:-,4:d:5.00,11:x:-,12:y:-,21:x:42.00,22:-:44.00,31:x:-,41:-:-,42:-:-"
	if got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
}

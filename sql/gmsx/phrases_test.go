package gmsx

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/dolthub/vitess/go/mysql"
)

// What the engine's parser does not know means what it means in MySQL.
func TestPhrases(t *testing.T) {
	s := start(t, Options{})
	db := s.root(t)
	db.SetMaxOpenConns(1)
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"SHOW SCHEMAS LIKE 'd'", []string{"d"}},
		{"SHOW STORAGE ENGINES", query(t, db, "SHOW ENGINES")},
		{"SHOW FULL TRIGGERS FROM `d`", []string{}},
		{"SHOW LOCAL VARIABLES LIKE 'autocommit'", []string{"autocommit ON"}},
		{"SELECT * FROM performance_schema.session_variables WHERE variable_name = 'autocommit'", []string{"autocommit ON"}},
		{"SELECT COUNT(*) FROM performance_schema.global_status WHERE variable_name = 'Uptime'", []string{"1"}},
		{"SHOW DATABASES LIKE 'perf%'", []string{}},
		{"SHOW OPEN TABLES FROM d WHERE in_use != 0", []string{}},
		{"SHOW ERRORS", []string{}},
		{"show count(*) errors", []string{"0"}},
		{"SHOW COUNT(*) WARNINGS", []string{"0"}},
		{"SHOW ENGINE INNODB STATUS", []string{}},
		{"SHOW PROFILES", []string{}},
		{"SHOW CREATE USER", []string{"CREATE USER `root`@`localhost`"}},
		{"DESCRIBE nums i", []string{"i bigint YES  NULL "}},
		{"DESC d.nums 'i%'", []string{"id bigint NO PRI NULL ", "i bigint YES  NULL "}},
		{"DO 1, SLEEP(0)", []string{}},
		{"FLUSH STATUS", []string{}},
		{"RESET QUERY CACHE", []string{}},
		{"XA RECOVER", []string{}},
		{"CHECK TABLE nums, d.nosuch", []string{"d.nums check status OK", "d.nosuch check Error Table 'nosuch' doesn't exist", "d.nosuch check status Operation failed"}},
		{"OPTIMIZE TABLE nums", []string{"d.nums optimize note The storage engine for the table doesn't support optimize"}},
		{"CHECKSUM TABLE nums", []string{"d.nums NULL"}},
		{"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", []string{}},
		{"ROLLBACK", []string{}},
		{"SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED", []string{}},
		{"SET STATEMENT max_statement_time=2 FOR SELECT 1", []string{"1"}},
		{"SELECT HIGH_PRIORITY SQL_BUFFER_RESULT 1", []string{"1"}},
		{"SELECT DISTINCTROW t FROM nums WHERE t = 2", []string{"2"}},
		{"SELECT id FROM nums USE INDEX FOR ORDER BY (PRIMARY) WHERE id = 1", []string{"1"}},
		{"SELECT id FROM nums WHERE id = 1 FOR SHARE", []string{"1"}},
		{"SELECT 1 AS std, 2 variance, 3 AS rank", []string{"1 2 3"}},
		{"SELECT COUNT(*) AS std FROM nums", []string{"4"}},
		{"SELECT {fn UCASE('a')}, {d '2020-01-02'}, {ts '2020-01-02 03:04:05'}", []string{"A 2020-01-02 2020-01-02 03:04:05"}},
		{"SELECT '{fn x}' AS a, {fn CONCAT('}', '{')}", []string{"{fn x} }{"}},
		{"SELECT @n := 41, @n + 1", []string{"41 42"}},
		{"SELECT id, @r := @r + 1 AS r FROM nums, (SELECT @r := 10) x ORDER BY id", []string{"1 11", "2 12", "3 13", "4 14"}},
		{"SELECT CASE t WHEN 1 THEN @k := 'one' ELSE @k := 'more' END AS k, CONCAT(@k, '!') FROM nums WHERE id < 3 ORDER BY id", []string{"one one!", "more more!"}},
		{"EXPLAIN FORMAT=TRADITIONAL SELECT 1", query(t, db, "EXPLAIN SELECT 1")},
		{"SELECT 1; SHOW SCHEMAS LIKE 'd'", nil}, // multi-statements are off in this driver
	} {
		if c.want == nil {
			if _, err := tryQuery(db, c.query); err == nil {
				t.Errorf("%s: no error", c.query)
			}
			continue
		}
		expect(t, db, c.query, c.want...)
	}
	expect(t, s.open(t, "root", "", "multiStatements=true"), "SHOW FULL TRIGGERS; DO 1", []string{}...)

	got := query(t, db, "EXPLAIN FORMAT=JSON SELECT id FROM nums WHERE id = 1")
	if len(got) != 1 || !strings.HasPrefix(got[0], "{\n  \"query_block\"") {
		t.Errorf("EXPLAIN FORMAT=JSON: %q", got)
	}
	for q, number := range map[string]uint16{
		"SELEC 1": 1064, "EXPLAIN SELEC 1": 1064, "SHOW FULL": 1064, "SELECT 1 AS select": 1064, "SHOW MASTER LOGS": 1381,
		"CHECK TABLE (SELECT 1)": 1064, "DO nosuch": 1054, "SELECT @x := ": 1064, "SELECT {d '2020-01-01'": 1064, "SELECT {x 1}": 1064,
		"DESC nums_no i": 1146, "SELECT std(": 1064,
	} {
		_, err := tryQuery(db, q)
		expectNumber(t, q, err, number)
	}
}

func expectNumber(t *testing.T, q string, err error, number uint16) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %d", q, number)
		return
	}
	if n := numberOf(err); n != number {
		t.Errorf("%s: %v, want number %d", q, err, number)
	}
}

// A statement that the parser does not know keeps to the rights of its account.
func TestPhrasesAskForRights(t *testing.T) {
	s := start(t, Options{})
	root := s.root(t)
	for _, q := range []string{"CREATE USER reader@'%'", "GRANT SELECT ON d.pairs TO reader@'%'"} {
		query(t, root, q)
	}
	db := s.open(t, "reader", "", "")
	expect(t, db, "DO (SELECT COUNT(*) FROM d.pairs)")
	for _, q := range []string{
		"DO (SELECT COUNT(*) FROM d.nums)", "EXPLAIN FORMAT=JSON SELECT * FROM d.nums", "SELECT @n := id FROM d.nums",
		"SET STATEMENT max_statement_time=1 FOR SELECT id FROM d.nums",
	} {
		_, err := tryQuery(db, q)
		expectError(t, err, 1142, "42000", "denied")
	}
	rows := query(t, db, "CHECK TABLE d.nums")
	if len(rows) != 2 || !strings.Contains(rows[0], "denied") {
		t.Errorf("CHECK TABLE: %q", rows)
	}
}

// Whatever can be sent as a text can be prepared.
func TestPrepareAnything(t *testing.T) {
	s := start(t, Options{ParseHook: testHook})
	db := s.root(t)
	db.SetMaxOpenConns(1)
	ctx := context.Background()
	for _, q := range []string{"CREATE STREAM a", "SHOW STREAMS", "SHOW FULL TRIGGERS", "DO 1", "SELECT ':v1'", "SHOW SCHEMAS LIKE 'd'", "EXPLAIN SELECT 1", "SET @a = 1"} {
		st, err := db.PrepareContext(ctx, q)
		if err != nil {
			t.Errorf("%s: %v", q, err)
			continue
		}
		if _, err := st.ExecContext(ctx); err != nil {
			t.Errorf("%s: %v", q, err)
		}
		st.Close()
	}
	var a, b string
	if err := db.QueryRow("SELECT ':v1', @m := ?", "x").Scan(&a, &b); err != nil || a != ":v1" || b != "x" {
		t.Errorf("%q, %q, %v", a, b, err)
	}
	for _, q := range []string{"PREPARE p FROM 'SHOW STREAMS'", "EXECUTE p", "DEALLOCATE PREPARE p", "PREPARE p FROM 'CREATE STREAM a'", "EXECUTE p"} {
		query(t, db, q)
	}
	_, err := db.Prepare("SELECT 1; SELECT 2")
	expectNumber(t, "two statements", err, 1064)
	_, err = db.Prepare("")
	expectNumber(t, "no statement", err, 1065)
	long := "SELECT '" + strings.Repeat("x", 100_000) + "'"
	st, err := db.Prepare(long)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.QueryRow().Scan(&a); err != nil || len(a) != 100_000 {
		t.Errorf("a long text: %d bytes, %v", len(a), err)
	}
}

func TestStatistics(t *testing.T) {
	s := start(t, Options{})
	w := s.login(t)
	for range 2 {
		w.command(commandStatistics)
		if r := string(w.read()); !strings.HasPrefix(r, "Uptime: ") || !strings.Contains(r, "  Threads: 1  ") {
			t.Errorf("statistics: %q", r)
		}
	}
	w.command(comQuery, []byte("SELECT 1")...)
	if r := w.read(); r[0] != 1 {
		t.Errorf("afterwards: %q", r)
	}
}

// COM_CHANGE_USER begins another session of another account, on the same
// connection, and only for who knows its password.
func TestChangeUser(t *testing.T) {
	s := start(t, Options{})
	root := s.root(t)
	for _, q := range []string{"CREATE USER other@'%' IDENTIFIED BY 'secret'", "GRANT SELECT ON d.* TO other@'%'"} {
		query(t, root, q)
	}
	change := func(w *wire, user, password, database string) []byte {
		t.Helper()
		body := append([]byte(user+"\x00\x00"+database+"\x00"), 45, 0)
		w.command(commandChangeUser, append(body, "mysql_native_password\x00"...)...)
		r := w.read()
		plugin, salt, ok := bytes.Cut(r[1:], []byte{0})
		if r[0] != 0xfe || string(plugin) != "mysql_native_password" || !ok {
			t.Fatalf("no request for the password: %q", r)
		}
		w.seq = 2
		if password == "" {
			w.write(nil)
		} else {
			w.write(mysql.ScrambleMysqlNativePassword(salt[:20], []byte(password)))
		}
		return w.read()
	}
	user := func(w *wire) string {
		t.Helper()
		w.command(comQuery, []byte("SELECT CONCAT(USER(), ' ', IFNULL(DATABASE(), ''), ' ', IFNULL(@a, ''))")...)
		if r := w.read(); r[0] != 1 {
			t.Fatalf("query: %q", r)
		}
		w.skipColumns(1)
		row := w.read()
		w.read()
		return string(row[1:])
	}
	w := s.login(t)
	w.command(comQuery, []byte("SET @a = 1")...)
	w.read()
	if r := change(w, "other", "secret", "d"); r[0] != 0 {
		t.Fatalf("change user: %q", r)
	}
	if got := user(w); got != "other@% d " {
		t.Errorf("after the change: %q", got)
	}
	if r := change(w, "root", "", ""); r[0] != 0 {
		t.Fatalf("change back: %q", r)
	}
	if got := user(w); got != "root@localhost d " {
		t.Errorf("after the change back: %q", got)
	}
	r := change(w, "other", "wrong", "d")
	if r[0] != 0xff || binary.LittleEndian.Uint16(r[1:]) != 1045 {
		t.Errorf("with a wrong password: %q", r)
	}
	if _, err := w.c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes on after a wrong password")
	}

	w = s.login(t)
	w.command(commandChangeUser, []byte("no end")...)
	if r := w.read(); r[0] != 0xff || binary.LittleEndian.Uint16(r[1:]) != 1047 {
		t.Errorf("malformed: %q", r)
	}
	if got := user(w); got != "root@localhost d " {
		t.Errorf("after what was malformed: %q", got)
	}
}

func TestClientFunctions(t *testing.T) {
	db := start(t, Options{}).root(t)
	for expr, want := range map[string]string{
		"CAST('12abc' AS SIGNED)":                                      "12",
		"CAST('-7.9x' AS SIGNED)":                                      "-7",
		"CAST('abc' AS SIGNED)":                                        "0",
		"CAST('' AS UNSIGNED)":                                         "0",
		"CAST('12.345abc' AS DECIMAL(10,2))":                           "12.35",
		"CAST('1e2x' AS DOUBLE)":                                       "100",
		"CAST(' 42 ' AS SIGNED)":                                       "42",
		"STR_TO_DATE('20220830', '%Y%m%d')":                            "2022-08-30",
		"STR_TO_DATE('20220830-123542', '%Y%m%d-%H%i%s')":              "2022-08-30 12:35:42",
		"STR_TO_DATE('20220830123542', '%Y%m%d%H%i%s')":                "2022-08-30 12:35:42",
		"STR_TO_DATE('2022-08-30 12:35:42.5', '%Y-%m-%d %H:%i:%s.%f')": "2022-08-30 12:35:42.500000",
		"STR_TO_DATE('30/Aug/2022:12:35:42', '%d/%b/%Y:%T')":           "2022-08-30 12:35:42",
		"STR_TO_DATE('May 1, 2013','%M %d,%Y')":                        "2013-05-01",
		"STR_TO_DATE('9:05:06 pm', '%r')":                              "21:05:06",
		"STR_TO_DATE('1st 02 99', '%D %m %y')":                         "1999-02-01",
		"STR_TO_DATE('2022 200', '%Y %j')":                             "2022-07-19",
		"STR_TO_DATE('200442 Monday', '%X%V %W')":                      "2004-10-18",
		"STR_TO_DATE('2024-02-30', '%Y-%m-%d')":                        "NULL",
		"STR_TO_DATE('2024-13-01', '%Y-%m-%d')":                        "NULL",
		"STR_TO_DATE('2024-02', '%Y-%m')":                              "NULL",
		"STR_TO_DATE('x', '%Y')":                                       "NULL",
		"STR_TO_DATE(NULL, '%Y')":                                      "NULL",
		"MAKETIME(10, 11, 12.5)":                                       "10:11:12.500000",
		"ADDTIME('10:00:00', '01:00:00.5')":                            "11:00:00.500000",
		"SUBTIME('2020-01-01 00:00:00', '00:00:01')":                   "2019-12-31 23:59:59",
		"PERIOD_ADD(202011, 3)":                                        "202102",
		"PERIOD_DIFF(202102, 202011)":                                  "3",
		"TO_SECONDS('2020-01-01')":                                     "63745056000",
		"OCT(8)":                                                       "10",
		"INSERT('Quadratic', 3, 4, 'What')":                            "QuWhattic",
		"INSERT('é한글', 2, 100, 'x')":                                   "éx",
		"MAKE_SET(5, 'a', 'b', 'c')":                                   "a,c",
		"EXPORT_SET(5, 'Y', 'N', ',', 4)":                              "Y,N,Y,N",
		"TIMEDIFF(NOW(), UTC_TIMESTAMP())":                             "00:00:00",
		"BENCHMARK(10, SLEEP(100))":                                    "0",
		"UUID_SHORT() < UUID_SHORT()":                                  "1",
		"CAST('2020-01-02 03:04:05.1' AS DATETIME(6))":                 "2020-01-02 03:04:05.100000",
		"CAST('2020-01-02 03:04:05.12' AS DATETIME(3))":                "2020-01-02 03:04:05.120",
	} {
		expect(t, db, "SELECT "+expr, want)
	}
	// The same in the binary protocol.
	var at string
	if err := db.QueryRow("SELECT CAST('2020-01-02 03:04:05.1' AS DATETIME(6)) FROM nums WHERE id = ?", 1).Scan(&at); err != nil || at != "2020-01-02 03:04:05.100000" {
		t.Errorf("%q, %v", at, err)
	}
}

// Drivers ask for lists of types like this one, which must not take long.
func TestUnionOfConstants(t *testing.T) {
	db := start(t, Options{}).root(t)
	var b strings.Builder
	for i := range 43 {
		if i > 0 {
			b.WriteString(" UNION ")
		}
		b.WriteString("SELECT 'T" + strings.Repeat("x", i) + "', -7, NULL, " + strings.Repeat("9", i%17+1) + ", 'a', 1, NULL, 70000, 255, 0, 1, 2")
	}
	if rows := query(t, db, b.String()); len(rows) != 43 || rows[0] != "T -7 NULL 9 a 1 NULL 70000 255 0 1 2" {
		t.Errorf("%d rows, the first %q", len(rows), rows[0])
	}
}

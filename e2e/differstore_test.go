package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// storeTypes are the types of columns that TestDifferStores stores values in.
var storeTypes = []string{
	"TINYINT", "SMALLINT UNSIGNED", "INT", "INT NOT NULL", "BIGINT", "BIGINT UNSIGNED", "DECIMAL(5,2)", "DOUBLE", "FLOAT",
	"CHAR(3)", "VARCHAR(5)", "VARCHAR(40)", "TEXT", "TEXT NOT NULL", "BINARY(3)", "VARBINARY(5)", "BLOB",
	"DATE", "DATE NOT NULL", "DATETIME", "DATETIME(3)", "TIME", "YEAR", "ENUM('a','b')", "SET('x','y')", "BIT(4)", "BOOLEAN",
}

// storeValues are the values.
var storeValues = []string{
	"NULL", "0", "1", "-1", "3", "127", "128", "255", "256", "-32769", "99999", "2147483648", "-2147483649", "18446744073709551615", "18446744073709551616", "20240102", "240102", "20240230", "101112", "999999", "20240102030405",
	"0.5", "1.5", "-0.4", "2.345", "-1.25", "999.994", "999.995", "1234567.891",
	"1e0", "2.5e0", "-0.5e0", "1e3", "1e14", "1e15", "1e20", "1e40", "1e-7", "123456.789e0", "1e300",
	"''", "' '", "'a'", "'b'", "'abc'", "'ab '", "'abc  '", "'abcdef'", "'ünïcödé'", "'x,y'", "'x,z'", "'1'", "' 12 '", "'-3'", "'12abc'", "'1.5'", "'1.999'", "'1e2'", "'1e400'", "'-1.5e-3'", "'0x41'", "'.5'", "'99999'", "'true'", "TRUE",
	"'2024-01-02'", "'2024-01-02 03:04:05'", "'2024-01-02 03:04:05.6789'", "'2024-02-30'", "'2024-00-00'", "'0000-00-00'", "'20240102'", "'240102'", "'2024.01.02'", "'24-1-2'", "'24-1-2 3:4'", "'2024-01-02T03:04:05'", "'2024-1-2x'", "'2024-01-02 25:00:00'", "'20240102030405'", "'2024-13-01'",
	"'10:11:12'", "'10:11'", "'-10:11:12.567'", "'838:59:59'", "'839:00:00'", "'10:61:00'", "'1 02:03:04'", "'101112'", "'10:11:12x'", "'9999'", "'70'", "'69'", "'2155'", "'2156'",
	"DATE '2024-01-02'", "TIME '10:11:12'", "TIME '10:11:12.567'", "TIMESTAMP '2024-01-02 03:04:05'", "TIMESTAMP '2024-01-02 03:04:05.678'", "CAST('2024-01-02' AS DATE)", "CAST('10:11:12' AS TIME)", "CAST('-10:11:12.5' AS TIME(1))", "CAST('2024-01-02 23:59:59.999' AS DATETIME(3))",
	"X'41'", "b'101'", "0x4142", "X'FF'", "b'1111111111'", "CAST('abc' AS BINARY)", "CAST('12' AS BINARY)", "CAST(12 AS CHAR)", "CAST(1.50 AS DECIMAL(5,2))", "1 = 1", "1 / 3", "1 / 0", "10 / 4", "CAST(7 AS UNSIGNED)", "CONCAT('a', 1)", "UNHEX('C328')",
}

// storeWays are the statements, of a column v of table @t, the row @id and the
// value @v, each with the modes that it runs in.
var storeWays = []struct {
	name, mode string
	stmts      []string // the last is the one that stores
}{
	{"INSERT, strict", "strict", []string{"INSERT INTO @t (id, v) VALUES (@id, @v)"}},
	{"INSERT", "", []string{"INSERT INTO @t (id, v) VALUES (@id, @v)"}},
	{"INSERT IGNORE, strict", "strict", []string{"INSERT IGNORE INTO @t (id, v) VALUES (@id, @v)"}},
	{"INSERT SELECT", "", []string{"INSERT INTO @t (id, v) SELECT @id, @v"}},
	{"UPDATE, strict", "strict", []string{"INSERT INTO @t (id, v) VALUES (@id, DEFAULT)", "UPDATE @t SET v = @v WHERE id = @id"}},
	{"UPDATE", "", []string{"INSERT INTO @t (id, v) VALUES (@id, DEFAULT)", "UPDATE @t SET v = @v WHERE id = @id"}},
	{"UPDATE IGNORE, strict", "strict", []string{"INSERT INTO @t (id, v) VALUES (@id, DEFAULT)", "UPDATE IGNORE @t SET v = @v WHERE id = @id"}},
	{"ON DUPLICATE KEY UPDATE, strict", "strict", []string{"INSERT INTO @t (id, v) VALUES (@id, DEFAULT)", "INSERT INTO @t (id) VALUES (@id) ON DUPLICATE KEY UPDATE v = @v"}},
	{"ON DUPLICATE KEY UPDATE", "", []string{"INSERT INTO @t (id, v) VALUES (@id, DEFAULT)", "INSERT INTO @t (id) VALUES (@id) ON DUPLICATE KEY UPDATE v = @v"}},
}

// stored is what became of a value: its error and warnings, and what the column
// has then.
func (s *session) stored(ctx context.Context, stmts []string, table, id, text string) (outcome, value string) {
	last := len(stmts) - 1
	for _, q := range stmts[:last] {
		s.must(ctx, q)
	}
	a := s.ask(ctx, stmts[last])
	w := s.ask(ctx, "SHOW WARNINGS")
	var codes []string
	for _, row := range w.rows {
		if row[0] != "Error" {
			codes = append(codes, row[0][:1]+row[1])
		}
	}
	if a.err != nil {
		outcome = fmt.Sprint("error ", a.number(), " ")
	}
	outcome += strings.Join(codes, " ")
	v := s.ask(ctx, "SELECT "+text+" FROM "+table+" WHERE id = "+id)
	switch {
	case v.err != nil:
		value = v.err.Error()
	case len(v.rows) == 0:
		value = "no row"
	default:
		value = v.rows[0][0]
	}
	return outcome, value
}

// A storeCase is a value that one statement stores in a column of some type, and
// what became of it on weir and on MariaDB.
type storeCase struct {
	typ, way, value           string
	outcome, stored           string
	mariaOutcome, mariaStored string
}

// TestDifferStores stores values in columns of all types, by all statements, with
// and without strict mode, on weir and on MariaDB, and compares errors, warnings
// and what is stored then. -differ-stores says how many of all cases, chosen by
// -differ-seed.
func TestDifferStores(t *testing.T) {
	ctx := t.Context()
	mdb := newMariaDB(ctx, t)
	if _, err := mdb.ExecContext(ctx, "CREATE DATABASE analytics"); err != nil {
		t.Fatal(err)
	}
	maria := newSession(ctx, t, mdb, "USE analytics", "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin", "SET time_zone = '+00:00'")
	weir := newSession(ctx, t, newClient(t, newServer(ctx, t)).db, "USE analytics", "SET time_zone = '+00:00'")
	seed := *differSeed
	switch seed {
	case -1:
		seed = 1
	case 0:
		seed = rand.Int64()
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(uint64(seed), 3))
	all := len(storeTypes) * len(storeWays) * len(storeValues)
	share := float64(*differStores) / float64(all)
	id, compared := 0, 0
	listed, differ := storeKnown(t), 0
	for i, typ := range storeTypes {
		table := fmt.Sprintf("s%d", i)
		def := typ
		if strings.Contains(typ, "NOT NULL") {
			def += " DEFAULT " + map[string]string{"INT": "7", "DATE": "'2020-01-01'", "TEXT": "('q')"}[strings.Fields(typ)[0]]
		}
		for _, s := range []*session{maria, weir} {
			s.must(ctx, "CREATE TABLE "+table+" (id INT PRIMARY KEY, v "+def+")")
		}
		text := "v"
		if regexp.MustCompile("CHAR|TEXT|BLOB|BINARY|BIT").MatchString(typ) {
			text = "HEX(v)"
		}
		for n, way := range storeWays {
			mode := "NO_ENGINE_SUBSTITUTION"
			if way.mode == "strict" {
				mode += ",STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_IN_DATE,NO_ZERO_DATE"
			}
			weir.must(ctx, "SET sql_mode = '"+mode+"'")
			maria.must(ctx, "SET sql_mode = '"+mode+",TIME_ROUND_FRACTIONAL'")
			for _, v := range storeValues {
				if *differStores > 0 && r.Float64() > share {
					continue
				}
				id++
				c := storeCase{typ: typ, way: way.name, value: v}
				var stmts []string
				for _, q := range way.stmts {
					stmts = append(stmts, strings.NewReplacer("@t", table, "@id", fmt.Sprint(id), "@v", v).Replace(q))
				}
				c.outcome, c.stored = weir.stored(ctx, stmts, table, fmt.Sprint(id), text)
				c.mariaOutcome, c.mariaStored = maria.stored(ctx, stmts, table, fmt.Sprint(id), text)
				compared++
				same := c.outcome == c.mariaOutcome && c.stored == c.mariaStored
				if !same {
					differ++
				}
				if known := strings.Contains(listed[[2]string{typ, v}], strconv.Itoa(n+1)); known != same {
					continue
				}
				if same {
					t.Errorf("%s\t%s\t%s\tis listed in testdata/stores.txt, and does not differ any more", typ, way.name, v)
					continue
				}
				t.Errorf("%s\t%s\t%s\tweir: %s: %s\tMariaDB: %s: %s", c.typ, c.way, c.value, c.outcome, c.stored, c.mariaOutcome, c.mariaStored)
			}
		}
	}
	t.Logf("%d values were stored, %d known to differ", compared, differ)
}

// storeKnown is testdata/stores.txt.
func storeKnown(t *testing.T) map[[2]string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "stores.txt"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[[2]string]string{}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Split(strings.TrimRight(line, "\n"), "\t"); len(fields) == 3 {
			known[[2]string{fields[0], fields[1]}] = fields[2]
		}
	}
	return known
}

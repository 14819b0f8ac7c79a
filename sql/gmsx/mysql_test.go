package gmsx

import (
	"strings"
	"testing"
)

// What differed from MySQL, in its smallest form.
func TestAnswersOfMySQL(t *testing.T) {
	db := start(t, Options{}).root(t)
	for _, c := range []struct{ q, want string }{
		// Arithmetic, in the types that MySQL has for it.
		{"SELECT 18446744073709551614 + 1, CAST(5 AS UNSIGNED) - 3, -(-128), -(-2147483648)", "18446744073709551615 2 128 2147483648"},
		{"SELECT u + 0, u - 1 FROM nums WHERE id = 1", "18446744073709551615 18446744073709551614"},
		{"SELECT 7 DIV 2, -7 DIV 2, 7.5 DIV 2, 7 % -3, 5 % 0, 5 DIV 0, 1 / 0", "3 -3 3 1 NULL NULL NULL"},
		{"SELECT 1 / 3, (1 / 3) * 3, 10 / 4, SUM(1 / 3) FROM nums", "0.3333 1.0000 2.5000 1.3333"},
		{"SELECT ~0, 18446744073709551615 & 6, 1 << 63, 1 << 64, 5 ^ 3, -1 >> 63, '7' | 8", "18446744073709551615 6 9223372036854775808 0 6 1 15"},
		{"SELECT 0.1 + 0.20, 1.50 * 2, 1.5 + 1, d + 1 FROM nums WHERE id = 1", "0.30 3.00 2.5 1.10"},
		// Casts.
		{"SELECT CAST('12abc' AS SIGNED), CAST(' -7.9' AS SIGNED), CAST('x' AS UNSIGNED), CAST('-1' AS UNSIGNED)", "12 -7 0 18446744073709551615"},
		{"SELECT CAST(2.5 AS SIGNED), CAST(2.5e0 AS SIGNED), CAST('1e3' AS DECIMAL(6,1)), CAST(12345 AS DECIMAL(4,1)), CAST('1.5x' AS DOUBLE)", "3 2 1000.0 999.9 1.5"},
		{"SELECT CAST(CAST('2026-01-02' AS DATE) AS CHAR), CAST(1e20 AS CHAR), CAST('2026-01-01 23:59:59.9' AS DATETIME)", "2026-01-02 1e20 2026-01-02 00:00:00"},
		// Rounding.
		{"SELECT ROUND(2.5), ROUND(2.5e0), ROUND(-1.255, 2), ROUND(1.5, 3), ROUND(155, -1), TRUNCATE(1.999, 1), FLOOR(-1.5), CEIL(1.2), SIGN(-0.01)", "3 2 -1.26 1.500 160 1.9 -2 2 -1"},
		{"SELECT ROUND(18446744073709551615), ABS(-9.5), MOD(7, 4)", "18446744073709551615 9.5 3"},
		// Values of one of several types.
		{"SELECT GREATEST(1, 2.50), LEAST(CAST(1 AS UNSIGNED), -1), GREATEST('a', 'B'), COALESCE(NULL, 1, 2.5), IFNULL(1, 1.50), IF(1, 2, 'x')", "2.50 -1 a 1.0 1.00 2"},
		{"SELECT CASE WHEN 1 THEN 1 ELSE 2.50 END, CASE '1' WHEN 1 THEN 'same' END, NULLIF(1, 1.0), NULLIF('a', 'b')", "1.00 same NULL a"},
		{"SELECT NULL AS a UNION ALL SELECT 'x'", "NULL|x"},
		{"SELECT 18446744073709551615 AS a UNION ALL SELECT -1", "18446744073709551615|-1"},
		{"SELECT 1.5 AS a UNION ALL SELECT 2 UNION ALL SELECT NULL", "1.5|2.0|NULL"},
		{"SELECT x.a + 1 FROM (SELECT u AS a FROM nums WHERE id = 1 UNION ALL SELECT -5) x", "18446744073709551616|-4"},
		// Comparisons.
		{"SELECT 18446744073709551615 > -1, '10' > 9, 1 = '1.0', 1 IN ('x', '1.0'), (1, 'a') = (1.0, 'a'), (1, 2) IN ((2, 1), (1, 2.0))", "1 1 1 1 1 1"},
		{"SELECT CAST('2026-01-02' AS DATE) = '2026-01-02 00:00:00', CAST('2026-01-02' AS DATE) > 20260101", "1 1"},
		{"SELECT id FROM nums WHERE u IN (SELECT f FROM nums) OR d IN (SELECT '0.1')", "1"},
		{"SELECT 'x' IN (SELECT ''), 'x' IN (SELECT NULL), NULL IN (SELECT 1 FROM nums WHERE FALSE)", "0 NULL 0"},
		{"SELECT COUNT(*) FROM nums a JOIN nums b ON a.t <=> b.t", "6"},
		{"SELECT COUNT(*) FROM nums a JOIN (SELECT d + 0.000 AS e FROM nums) b ON a.d = b.e", "5"},
		{"SELECT COUNT(*) FROM nums a WHERE EXISTS (SELECT 1 FROM nums b WHERE b.s = a.id)", "0"},
		// Windows.
		{"SELECT SUM(t) OVER (ORDER BY t), COUNT(*) OVER (ORDER BY t), AVG(t) OVER () FROM nums WHERE t IS NOT NULL ORDER BY id", "1 1 1.6667|5 3 1.6667|5 3 1.6667"},
		{"SELECT MAX(id) OVER (ORDER BY id), RANK() OVER (ORDER BY d), DENSE_RANK() OVER (ORDER BY d) FROM nums ORDER BY id", "1 2 2|2 3 3|3 1 1|4 3 3"},
		{"SELECT SUM(i) OVER (PARTITION BY d) FROM nums WHERE d = 0.2", "3|3"},
		{"SELECT ROW_NUMBER() OVER () FROM nums WHERE FALSE", ""},
		// Times.
		{"SELECT '2026-01-31' + INTERVAL 1 MONTH, '2026-01-01 00:00:00.5' - INTERVAL 1 SECOND, DATE_ADD(CAST('2026-01-01' AS DATE), INTERVAL 1 DAY)", "2026-02-28 2025-12-31 23:59:59.500000 2026-01-02"},
		{"SELECT CAST('2026-01-01' AS DATE) + INTERVAL 1 HOUR, '9999-12-31' + INTERVAL 1 DAY, 'x' + INTERVAL 1 DAY", "2026-01-01 01:00:00 NULL NULL"},
		{"SELECT TIMESTAMPDIFF(SECOND, '1000-01-01', '2026-01-01'), TIMESTAMPDIFF(MONTH, '2026-01-31', '2026-02-28'), DATEDIFF('9999-12-31', '1000-01-01')", "32377449600 0 3287181"},
		{"SELECT UNIX_TIMESTAMP('2026-01-01'), UNIX_TIMESTAMP('2026-01-01 00:00:00.25'), UNIX_TIMESTAMP('1900-01-01'), UNIX_TIMESTAMP('2026-01-01 00:07:00') DIV 300 * 300", "1767225600 1767225600.25 0 1767225900"},
		{"SELECT WEEK('2026-01-01'), WEEK('2026-01-01', 1), WEEK('2023-01-01', 3), YEARWEEK('2023-01-01'), YEARWEEK('1970-01-01'), WEEK('9999-12-31')", "0 1 52 202301 196952 52"},
		{"SELECT LAST_DAY('2024-02-03'), TIMESTAMP('2026-01-01'), CONVERT_TZ('1000-01-01 00:00:00', '+00:00', '+09:00')", "2024-02-29 2026-01-01 00:00:00 1000-01-01 00:00:00"},
		// Text.
		{"SELECT CONCAT(1e-7, '/', 1e20, '/', 1.50), LPAD('ż', 3, 'ab'), RPAD('a', 4, 'xy'), REPEAT('a', -1), INSERT('abc', 2, 1, 'X'), QUOTE(NULL)", "0.0000001/1e20/1.50 abż axyx  aXc NULL"},
		{
			"SELECT FIELD('a', 'A', 'a'), LOCATE('b', 'ab', 2), LOCATE('x', '', 2), FORMAT(18446744073709551615, 1), BIN(-1), BIT_COUNT(-1), PERIOD_DIFF(202603, 202412)",
			"2 2 0 18,446,744,073,709,551,615.0 1111111111111111111111111111111111111111111111111111111111111111 64 15",
		},
		// JSON.
		{`SELECT JSON_EXTRACT('{"a": [1, 2]}', '$[1]'), JSON_EXTRACT('[1]', '$.a'), JSON_EXTRACT('{"a": [1, {"b": 2}]}', '$.a[last].b'), JSON_EXTRACT('7', '$[0]')`, "NULL NULL 2 7"},
		{`SELECT JSON_TYPE(NULL), JSON_LENGTH('{}'), JSON_LENGTH('[1, 2]'), JSON_CONTAINS_PATH('[]', 'one', '$.a'), JSON_CONTAINS_PATH('{"a": 1}', 'all', '$.a', '$.b')`, "NULL 0 2 0 0"},
		{"SELECT COUNT(NULL) FROM nums", "0"},
	} {
		want := strings.Split(c.want, "|")
		if c.want == "" {
			want = nil
		}
		expect(t, db, c.q, want...)
	}
	for q, number := range map[string]uint16{
		"SELECT 9223372036854775807 + 1":                        1690,
		"SELECT CAST(1 AS UNSIGNED) - 2":                        1690,
		"SELECT -9223372036854775808 DIV -1":                    1690,
		"SELECT ABS(-9223372036854775808)":                      1690,
		"SELECT 1e308 * 10":                                     1690,
		"SELECT CAST(1 AS DECIMAL(70,2))":                       1426,
		"SELECT SUM(i + 9223372036854775807) OVER () FROM nums": 1690,
	} {
		_, err := tryQuery(db, q)
		expectError(t, err, number, map[uint16]string{1690: "22003", 1426: "42000"}[number], "")
	}
}

func TestWarningsOfMySQL(t *testing.T) {
	s := start(t, Options{})
	conn, err := s.root(t).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, c := range []struct{ q, warning string }{
		{"SELECT CAST('12abc' AS SIGNED)", "Warning 1292 Truncated incorrect INTEGER value: '12abc'"},
		{"SELECT 'x' + 1", "Warning 1292 Truncated incorrect DOUBLE value: 'x'"},
		{"SELECT 5 % 0", "Warning 1365 Division by 0"},
		{"SELECT '9999-12-31' + INTERVAL 1 DAY", "Warning 1441 Datetime function: datetime field overflow"},
	} {
		query(t, conn, c.q)
		expect(t, conn, "SHOW WARNINGS", c.warning)
	}
}

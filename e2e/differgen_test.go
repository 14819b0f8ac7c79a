package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Statements are generated as trees, so that one which differs can be made
// smaller without becoming another language's.

// A kind is what an expression is used as.
type kind byte

const (
	kNone kind = 0   // a clause
	kNum  kind = 'n' // integers, decimals, doubles
	kInt  kind = 'i' // small integers, as counts and positions
	kStr  kind = 's'
	kTime kind = 't'
	kDate kind = 'a'
	kBool kind = 'b' // conditions and BOOLEAN columns
	kJSON kind = 'j'
	kAny  kind = 'x'
)

// A node is text with its children at each §.
type node struct {
	kind kind
	text string
	kids []*node
	// sep joins the children of a list, which may lose all but one of them.
	sep string
	// optional nodes may be left out.
	optional bool
	// args are those of the parameters in text.
	args []any
	// ordered, of a statement, says that the order of its rows is defined.
	ordered bool
}

func leaf(k kind, text string) *node { return &node{kind: k, text: text} }

func (n *node) String() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *node) write(b *strings.Builder) {
	if n.sep != "" {
		for i, k := range n.kids {
			if i > 0 {
				b.WriteString(n.sep)
			}
			k.write(b)
		}
		return
	}
	kids := n.kids
	for part := range strings.SplitSeq(n.text, "§") {
		b.WriteString(part)
		if len(kids) > 0 {
			kids[0].write(b)
			kids = kids[1:]
		}
	}
}

// copyTo returns n with old replaced by new.
func (n *node) replaced(old, new *node) *node {
	if n == old {
		return new
	}
	c := *n
	c.kids = make([]*node, 0, len(n.kids))
	for _, k := range n.kids {
		if k = k.replaced(old, new); k != nil {
			c.kids = append(c.kids, k)
		}
	}
	return &c
}

func (n *node) walk(f func(*node)) {
	f(n)
	for _, k := range n.kids {
		k.walk(f)
	}
}

// smaller are the nodes that n may be replaced with, the smallest first. A nil
// drops it from a list.
func (n *node) smaller() []*node {
	var out []*node
	if n.optional && (n.text != "" || n.sep != "") {
		out = append(out, &node{optional: true})
	}
	if n.sep != "" && len(n.kids) > 1 {
		for i := range n.kids {
			c := *n
			c.kids = append(append([]*node{}, n.kids[:i]...), n.kids[i+1:]...)
			out = append(out, &c)
		}
	}
	if n.kind == kNone {
		return out
	}
	for _, k := range n.kids {
		k.walk(func(d *node) {
			if d.kind == n.kind || n.kind == kAny && d.kind != kNone || n.kind == kNum && d.kind == kInt {
				out = append(out, d)
			}
		})
	}
	return out
}

// params are the arguments of the statement.
func (n *node) params() []any {
	var all []any
	n.walk(func(n *node) { all = append(all, n.args...) })
	return all
}

// A form is a way to write an expression of a kind: each %x is one of kind x.
type form struct {
	kind kind
	text string
}

var forms = []form{
	// Conditions.
	{kBool, "(%n = %n)"},
	{kBool, "(%n <> %n)"},
	{kBool, "(%n < %n)"},
	{kBool, "(%n >= %n)"},
	{kBool, "(%n <=> %n)"},
	{kBool, "(%s = %s)"},
	{kBool, "(%s <> %s)"},
	{kBool, "(%s < %s)"},
	{kBool, "(%s >= %s)"},
	{kBool, "(%s <=> %s)"},
	{kBool, "(%t = %t)"},
	{kBool, "(%t <> %t)"},
	{kBool, "(%t < %t)"},
	{kBool, "(%t >= %t)"},
	{kBool, "(%t <=> %t)"},
	{kBool, "(%a = %a)"},
	{kBool, "(%a < %t)"},
	{kBool, "(%a >= %a)"},
	{kBool, "(%t = %a)"},
	{kBool, "(%n = %s)"},
	{kBool, "(%s < %n)"},
	{kBool, "(%n IN (%n, %n, %n))"},
	{kBool, "(%n NOT IN (%n, %n))"},
	{kBool, "(%s IN (%s, %s))"},
	{kBool, "(%s NOT IN (%s, %s, %s))"},
	{kBool, "(%t IN (%t, %t))"},
	{kBool, "(%a IN (%a, %a))"},
	{kBool, "(%n IN (%s, %s))"},
	{kBool, "(%n BETWEEN %n AND %n)"},
	{kBool, "(%n NOT BETWEEN %n AND %n)"},
	{kBool, "(%s BETWEEN %s AND %s)"},
	{kBool, "(%t BETWEEN %t AND %t)"},
	{kBool, "(%a BETWEEN %a AND %a)"},
	{kBool, "(%x IS NULL)"},
	{kBool, "(%x IS NOT NULL)"},
	{kBool, "(%b IS TRUE)"},
	{kBool, "(%b IS NOT TRUE)"},
	{kBool, "(%b IS FALSE)"},
	{kBool, "(NOT %b)"},
	{kBool, "(%b AND %b)"},
	{kBool, "(%b OR %b)"},
	{kBool, "(%b XOR %b)"},
	{kBool, "(%b AND %b AND %b)"},
	{kBool, "(%b OR %b OR %b)"},
	{kBool, "(%s LIKE %p)"},
	{kBool, "(%s NOT LIKE %p)"},
	{kBool, "(%s LIKE 'a|_%%' ESCAPE '|')"},
	{kBool, "(%s REGEXP '^[a-c]+$')"},
	{kBool, "(%n IN (SELECT %c FROM %r))"},
	{kBool, "(%s IN (SELECT %d FROM %r))"},
	{kBool, "((%i, %s) IN ((%i, %s), (%i, %s)))"},
	{kBool, "((%n, %s) = (%n, %s))"},
	{kBool, "ISNULL(%x)"},
	{kBool, "(%n)"},

	// Numbers.
	{kNum, "(%n + %n)"},
	{kNum, "(%n - %n)"},
	{kNum, "(%n * %n)"},
	{kNum, "(%n / %n)"},
	{kNum, "(%n DIV %n)"},
	{kNum, "(%n %% %n)"},
	{kNum, "(- %n)"},
	{kNum, "ABS(%n)"},
	{kNum, "SIGN(%n)"},
	{kNum, "FLOOR(%n)"},
	{kNum, "CEIL(%n)"},
	{kNum, "ROUND(%n)"},
	{kNum, "ROUND(%n, %l)"},
	{kNum, "TRUNCATE(%n, %l)"},
	{kNum, "MOD(%n, %n)"},
	{kNum, "POW(%i, %i)"},
	{kNum, "SQRT(%n)"},
	{kNum, "EXP(%i)"},
	{kNum, "CAST(ROUND(LN(%i), 9) AS DECIMAL(20,9))"},
	{kNum, "CAST(ROUND(LOG10(%i), 9) AS DECIMAL(20,9))"},
	{kNum, "CAST(ROUND(LOG2(%i), 9) AS DECIMAL(20,9))"},
	{kNum, "GREATEST(%n, %n)"},
	{kNum, "LEAST(%n, %n, %n)"},
	{kNum, "COALESCE(%n, %n)"},
	{kNum, "IFNULL(%n, %n)"},
	{kNum, "NULLIF(%n, %n)"},
	{kNum, "IF(%b, %n, %n)"},
	{kNum, "CASE WHEN %b THEN %n ELSE %n END"},
	{kNum, "CASE WHEN %b THEN %n END"},
	{kNum, "CASE %n WHEN %n THEN %n WHEN %n THEN %n ELSE %n END"},
	{kNum, "CAST(%n AS SIGNED)"},
	{kNum, "CAST(ABS(%i) AS UNSIGNED)"},
	{kNum, "CAST(%n AS DECIMAL(12,3))"},
	{kNum, "CAST(%n AS DOUBLE)"},
	{kNum, "CAST(%s AS SIGNED)"},
	{kNum, "CAST(%s AS UNSIGNED)"},
	{kNum, "CAST(%s AS DECIMAL(10,2))"},
	{kNum, "CAST(%s AS DOUBLE)"},
	{kNum, "(%s + 0)"},
	{kNum, "(%i & %i)"},
	{kNum, "(%i | %i)"},
	{kNum, "(%i << 2)"},
	{kNum, "(%i >> 1)"},
	{kNum, "(~%i)"},
	{kNum, "BIT_COUNT(%i)"},
	{kNum, "(%b + 0)"},
	{kNum, "%i"},
	{kNum, "CRC32(%s)"},

	{kNum, "CASE %s WHEN %s THEN %n ELSE %n END"},
	{kNum, "COALESCE(NULLIF(%n, 0), %n)"},
	{kNum, "(%n DIV NULLIF(%i, 0))"},
	{kBool, "(%n NOT IN (SELECT %c FROM %r))"},
	{kBool, "(%s NOT IN (SELECT %d FROM %r))"},
	{kBool, "(%n > (SELECT MAX(%c) FROM %r))"},
	{kBool, "(%s IN (SELECT %d FROM %r WHERE %c > 1))"},
	{kBool, "COALESCE(%b, %b)"},
	{kBool, "(CASE WHEN %b THEN %b ELSE %b END)"},

	// Small integers.
	{kInt, "LENGTH(%s)"},
	{kInt, "CHAR_LENGTH(%s)"},
	{kInt, "ASCII(%s)"},
	{kInt, "LOCATE(%s, %s)"},
	{kInt, "LOCATE('b', %s, 2)"},
	{kInt, "INSTR(%s, %s)"},
	{kInt, "STRCMP(%s, %s)"},
	{kInt, "FIELD(%s, %s, %s)"},
	{kInt, "FIELD(%i, %i, %i)"},
	{kInt, "FIND_IN_SET('b', %s)"},
	{kInt, "YEAR(%t)"},
	{kInt, "MONTH(%a)"},
	{kInt, "DAY(%t)"},
	{kInt, "HOUR(%t)"},
	{kInt, "MINUTE(%t)"},
	{kInt, "SECOND(%t)"},
	{kInt, "MICROSECOND(%t)"},
	{kInt, "QUARTER(%a)"},
	{kInt, "WEEK(%a)"},
	{kInt, "WEEK(%t, 3)"},
	{kInt, "WEEKDAY(%a)"},
	{kInt, "DAYOFWEEK(%t)"},
	{kInt, "DAYOFYEAR(%a)"},
	{kInt, "YEARWEEK(%a)"},
	{kInt, "WEEKOFYEAR(%a)"},
	{kInt, "DATEDIFF(%t, %a)"},
	{kInt, "TIMESTAMPDIFF(SECOND, %t, %t)"},
	{kInt, "TIMESTAMPDIFF(DAY, %a, %t)"},
	{kInt, "TIMESTAMPDIFF(MONTH, %t, %a)"},
	{kInt, "TIMESTAMPDIFF(YEAR, %a, %a)"},
	{kInt, "TO_DAYS(%a)"},
	{kInt, "EXTRACT(YEAR_MONTH FROM %t)"},
	{kInt, "EXTRACT(HOUR FROM %t)"},
	{kInt, "EXTRACT(DAY FROM %a)"},
	{kNum, "COALESCE(UNIX_TIMESTAMP(CAST(%t AS DATETIME(6))), 0)"},
	{kNum, "(COALESCE(UNIX_TIMESTAMP(CAST(%t AS DATETIME(6))), 0) DIV 300 * 300)"},
	{kNum, "COALESCE(UNIX_TIMESTAMP(CAST(%a AS DATE)), 0)"},
	{kNum, "FLOOR(COALESCE(UNIX_TIMESTAMP(CAST(%t AS DATETIME(6))), 0) / 60)"},
	{kInt, "JSON_LENGTH(%j)"},
	{kInt, "JSON_DEPTH(%j)"},
	{kInt, "JSON_VALID(%s)"},
	{kInt, "JSON_CONTAINS_PATH(%j, 'one', '$.a')"},
	{kInt, "PERIOD_DIFF(202603, 202412)"},

	{kInt, "LOCATE('ż', %s)"},
	{kInt, "LENGTH(REPEAT(%s, 2))"},
	{kInt, "HOUR('10:11:12.5')"},
	{kInt, "DAYOFMONTH(LAST_DAY(%a))"},
	{kInt, "(JSON_EXTRACT(%j, '$.a') IS NULL)"},

	// Text.
	{kStr, "CASE WHEN %b THEN %n ELSE %s END"},
	{kStr, "CONCAT_WS('-', %s, %b, %n)"},
	{kStr, "LOWER(CONCAT(%s, 'Ż'))"},
	{kStr, "SUBSTRING(%s, -2, 1)"},
	{kStr, "JSON_UNQUOTE(JSON_EXTRACT(%j, '$.a'))"},
	{kStr, "CONCAT(LAST_DAY(%a), '')"},
	{kStr, "CONCAT(MAKEDATE(2024, %m), %s)"},
	{kStr, "CONCAT(%s, %s)"},
	{kStr, "CONCAT(%n, %s)"},
	{kStr, "CONCAT(CAST(%t AS DATETIME), %s)"},
	{kStr, "CONCAT(%a, '/', %n)"},
	{kStr, "CONCAT_WS(',', %s, %n, %s)"},
	{kStr, "UPPER(%s)"},
	{kStr, "LOWER(%s)"},
	{kStr, "TRIM(%s)"},
	{kStr, "LTRIM(%s)"},
	{kStr, "RTRIM(%s)"},
	{kStr, "TRIM(LEADING 'a' FROM %s)"},
	{kStr, "TRIM(BOTH 'a' FROM %s)"},
	{kStr, "SUBSTRING(%s, %m)"},
	{kStr, "SUBSTRING(%s, %m, %m)"},
	{kStr, "LEFT(%s, %m)"},
	{kStr, "RIGHT(%s, %m)"},
	{kStr, "SUBSTRING_INDEX(%s, 'b', %m)"},
	{kStr, "SUBSTRING_INDEX(%s, ',', -1)"},
	{kStr, "REPLACE(%s, %s, 'X')"},
	{kStr, "REVERSE(%s)"},
	{kStr, "REPEAT(%s, %m)"},
	{kStr, "LPAD(%s, %m, %s)"},
	{kStr, "RPAD(%s, %m, 'xy')"},
	{kStr, "SPACE(%m)"},
	{kStr, "HEX(%s)"},
	{kStr, "HEX(%i)"},
	{kStr, "MD5(%s)"},
	{kStr, "SHA2(%s, 256)"},
	{kStr, "INSERT(%s, 2, 1, %s)"},
	{kStr, "ELT(%m, %s, %s)"},
	{kStr, "FORMAT(%n, 2)"},
	{kStr, "BIN(%i)"},
	{kStr, "CONV(%i, 10, 16)"},
	{kStr, "QUOTE(%s)"},
	{kStr, "TO_BASE64(%s)"},
	{kStr, "CHAR(65, 66 USING utf8mb4)"},
	{kStr, "CAST(%n AS CHAR)"},
	{kStr, "CAST(%t AS CHAR)"},
	{kStr, "CAST(%a AS CHAR)"},
	{kStr, "CAST(%s AS CHAR(2))"},
	{kStr, "COALESCE(%s, %s)"},
	{kStr, "IFNULL(%s, %s)"},
	{kStr, "NULLIF(%s, %s)"},
	{kStr, "IF(%b, %s, %s)"},
	{kStr, "CASE WHEN %b THEN %s ELSE %s END"},
	{kStr, "CASE %s WHEN %s THEN %s ELSE %s END"},
	{kStr, "GREATEST(%s, %s)"},
	{kStr, "LEAST(%s, %s)"},
	{kStr, "IFNULL(%n, %s)"},
	{kStr, "COALESCE(%n, %s)"},
	{kStr, "COALESCE(CAST(%t AS DATETIME), %s)"},
	{kStr, "IF(%b, %n, %s)"},
	{kStr, "DATE_FORMAT(%t, '%%Y-%%m-%%d %%H:%%i:%%s')"},
	{kStr, "DATE_FORMAT(%t, '%%W %%M %%e %%Y %%h:%%i %%p %%f')"},
	{kStr, "DATE_FORMAT(%a, '%%x-W%%v')"},
	{kStr, "DATE_FORMAT(%a, '%%j %%w %%a %%b %%c %%D %%y')"},
	{kStr, "DATE_FORMAT(%t, '%%T %%r %%k %%l %%S')"},
	{kStr, "DATE_FORMAT(%t, '%%Y-%%m-01')"},
	{kStr, "DAYNAME(%a)"},
	{kStr, "MONTHNAME(%t)"},
	{kStr, "MID(%s, 2, 1)"},
	{kStr, "JSON_UNQUOTE(JSON_EXTRACT(%j, '$.a'))"},
	{kStr, "JSON_TYPE(%j)"},
	{kStr, "REGEXP_REPLACE(%s, '[ab]', 'X')"},

	// Times.
	{kTime, "(%t + INTERVAL %m DAY)"},
	{kTime, "(%t - INTERVAL %m HOUR)"},
	{kTime, "(%t + INTERVAL %m MONTH)"},
	{kTime, "(%t - INTERVAL 1 YEAR)"},
	{kTime, "(%t + INTERVAL 90 SECOND)"},
	{kTime, "(%t + INTERVAL 1 MICROSECOND)"},
	{kTime, "(%t - INTERVAL 1 WEEK)"},
	{kTime, "(%t + INTERVAL 1 QUARTER)"},
	{kTime, "DATE_ADD(%t, INTERVAL %m MINUTE)"},
	{kTime, "DATE_SUB(%t, INTERVAL 1 DAY)"},
	{kTime, "TIMESTAMP(%a)"},
	{kTime, "TIMESTAMP(%t)"},
	{kTime, "CAST(%t AS DATETIME)"},
	{kTime, "CAST(%t AS DATETIME(3))"},
	{kTime, "CAST(%a AS DATETIME)"},
	{kTime, "CAST(COALESCE(%t, %t) AS DATETIME(6))"},
	{kTime, "CAST(IFNULL(%t, %a) AS DATETIME(6))"},
	{kTime, "GREATEST(CAST(%t AS DATETIME(6)), CAST(%t AS DATETIME(6)))"},
	{kTime, "LEAST(CAST(%t AS DATETIME(6)), CAST(%t AS DATETIME(6)))"},
	{kTime, "CAST(IF(%b, %t, %t) AS DATETIME(6))"},
	{kTime, "CAST(CASE WHEN %b THEN %t ELSE %t END AS DATETIME(6))"},
	{kTime, "CAST(FROM_UNIXTIME(ABS(%i) %% 1000000 + 1) AS DATETIME)"},
	{kTime, "TIMESTAMPADD(HOUR, 3, %t)"},
	{kTime, "STR_TO_DATE('2026-01-02 03:04:05', '%%Y-%%m-%%d %%H:%%i:%%s')"},
	{kTime, "NULLIF(%t, %t)"},
	{kDate, "DATE(%t)"},
	{kDate, "CAST(%t AS DATE)"},
	{kDate, "(%a + INTERVAL %m DAY)"},
	{kDate, "(%a - INTERVAL 1 MONTH)"},
	{kDate, "LAST_DAY(%t)"},
	{kDate, "COALESCE(%a, %a)"},
	{kDate, "IF(%b, %a, %a)"},
	{kDate, "GREATEST(CAST(%a AS DATE), CAST(%a AS DATE))"},
	{kDate, "MAKEDATE(YEAR(%a), DAYOFYEAR(%a))"},
	{kDate, "STR_TO_DATE('20260102', '%%Y%%m%%d')"},
	{kDate, "STR_TO_DATE(%s, '%%Y-%%m-%%d')"},
	{kDate, "DATE_SUB(%a, INTERVAL WEEKDAY(%a) DAY)"},
	{kDate, "CAST('2026-02-03' AS DATE)"},
	{kDate, "FROM_DAYS(TO_DAYS(%a))"},
	{kDate, "CASE WHEN %b THEN %a END"},
	{kDate, "DATE_ADD(%a, INTERVAL 1 YEAR)"},

	// JSON.
	{kJSON, "JSON_EXTRACT(%j, '$.b')"},
	{kJSON, "JSON_EXTRACT(%j, '$[1]')"},
	{kJSON, "JSON_OBJECT('x', %i, 'y', %s)"},
	{kJSON, "JSON_ARRAY(%i, %s, NULL)"},
	{kJSON, "JSON_KEYS(%j)"},
}

// aggregateForms are aggregates.
var aggregateForms = []form{
	{kNum, "COUNT(*)"},
	{kNum, "COUNT(%x)"},
	{kNum, "COUNT(DISTINCT %x)"},
	{kNum, "COUNT(DISTINCT %n, %s)"},
	{kNum, "SUM(%n)"},
	{kNum, "AVG(%n)"},
	{kNum, "MIN(%n)"},
	{kNum, "MAX(%n)"},
	{kNum, "SUM(DISTINCT %i)"},
	{kNum, "AVG(DISTINCT %i)"},
	{kStr, "MIN(%s)"},
	{kStr, "MAX(%s)"},
	{kTime, "MIN(%t)"},
	{kTime, "MAX(%t)"},
	{kDate, "MIN(%a)"},
	{kDate, "MAX(%a)"},
	{kNum, "STDDEV(%i + 0e0)"},
	{kNum, "STDDEV_SAMP(%i + 0e0)"},
	{kNum, "VARIANCE(%i + 0e0)"},
	{kNum, "VAR_SAMP(%i + 0e0)"},
	{kNum, "BIT_AND(%i)"},
	{kNum, "BIT_OR(%i)"},
	{kNum, "BIT_XOR(%i)"},
	{kStr, "GROUP_CONCAT(DISTINCT %s ORDER BY %G)"},
	{kStr, "GROUP_CONCAT(DISTINCT (%i + 0) ORDER BY (%G + 0) DESC SEPARATOR '|')"},
	{kStr, "GROUP_CONCAT(%s ORDER BY %G SEPARATOR '')"},
	{kNum, "SUM(%b)"},
	{kNum, "SUM(CASE WHEN %b THEN 1 ELSE 0 END)"},
	{kNum, "COUNT(IF(%b, 1, NULL))"},
	{kNum, "SUM(IF(%b, %n, 0))"},
	{kNum, "MAX(%b)"},
	{kNum, "(SUM(%n) / COUNT(*))"},
	{kNum, "(MAX(%n) - MIN(%n))"},
	{kNum, "ROUND(AVG(%n), 1)"},
	{kNum, "COALESCE(SUM(%n), 0)"},
}

// havingForms are aggregates that a HAVING may have without the SELECT list.
var havingForms = []form{{kNum, "COUNT(*)"}, {kNum, "COUNT(%n)"}, {kNum, "MAX(%i)"}, {kNum, "SUM(%n)"}}

// windowForms are calls with OVER; %O is an order that leaves nothing open.
var windowForms = []form{
	{kNum, "ROW_NUMBER() OVER (%O)"},
	{kNum, "RANK() OVER (%W)"},
	{kNum, "DENSE_RANK() OVER (%W)"},
	{kNum, "PERCENT_RANK() OVER (%W)"},
	{kNum, "NTILE(3) OVER (%O)"},
	{kNum, "LAG(%n) OVER (%O)"},
	{kNum, "LEAD(%n, 2) OVER (%O)"},
	{kNum, "CUME_DIST() OVER (%W)"},
	{kStr, "FIRST_VALUE(%s) OVER (%O)"},
	{kStr, "LAST_VALUE(%s) OVER (%O)"},
	{kNum, "SUM(%n) OVER (%O)"},
	{kNum, "SUM(%n) OVER (PARTITION BY %x)"},
	{kNum, "COUNT(*) OVER (PARTITION BY %x)"},
	{kNum, "COUNT(%x) OVER ()"},
	{kNum, "AVG(%n) OVER (PARTITION BY %x)"},
	{kNum, "MAX(%n) OVER (%O)"},
	{kNum, "MIN(%n) OVER (PARTITION BY %x)"},
	{kNum, "SUM(%i) OVER (%O ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"},
	{kNum, "AVG(%i) OVER (%O ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)"},
	{kNum, "COUNT(*) OVER (%O ROWS UNBOUNDED PRECEDING)"},
	{kNum, "SUM(%i) OVER (%W)"},
}

// A source is a relation in FROM, under its alias.
type source struct {
	relation
	alias string
}

type generator struct {
	*rand.Rand
	relations []relation
	byKind    map[kind][]form
	skipped   func(f form) bool
	scope     []source
}

func newGenerator(seed uint64, relations []relation, skipped func(f form) bool) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), relations: relations, byKind: map[kind][]form{}, skipped: skipped}
	for _, f := range forms {
		if !skipped(f) {
			g.byKind[f.kind] = append(g.byKind[f.kind], f)
		}
	}
	return g
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// expr is an expression of kind k, at most depth calls deep.
func (g *generator) expr(k kind, depth int) *node {
	if k == kAny {
		n := g.expr(pick(g, []kind{kNum, kStr, kTime, kDate, kBool}), depth)
		return n
	}
	if depth <= 0 || g.IntN(4) == 0 {
		return g.simple(k)
	}
	return g.form(pick(g, g.byKind[k]), depth-1)
}

// form writes f with expressions of the given depth.
func (g *generator) form(f form, depth int) *node {
	n := &node{kind: f.kind}
	var b strings.Builder
	text := f.text
	for {
		at := strings.IndexByte(text, '%')
		if at < 0 {
			b.WriteString(text)
			break
		}
		b.WriteString(text[:at])
		c := text[at+1]
		text = text[at+2:]
		switch c {
		case '%':
			b.WriteByte('%')
			continue
		case 'l':
			b.WriteString(pick(g, []string{"0", "1", "2", "-1"}))
			continue
		case 'm':
			b.WriteString(pick(g, []string{"0", "1", "2", "3", "-1", "10"}))
			continue
		case 'p':
			b.WriteString(pick(g, patterns))
			continue
		case 'r':
			continue // written with its column
		case 'c', 'd':
			want := map[byte]kind{'c': kNum, 'd': kStr}[c]
			r := pick(g, g.relations)
			b.WriteString(g.columnOf(r, want) + " FROM " + r.name)
			text = strings.TrimPrefix(text, " FROM %r")
			continue
		case 'G': // the argument again, which is then not to be reduced
			fixed := *n.kids[0]
			fixed.kind, n.kids[0] = kNone, &fixed
			b.WriteString(n.kids[0].String())
			continue
		case 'W':
			b.WriteString("§ORDER BY §")
			n.kids = append(n.kids, g.partition(), g.column(pick(g, []kind{kNum, kStr, kTime})))
			continue
		case 'O':
			b.WriteString("§ORDER BY §")
			n.kids = append(n.kids, g.partition(), g.total())
			continue
		}
		b.WriteString("§")
		n.kids = append(n.kids, g.expr(kind(c), depth))
	}
	n.text = b.String()
	return n
}

func (g *generator) partition() *node {
	if g.IntN(2) == 0 {
		return &node{optional: true}
	}
	return &node{text: "PARTITION BY § ", kids: []*node{g.column(pick(g, []kind{kNum, kStr, kBool, kDate}))}, optional: true}
}

// column is a column, or a literal where there is none of the kind.
func (g *generator) column(k kind) *node {
	for range 20 {
		if c := g.simple(k); strings.Contains(c.text, ".") && c.text[0] >= 'x' && c.text[0] <= 'z' {
			c.kind = kNone
			return c
		}
	}
	return leaf(kNone, g.scope[0].alias+"."+g.scope[0].cols[0].name)
}

// total is an order of the rows in scope that leaves none open.
func (g *generator) total() *node {
	var keys []*node
	if g.IntN(2) == 0 {
		if c := g.simple(pick(g, []kind{kNum, kStr, kTime})); strings.Contains(c.text, ".") && c.text[0] >= 'x' && c.text[0] <= 'z' {
			c.kind = kNone // a literal would be a position
			keys = append(keys, &node{text: "§" + pick(g, []string{"", " DESC"}), kids: []*node{c}})
		}
	}
	for _, s := range g.scope {
		for _, c := range s.cols {
			if c.kind != kJSON {
				keys = append(keys, leaf(kNone, s.alias+"."+c.name))
			}
		}
	}
	return &node{text: strings.TrimSuffix(strings.Repeat("§, ", len(keys)), ", "), kids: keys}
}

func (g *generator) columnOf(r relation, k kind) string {
	var names []string
	for _, c := range r.cols {
		if c.kind == k {
			names = append(names, c.name)
		}
	}
	if len(names) == 0 {
		return "NULL"
	}
	return pick(g, names)
}

var patterns = []string{"'a%'", "'%b%'", "'_'", "'ab%'", "'a_%'", "'%'", "''", `'a\\_b'`, `'\\%'`, `'a\\\\%'`, "'%ż'", "'A%'", "'a '", "'_😀%'", "'abc'", "'%a%b%'"}

var literals = map[kind][]string{
	kNum: {"0", "1", "2", "-1", "3", "10", "42", "1.5", "-2.5", "0.1", "2.50", "1e0", "2.5e0", "NULL", "100", "9007199254740993", "18446744073709551615", "-3", "0.01", "1000000"},
	kInt: {"0", "1", "2", "3", "7", "10", "-1", "255", "NULL"},
	kStr: {"'a'", "'A'", "''", "' '", "'ab'", "'abc'", "'a '", "'12'", "'12abc'", "'ż'", "'😀'", "'1'", "'0'", "NULL", "'2026-01-02'", "'%'", "','", "'b'", "'1.5'"},
	kTime: {
		"'2026-01-01 00:00:00'", "CAST('2026-01-02 03:04:05' AS DATETIME)", "NULL", "CAST('1970-01-01 00:00:00' AS DATETIME)", "'2024-02-29 12:00:00'", "CAST('2026-01-02 03:04:05.678900' AS DATETIME(6))", "CAST('2026-01-01' AS DATE)",
		"'2026-01-01 23:59:59.999999'",
	},
	kDate: {"CAST('2026-01-01' AS DATE)", "'2026-01-02'", "CAST('2024-02-29' AS DATE)", "NULL", "CAST('2025-12-29' AS DATE)"},
	kBool: {"TRUE", "FALSE", "NULL", "1", "0"},
	kJSON: {`'{"a": 1}'`, "'[1, 2]'", `'"x"'`},
}

// simple is a column or a literal.
func (g *generator) simple(k kind) *node {
	if k == kAny {
		k = pick(g, []kind{kNum, kStr, kTime, kDate, kBool})
	}
	want := k
	if k == kInt {
		want = kNum
	}
	if g.IntN(3) > 0 {
		var names []string
		for _, s := range g.scope {
			for _, c := range s.cols {
				if c.kind == want && (k != kInt || c.name == "n" || c.name == "c" || c.name == "id" || c.name == "cn") {
					names = append(names, s.alias+"."+c.name)
				}
			}
		}
		if len(names) > 0 {
			return leaf(k, pick(g, names))
		}
	}
	return leaf(k, pick(g, literals[k]))
}

// from begins a scope of one relation, or of a join.
func (g *generator) from() *node {
	g.scope = nil
	add := func() string {
		r := pick(g, g.relations)
		alias := string(rune('x' + len(g.scope)))
		g.scope = append(g.scope, source{r, alias})
		return r.name + " " + alias
	}
	first := add()
	if g.IntN(4) > 0 {
		return leaf(kNone, first)
	}
	text := first + pick(g, []string{" JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " INNER JOIN "}) + add() + " ON §"
	return &node{text: text, kids: []*node{g.joinCondition()}}
}

// joinCondition joins columns of both sides, of one kind or of two.
func (g *generator) joinCondition() *node {
	column := func(s source) *node {
		for range 20 {
			c := pick(g, s.cols)
			if c.kind != kJSON {
				return leaf(c.kind, s.alias+"."+c.name)
			}
		}
		return leaf(kNum, "1")
	}
	alike := func(s source, k kind) *node {
		saved := g.scope
		g.scope = []source{s}
		defer func() { g.scope = saved }()
		if c := g.columnOf(s.relation, k); c != "NULL" {
			return leaf(k, s.alias+"."+c)
		}
		return g.simple(k)
	}
	l := column(g.scope[0])
	r := alike(g.scope[1], l.kind)
	if g.IntN(5) == 0 {
		r = column(g.scope[1])
		if (l.kind == kTime || l.kind == kDate) != (r.kind == kTime || r.kind == kDate) {
			r = alike(g.scope[1], l.kind)
		}
	}
	eq := &node{kind: kBool, text: "§ " + pick(g, []string{"=", "=", "=", "=", "<=>", "<", ">="}) + " §", kids: []*node{l, r}}
	if g.IntN(3) > 0 {
		return eq
	}
	return &node{kind: kBool, text: "§ AND §", kids: []*node{eq, g.expr(kBool, 1)}}
}

func (g *generator) where(depth int) *node {
	if g.IntN(3) == 0 {
		return &node{optional: true}
	}
	return &node{text: " WHERE §", kids: []*node{g.expr(kBool, depth)}, optional: true}
}

func list(kids []*node) *node { return &node{sep: ", ", kids: kids} }

var outputKinds = []kind{kNum, kNum, kStr, kStr, kTime, kDate, kBool, kInt}

// exprs are n expressions to select.
func (g *generator) exprs(n, depth int) []*node {
	var out []*node
	for range n {
		k := pick(g, outputKinds)
		if g.IntN(12) == 0 {
			k = kJSON
		}
		out = append(out, g.expr(k, depth))
	}
	return out
}

func named(kids []*node) *node {
	var out []*node
	for i, k := range kids {
		out = append(out, &node{text: fmt.Sprintf("§ AS c%d", i), kids: []*node{k}})
	}
	return list(out)
}

// statement is one SELECT.
func (g *generator) statement() *node {
	switch g.IntN(23) {
	case 0, 1, 2, 3, 4:
		return g.plain()
	case 5, 6, 7:
		return g.filtered()
	case 8, 9, 10, 11:
		return g.grouped()
	case 12:
		return g.distinct()
	case 13:
		return g.union()
	case 14:
		return g.window()
	case 15:
		return g.subquery()
	case 16:
		return g.derived()
	case 17:
		return g.limited()
	case 18:
		return g.aggregate()
	case 19:
		return g.correlated()
	case 20:
		return g.prepared()
	case 21:
		return g.sortedUnion()
	default:
		return g.exists()
	}
}

// correlated compares with a sub-query whose condition names the outer row,
// beside one that a key may answer.
func (g *generator) correlated() *node {
	from := g.from()
	outer := g.scope
	r := pick(g, g.relations)
	inner := source{r, "z"}
	g.scope = []source{inner, outer[0]}
	join := g.joinCondition()
	g.scope = []source{inner}
	own := g.expr(kBool, 1)
	agg := g.form(pick(g, havingForms), 0)
	g.scope = outer[:1]
	apart := g.expr(kBool, 1)
	g.scope = outer
	cond := &node{kind: kBool, text: pick(g, []string{"§ AND § AND §", "§ AND (§ OR §)", "§ AND NOT (§ AND §)"}), kids: []*node{own, apart, join}}
	keys := g.keys(3)
	if g.IntN(2) == 0 {
		value := &node{kind: kNum, text: "(SELECT § FROM " + r.name + " z WHERE §)", kids: []*node{agg, cond}}
		return &node{text: "SELECT §, § AS v FROM §", kids: []*node{named(keys), value, from}}
	}
	c := g.columnOf(r, kNum)
	return &node{text: "SELECT § FROM § WHERE § " + pick(g, []string{"", "NOT "}) + "IN (SELECT " + c + " FROM " + r.name + " z WHERE §)", kids: []*node{named(keys), from, g.column(kNum), cond}}
}

func (g *generator) keys(most int) []*node {
	var keys []*node
	for _, c := range g.scope[0].cols[:most] {
		keys = append(keys, leaf(kNone, g.scope[0].alias+"."+c.name))
	}
	return keys
}

// prepared has parameters: its answers come in the binary protocol.
func (g *generator) prepared() *node {
	from := g.from()
	k := pick(g, []kind{kNum, kNum, kStr, kTime, kDate})
	values := map[kind][]any{
		kNum:  {int64(0), int64(1), int64(-3), int64(42), 2.5, 0.1, nil, int64(9007199254740993), "12", "1.50"},
		kStr:  {"a", "A", "", "ż", "12", nil, "😀", "a'b"},
		kTime: {"2026-01-01 00:00:00", "2026-01-01 23:59:59.999999", "2024-02-29", nil},
		kDate: {"2026-01-01", "2024-02-29 00:00:00", nil},
	}
	param := func() *node { return &node{text: "?", args: []any{pick(g, values[k])}} }
	cond := &node{text: "(§ " + pick(g, []string{"=", "<", ">=", "<>", "<=>"}) + " §)", kids: []*node{g.column(k), param()}}
	switch g.IntN(3) {
	case 0:
		cond = &node{text: "(§ BETWEEN § AND §)", kids: []*node{g.column(k), param(), param()}}
	case 1:
		cond = &node{text: "(§ IN (§, §))", kids: []*node{g.column(k), param(), param()}}
	}
	return &node{text: "SELECT § FROM § WHERE §", kids: []*node{named(append(g.exprs(1, 1), g.keys(3)...)), from, cond}}
}

// sortedUnion has an order over both sides, by position.
func (g *generator) sortedUnion() *node {
	u := g.union()
	width := len(u.kids[0].kids[0].kids[0].kids)
	var by []string
	for i := range width {
		by = append(by, fmt.Sprintf("%d%s", i+1, pick(g, []string{"", " DESC"})))
	}
	text := "§ ORDER BY " + strings.Join(by, ", ")
	if u.sep != " UNION ALL " {
		text += fmt.Sprintf(" LIMIT %d", 1+g.IntN(5))
	}
	return &node{text: text, kids: []*node{u}, ordered: true}
}

func (g *generator) plain() *node {
	from := g.from()
	return &node{text: "SELECT § FROM §§", kids: []*node{named(g.exprs(1+g.IntN(3), 2)), from, g.where(1)}}
}

// filtered is about the condition: it returns the keys.
func (g *generator) filtered() *node {
	from := g.from()
	var keys []*node
	for _, s := range g.scope {
		for _, c := range s.cols {
			if len(keys) < 6 {
				keys = append(keys, leaf(kNone, s.alias+"."+c.name))
			}
		}
	}
	return &node{text: "SELECT § FROM § WHERE §", kids: []*node{named(keys), from, g.expr(kBool, 2)}}
}

func (g *generator) aggregateExprs(n int) []*node {
	var out []*node
	for range n {
		f := pick(g, aggregateForms)
		if !g.skipped(f) {
			out = append(out, g.form(f, g.IntN(2)))
		}
	}
	if out == nil {
		out = append(out, leaf(kNum, "COUNT(*)"))
	}
	return out
}

func (g *generator) grouped() *node {
	from := g.from()
	var keys []*node
	for range 1 + g.IntN(2) {
		keys = append(keys, g.expr(pick(g, []kind{kNum, kStr, kTime, kDate, kBool, kInt}), g.IntN(2)))
	}
	where := g.where(1)
	cols := named(append(append([]*node{}, keys...), g.aggregateExprs(1+g.IntN(3))...))
	var positions []string
	for i := range keys {
		positions = append(positions, fmt.Sprintf("c%d", i))
	}
	having := &node{optional: true}
	if g.IntN(4) == 0 && len(g.scope) == 1 {
		having = &node{text: " HAVING §", kids: []*node{{kind: kBool, text: "(§ " + pick(g, []string{">", "<=", "<>"}) + " §)", kids: []*node{g.form(pick(g, havingForms), 0), leaf(kNum, pick(g, literals[kInt]))}}}, optional: true}
	}
	return &node{text: "SELECT § FROM §§ GROUP BY " + strings.Join(positions, ", ") + "§", kids: []*node{{text: "§", kids: []*node{cols}}, from, where, having}}
}

func (g *generator) aggregate() *node {
	from := g.from()
	where := g.where(1)
	return &node{text: "SELECT § FROM §§", kids: []*node{named(g.aggregateExprs(1 + g.IntN(3))), from, where}}
}

func (g *generator) distinct() *node {
	from := g.from()
	return &node{text: "SELECT DISTINCT § FROM §§", kids: []*node{named(g.exprs(1+g.IntN(2), 1)), from, g.where(1)}}
}

func (g *generator) union() *node {
	n := 1 + g.IntN(2)
	kinds := make([]kind, n)
	for i := range kinds {
		kinds[i] = pick(g, outputKinds)
	}
	var sides []*node
	for range 2 + g.IntN(2) {
		from := g.from()
		var exprs []*node
		for _, k := range kinds {
			if g.IntN(6) == 0 {
				exprs = append(exprs, leaf(k, "NULL"))
				continue
			}
			e := g.expr(k, 1)
			switch k { // a text beside a time would make texts of both
			case kTime:
				e = &node{kind: k, text: "CAST(§ AS DATETIME(6))", kids: []*node{e}}
			case kDate:
				e = &node{kind: k, text: "CAST(§ AS DATE)", kids: []*node{e}}
			}
			exprs = append(exprs, e)
		}
		sides = append(sides, &node{text: "SELECT § FROM §§", kids: []*node{{text: "§", kids: []*node{fixed(exprs)}}, from, g.where(1)}})
	}
	return &node{sep: pick(g, []string{" UNION ALL ", " UNION ", " UNION ", " EXCEPT ", " INTERSECT "}), kids: sides}
}

// fixed is a list that keeps its length.
func fixed(kids []*node) *node {
	var text []string
	for i := range kids {
		text = append(text, fmt.Sprintf("§ AS c%d", i))
	}
	return &node{text: strings.Join(text, ", "), kids: kids}
}

func (g *generator) window() *node {
	from := g.from()
	var cols []*node
	for range 1 + g.IntN(2) {
		f := pick(g, windowForms)
		if !g.skipped(f) {
			cols = append(cols, g.form(f, g.IntN(2)))
		}
	}
	cols = append(cols, g.exprs(1, 1)...)
	return &node{text: "SELECT § FROM §§", kids: []*node{named(cols), from, g.where(1)}}
}

// subquery has a scalar one, correlated or not.
func (g *generator) subquery() *node {
	from := g.from()
	outer := g.scope
	r := pick(g, g.relations)
	g.scope = []source{{r, "z"}}
	agg := g.aggregateExprs(1)[0]
	inner := &node{kind: agg.kind, text: "(SELECT § FROM " + r.name + " z§)", kids: []*node{agg, g.where(1)}}
	g.scope = outer
	return &node{text: "SELECT § FROM §§", kids: []*node{named(append(g.exprs(1, 1), inner)), from, g.where(1)}}
}

func (g *generator) exists() *node {
	from := g.from()
	outer := g.scope
	r := pick(g, g.relations)
	g.scope = []source{{r, "z"}, outer[0]}
	cond := g.joinCondition()
	g.scope = outer
	var keys []*node
	for _, c := range g.scope[0].cols[:3] {
		keys = append(keys, leaf(kNone, g.scope[0].alias+"."+c.name))
	}
	return &node{text: "SELECT § FROM § WHERE " + pick(g, []string{"", "NOT "}) + "EXISTS (SELECT 1 FROM " + r.name + " z WHERE §)", kids: []*node{named(keys), from, cond}}
}

// derived reads from a derived table or a CTE.
func (g *generator) derived() *node {
	from := g.from()
	exprs := g.exprs(3, 1)
	r := relation{name: "e"}
	for i, e := range exprs {
		k := e.kind
		if k == kInt {
			k = kNum
		}
		r.cols = append(r.cols, relationColumn{fmt.Sprintf("c%d", i), k})
	}
	inner := &node{text: "SELECT § FROM §§", kids: []*node{fixed(exprs), from, g.where(1)}}
	g.scope = []source{{r, "e"}}
	if g.IntN(2) == 0 {
		return &node{text: "SELECT § FROM (§) e§", kids: []*node{named(g.exprs(2, 1)), inner, g.where(1)}}
	}
	return &node{text: "WITH e AS (§) SELECT § FROM e§", kids: []*node{inner, named(g.exprs(2, 1)), g.where(1)}}
}

func (g *generator) limited() *node {
	from := g.from()
	cols := g.exprs(2, 1)
	for _, s := range g.scope {
		for _, c := range s.cols {
			if c.kind != kJSON {
				cols = append(cols, leaf(c.kind, s.alias+"."+c.name))
			}
		}
	}
	where := g.where(1)
	order := g.total()
	limit := &node{text: fmt.Sprintf(" LIMIT %d", 1+g.IntN(10)), optional: true}
	if g.IntN(3) == 0 {
		limit.text += fmt.Sprintf(" OFFSET %d", g.IntN(10))
	}
	return &node{text: "SELECT § FROM §§ ORDER BY §§", kids: []*node{named(cols), from, where, order, limit}, ordered: true}
}

package gmsx

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// Statements that clients send and the engine's parser does not know.
//
// A statement that the parser has refused is looked up here: a rewording is
// another way to say the same, which the parser then reads; an answer is one
// that needs no engine. So what the parser knows costs nothing, and never
// means something else here. A few statements are parsed and then refused:
// those are looked up first (early).

// A rewording says in other words what a statement says.
type rewording struct {
	form *regexp.Regexp
	to   string // as in Regexp.Expand
}

// phrase makes the form of a whole statement, in any case.
func phrase(form string) *regexp.Regexp {
	form = strings.ReplaceAll(form, " ", `\s+`)
	form = strings.ReplaceAll(form, "~", `\s*`)
	return regexp.MustCompile(`(?is)^` + form + `$`)
}

// tableForm is a table's name, with its database or without.
const tableForm = "((?:`[^`]+`|[\\w$]+)(?:\\.(?:`[^`]+`|[\\w$]+))?)"

var statementRewordings = []rewording{
	{phrase(`SHOW SCHEMAS\b(.*)`), `SHOW DATABASES$1`},
	{phrase(`SHOW STORAGE ENGINES`), `SHOW ENGINES`},
	{phrase(`SHOW FULL TRIGGERS\b(.*)`), `SHOW TRIGGERS$1`},
	{phrase(`SHOW LOCAL (VARIABLES|STATUS)\b(.*)`), `SHOW SESSION $1$2`},
	{phrase(`SHOW EXTENDED (.*)`), `SHOW $1`},
	{phrase(`SHOW ALL (?:SLAVES|REPLICAS) STATUS`), `SHOW SLAVE STATUS`},
	{phrase(`SHOW PACKAGE(?: BODY)? STATUS\b.*`), `SHOW FUNCTION STATUS WHERE 1=0`},
	{phrase(`(?:DESC|DESCRIBE|EXPLAIN) ` + tableForm + ` ('(?:[^']|'')*'|"[^"]*")`), `SHOW COLUMNS FROM $1 LIKE $2`},
	{phrase(`(?:DESC|DESCRIBE|EXPLAIN) ` + tableForm + " `?([a-z_]\\w*)`?"), `SHOW COLUMNS FROM $1 LIKE '$2'`},
	{phrase(`(EXPLAIN|DESC|DESCRIBE) (?:EXTENDED|PARTITIONS) (.*)`), `$1 $2`},
	{phrase(`ANALYZE ((?:SELECT|WITH)\b.*)`), `EXPLAIN ANALYZE $1`},
	{phrase(`SET LOCAL TRANSACTION (.*)`), `SET SESSION TRANSACTION $1`},
	{phrase(`SET STATEMENT .*? FOR ((?:SELECT|SHOW|WITH|EXPLAIN|\()\b?.*)`), `$1`},
	{phrase(`START TRANSACTION (?:WITH CONSISTENT SNAPSHOT~,~)?READ ONLY(?:~,~WITH CONSISTENT SNAPSHOT)?`), `START TRANSACTION READ ONLY`},
	{phrase(`START TRANSACTION (?:WITH CONSISTENT SNAPSHOT~,~)?READ WRITE(?:~,~WITH CONSISTENT SNAPSHOT)?`), `START TRANSACTION`},
	{phrase(`(.*) FOR SHARE(?: NOWAIT| SKIP LOCKED)?`), `$1 LOCK IN SHARE MODE`},
	{phrase(`(.* FROM .* )(?:USE|FORCE|IGNORE) (?:INDEX|KEY)(?: FOR (?:JOIN|ORDER BY|GROUP BY))?~\([^)]*\)(.*)`), `$1$2`},
	{phrase(`SELECT((?: (?:ALL|DISTINCT))?)(?: (?:HIGH_PRIORITY|SQL_SMALL_RESULT|SQL_BIG_RESULT|SQL_BUFFER_RESULT))+ (.*)`), `SELECT$1 $2`},
	{phrase(`SELECT DISTINCTROW (.*)`), `SELECT DISTINCT $1`},
	{phrase("EXECUTE IMMEDIATE '((?:[^'\\\\])*)'"), `$1`},
}

// An answer is a table that is made without the engine.
type answer struct {
	form    *regexp.Regexp
	early   bool
	columns string // name type, …; "" for a statement without rows
	rows    func(e *Engine, ctx *gms.Context, m []string) ([]gms.Row, error)
}

// noRows answers with an empty table, as a server does that has none of these.
func noRows(*Engine, *gms.Context, []string) ([]gms.Row, error) { return nil, nil }

const binlogColumns = "Log_name text, Pos int, Event_type text, Server_id int, End_log_pos int, Info text"

var answers []answer

func init() {
	answers = []answer{
		{form: phrase(`SHOW ERRORS(?: LIMIT .*)?`), early: true, columns: "Level text, Code int, Message text", rows: showErrors},
		{
			form: phrase(`SHOW COUNT~\(~\*~\) ERRORS`), early: true, columns: "@@session.error_count int",
			rows: func(_ *Engine, ctx *gms.Context, _ []string) ([]gms.Row, error) {
				return []gms.Row{{int64(asked(ctx).errors)}}, nil
			},
		},
		{
			form: phrase(`SHOW COUNT~\(~\*~\) WARNINGS`), early: true, columns: "@@session.warning_count int",
			rows: func(_ *Engine, ctx *gms.Context, _ []string) ([]gms.Row, error) {
				return []gms.Row{{int64(asked(ctx).total)}}, nil
			},
		},
		{form: phrase(`FLUSH (?:LOCAL |NO_WRITE_TO_BINLOG )?(?:STATUS|LOGS|HOSTS|QUERY CACHE|(?:\w+ )?LOGS|USER_RESOURCES|OPTIMIZER_COSTS)`), early: true, rows: noRows},
		{form: phrase(`RESET QUERY CACHE`), early: true, rows: noRows},
		{form: phrase(`SHOW OPEN TABLES\b.*`), columns: "Database text, Table text, In_use int, Name_locked int", rows: noRows},
		{form: phrase(`SHOW ENGINE \w+ (?:STATUS|MUTEX|LOGS)`), columns: "Type text, Name text, Status text", rows: noRows},
		{form: phrase(`SHOW PROFILES`), columns: "Query_ID int, Duration double, Query text", rows: noRows},
		{form: phrase(`SHOW PROFILE\b.*`), columns: "Status text, Duration double", rows: noRows},
		{
			form: phrase(`SHOW (?:MASTER|BINARY) LOGS`), columns: "Log_name text, File_size int",
			rows: func(*Engine, *gms.Context, []string) ([]gms.Row, error) {
				return nil, Error(1381, "HY000", "You are not using binary logging")
			},
		},
		{form: phrase(`SHOW (?:BINLOG|RELAYLOG) EVENTS\b.*`), columns: binlogColumns, rows: noRows},
		{form: phrase(`SHOW (?:SLAVE HOSTS|REPLICAS)`), columns: "Server_Id int, Host text, Port int, Source_Id int, Replica_UUID text", rows: noRows},
		{form: phrase(`SHOW CREATE USER(?: (.*))?`), early: true, columns: "CREATE USER text", rows: showCreateUser},
		{form: phrase(`HELP .*`), columns: "name text, description text, example text", rows: noRows},
		{form: phrase(`XA RECOVER(?: .*)?`), columns: "formatID int, gtrid_length int, bqual_length int, data text", rows: noRows},
		{form: phrase(`DO (.*)`), rows: do},
		{
			form:    phrase(`(CHECK|OPTIMIZE|REPAIR)(?: LOCAL| NO_WRITE_TO_BINLOG)? TABLES? (.*?)(?: FOR UPGRADE| QUICK| FAST| MEDIUM| EXTENDED| CHANGED| USE_FRM)*`),
			columns: "Table text, Op text, Msg_type text, Msg_text text", rows: tableCheck,
		},
		{form: phrase(`CHECKSUM TABLES? (.*?)(?: QUICK| EXTENDED)?`), columns: "Table text, Checksum int", rows: checksum},
		{form: phrase(`(?:EXPLAIN|DESC|DESCRIBE) FORMAT~=~'?JSON'? (.*)`), columns: "EXPLAIN text", rows: explainJSON},
	}
}

// phraseWords are the words with which a phrase may begin, so that others are
// not looked at.
var phraseWords = map[string]bool{
	"show": true, "desc": true, "describe": true, "explain": true, "analyze": true, "set": true, "start": true, "select": true, "flush": true,
	"reset": true, "help": true, "xa": true, "do": true, "check": true, "optimize": true, "repair": true, "checksum": true, "execute": true,
	"with": true, "insert": true, "(": true,
}

// firstWord is the first word of a statement, in lower case; "(" stands for
// a parenthesis.
func firstWord(query string) string {
	if strings.HasPrefix(query, "(") {
		return "("
	}
	end := 0
	for end < len(query) && (query[end] == '_' || query[end]|0x20 >= 'a' && query[end]|0x20 <= 'z') {
		end++
	}
	return strings.ToLower(query[:end])
}

// answerTo returns the answer to a statement, if there is one.
func (e *Engine) answerTo(query string, early bool) Statement {
	for i := range answers {
		a := &answers[i]
		if early && !a.early {
			continue
		}
		if m := a.form.FindStringSubmatch(query); m != nil {
			return &answered{e: e, answer: a, match: m}
		}
	}
	return nil
}

// earlyWords begin the phrases that the engine's parser reads, and the engine
// refuses.
var earlyWords = map[string]bool{"show": true, "flush": true, "reset": true}

// early answers what must not come to the engine's parser.
func (e *Engine) early(query string) Statement {
	if !earlyWords[firstWord(query)] {
		return nil
	}
	return e.answerTo(query, true)
}

// rewordingsMax bounds how often one statement is said in other words.
const rewordingsMax = 24

// retry reads a statement that the engine's parser has refused with err. nil,
// nil says that it stays refused.
func (p *parser) retry(ctx context.Context, query string, o ast.ParserOptions, err error) ast.Statement {
	query = strings.TrimSpace(trimComments(query))
	if !phraseWords[firstWord(query)] {
		return nil
	}
	if a := p.e.answerTo(query, false); a != nil {
		return inject(a)
	}
	for range rewordingsMax {
		next, ok := reword1(query, err)
		if !ok || next == query {
			return nil
		}
		query = next
		if stmt, own, herr := p.hook(ctx, query); own || herr != nil {
			return stmt
		}
		var stmt ast.Statement
		stmt, _, _, err = p.Parser.ParseWithOptions(ctx, query, ';', false, o)
		if err == nil {
			if stmt, err = p.rewrite(ctx, stmt, false); err != nil {
				return nil
			}
			return stmt
		}
		if a := p.e.answerTo(query, false); a != nil {
			return inject(a)
		}
	}
	return nil
}

// reword1 says a statement in other words, once.
func reword1(query string, err error) (string, bool) {
	for _, r := range statementRewordings {
		if m := r.form.FindStringSubmatchIndex(query); m != nil {
			return string(r.form.ExpandString(nil, r.to, query, m)), true
		}
	}
	if next, ok := odbcEscapes(query); ok {
		return next, true
	}
	if next, ok := assignments(query); ok {
		return next, true
	}
	return quoteName(query, err)
}

// softWords are names that the engine's parser takes for functions wherever
// they stand. Without a parenthesis they are names in MySQL or MariaDB.
var softWords = map[string]bool{
	"std": true, "stddev": true, "stddev_pop": true, "stddev_samp": true, "variance": true, "var_pop": true, "var_samp": true,
	"rank": true, "dense_rank": true, "row_number": true, "percent_rank": true, "cume_dist": true, "ntile": true, "lag": true, "lead": true,
	"first_value": true, "last_value": true, "nth_value": true, "system": true, "groups": true, "of": true, "empty": true, "function": true,
	"lateral": true, "recursive": true, "window": true, "rows": true, "json_table": true, "primary": true,
}

var nearWord = regexp.MustCompile(`syntax error at position (\d+) near '(\w+)'`)

// quoteName puts backticks round the word that the parser could not place, if
// it is a name in MySQL.
func quoteName(query string, err error) (string, bool) {
	m := nearWord.FindStringSubmatch(err.Error())
	if m == nil || !softWords[strings.ToLower(m[2])] {
		return "", false
	}
	pos, _ := strconv.Atoi(m[1])
	end := min(pos-1, len(query))
	start := end - len(m[2])
	if start < 0 || !strings.EqualFold(query[start:end], m[2]) {
		return "", false
	}
	if rest := strings.TrimLeft(query[end:], " \t\r\n"); strings.HasPrefix(rest, "(") {
		return "", false
	}
	return query[:start] + "`" + query[start:end] + "`" + query[end:], true
}

// A token is a piece of a statement that belongs together, from start to end.
type token struct {
	start, end int
	text       string
}

// tokens cuts a statement into words, numbers, quoted texts and marks, without
// comments and white space.
func tokens(query string) (list []token) {
	for i := 0; i < len(query); {
		start := i
		switch c := query[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '\'' || c == '"' || c == '`':
			i = skipQuoted(query, i)
		case skipComment(query, i) > i:
			i = skipComment(query, i)
			continue
		case isWordByte(c) || c == '@':
			for i < len(query) && (isWordByte(query[i]) || query[i] == '@') {
				i++
			}
		case strings.HasPrefix(query[i:], ":="):
			i += 2
		default:
			i++
		}
		list = append(list, token{start, i, query[start:i]})
	}
	return list
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// odbcEscapes takes away the braces of {fn f(…)}, and makes {d '…'}, {t '…'}
// and {ts '…'} what they stand for.
func odbcEscapes(query string) (string, bool) {
	list := tokens(query)
	var out strings.Builder
	at, found := 0, false
	var ends []string // what each open brace becomes
	for i, t := range list {
		switch {
		case t.text == "{" && i+1 < len(list):
			begin, end := "", ""
			switch strings.ToLower(list[i+1].text) {
			case "fn", "oj":
			case "d":
				begin, end = "CAST(", " AS DATE)"
			case "t":
				begin, end = "CAST(", " AS TIME)"
			case "ts":
				begin, end = "CAST(", " AS DATETIME(6))"
			default:
				return "", false
			}
			out.WriteString(query[at:t.start])
			out.WriteString(begin)
			at, found = list[i+1].end, true
			ends = append(ends, end)
		case t.text == "}":
			if len(ends) == 0 {
				return "", false
			}
			out.WriteString(query[at:t.start])
			out.WriteString(ends[len(ends)-1])
			at, ends = t.end, ends[:len(ends)-1]
		}
	}
	out.WriteString(query[at:])
	return out.String(), found && len(ends) == 0
}

// assignmentEnds are the words before which the value of @x := … ends.
var assignmentEnds = map[string]bool{
	",": true, ")": true, "from": true, "where": true, "group": true, "having": true, "order": true, "limit": true, "union": true, "as": true,
	"when": true, "then": true, "else": true, "end": true, "into": true, "for": true, "lock": true, ";": true,
}

// assignments makes @x := value a call that assigns and returns it, in a
// SELECT; and @x, in the same statement, one that reads what was assigned.
func assignments(query string) (string, bool) {
	list := tokens(query)
	assigned := false
	for _, t := range list {
		assigned = assigned || t.text == ":="
	}
	if !assigned || firstWord(query) == "set" {
		return "", false
	}
	var out strings.Builder
	at, depth, cases := 0, 0, 0
	type open struct{ depth, cases int }
	var stack []open
	closeTo := func(pos int, until func(open) bool) {
		for len(stack) > 0 && until(stack[len(stack)-1]) {
			out.WriteString(strings.TrimRight(query[at:pos], " \t\r\n"))
			out.WriteString(") ")
			at, stack = pos, stack[:len(stack)-1]
		}
	}
	for i, t := range list {
		word := strings.ToLower(t.text)
		if assignmentEnds[word] {
			closeTo(t.start, func(o open) bool { return o.depth == depth && (o.cases == cases || word == "," || word == ")") })
		}
		switch word {
		case "(":
			depth++
		case ")":
			depth--
		case "case":
			cases++
		case "end":
			cases--
		}
		if len(word) < 2 || word[0] != '@' || word[1] == '@' {
			continue
		}
		name := strings.Trim(word[1:], "'`\"")
		out.WriteString(query[at:t.start])
		if i+1 < len(list) && list[i+1].text == ":=" {
			out.WriteString(assignFunction + "('" + name + "', ")
			at = list[i+1].end
			stack = append(stack, open{depth, cases})
			continue
		}
		out.WriteString(readFunction + "('" + name + "')")
		at = t.end
	}
	closeTo(len(query), func(open) bool { return true })
	out.WriteString(query[at:])
	return out.String(), true
}

// answered is a statement with an answer.
type answered struct {
	e      *Engine
	answer *answer
	match  []string
}

func (a *answered) Schema() gms.Schema {
	if a.answer.columns == "" {
		return nil
	}
	var s gms.Schema
	for _, c := range strings.Split(a.answer.columns, ", ") {
		cut := strings.LastIndexByte(c, ' ')
		typ := map[string]gms.Type{"text": types.LongText, "int": types.Int64, "double": types.Float64}[c[cut+1:]]
		s = append(s, &gms.Column{Name: c[:cut], Type: typ, Nullable: true})
	}
	return s
}

func (a *answered) ReadOnly() bool { return true }
func (a *answered) Access() Access { return Access{} }

func (a *answered) RowIter(ctx *gms.Context) (gms.RowIter, error) {
	rows, err := a.answer.rows(a.e, ctx, a.match)
	if err != nil {
		return nil, err
	}
	if a.answer.columns == "" {
		return OK(0), nil
	}
	return gms.RowsToRowIter(rows...), nil
}

// rowsOf runs a statement within the one of ctx. It asks for the rights that
// the account has.
func (e *Engine) rowsOf(ctx *gms.Context, query string) (gms.Schema, []gms.Row, error) {
	schema, iter, err := e.Query(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	rows, err := gms.RowIterToRows(ctx, iter)
	return schema, rows, err
}

func do(e *Engine, ctx *gms.Context, m []string) ([]gms.Row, error) {
	_, _, err := e.rowsOf(ctx, "SELECT "+m[1])
	return nil, err
}

// tableNames cuts a list of tables.
func tableNames(list string) (names []string) {
	for _, n := range strings.Split(list, ",") {
		if n = strings.TrimSpace(n); n != "" {
			names = append(names, n)
		}
	}
	return names
}

var wholeName = phrase(tableForm)

// tableThere returns the full name of a table as MySQL shows it, and an error
// where there is none.
func (e *Engine) tableThere(ctx *gms.Context, name string) (string, error) {
	if !wholeName.MatchString(name) {
		return "", Error(1064, "42000", mysqlSyntaxError+"no table can be called %s", name)
	}
	plain := strings.ReplaceAll(name, "`", "")
	if !strings.Contains(plain, ".") {
		plain = ctx.GetCurrentDatabase() + "." + plain
	}
	_, _, err := e.rowsOf(ctx, "SELECT 1 FROM "+name+" LIMIT 0")
	return plain, err
}

// tableCheck answers CHECK, OPTIMIZE and REPAIR TABLE: there is nothing that
// these would do.
func tableCheck(e *Engine, ctx *gms.Context, m []string) (rows []gms.Row, _ error) {
	op := strings.ToLower(m[1])
	for _, name := range tableNames(m[2]) {
		full, err := e.tableThere(ctx, name)
		switch {
		case err != nil && full == "":
			return nil, err
		case err != nil:
			rows = append(rows, gms.Row{full, op, "Error", messageOf(err)}, gms.Row{full, op, "status", "Operation failed"})
		case op == "check":
			rows = append(rows, gms.Row{full, op, "status", "OK"})
		default:
			rows = append(rows, gms.Row{full, op, "note", "The storage engine for the table doesn't support " + op})
		}
	}
	return rows, nil
}

// messageOf is what an error says, without its numbers.
func messageOf(err error) string {
	var own *mysql.SQLError
	if errors.As(err, &own) {
		return own.Message
	}
	return err.Error()
}

// checksum answers CHECKSUM TABLE as MySQL does where a table keeps none.
func checksum(e *Engine, ctx *gms.Context, m []string) (rows []gms.Row, _ error) {
	for _, name := range tableNames(m[1]) {
		full, err := e.tableThere(ctx, name)
		if err != nil && full == "" {
			return nil, err
		}
		rows = append(rows, gms.Row{full, nil})
	}
	return rows, nil
}

// explainJSON is EXPLAIN as a tree of objects.
func explainJSON(e *Engine, ctx *gms.Context, m []string) ([]gms.Row, error) {
	schema, rows, err := e.rowsOf(ctx, "EXPLAIN "+m[1])
	if err != nil {
		return nil, err
	}
	column := func(row gms.Row, name string) any {
		if i := schema.IndexOfColName(name); i >= 0 && i < len(row) && row[i] != "NULL" {
			return row[i]
		}
		return nil
	}
	var loop []any
	for _, row := range rows {
		table := map[string]any{}
		for name, as := range map[string]string{
			"table": "table_name", "type": "access_type", "key": "key", "rows": "rows_examined_per_scan", "filtered": "filtered", "Extra": "message",
		} {
			if v := column(row, name); v != nil {
				table[as] = v
			}
		}
		loop = append(loop, map[string]any{"table": table})
	}
	doc, err := jsonIndent(map[string]any{"query_block": map[string]any{"select_id": 1, "nested_loop": loop}})
	if err != nil {
		return nil, err
	}
	return []gms.Row{{doc}}, nil
}

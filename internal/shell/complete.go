package shell

import (
	"slices"
	"strings"

	"weir/sql/ddl"
)

// starts are the words that statements begin with.
var starts = strings.Fields(`ALTER AUDIT BEGIN CALL COMMIT CREATE DELETE DESCRIBE DROP EXPLAIN GRANT INSERT KILL PREPARE REFRESH
REPLACE REVOKE ROLLBACK SELECT SET SHOW START TABLE TRUNCATE UPDATE USE WITH`)

// keywords are those that stand within statements.
var keywords = strings.Fields(`ALL AND AS ASC BETWEEN BY CASE CAST CROSS DESC DISTINCT ELSE END ESCAPE EXCEPT EXISTS FALSE FOR FROM
GROUP HAVING IN INNER INTERSECT INTERVAL INTO IS JOIN LEFT LIKE LIMIT NATURAL NOT NULL OFFSET ON OR ORDER OUTER OVER PARTITION
PATH RECURSIVE REGEXP RIGHT SELECT SET THEN TRUE UNION USING VALUES WHEN WHERE WITH XOR
SECOND MINUTE HOUR DAY WEEK MONTH YEAR`)

// types are those of columns.
var types = strings.Fields(`BIGINT BINARY BLOB BOOLEAN CHAR DATE DATETIME DATETIME(6) DECIMAL DOUBLE FLOAT INT JSON MEDIUMINT SMALLINT TEXT
TIMESTAMP TIMESTAMP(6) TINYINT UNSIGNED VARBINARY VARCHAR YEAR NOT NULL PATH COMMENT GENERATED ALWAYS AS`)

// functions are those that people look for: weir's own, and MySQL's common ones.
var functions = strings.Fields(`ANY_VALUE APPROX_COUNT_DISTINCT APPROX_PERCENTILE APPROX_TOP_K FIRST HOP LAST TUMBLE URL_PARAM URL_PATH WAIT_FOR_SEQ
ABS ADDDATE AVG BIT_AND BIT_OR BIT_XOR CEIL CHAR_LENGTH COALESCE CONCAT CONCAT_WS CONNECTION_ID CONVERT_TZ COUNT CURDATE
CURRENT_TIMESTAMP CURRENT_USER DATABASE DATE DATE_ADD DATE_FORMAT DATE_SUB DATEDIFF DAYNAME DAYOFMONTH DAYOFWEEK DAYOFYEAR DENSE_RANK
EXP FIND_IN_SET FIRST_VALUE FLOOR FORMAT FROM_UNIXTIME GREATEST GROUP_CONCAT HEX HOUR IF IFNULL INET_ATON INET_NTOA INSTR
JSON_ARRAYAGG JSON_CONTAINS JSON_EXTRACT JSON_LENGTH JSON_OBJECTAGG JSON_UNQUOTE JSON_VALID LAG LAST_VALUE LEAD LEAST LEFT LENGTH
LN LOCATE LOG LOG10 LOG2 LOWER LPAD LTRIM MAX MD5 MICROSECOND MIN MINUTE MOD MONTH MONTHNAME NOW NTILE NULLIF POWER QUARTER
RAND RANK REGEXP_INSTR REGEXP_LIKE REGEXP_REPLACE REGEXP_SUBSTR REPEAT REPLACE REVERSE RIGHT ROUND ROW_COUNT ROW_NUMBER RPAD RTRIM
SECOND SHA1 SHA2 SIGN SLEEP SQRT STDDEV STDDEV_POP STDDEV_SAMP STR_TO_DATE SUBSTRING SUBSTRING_INDEX SUM SYSDATE TIME
TIMESTAMPDIFF TO_DAYS TRIM TRUNCATE UNHEX UNIX_TIMESTAMP UPPER USER UTC_TIMESTAMP UUID VARIANCE VAR_POP VAR_SAMP VERSION WEEK
WEEKDAY YEAR`)

// next are the words that follow others where few can. A word of lower case
// stands for names: stream, view, relation or database.
var next = map[string]string{
	"ALTER":                               "MATERIALIZED USER",
	"ALTER MATERIALIZED":                  "VIEW",
	"ALTER MATERIALIZED VIEW":             "view",
	"AUDIT":                               "MATERIALIZED",
	"AUDIT MATERIALIZED":                  "VIEW",
	"AUDIT MATERIALIZED VIEW":             "view",
	"CREATE":                              "STREAM MATERIALIZED OR VIEW USER",
	"CREATE STREAM":                       "IF",
	"CREATE MATERIALIZED":                 "VIEW",
	"CREATE MATERIALIZED VIEW":            "IF view",
	"CREATE OR":                           "REPLACE",
	"CREATE OR REPLACE":                   "MATERIALIZED VIEW",
	"CREATE OR REPLACE MATERIALIZED":      "VIEW",
	"CREATE OR REPLACE MATERIALIZED VIEW": "view",
	"DESC":                                "relation",
	"DESCRIBE":                            "relation",
	"DELETE":                              "FROM",
	"DROP":                                "STREAM MATERIALIZED VIEW USER",
	"DROP STREAM":                         "IF stream",
	"DROP STREAM IF":                      "EXISTS",
	"DROP STREAM IF EXISTS":               "stream",
	"DROP MATERIALIZED":                   "VIEW",
	"DROP MATERIALIZED VIEW":              "IF view",
	"DROP MATERIALIZED VIEW IF":           "EXISTS",
	"DROP MATERIALIZED VIEW IF EXISTS":    "view",
	"EXPLAIN":                             "SELECT FORMAT ANALYZE",
	"INSERT":                              "INTO",
	"INSERT INTO":                         "stream",
	"KILL":                                "QUERY CONNECTION",
	"REFRESH":                             "MATERIALIZED",
	"REFRESH MATERIALIZED":                "VIEW",
	"REFRESH MATERIALIZED VIEW":           "view",
	"SHOW":                                "COLUMNS CREATE DATABASES FULL GRANTS INDEX MATERIALIZED PROCESSLIST STATUS STREAMS TABLES VARIABLES WARNINGS",
	"SHOW CREATE":                         "STREAM MATERIALIZED VIEW TABLE",
	"SHOW CREATE STREAM":                  "stream",
	"SHOW CREATE TABLE":                   "relation",
	"SHOW CREATE VIEW":                    "view",
	"SHOW CREATE MATERIALIZED":            "VIEW",
	"SHOW CREATE MATERIALIZED VIEW":       "view",
	"SHOW MATERIALIZED":                   "VIEWS",
	"SHOW FULL":                           "COLUMNS PROCESSLIST TABLES",
	"SHOW COLUMNS":                        "FROM",
	"TABLE":                               "relation",
	"USE":                                 "database",
	"CALL":                                "weir.run( weir.rerun_batch( weir.cancel_job(",
}

// choices are the values of options that have few.
var choices = map[string][]string{
	"mode":     {"'lambda'", "'kappa'"},
	"delivery": {"'exactly_once'", "'at_least_once'", "'at_most_once'"},
	"format":   {"'json'", "'regex'", "'combined'"},
}

// completions returns what the word at the end of text can become, and that
// word. Text is the statement up to the cursor; database is the current one.
func completions(text, database string, n *names) (candidates []string, typed string) {
	tokens, typed, quoted := tokensOf(text)
	if quoted {
		return nil, typed
	}
	var list []string
	if qualifier, ok := qualified(tokens); ok {
		list = n.after(qualifier, tokens)
	} else {
		list = here(tokens, typed, database, n)
	}
	for _, c := range list {
		if len(c) > len(typed) && strings.EqualFold(c[:len(typed)], typed) && !slices.Contains(candidates, c) &&
			(strings.HasPrefix(typed, "__") || !strings.HasPrefix(c, "__")) {
			candidates = append(candidates, c)
		}
	}
	slices.Sort(candidates)
	return candidates, typed
}

// here are the candidates where no name and dot stand before.
func here(tokens []string, typed, database string, n *names) []string {
	if len(tokens) == 0 {
		list := spaced(typed, starts)
		for _, c := range commands {
			if len(c.name) > 1 && c.name != "watch" {
				list = append(list, c.name)
			}
		}
		return list
	}
	upper := make([]string, len(tokens))
	for i, t := range tokens {
		upper[i] = strings.ToUpper(t)
	}
	if words, ok := next[strings.Join(upper, " ")]; ok {
		return follow(words, typed, database, n)
	}
	if upper[0] == "CREATE" || upper[0] == "ALTER" {
		if list, ok := options(upper, typed); ok {
			return list
		}
	}
	last := upper[len(upper)-1]
	switch last {
	case "FROM", "JOIN", "INTO", "UPDATE":
		return append(n.tables(database), n.databases...)
	}
	if slices.Equal(upper[:min(2, len(upper))], []string{"CREATE", "STREAM"}) {
		return append(spaced(typed, types), "WITH (")
	}
	list := append(spaced(typed, keywords), n.mentioned(tokens, database)...)
	for _, f := range functions {
		list = append(list, inCase(f, typed)+"(")
	}
	switch upper[0] {
	case "REFRESH":
		list = append(list, inCase("FULL", typed))
	case "ALTER":
		list = append(list, inCase("ROLLBACK", typed), inCase("SET", typed)+" (")
	}
	return list
}

// follow are the candidates that an entry of next means.
func follow(words, typed, database string, n *names) []string {
	var list []string
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "stream":
			list = append(list, n.streams...)
		case "view":
			list = append(list, n.views...)
		case "relation":
			list = append(append(list, n.tables(database)...), n.databases...)
		case "database":
			list = append(list, n.databases...)
		default:
			if !strings.HasSuffix(word, "(") {
				word = inCase(word, typed) + " "
			}
			list = append(list, word)
		}
	}
	return list
}

// options are the candidates within the options of a stream or a view.
func options(upper []string, typed string) (list []string, ok bool) {
	open := -1
	for i := len(upper) - 1; i > 0 && open < 0; i-- {
		switch {
		case upper[i] == ")":
			return nil, false
		case upper[i] == "(" && (upper[i-1] == "WITH" || upper[i-1] == "SET" && upper[0] == "ALTER"):
			open = i
		case upper[i] == "(":
			return nil, false
		}
	}
	if open < 0 {
		return nil, false
	}
	names := ddl.ViewOptions
	if slices.Contains(upper[:open], "STREAM") {
		names = ddl.StreamOptions
	}
	switch last := upper[len(upper)-1]; {
	case last == "(" || last == ",":
		for _, name := range names {
			list = append(list, name+" = ")
		}
	case last == "=" && typed == "":
		list = choices[strings.ToLower(upper[len(upper)-2])]
	}
	return list, true
}

// after are the candidates behind a name and a dot: the relations of a
// database, or the columns of a relation or of what stands for one.
func (n *names) after(qualifier []string, tokens []string) []string {
	last := qualifier[len(qualifier)-1]
	if len(qualifier) > 1 {
		return n.columns(qualifier[len(qualifier)-2], last)
	}
	if list := n.tables(last); len(list) > 0 {
		return list
	}
	if list := n.columns("", last); len(list) > 0 {
		return list
	}
	for i, t := range tokens { // relation [AS] alias
		if !strings.EqualFold(t, last) || i == 0 || i == len(tokens)-2 {
			continue
		}
		before := tokens[i-1]
		if strings.EqualFold(before, "AS") && i > 1 {
			before = tokens[i-2]
		}
		if list := n.columns("", before); len(list) > 0 {
			return list
		}
	}
	return nil
}

// mentioned are the columns of the relations that a statement names.
func (n *names) mentioned(tokens []string, database string) []string {
	var list []string
	for _, t := range tokens {
		list = append(list, n.columns("", t)...)
	}
	if list == nil { // SELECT comes before FROM
		for _, r := range n.relations {
			if strings.EqualFold(r.database, database) {
				list = append(list, r.columns...)
			}
		}
	}
	return append(list, n.tables(database)...)
}

// spaced are keywords, in the case of what was typed, and with space behind.
func spaced(typed string, words []string) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = inCase(w, typed) + " "
	}
	return list
}

// inCase is a keyword in the case of what was typed.
func inCase(word, typed string) string {
	if typed != "" && typed == strings.ToLower(typed) && typed != strings.ToUpper(typed) {
		return strings.ToLower(word)
	}
	return word
}

// qualified returns the names before a dot at the end of tokens.
func qualified(tokens []string) ([]string, bool) {
	var list []string
	for i := len(tokens); i >= 2 && tokens[i-1] == "."; i -= 2 {
		list = append([]string{tokens[i-2]}, list...)
	}
	return list, list != nil
}

// tokensOf cuts a statement into its words, names without their quotes, and
// single other bytes; texts and comments are left out. The word that is being
// typed comes apart from the others. In a text or a comment, quoted is true.
func tokensOf(text string) (tokens []string, typed string, quoted bool) {
	s := newSplitter()
	s.delimiter = "\x00" // nothing ends here
	word := func(c byte) bool {
		return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
	}
	for i := 0; i < len(text); {
		c := text[i]
		end := i + 1
		switch {
		case c == '\'' || c == '"' || strings.HasPrefix(text[i:], "/*"):
			if s.in = c; c == '/' {
				s.in, end = '*', i+2
			}
			for end < len(text) && s.in != 0 {
				end = s.inside(text, end)
			}
			if s.in != 0 {
				return nil, "", true
			}
			tokens = append(tokens, "''")
		case c == '`':
			length := strings.IndexByte(text[end:], '`')
			if length < 0 {
				return nil, "", true
			}
			end += length + 1
			tokens = append(tokens, text[i+1:end-1])
		case c == '#' || strings.HasPrefix(text[i:], "-- "):
			line := strings.IndexByte(text[i:], '\n')
			if line < 0 {
				return nil, "", true
			}
			end = i + line + 1
		case word(c):
			for end < len(text) && word(text[end]) {
				end++
			}
			if end == len(text) {
				return tokens, text[i:], false
			}
			tokens = append(tokens, text[i:end])
		case c > ' ':
			tokens = append(tokens, string(c))
		}
		i = end
	}
	return tokens, "", false
}

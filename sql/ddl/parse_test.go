package ddl

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		query string
		want  Statement
	}{
		{"CREATE STREAM s (a INT)", &CreateStream{Name: Name{Name: "s"}, Columns: []Column{{Name: "a", Type: "int"}}}},
		{"create stream if not exists Db.S(A int);", &CreateStream{
			IfNotExists: true, Name: Name{Database: "Db", Name: "S"}, Columns: []Column{{Name: "A", Type: "int"}},
		}},
		{
			"CREATE STREAM `a``b` (`group` INT, \"order\" INT, path TEXT PATH 'p') COMMENT = 'it''s' WITH (format=csv)",
			&CreateStream{
				Name:    Name{Name: "a`b"},
				Columns: []Column{{Name: "group", Type: "int"}, {Name: "order", Type: "int"}, {Name: "path", Type: "text", Path: "p"}},
				Options: Options{{Name: "format", Value: "csv"}},
				Comment: "it's",
			},
		},
		{
			"CREATE STREAM s (a INT) WITH (Subjects = 'a, b.>', max_bytes = 10GB, replicas = 3, pattern = \"(?P<a>\\\\d+)\") COMMENT 'c'",
			&CreateStream{
				Name:    Name{Name: "s"},
				Columns: []Column{{Name: "a", Type: "int"}},
				Options: Options{
					{Name: "subjects", Value: "a, b.>"},
					{Name: "max_bytes", Value: "10GB"},
					{Name: "replicas", Value: "3"},
					{Name: "pattern", Value: `(?P<a>\d+)`},
				},
				Comment: "c",
			},
		},
		{
			"CREATE STREAM s (a INT COMMENT 'x' PATH '$.a.b' NOT NULL, b INT GENERATED ALWAYS AS ((a) + 1 /* ) */ ) STORED NOT NULL)",
			&CreateStream{Name: Name{Name: "s"}, Columns: []Column{
				{Name: "a", Type: "int", NotNull: true, Path: "$.a.b", Comment: "x"},
				{Name: "b", Type: "int", NotNull: true, Generated: "(a) + 1"},
			}},
		},
		{
			"CREATE STREAM s (a INT AS (URL_PARAM(t, ')')) VIRTUAL)",
			&CreateStream{Name: Name{Name: "s"}, Columns: []Column{{Name: "a", Type: "int", Generated: "URL_PARAM(t, ')')"}}},
		},

		{
			"CREATE STREAM s (a INT) WITH (retention = 1.5, max_bytes = .5e-3, event_time = 1.5GB, replicas = 1e3, format = FALSE, `pattern` = '')",
			&CreateStream{Name: Name{Name: "s"}, Columns: []Column{{Name: "a", Type: "int"}}, Options: Options{
				{Name: "retention", Value: "1.5"},
				{Name: "max_bytes", Value: ".5e-3"},
				{Name: "event_time", Value: "1.5GB"},
				{Name: "replicas", Value: "1e3"},
				{Name: "format", Value: "false"},
				{Name: "pattern", Value: ""},
			}},
		},

		{"DROP STREAM s", &DropStream{Name: Name{Name: "s"}}},
		{"drop stream if exists `d`.`s` ;; ", &DropStream{IfExists: true, Name: Name{Database: "d", Name: "s"}}},
		{"SHOW STREAMS", &ShowStreams{}},
		{"SHOW STREAMS FROM analytics LIKE 'a\\_%'", &ShowStreams{Database: "analytics", Like: `a\_%`}},
		{"SHOW STREAMS IN analytics", &ShowStreams{Database: "analytics"}},
		{"SHOW CREATE STREAM s", &ShowCreateStream{Name{Name: "s"}}},

		{"CREATE MATERIALIZED VIEW v AS SELECT 1", &CreateView{Name: Name{Name: "v"}, Query: "SELECT 1"}},
		{
			"CREATE OR REPLACE MATERIALIZED VIEW v WITH (mode = 'kappa') AS\n -- counts\n SELECT ';', `;` /* ; */ FROM s -- end ;\n ; -- bye",
			&CreateView{
				OrReplace: true, Name: Name{Name: "v"}, Options: Options{{Name: "mode", Value: "kappa"}},
				Query: "SELECT ';', `;` /* ; */ FROM s",
			},
		},
		{
			"CREATE MATERIALIZED VIEW IF NOT EXISTS d.v AS WITH x AS (SELECT 1) SELECT * FROM x",
			&CreateView{IfNotExists: true, Name: Name{Database: "d", Name: "v"}, Query: "WITH x AS (SELECT 1) SELECT * FROM x"},
		},
		{"CREATE MATERIALIZED VIEW v AS (SELECT 1)", &CreateView{Name: Name{Name: "v"}, Query: "(SELECT 1)"}},
		{"CREATE MATERIALIZED VIEW v AS SELECT 1 /*! LIMIT 1 */ /* c */", &CreateView{Name: Name{Name: "v"}, Query: "SELECT 1 /*! LIMIT 1 */"}},
		{"DROP MATERIALIZED VIEW v", &DropView{Name: Name{Name: "v"}}},
		{"DROP MATERIALIZED VIEW IF EXISTS v", &DropView{IfExists: true, Name: Name{Name: "v"}}},
		{"SHOW MATERIALIZED VIEWS", &ShowViews{}},
		{"SHOW MATERIALIZED VIEWS FROM analytics LIKE 'x%'", &ShowViews{Database: "analytics", Like: "x%"}},
		{"SHOW CREATE MATERIALIZED VIEW v", &ShowCreateView{Name{Name: "v"}}},
		{"REFRESH MATERIALIZED VIEW v", &RefreshView{Name: Name{Name: "v"}}},
		{"REFRESH MATERIALIZED VIEW v FULL", &RefreshView{Name: Name{Name: "v"}, Full: true}},
		{
			"ALTER MATERIALIZED VIEW v SET (batch_interval = '1h', publish_changes = True)",
			&AlterView{Name: Name{Name: "v"}, Set: Options{{Name: "batch_interval", Value: "1h"}, {Name: "publish_changes", Value: "true"}}},
		},
		{"ALTER MATERIALIZED VIEW v ROLLBACK", &AlterView{Name: Name{Name: "v"}, Rollback: true}},
		{"AUDIT MATERIALIZED VIEW v", &AuditView{Name{Name: "v"}}},

		{" -- a comment\n# another\n/* and */ /*!50000 a hint */ SHOW\tSTREAMS --", &ShowStreams{}},
		{"\uFEFFSHOW STREAMS", &ShowStreams{}},
	}
	for _, tt := range tests {
		got, err := Parse(tt.query)
		if err != nil {
			t.Errorf("%s\n %v", tt.query, err)
			continue
		}
		if got := withoutPositions(got); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s\n got %#v\nwant %#v", tt.query, got, tt.want)
		}
		checkRoundTrip(t, got)
	}
}

// checkRoundTrip holds a statement to what String promises.
func checkRoundTrip(t *testing.T, s Statement) {
	t.Helper()
	text := s.String()
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("its own String does not parse: %v\n%s", err, text)
	}
	if !reflect.DeepEqual(withoutPositions(again), withoutPositions(s)) {
		t.Fatalf("its own String is another statement:\n%s\n got %#v\nwant %#v", text, again, s)
	}
	if again.String() != text {
		t.Fatalf("String is not stable:\n%s\n%s", text, again.String())
	}
}

// withoutPositions is a copy of s with every position 0.
func withoutPositions(s Statement) Statement {
	switch s := s.(type) {
	case *CreateStream:
		c := *s
		c.Name.Pos = 0
		c.Columns = append([]Column(nil), s.Columns...)
		for i := range c.Columns {
			c.Columns[i].Pos = 0
		}
		c.Options = s.Options.withoutPositions()
		return &c
	case *CreateView:
		c := *s
		c.Name.Pos, c.QueryPos = 0, 0
		c.Options = s.Options.withoutPositions()
		return &c
	case *AlterView:
		c := *s
		c.Name.Pos = 0
		c.Set = s.Set.withoutPositions()
		return &c
	case *DropStream:
		return &DropStream{s.IfExists, s.Name.withoutPosition()}
	case *DropView:
		return &DropView{s.IfExists, s.Name.withoutPosition()}
	case *ShowCreateStream:
		return &ShowCreateStream{s.Name.withoutPosition()}
	case *ShowCreateView:
		return &ShowCreateView{s.Name.withoutPosition()}
	case *RefreshView:
		return &RefreshView{s.Name.withoutPosition(), s.Full}
	case *AuditView:
		return &AuditView{s.Name.withoutPosition()}
	}
	return s
}

func (n Name) withoutPosition() Name { return Name{Database: n.Database, Name: n.Name} }

func (o Options) withoutPositions() Options {
	c := append(Options(nil), o...)
	for i := range c {
		c[i].Pos, c[i].ValuePos = 0, 0
	}
	return c
}

func TestPositions(t *testing.T) {
	query := "/* c */ CREATE STREAM d.s (a INT, b INT) WITH (format = 'csv', replicas=1)"
	s, err := Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	c := s.(*CreateStream)
	for _, at := range []struct {
		pos  int
		text string
	}{
		{c.Name.Pos, "d.s"},
		{c.Columns[0].Pos, "a INT"},
		{c.Columns[1].Pos, "b INT"},
		{c.Options[0].Pos, "format"},
		{c.Options[0].ValuePos, "'csv'"},
		{c.Options[1].Pos, "replicas"},
		{c.Options[1].ValuePos, "1)"},
	} {
		if !strings.HasPrefix(query[at.pos:], at.text) {
			t.Errorf("at %d is %q, want %q", at.pos, query[at.pos:], at.text)
		}
	}

	query = "CREATE MATERIALIZED VIEW v AS /* c */\n  SELECT 1 ;"
	if s, err = Parse(query); err != nil {
		t.Fatal(err)
	}
	if v := s.(*CreateView); !strings.HasPrefix(query[v.QueryPos:], v.Query) {
		t.Errorf("the query is at %d: %q", v.QueryPos, query[v.QueryPos:])
	}
}

// The statements of MySQL, and what is no statement at all, are left alone.
func TestNotOurs(t *testing.T) {
	for _, query := range []string{
		"", " ", ";", "-- CREATE STREAM s", "/* SHOW STREAMS */", "/* never closed", "'never closed", "\xff",
		"SELECT 1", "SELECT stream FROM t", "(SELECT 1)", "SELECT 'CREATE STREAM s'", "WITH x AS (SELECT 1) SELECT 1",
		"INSERT INTO s VALUES ('never closed", "UPDATE stream SET a = 1", "DELETE stream FROM t", "USE stream", "SET stream = 1",
		"DESC stream", "TABLE stream", "CALL stream()", "EXPLAIN SELECT 1", "GRANT SELECT ON v TO u", "KILL QUERY 1",
		"CREATE TABLE stream (a INT)", "CREATE TEMPORARY TABLE t (a INT)", "CREATE VIEW v AS SELECT 1",
		"CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE ALGORITHM=MERGE VIEW v AS SELECT 1", "CREATE DEFINER=root VIEW v AS SELECT 1",
		"CREATE DATABASE d", "CREATE SCHEMA d", "CREATE SERVER s", "CREATE USER u", "CREATE ROLE r", "CREATE EVENT e",
		"CREATE FUNCTION f", "CREATE PROCEDURE p", "CREATE TRIGGER t", "CREATE INDEX i ON t (a)", "CREATE UNIQUE INDEX i ON t (a)",
		"CREATE `STREAM` s", "CREATE 'STREAM' s", "CREATE", "CREATE OR", "CREATE OR REPLACE",
		"DROP TABLE stream", "DROP VIEW v", "DROP DATABASE d", "DROP SCHEMA d", "DROP SERVER s", "DROP USER u", "DROP TRIGGER t", "DROP",
		"SHOW TABLES", "SHOW STATUS", "SHOW SCHEMAS", "SHOW DATABASES", "SHOW VARIABLES LIKE 'x'", "SHOW MASTER STATUS", "SHOW TRIGGERS",
		"SHOW CREATE TABLE stream", "SHOW CREATE VIEW v", "SHOW CREATE SCHEMA d", "SHOW WARNINGS", "SHOW STORAGE ENGINES", "SHOW",
		"SHOW CREATE", "SHOW FULL TABLES", "SHOW GRANTS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS", "SHOW TABLE STATUS",
		"ALTER TABLE stream ADD a INT", "ALTER VIEW v AS SELECT 1", "ALTER USER u", "ALTER DATABASE d", "ALTER SCHEMA d", "ALTER",
		"RESET MASTER", "ANALYZE TABLE stream", "FLUSH TABLES", "COMMIT", "START TRANSACTION",
	} {
		if s, err := Parse(query); s != nil || err != nil {
			t.Errorf("Parse(%q) = %v, %v", query, s, err)
		}
	}
}

// In each query, ¦ stands where the error must point.
func TestErrors(t *testing.T) {
	tests := []struct{ query, want string }{
		{"CREATE ¦MATERIALISED VIEW v AS SELECT 1", "near 'MATERIALISED': did you mean MATERIALIZED?"},
		{"CREATE MATERIALIZED ¦VEIW v AS SELECT 1", "near 'VEIW': did you mean VIEW?"},
		{"CREATE MATERIALIZED ¦v AS SELECT 1", "expected VIEW"},
		{"CREATE ¦STERAM s (a INT)", "did you mean STREAM?"},
		{"CREATE ¦STREAMS s (a INT)", "did you mean STREAM?"},
		{"¦CRAETE STREAM s (a INT)", "did you mean CREATE?"},
		{"¦REFERSH MATERIALIZED VIEW v", "did you mean REFRESH?"},
		{"CREATE ¦OR REPLACE STREAM s (a INT)", "a stream cannot be replaced"},
		{"CREATE OR REPLACE MATERIALIZED VIEW ¦IF NOT EXISTS v AS SELECT 1", "OR REPLACE and IF NOT EXISTS exclude each other"},
		{"REFRESH ¦VIEW v", "near 'VIEW': expected MATERIALIZED VIEW"},
		{"REFRESH ¦v", "expected MATERIALIZED VIEW"},
		{"REFRESH MATERIALIZED VIEW ¦CONCURRENTLY v", "leave CONCURRENTLY out"},
		{"REFRESH MATERIALIZED VIEW v ¦FUL", "did you mean FULL?"},
		{"REFRESH MATERIALIZED VIEW¦", "at the end: expected the name of a view"},
		{"AUDIT ¦VIEW v", "expected MATERIALIZED"},
		{"AUDIT MATERIALIZED VIEW v ¦FULL", "expected the end of the statement"},
		{"ALTER ¦STREAM s ADD a INT", "a stream cannot be altered"},
		{"ALTER MATERIALIZED VIEW v ¦AS SELECT 1", "CREATE OR REPLACE MATERIALIZED VIEW"},
		{"ALTER MATERIALIZED VIEW v ¦RENAME TO w", "expected SET or ROLLBACK"},
		{"ALTER MATERIALIZED VIEW v ¦ROLBACK", "expected SET or ROLLBACK, did you mean ROLLBACK?"},
		{"ALTER MATERIALIZED VIEW v SET ¦mode = 'kappa'", "expected ("},
		{"ALTER MATERIALIZED VIEW v SET (¦)", "expected an option, such as mode"},
		{"DROP STREAM a¦, b", "a statement drops one stream"},
		{"DROP STREAM a ¦CASCADE", "drop the views of a stream first"},
		{"DROP MATERIALIZED VIEW a ¦RESTRICT", "leave RESTRICT out"},
		{"DROP MATERIALIZED ¦VIEWS a", "did you mean VIEW?"},
		{"SHOW ¦STREAM", "did you mean STREAMS?"},
		{"SHOW MATERIALIZED ¦VIEW", "did you mean VIEWS?"},
		{"SHOW CREATE ¦STREAMS s", "did you mean STREAM?"},
		{"SHOW STREAMS ¦WHERE name = 'x'", "SELECT … FROM weir.streams"},
		{"SHOW MATERIALIZED VIEWS ¦WHERE name = 'x'", "SELECT … FROM weir.views"},
		{"SHOW STREAMS LIKE ¦x", "expected the pattern as text in quotes"},
		{"SHOW STREAMS; ¦SELECT 1", "one statement at a time"},

		{"CREATE STREAM ¦(a INT)", "expected the name of a stream"},
		{"CREATE STREAM IF ¦NO EXISTS s (a INT)", "did you mean NOT?"},
		{"CREATE STREAM IF NOT ¦s (a INT)", "expected EXISTS"},
		{"CREATE STREAM ¦order (a INT)", "order is a reserved word, as a name it is written `order`"},
		{"CREATE STREAM ¦2fa (a INT)", "quote a name that begins with a digit"},
		{"CREATE STREAM ¦'s' (a INT)", "expected the name of a stream"},
		{"CREATE STREAM ¦`` (a INT)", "cannot be empty"},
		{"CREATE STREAM ¦`a b` (a INT)", "the name of a stream cannot contain ' '"},
		{"CREATE MATERIALIZED VIEW d.¦`a.b` AS SELECT 1", "the name of a view cannot contain '.'"},
		{"CREATE STREAM ¦`a\nb` (a INT)", "cannot contain control characters"},
		{"CREATE STREAM s (¦`a ` INT)", "cannot end in a space"},
		{"CREATE STREAM ¦" + strings.Repeat("n", 65) + " (a INT)", "cannot be longer than 64 characters"},
		{"CREATE STREAM s¦", "expected ( and the columns of the stream"},
		{"CREATE STREAM s ¦WITH (format = json)", "expected ( and the columns of the stream"},
		{"CREATE STREAM s ¦AS SELECT 1", "use CREATE MATERIALIZED VIEW"},
		{"CREATE STREAM s ¦LIKE t", "a stream needs its columns"},
		{"CREATE STREAM s (¦)", "at least one column"},
		{"CREATE STREAM s (a INT, ¦)", "expected the name of a column"},
		{"CREATE STREAM s (a¦, b INT)", "expected the type of column a"},
		{"CREATE STREAM s (a INT¦", "expected a comma or ) after the column"},
		{"CREATE STREAM s (a INT ¦'x')", "expected a column clause"},
		{"CREATE STREAM s (a INT,\n  b INT,\n    c TEXT ¦PTAH '$.c')", "syntax error at line 3, column 12 near 'PTAH': expected a column clause (NOT NULL, PATH, AS, COMMENT), did you mean PATH?"},
		{"CREATE STREAM s (a INT ¦FOO)", "near 'FOO': expected a column clause (NOT NULL, PATH, AS, COMMENT)"},
		{"CREATE STREAM s (a INT NOT ¦EMPTY)", "expected NULL"},
		{"CREATE STREAM s (a INT NOT NULL ¦NULL)", "twice"},
		{"CREATE STREAM s (a INT PATH 'a' ¦PATH 'b')", "column a has PATH twice"},
		{"CREATE STREAM s (a INT PATH 'a' ¦AS (1))", "column a is generated and takes no PATH"},
		{"CREATE STREAM s (a INT PATH ¦a)", "expected the path as text in quotes"},
		{"CREATE STREAM s (a INT PATH ¦'')", "the path cannot be empty"},
		{"CREATE STREAM s (a INT AS ¦b + 1)", "expected ( and the expression"},
		{"CREATE STREAM s (a INT AS (¦))", "expected the expression"},
		{"CREATE STREAM s (a INT AS ¦(b + (1, c INT)", "the parenthesis that opens here is never closed"},
		{"CREATE STREAM s (a INT AS ¦(b; c))", "the parenthesis that opens here is never closed"},
		{"CREATE STREAM s (a INT GENERATED ¦AS (1))", "expected ALWAYS"},
		{"CREATE STREAM s (a INT ¦DEFAULT 0)", "a field that an event lacks is NULL"},
		{"CREATE STREAM s (a INT ¦PRIMARY KEY)", "its key is _seq"},
		{"CREATE STREAM s (a INT, ¦PRIMARY KEY (a))", "its key is _seq"},
		{"CREATE STREAM s (a INT ¦UNIQUE)", "leave UNIQUE out"},
		{"CREATE STREAM s (a INT ¦AUTO_INCREMENT)", "numbers its events in _seq"},
		{"CREATE STREAM s (a INT ¦REFERENCES t (a))", "leave REFERENCES out"},
		{"CREATE STREAM s (a INT, ¦KEY k (a))", "leave KEY out"},
		{"CREATE STREAM s (a INT, ¦INDEX i (a))", "leave INDEX out"},
		{"CREATE STREAM s (a INT, ¦FULLTEXT KEY (a))", "leave FULLTEXT out"},
		{"CREATE STREAM s (a INT, ¦SPATIAL KEY (a))", "leave SPATIAL out"},
		{"CREATE STREAM s (a INT, ¦CONSTRAINT c CHECK (a > 0))", "leave CONSTRAINT out"},
		{"CREATE STREAM s (a INT, ¦FOREIGN KEY (a) REFERENCES t (a))", "leave FOREIGN KEY out"},
		{"CREATE STREAM s (a INT ¦CHECK (a > 0))", "leave CHECK out"},
		{"CREATE STREAM s (a DATETIME ¦ON UPDATE CURRENT_TIMESTAMP)", "leave ON UPDATE out"},
		{"CREATE STREAM s (a INT, ¦A INT)", "there are two columns A"},
		{"CREATE STREAM s (¦_SEQ INT)", "every stream has a column _seq of its own"},
		{"CREATE STREAM s (¦_payload BLOB)", "every stream has a column _payload of its own"},
		{"CREATE STREAM s (¦__sum INT)", "names that begin with __"},
		{"CREATE STREAM s (¦rank INT)", "as a name it is written `rank`"},
		{"CREATE STREAM s (a INT) ¦ENGINE = InnoDB", "expected WITH, COMMENT or the end of the statement"},
		{"CREATE STREAM s (a INT) ¦WIHT (format = json)", "did you mean WITH?"},
		{"CREATE STREAM s (a INT) COMMENT ¦x", "expected the comment as text in quotes"},

		{"CREATE STREAM s (a ¦ENUM('x'))", "a stream has no type ENUM: use VARCHAR"},
		{"CREATE STREAM s (a ¦SET('x'))", "a stream has no type SET: use VARCHAR"},
		{"CREATE STREAM s (a ¦BIT(8))", "a stream has no type BIT: use BIGINT UNSIGNED"},
		{"CREATE STREAM s (a ¦TIME)", "a stream has no type TIME: use DATETIME"},
		{"CREATE STREAM s (a ¦GEOMETRY)", "a stream has no type GEOMETRY: use JSON"},
		{"CREATE STREAM s (a ¦string)", "a stream has no type STRING: use VARCHAR(n) or TEXT"},
		{"CREATE STREAM s (a ¦INTEGRE)", "unknown type INTEGRE, did you mean INTEGER?"},
		{"CREATE STREAM s (a ¦xyzzy)", "unknown type XYZZY"},
		{"CREATE STREAM s (a ¦" + strings.Repeat("x", 40) + ")", "unknown type"},
		{"CREATE STREAM s (a ¦'INT')", "expected a type"},
		{"CREATE STREAM s (a ¦VARCHAR)", "VARCHAR needs a length, such as VARCHAR(255)"},
		{"CREATE STREAM s (a ¦VARBINARY NOT NULL)", "VARBINARY needs a length"},
		{"CREATE STREAM s (a VARCHAR¦(20000))", "VARCHAR takes a length from 1 to 16383"},
		{"CREATE STREAM s (a VARCHAR¦(0))", "VARCHAR takes a length from 1 to 16383"},
		{"CREATE STREAM s (a VARCHAR(¦99999999))", "use a TEXT or a BLOB"},
		{"CREATE STREAM s (a CHAR¦(256))", "CHAR takes a length from 1 to 255"},
		{"CREATE STREAM s (a VARCHAR(¦x))", "expected a whole number"},
		{"CREATE STREAM s (a VARCHAR(¦1.5))", "expected a whole number"},
		{"CREATE STREAM s (a DECIMAL¦(5,6))", "DECIMAL takes 1 to 65 digits"},
		{"CREATE STREAM s (a DECIMAL¦(66))", "DECIMAL takes 1 to 65 digits"},
		{"CREATE STREAM s (a DECIMAL¦(5,2,1))", "DECIMAL takes at most two numbers"},
		{"CREATE STREAM s (a DATETIME¦(7))", "DATETIME takes 0 to 6 digits of a second"},
		{"CREATE STREAM s (a DATE¦(3))", "DATE takes nothing in parentheses"},
		{"CREATE STREAM s (a TEXT¦(100))", "use VARCHAR(n)"},
		{"CREATE STREAM s (a BLOB¦(100))", "use VARBINARY(n)"},
		{"CREATE STREAM s (a INT¦(1,2))", "INT takes one number"},
		{"CREATE STREAM s (a FLOAT¦(7,4))", "use DECIMAL(p,s)"},
		{"CREATE STREAM s (a FLOAT¦(54))", "at most 53 bits"},
		{"CREATE STREAM s (a DOUBLE ¦UNSIGNED)", "UNSIGNED follows the name of an integer type"},
		{"CREATE STREAM s (a INT NOT NULL ¦UNSIGNED)", "UNSIGNED follows the name of an integer type"},
		{"CREATE STREAM s (a INT ¦ZEROFILL)", "leave it out"},
		{"CREATE STREAM s (a CHARACTER ¦VARYING(9))", "write VARCHAR(n)"},
		{"CREATE STREAM s (a TEXT CHARACTER SET ¦latin1)", "text in weir is UTF-8"},
		{"CREATE STREAM s (a TEXT COLLATE ¦utf8mb4_0900_ai_ci)", "compared byte by byte"},
		{"CREATE STREAM s (a TEXT COLLATE ¦latin1_bin)", "compared byte by byte"},
		{"CREATE STREAM s (a INT ¦COLLATE utf8mb4_bin)", "COLLATE is for text types only"},

		{"CREATE STREAM s (a INT) WITH (¦retenton = '1d')", "unknown option retenton, did you mean retention?"},
		{"CREATE STREAM s (a INT) WITH (¦dedup_windows = '1d')", "did you mean dedup_window?"},
		{"CREATE STREAM s (a INT) WITH (¦batch_interval = '1d')", "batch_interval is an option of materialized views: a stream takes subjects, format,"},
		{"CREATE MATERIALIZED VIEW v WITH (¦subjects = 'x') AS SELECT 1", "subjects is an option of streams: a view takes mode,"},
		{"CREATE STREAM s (a INT) WITH (¦colour = 'x')", "unknown option colour: a stream takes subjects,"},
		{"CREATE STREAM s (a INT) WITH (format = 'csv', ¦FORMAT = 'json')", "the option format is given twice"},
		{"CREATE STREAM s (a INT) WITH (format ¦'csv')", "expected ="},
		{"CREATE STREAM s (a INT) WITH (format = ¦)", "expected a value for format"},
		{"CREATE STREAM s (a INT) WITH (replicas = ¦-1)", "replicas cannot be negative"},
		{"CREATE STREAM s (a INT) WITH (subjects = a¦.b)", "texts are in quotes"},
		{"CREATE STREAM s (a INT) WITH (format = csv¦", "expected a comma or )"},
		{"CREATE STREAM s (a INT) WITH (¦'format' = csv)", "expected an option"},
		{"CREATE STREAM s (a INT) WITH ¦format = csv", "expected ("},
		{"CREATE STREAM s (a INT) WITH (format = ¦'csv)", "the text in quotes that begins here is never closed"},
		{"CREATE STREAM s (a INT) ¦/* comment", "the comment that begins here is never closed"},

		{"CREATE MATERIALIZED VIEW v ¦(a, b) AS SELECT 1, 2", "the columns get their names in the SELECT"},
		{"CREATE MATERIALIZED VIEW v ¦SELECT 1", "expected WITH or AS and the SELECT"},
		{"CREATE MATERIALIZED VIEW v ¦WIHT (mode = kappa) AS SELECT 1", "did you mean WITH?"},
		{"CREATE MATERIALIZED VIEW v WITH (mode = kappa) ¦SELECT 1", "expected AS and the SELECT"},
		{"CREATE MATERIALIZED VIEW v AS ¦TABLE t", "expected SELECT"},
		{"CREATE MATERIALIZED VIEW v AS ¦SELCT 1", "did you mean SELECT?"},
		{"CREATE MATERIALIZED VIEW v AS¦", "at the end: expected SELECT"},
		{"CREATE MATERIALIZED VIEW v AS¦;", "expected SELECT"},
		{"CREATE MATERIALIZED VIEW v AS SELECT ¦'x", "the text in quotes that begins here is never closed"},
		{"CREATE MATERIALIZED VIEW v AS SELECT ¦`x", "the text in quotes that begins here is never closed"},
		{"CREATE MATERIALIZED VIEW v AS SELECT '한글' ¦/* x", "line 1, column 43 near '/* x': the comment that begins here is never closed"},
		{"CREATE MATERIALIZED VIEW v AS SELECT 1; ¦SELECT 2", "one statement at a time"},
		{"CREATE MATERIALIZED VIEW v AS SELECT '¦\xff'", "not UTF-8"},
	}
	for _, tt := range tests {
		before, after, ok := strings.Cut(tt.query, "¦")
		if !ok {
			t.Fatalf("no mark in %q", tt.query)
		}
		s, err := Parse(before + after)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s\n got %v, %v", tt.query, s, err)
			continue
		}
		if s != nil {
			t.Errorf("%s\n a statement besides the error: %v", tt.query, s)
		}
		if want := len(strings.TrimRight(before, " ")); e.Pos != len(before) && e.Pos != want {
			t.Errorf("%s\n error at %d, want %d: %v", tt.query, e.Pos, len(before), err)
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s\n got %v\nwant %s", tt.query, err, tt.want)
		}
	}
}

func TestTypes(t *testing.T) {
	tests := map[string]string{
		"BOOLEAN": "boolean", "bool": "boolean",
		"TINYINT": "tinyint", "tinyint(1)": "tinyint", "SMALLINT UNSIGNED": "smallint unsigned", "MEDIUMINT": "mediumint",
		"INT": "int", "Integer": "int", "INT(11) UNSIGNED": "int unsigned", "INT SIGNED": "int", "BIGINT UNSIGNED": "bigint unsigned",
		"FLOAT": "float", "FLOAT(24)": "float", "FLOAT(25)": "double", "DOUBLE": "double", "DOUBLE PRECISION": "double", "REAL": "double",
		"DECIMAL": "decimal(10,0)", "NUMERIC(9)": "decimal(9,0)", "DEC(18, 4)": "decimal(18,4)", "FIXED(65,30)": "decimal(65,30)",
		"DATE": "date", "DATETIME": "datetime", "DATETIME(0)": "datetime", "DATETIME(6)": "datetime(6)", "TIMESTAMP(3)": "timestamp(3)",
		"YEAR": "year", "YEAR(4)": "year",
		"CHAR": "char(1)", "CHAR(36)": "char(36)", "CHARACTER(2)": "char(2)", "VARCHAR(45)": "varchar(45)",
		"TINYTEXT": "tinytext", "TEXT": "text", "MEDIUMTEXT": "mediumtext", "LONGTEXT": "longtext",
		"BINARY": "binary(1)", "BINARY(16)": "binary(16)", "VARBINARY(65535)": "varbinary(65535)",
		"TINYBLOB": "tinyblob", "BLOB": "blob", "MEDIUMBLOB": "mediumblob", "LONGBLOB": "longblob", "JSON": "json",
		"TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin": "text", "VARCHAR(9) CHARSET UTF8MB4": "varchar(9)",
		"CHAR(2) NOT NULL COLLATE utf8mb4_0900_bin": "char(2)",
	}
	for text, want := range tests {
		s, err := Parse("CREATE STREAM s (a " + text + ", b INT)")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := s.(*CreateStream).Columns[0].Type; got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
		checkRoundTrip(t, s)
	}
}

func TestString(t *testing.T) {
	query := "create stream if not exists Log(ts datetime(6) not null, `key` varchar(45) comment 'it''s' path '$.k'," +
		"n int as (a+1)) with (subjects='a,b', replicas=3) comment 'c'"
	want := "CREATE STREAM IF NOT EXISTS Log (\n" +
		"  ts datetime(6) NOT NULL,\n" +
		"  `key` varchar(45) PATH '$.k' COMMENT 'it''s',\n" +
		"  n int AS (a+1)\n" +
		") COMMENT 'c' WITH (\n" +
		"  subjects = 'a,b',\n" +
		"  replicas = 3\n" +
		")"
	checkString(t, query, want)
	checkString(t, "create or replace materialized view v with(mode=kappa)as select 1;",
		"CREATE OR REPLACE MATERIALIZED VIEW v\nWITH (\n  mode = 'kappa'\n) AS\nselect 1")
}

func checkString(t *testing.T, query, want string) {
	t.Helper()
	s, err := Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOptionsGet(t *testing.T) {
	o := Options{{Name: "mode", Value: "kappa"}}
	if opt, ok := o.Get("mode"); !ok || opt.Value != "kappa" {
		t.Error(opt, ok)
	}
	if opt, ok := o.Get("delivery"); ok {
		t.Error(opt, ok)
	}
}

// A server asks about every query it gets, so the answer no must cost next to nothing.
func BenchmarkNotOurs(b *testing.B) {
	query := "SELECT minute, requests FROM requests_by_minute WHERE minute = '2026-01-01 00:00:00' AND path = '/'"
	b.ReportAllocs()
	for b.Loop() {
		if s, err := Parse(query); s != nil || err != nil {
			b.Fatal(s, err)
		}
	}
}

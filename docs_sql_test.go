package main

import (
	"context"
	gosql "database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir/sql/ddl"
)

var (
	// docSQL matches a block of SQL, and before it perhaps a comment that no
	// reader sees: what has to be there for the block to run, as SQL or as the
	// path of a file of SQL.
	docSQL = regexp.MustCompile("(?s)(?:<!-- given:(.*?)-->\n)?```sql\n(.*?)```")
	// docTable matches a row of the system tables, with the columns of one.
	docTable = regexp.MustCompile("(?m)^\\| `weir\\.(\\w+)` \\| (.*) \\|$")
	// docAside matches what such a row says of a column.
	docAside = regexp.MustCompile(`\([^)]*\)`)
	// docQuoted matches comments and texts, in which any character may stand.
	docQuoted = regexp.MustCompile(`--[^\n]*|'(?:[^'\\]|\\.|'')*'`)
)

// TestDocsSQL runs the SQL of the docs, each page in a database of its own.
func TestDocsSQL(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	var ends struct{ MySQL string }
	text, err := os.ReadFile(filepath.Join(dir, "endpoints.json"))
	if err == nil {
		err = json.Unmarshal(text, &ends)
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := connect(ends.MySQL, "root", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ran := 0
	for i, doc := range docs(t) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		own := fmt.Sprintf("page%d", i)
		runDoc(t, db, doc, 0, "CREATE DATABASE "+own)
		for _, m := range docSQL.FindAllSubmatchIndex(text, -1) {
			runDoc(t, db, doc, 0, "USE "+own)
			if m[2] >= 0 {
				given := strings.TrimSpace(string(text[m[2]:m[3]]))
				if filepath.Ext(given) == ".sql" {
					file, err := os.ReadFile(given)
					if err != nil {
						t.Fatal(err)
					}
					given = string(file)
				}
				runDoc(t, db, doc, 0, given)
			}
			ran += runDoc(t, db, doc, strings.Count(string(text[:m[4]]), "\n"), string(text[m[4]:m[5]]))
		}
	}
	if ran < 40 {
		t.Errorf("%d statements ran: where are the others?", ran)
	}
	systemTables(t, db)
}

// runDoc runs those statements of a script that are no forms, and returns how
// many. line is where the script begins in the page.
func runDoc(t *testing.T, db *gosql.DB, doc string, line int, script string) (ran int) {
	t.Helper()
	parts, err := ddl.Split(script)
	if err != nil {
		t.Errorf("%s:%d: %v", doc, line, err)
	}
	for _, p := range parts {
		if form(p.Text) {
			continue
		}
		ran++
		if err := runSQL(t.Context(), db, p.Text); err != nil {
			t.Errorf("%s:%d: %v\n%s", doc, line+p.Line, err, p.Text)
		}
	}
	return ran
}

// form says whether a text shows how statements look, and is none itself.
func form(text string) bool {
	text = docQuoted.ReplaceAllString(text, "")
	return strings.ContainsAny(text, "…[|$") || regexp.MustCompile(`^(?:TUMBLE|HOP)\b`).MatchString(text)
}

func runSQL(ctx context.Context, db *gosql.DB, text string) error {
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() { // to the end
	}
	return rows.Err()
}

// systemTables holds the columns that the reference lists to those there are.
func systemTables(t *testing.T, db *gosql.DB) {
	t.Helper()
	text, err := os.ReadFile("docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	tables := docTable.FindAllSubmatch(text, -1)
	if len(tables) < 6 {
		t.Errorf("docs/sql.md has %d system tables", len(tables))
	}
	for _, m := range tables {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM weir."+string(m[1])+" LIMIT 0")
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := rows.Columns()
		_ = rows.Close()
		want := strings.Split(docAside.ReplaceAllString(string(m[2]), ""), ",")
		for i := range want {
			want[i] = strings.TrimSpace(want[i])
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("weir.%s has the columns %v, docs/sql.md says %v, %v", m[1], got, want, err)
		}
	}
}

package ddl

import "strings"

// ownColumns are those that every stream has by itself.
var ownColumns = []string{"_seq", "_time", "_subject", "_id", "_payload"}

// refusedClauses are what a table of MySQL may have and a stream cannot, with
// the reason. All but REFERENCES, DEFAULT, ON and AUTO_INCREMENT may also
// begin a line of their own among the columns.
var refusedClauses = map[string]string{
	"PRIMARY":        "a stream is a log and its key is _seq: leave PRIMARY KEY out",
	"UNIQUE":         "a stream is a log, which holds every event: leave UNIQUE out, and let publishers set Nats-Msg-Id against duplicates",
	"KEY":            "a stream is a log and its key is _seq: leave KEY out; a column of that name is written `key`",
	"INDEX":          "a stream is a log without indexes: leave INDEX out, views are indexed by their group key; a column of that name is written `index`",
	"FULLTEXT":       "a stream is a log without indexes: leave FULLTEXT out",
	"SPATIAL":        "a stream is a log without indexes: leave SPATIAL out",
	"CONSTRAINT":     "a stream is a log and has no constraints besides NOT NULL: leave CONSTRAINT out",
	"FOREIGN":        "a stream is a log and refers to no table: leave FOREIGN KEY out",
	"CHECK":          "a stream takes every event that can be read: leave CHECK out, and filter with WHERE in the views",
	"REFERENCES":     "a stream is a log and refers to no table: leave REFERENCES out",
	"AUTO_INCREMENT": "a stream is a log and numbers its events in _seq: leave AUTO_INCREMENT out",
	"DEFAULT":        "a field that an event lacks is NULL: leave DEFAULT out, and use COALESCE in a generated column or in the view",
	"ON":             "events never change: leave ON UPDATE out",
}

// columns parses the list in parentheses.
func (p *parser) columns() []Column {
	if !p.acceptSymbol('(') {
		p.fail("expected ( and the columns of the stream")
	}
	if p.isSymbol(')') {
		p.fail("a stream needs at least one column")
	}
	var list []Column
	seen := map[string]bool{}
	for more := true; more; more = p.acceptSymbol(',') {
		list = append(list, p.column(seen))
	}
	p.expectSymbol(')') // column stops nowhere else
	return list
}

// column parses one column; seen are the lower-case names before it.
func (p *parser) column(seen map[string]bool) Column {
	if reason := refusedClauses[asciiUpper(p.text())]; p.tok.kind == word && reason != "" {
		p.fail("%s", reason)
	}
	c := Column{Pos: p.tok.pos}
	c.Name = p.ident("a column")
	p.checkColumnName(c, seen)
	if p.isSymbol(',') || p.isSymbol(')') || p.tok.kind == end {
		p.fail("expected the type of column %s", c.Name)
	}
	var isText bool
	c.Type, isText = p.dataType()
	p.clauses(&c, isText)
	return c
}

func (p *parser) checkColumnName(c Column, seen map[string]bool) {
	lower := strings.ToLower(c.Name)
	if seen[lower] {
		p.failAt(c.Pos, "there are two columns %s", c.Name)
	}
	seen[lower] = true
	for _, own := range ownColumns {
		if lower == own {
			p.failAt(c.Pos, "every stream has a column %s of its own: choose another name, "+
				"and PATH '$.%s' if the events have a field of that name", own, own)
		}
	}
	if strings.HasPrefix(lower, "__") {
		p.failAt(c.Pos, "names that begin with __ are for the states of views: choose another name, "+
			"and PATH '$.%s' if the events have a field of that name", c.Name)
	}
}

// clauses parses what follows the type, up to a comma or a parenthesis.
func (p *parser) clauses(c *Column, isText bool) {
	seen := map[string]bool{}
	for !p.isSymbol(',') && !p.isSymbol(')') && p.err == nil {
		at := p.tok
		kind := p.clause(c, isText)
		if seen[kind] {
			p.failAt(at.pos, "column %s has %s twice", c.Name, kind)
		}
		seen[kind] = true
		if seen["PATH"] && seen["AS"] {
			p.failAt(at.pos, "column %s is generated and takes no PATH", c.Name)
		}
	}
}

// clause parses one clause and returns what it is about.
func (p *parser) clause(c *Column, isText bool) string {
	switch {
	case p.accept("NOT"):
		p.expect("NULL")
		c.NotNull = true
		return "NULL or NOT NULL"
	case p.accept("NULL"):
		return "NULL or NOT NULL"
	case p.accept("PATH"):
		c.Path = p.path()
		return "PATH"
	case p.accept("GENERATED"):
		p.expect("ALWAYS", "AS")
		c.Generated = p.generated()
		return "AS"
	case p.accept("AS"):
		c.Generated = p.generated()
		return "AS"
	case p.accept("COMMENT"):
		p.acceptSymbol('=')
		c.Comment = p.string("the comment")
		return "COMMENT"
	case isText && p.accept("CHARACTER"):
		p.expect("SET")
		return p.charset()
	case isText && p.accept("CHARSET"):
		return p.charset()
	case isText && p.accept("COLLATE"):
		return p.collation()
	}
	p.failClause()
	return ""
}

var columnClauses = []string{"NOT NULL", "PATH", "AS", "COMMENT"}

func (p *parser) failClause() {
	upper := asciiUpper(p.text())
	reason := refusedClauses[upper]
	switch {
	case p.tok.kind == end:
		p.fail("expected a comma or ) after the column")
	case p.tok.kind != word:
		p.fail("expected a column clause (%s), a comma or )", strings.Join(columnClauses, ", "))
	case reason != "":
		p.fail("%s", reason)
	case upper == "UNSIGNED" || upper == "SIGNED":
		p.fail("%s follows the name of an integer type", upper)
	case upper == "ZEROFILL":
		p.fail("ZEROFILL is about display: leave it out")
	case upper == "CHARACTER" || upper == "CHARSET" || upper == "COLLATE":
		p.fail("%s is for text types only", upper)
	default:
		p.fail("expected a column clause (%s)%s", strings.Join(columnClauses, ", "),
			didYouMean(upper, []string{"NOT", "NULL", "PATH", "GENERATED", "COMMENT"}))
	}
}

func (p *parser) path() string {
	at := p.tok
	path := p.string("the path")
	if path == "" {
		p.failAt(at.pos, "the path cannot be empty")
	}
	return path
}

// generated parses an expression in parentheses and where MySQL would keep its
// value: here it is never stored, as the events cannot change.
func (p *parser) generated() string {
	if !p.isSymbol('(') {
		p.fail("expected ( and the expression of the generated column")
	}
	open := p.tok
	p.tok = p.skipToExpression()
	start := p.tok.pos
	depth := 1
	text := p.verbatim(start, func() bool {
		if p.isSymbol('(') {
			depth++
		} else if p.isSymbol(')') {
			depth--
		}
		return depth == 0 || p.isSymbol(';')
	})
	switch {
	case depth > 0:
		p.failAt(open.pos, "the parenthesis that opens here is never closed")
	case text == "":
		p.fail("expected the expression of the generated column")
	}
	p.advance()
	if !p.accept("VIRTUAL") {
		p.accept("STORED")
	}
	return text
}

// skipToExpression is the token behind the parenthesis; unlike with advance it
// may be an executable comment.
func (p *parser) skipToExpression() token {
	if p.err != nil {
		return p.tok
	}
	return p.scan.next()
}

func (p *parser) charset() string {
	if !p.isWord("utf8mb4") {
		p.fail("text in weir is UTF-8: leave the character set out, or write utf8mb4")
	}
	p.advance()
	return "CHARACTER SET"
}

func (p *parser) collation() string {
	name := asciiLower(p.text())
	if p.tok.kind != word || !strings.HasPrefix(name, "utf8") || !strings.HasSuffix(name, "_bin") {
		p.fail("text in a stream is compared byte by byte: leave COLLATE out, or write utf8mb4_bin; " +
			"a SELECT may collate as it likes")
	}
	p.advance()
	return "COLLATE"
}

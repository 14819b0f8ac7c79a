package ddl

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Parse parses a statement. It returns nil and no error for one that is not
// weir's own. An error is always an *Error.
func Parse(query string) (Statement, error) {
	p := &parser{scan: newScanner(query), src: query}
	p.advance()
	if p.tok.kind != word {
		return nil, nil // and not an error, even if it is not a token at all
	}
	s := p.statement()
	if s == nil && p.err == nil {
		return nil, nil
	}
	if i := invalidUTF8(query); i >= 0 {
		return nil, NewError(query, i, "the statement is not UTF-8 here")
	}
	p.finish()
	if p.err != nil {
		return nil, p.err
	}
	return s, nil
}

// invalidUTF8 is the position of the first byte that is not UTF-8, or -1.
func invalidUTF8(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// A parser reads a statement token by token.
//
// The first failure is kept in err and moves the parser to the end of the
// text, where nothing is accepted any more. So methods need not look at err:
// every loop ends, what they return is thrown away, and later failures, which
// would only be consequences, are ignored.
type parser struct {
	src  string
	scan scanner
	tok  token // the current one
	err  *Error
}

// advance moves to the next token, past executable comments.
func (p *parser) advance() {
	if p.err != nil {
		return
	}
	for p.tok = p.scan.next(); p.tok.kind == hint; {
		p.tok = p.scan.next()
	}
}

// fail reports the current token. A token that is not closed is always the
// cause itself.
func (p *parser) fail(format string, args ...any) {
	if p.tok.kind == broken {
		p.failAt(p.tok.pos, "%s", unclosed(p.src[p.tok.pos]))
		return
	}
	p.failAt(p.tok.pos, format, args...)
}

func (p *parser) failAt(pos int, format string, args ...any) {
	if p.err != nil {
		return
	}
	p.err = NewError(p.src, pos, fmt.Sprintf(format, args...))
	p.tok = token{end, len(p.src), len(p.src)}
}

func unclosed(first byte) string {
	if first == '/' {
		return "the comment that begins here is never closed"
	}
	return "the text in quotes that begins here is never closed"
}

func (p *parser) text() string { return p.src[p.tok.pos:p.tok.end] }

func (p *parser) isWord(want string) bool {
	return p.tok.kind == word && strings.EqualFold(p.text(), want)
}

func (p *parser) isSymbol(c byte) bool { return p.tok.kind == symbol && p.src[p.tok.pos] == c }

func (p *parser) accept(want string) bool {
	yes := p.isWord(want)
	if yes {
		p.advance()
	}
	return yes
}

func (p *parser) acceptSymbol(c byte) bool {
	yes := p.isSymbol(c)
	if yes {
		p.advance()
	}
	return yes
}

// expect takes the words in this order.
func (p *parser) expect(words ...string) {
	for _, w := range words {
		if !p.means(w) {
			p.fail("expected %s", w)
		}
	}
}

func (p *parser) expectSymbol(c byte) {
	if !p.acceptSymbol(c) {
		p.fail("expected %c", c)
	}
}

// means accepts the word want. A slip of it is taken for it, and an error.
func (p *parser) means(want string) bool {
	if p.accept(want) {
		return true
	}
	slip := p.isSlip(want)
	if slip {
		p.fail("did you mean %s?", want)
	}
	return slip
}

func (p *parser) isSlip(want string) bool { return p.tok.kind == word && isSlip(p.text(), want) }

// statement parses the statement at the first word. It returns nil, without a
// failure, when that is not one of ours.
func (p *parser) statement() Statement {
	first := p.tok
	verb := p.text()
	p.advance()
	switch asciiUpper(verb) {
	case "CREATE":
		return p.create()
	case "DROP":
		return p.drop()
	case "SHOW":
		return p.show()
	case "REFRESH":
		return p.refresh()
	case "ALTER":
		return p.alter()
	case "AUDIT":
		if !p.means("MATERIALIZED") {
			p.fail("expected MATERIALIZED VIEW")
		}
		p.expect("VIEW")
		return &AuditView{p.name("a view")}
	}
	return p.misspelt(first, verb)
}

// misspelt fails on a first word that only looks like one of ours, if the
// second leaves no doubt.
func (p *parser) misspelt(first token, verb string) Statement {
	if !p.isWord("STREAM") && !p.isWord("MATERIALIZED") {
		return nil
	}
	hint := Nearest(verb, []string{"CREATE", "DROP", "SHOW", "REFRESH", "ALTER", "AUDIT"})
	if hint != "" {
		p.failAt(first.pos, "did you mean %s?", hint)
	}
	return nil
}

func (p *parser) create() Statement {
	replace := p.tok
	orReplace := p.accept("OR") && p.accept("REPLACE")
	switch {
	case p.means("STREAM"):
		if orReplace {
			p.failAt(replace.pos, "a stream cannot be replaced, its events would be lost: "+
				"use CREATE STREAM IF NOT EXISTS, or DROP STREAM first")
		}
		return p.createStream()
	case p.means("MATERIALIZED"):
		p.expect("VIEW")
		return p.createView(orReplace)
	}
	return nil
}

func (p *parser) createStream() Statement {
	s := &CreateStream{IfNotExists: p.ifNotExists(), Name: p.name("a stream")}
	if p.isWord("AS") || p.isWord("LIKE") {
		p.fail("a stream needs its columns in parentheses; for the result of a SELECT use CREATE MATERIALIZED VIEW")
	}
	s.Columns = p.columns()
	for p.err == nil && p.tok.kind == word {
		switch {
		case s.Options == nil && p.accept("WITH"):
			s.Options = p.options("a stream", StreamOptions)
		case s.Comment == "" && p.accept("COMMENT"):
			p.acceptSymbol('=')
			s.Comment = p.string("the comment")
		default:
			p.fail("expected WITH, COMMENT or the end of the statement%s",
				didYouMean(p.text(), []string{"WITH", "COMMENT"}))
		}
	}
	return s
}

func (p *parser) createView(orReplace bool) Statement {
	s := &CreateView{OrReplace: orReplace}
	exists := p.tok
	s.IfNotExists = p.ifNotExists()
	if s.OrReplace && s.IfNotExists {
		p.failAt(exists.pos, "OR REPLACE and IF NOT EXISTS exclude each other")
	}
	s.Name = p.name("a view")
	if p.isSymbol('(') {
		p.fail("expected WITH or AS: the columns get their names in the SELECT, as in COUNT(*) AS requests")
	}
	if p.accept("WITH") {
		s.Options = p.options("a view", ViewOptions)
	}
	if !p.accept("AS") {
		p.fail("expected %sAS and the SELECT%s", when(s.Options == nil, "WITH or "), didYouMean(p.text(), []string{"WITH"}))
	}
	s.QueryPos = p.tok.pos
	s.Query = p.query()
	return s
}

func (p *parser) drop() Statement {
	switch {
	case p.means("STREAM"):
		s := &DropStream{IfExists: p.ifExists(), Name: p.name("a stream")}
		p.single("stream")
		return s
	case p.means("MATERIALIZED"):
		p.expect("VIEW")
		s := &DropView{IfExists: p.ifExists(), Name: p.name("a view")}
		p.single("view")
		return s
	}
	return nil
}

// single refuses a second name and what other systems take behind the first.
func (p *parser) single(what string) {
	switch {
	case p.isSymbol(','):
		p.fail("a statement drops one %s", what)
	case p.isWord("CASCADE"):
		p.fail("drop the views of a stream first, one by one")
	case p.isWord("RESTRICT"):
		p.fail("leave RESTRICT out: a stream that views read is never dropped")
	}
}

func (p *parser) show() Statement {
	switch {
	case p.accept("CREATE"):
		return p.showCreate()
	case p.means("STREAMS"):
		database, like := p.fromLike("weir.streams")
		return &ShowStreams{database, like}
	case p.means("MATERIALIZED"):
		p.expect("VIEWS")
		database, like := p.fromLike("weir.views")
		return &ShowViews{database, like}
	}
	return nil
}

func (p *parser) showCreate() Statement {
	switch {
	case p.means("STREAM"):
		return &ShowCreateStream{p.name("a stream")}
	case p.means("MATERIALIZED"):
		p.expect("VIEW")
		return &ShowCreateView{p.name("a view")}
	}
	return nil
}

// fromLike parses what may follow SHOW; table is where more can be asked of.
func (p *parser) fromLike(table string) (database, like string) {
	if p.accept("FROM") || p.accept("IN") {
		database = p.ident("a database")
	}
	if p.accept("LIKE") {
		like = p.string("the pattern")
	}
	if p.isWord("WHERE") {
		p.fail("expected LIKE or the end of the statement: for conditions, SELECT … FROM %s", table)
	}
	return database, like
}

func (p *parser) refresh() Statement {
	if !p.means("MATERIALIZED") {
		p.fail("expected MATERIALIZED VIEW")
	}
	p.expect("VIEW")
	if p.isWord("CONCURRENTLY") {
		p.fail("leave CONCURRENTLY out: a refresh never disturbs reading")
	}
	s := &RefreshView{Name: p.name("a view")}
	s.Full = p.means("FULL")
	return s
}

func (p *parser) alter() Statement {
	if p.isWord("STREAM") {
		p.fail("a stream cannot be altered: drop it and create it anew, or create another one")
	}
	if !p.means("MATERIALIZED") {
		return nil
	}
	p.expect("VIEW")
	s := &AlterView{Name: p.name("a view")}
	switch {
	case p.accept("SET"):
		s.Set = p.options("a view", ViewOptions)
	case p.accept("ROLLBACK"):
		s.Rollback = true
	case p.isWord("AS"):
		p.fail("expected SET or ROLLBACK: for another SELECT use CREATE OR REPLACE MATERIALIZED VIEW")
	default:
		p.fail("expected SET or ROLLBACK%s", didYouMean(p.text(), []string{"SET", "ROLLBACK"}))
	}
	return s
}

// finish takes semicolons and the end of the statement.
func (p *parser) finish() {
	several := false
	for p.acceptSymbol(';') {
		several = true
	}
	switch {
	case p.tok.kind == end:
	case several:
		p.fail("expected the end: one statement at a time")
	default:
		p.fail("expected the end of the statement")
	}
}

func (p *parser) ifNotExists() bool {
	yes := p.accept("IF")
	if yes {
		p.expect("NOT", "EXISTS")
	}
	return yes
}

func (p *parser) ifExists() bool {
	yes := p.accept("IF")
	if yes {
		p.expect("EXISTS")
	}
	return yes
}

// name parses the name of what, "a stream" or "a view".
func (p *parser) name(what string) Name {
	n := Name{Pos: p.tok.pos}
	last := p.tok
	n.Name = p.ident(what)
	if p.acceptSymbol('.') {
		last = p.tok
		n.Database, n.Name = n.Name, p.ident(what)
	}
	if c := strings.IndexAny(n.Name, ". */\\>"); c >= 0 {
		p.failAt(last.pos, "the name of %s cannot contain '%c': it is part of subjects and of file names", what, n.Name[c])
	}
	return n
}

// nameMax bounds names, in characters, as MySQL does.
const nameMax = 64

// ident parses the name of what: "a stream", "a column".
func (p *parser) ident(what string) string {
	t := p.tok
	name := p.nameText()
	switch {
	case t.kind == word && isDigit(name[0]):
		p.fail("expected the name of %s: quote a name that begins with a digit, as in `%s`", what, name)
	case t.kind == word && reserved[asciiLower(name)]:
		p.fail("expected the name of %s: %s is a reserved word, as a name it is written `%s`", what, name, name)
	case t.kind == broken || t.kind != word && !p.isName():
		p.fail("expected the name of %s", what)
	case name == "":
		p.fail("the name of %s cannot be empty", what)
	case utf8.RuneCountInString(name) > nameMax:
		p.fail("the name of %s cannot be longer than %d characters", what, nameMax)
	case strings.ContainsFunc(name, unicode.IsControl):
		p.fail("the name of %s cannot contain control characters", what)
	case strings.HasSuffix(name, " "):
		p.fail("the name of %s cannot end in a space", what)
	}
	p.advance()
	return name
}

// isName reports whether the current token can be a name: double quotes are
// for strings, but where only a name can stand they quote one.
func (p *parser) isName() bool {
	return p.tok.kind == word || p.tok.kind == quoted ||
		p.tok.kind == str && p.src[p.tok.pos] == '"'
}

// nameText is the current token as a name, without quotes.
func (p *parser) nameText() string {
	if p.tok.kind == quoted || p.tok.kind == str {
		return unquote(p.text())
	}
	return p.text()
}

// string parses a string that is what: "the comment".
func (p *parser) string(what string) string {
	if p.tok.kind != str {
		p.fail("expected %s as text in quotes", what)
		return ""
	}
	text := unquote(p.text())
	p.advance()
	return text
}

// query takes the text up to the end of the statement.
func (p *parser) query() string {
	begins := p.isWord("SELECT") || p.isWord("WITH") || p.isSymbol('(')
	if !begins && !p.means("SELECT") {
		p.fail("expected SELECT")
	}
	start := p.tok.pos
	return p.verbatim(start, func() bool { return p.isSymbol(';') })
}

// verbatim takes the text from start up to the token that stop accepts or the
// end, without space and comments at its end. Executable comments are part of it.
func (p *parser) verbatim(start int, stop func() bool) string {
	last := start
	for p.err == nil && p.tok.kind != end && !stop() {
		if p.tok.kind == broken {
			p.fail("not closed")
			break
		}
		last = p.tok.end
		p.tok = p.scan.next()
	}
	if p.err != nil {
		return ""
	}
	return p.src[start:last]
}

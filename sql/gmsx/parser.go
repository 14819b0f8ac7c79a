package gmsx

import (
	"context"
	"errors"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// A parser reads statements for the engine: those of the hook first, then the
// engine's own, which it rewrites. The engine takes its errors as they are
// only when the statement was parsed before the engine was asked, as the
// handler and Query do; a view's text is parsed within the engine.
type parser struct {
	names map[string]bool // of aggregates, see aggregateNames
	gms.Parser
	e *Engine
}

func newParser(e *Engine) *parser {
	return &parser{Parser: gms.NewMysqlParser(), names: e.aggregateNames(), e: e}
}

func (p *parser) Parse(ctx *gms.Context, query string, multi bool) (ast.Statement, string, string, error) {
	return p.ParseWithOptions(ctx, query, ';', multi, gms.LoadSqlMode(ctx).ParserOptions())
}

func (p *parser) ParseSimple(query string) (ast.Statement, error) {
	stmt, _, _, err := p.ParseWithOptions(context.Background(), query, ';', false, ast.ParserOptions{})
	return stmt, err
}

func (p *parser) ParseOneWithOptions(ctx context.Context, query string, o ast.ParserOptions) (ast.Statement, int, error) {
	first, rest := splitStatement(query)
	if stmt, ok, err := p.hook(ctx, first); ok || err != nil {
		return stmt, len(query) - len(rest), err
	}
	stmt, n, err := p.Parser.ParseOneWithOptions(ctx, query, o)
	if err != nil {
		if stmt := p.retry(ctx, first, o, err); stmt != nil {
			return stmt, len(query) - len(rest), nil
		}
		return nil, n, syntaxError(query, err)
	}
	stmt, err = p.rewrite(ctx, stmt, false)
	return stmt, n, err
}

func (p *parser) ParseWithOptions(ctx context.Context, query string, delimiter rune, multi bool, o ast.ParserOptions) (ast.Statement, string, string, error) {
	if delimiter == ';' {
		first, rest := splitStatement(query)
		if stmt, ok, err := p.hook(ctx, first); ok || err != nil {
			if err == nil && !multi && trimComments(strings.TrimLeft(rest, "; \t\r\n")) != "" {
				err = Error(1064, "42000", mysqlSyntaxError+"only one statement is allowed here")
			}
			return stmt, strings.TrimSpace(first), strings.TrimLeft(rest, "; \t\r\n"), err
		}
	}
	stmt, parsed, rest, err := p.Parser.ParseWithOptions(ctx, query, delimiter, multi, o)
	if err != nil {
		if delimiter == ';' {
			first, tail := splitStatement(query)
			tail = strings.TrimLeft(tail, "; \t\r\n")
			if stmt := p.retry(ctx, first, o, err); stmt != nil && (multi || trimComments(tail) == "") {
				return stmt, strings.TrimSpace(first), tail, nil
			}
		}
		return nil, parsed, rest, syntaxError(query, err)
	}
	stored := false
	if d, ok := stmt.(*ast.DDL); ok && d.ViewSpec != nil {
		c, ok := ctx.(*gms.Context)
		stored = ok && storedView(c, query)
		if stored {
			noteView(c, d.ViewSpec.ViewName)
			defer func() { d.Auth = ast.AuthInformation{AuthType: ast.AuthType_IGNORE} }()
		}
	}
	stmt, err = p.rewrite(ctx, stmt, stored)
	return stmt, parsed, rest, err
}

// traditional is EXPLAIN that names the format that it has without one.
var traditional = phrase(`(EXPLAIN|DESC|DESCRIBE) FORMAT~=~'?TRADITIONAL'? (.*)`)

// CurrentDatabase is that of the session of a context, "" if there is none.
func CurrentDatabase(ctx context.Context) string {
	if c, ok := ctx.(*gms.Context); ok && c.Session != nil {
		return c.GetCurrentDatabase()
	}
	return ""
}

// sessionIn is the session of a context, nil if there is none.
func sessionIn(ctx context.Context) gms.Session {
	if c, ok := ctx.(*gms.Context); ok && c.Session != nil {
		return c.Session
	}
	return nil
}

// hook asks the hook for a statement of its own.
func (p *parser) hook(ctx context.Context, query string) (ast.Statement, bool, error) {
	query = strings.TrimSpace(trimComments(query))
	if query == "" {
		return nil, false, nil
	}
	if a := p.e.early(query); a != nil {
		return inject(a), true, nil
	}
	if own, ok, err := p.accountPhrase(sessionIn(ctx), query); ok || err != nil {
		if err != nil {
			return nil, false, err
		}
		return inject(own), true, nil
	}
	switch firstWord(query) {
	case "explain", "desc", "describe":
		if plain := traditional.ReplaceAllString(query, "$1 $2"); plain != query {
			stmt, err := p.ParseSimple(plain)
			return stmt, true, err
		}
	}
	if p.e.opts.ParseHook == nil {
		return nil, false, nil
	}
	stmt, ok, err := p.e.opts.ParseHook(ctx, query)
	if err != nil {
		var own *mysql.SQLError
		if !errors.As(err, &own) {
			err = Error(1064, "42000", mysqlSyntaxError+"%v", err)
		}
		return nil, false, err
	}
	if !ok {
		return nil, false, nil
	}
	return inject(stmt), true, nil
}

// rewrite changes what the engine's parser has read: first the user's hook,
// then what keeps the engine safe and right. stored says that it is the text
// of a view that a statement reads.
func (p *parser) rewrite(ctx context.Context, stmt ast.Statement, stored bool) (ast.Statement, error) {
	setAuth(stmt, CurrentDatabase(ctx))
	if plainSelect(stmt, false) != nil {
		return stmt, nil // nothing in it is rewritten
	}
	// Who may not write somewhere is not told what is there.
	if c, ok := ctx.(*gms.Context); ok && c.Session != nil && !stored {
		if err := p.e.authorizeWrite(c, stmt); err != nil {
			return nil, err
		}
	}
	if hook := p.e.opts.RewriteHook; hook != nil {
		var err error
		if stmt, err = hook(stmt, CurrentDatabase(ctx)); err != nil {
			var own *mysql.SQLError
			if !errors.As(err, &own) {
				err = Error(1064, "42000", mysqlSyntaxError+"%v", err)
			}
			return nil, err
		}
	}
	if !stored {
		if err := checkDefinitions(stmt); err != nil {
			return nil, err
		}
	}
	if own := p.e.ownProcesses(stmt); own != nil {
		return inject(own), nil
	}
	if own, err := p.e.accountStatement(sessionIn(ctx), stmt); own != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return inject(own), nil
	}
	if x, ok := stmt.(*ast.Explain); ok {
		setAuth(x.Statement, CurrentDatabase(ctx))
		keepAllDecimals(x.Statement)
	}
	storeBits(stmt)
	if p.e.opts.Operators {
		callOperators(stmt)
	} else if p.e.opts.BitOperators {
		callBitOperators(stmt)
	}
	var unions []*ast.SetOp
	var values []*ast.Subquery // those that are no tables
	derived, nested := map[ast.SQLNode]bool{}, map[ast.SQLNode]bool{}
	renamed := map[*ast.FuncExpr]bool{}
	windows := map[string]int{} // how often a call with OVER was there
	recursive := false
	err := ast.Walk(func(n ast.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *ast.Select:
			if !nested[n] { // within sub-queries, aggregates may be the outer query's
				if err := p.checkGroupCalls(n); err != nil {
					return false, err
				}
			} else if n.Where != nil && p.countIn(n.Where.Expr) {
				return false, Error(1111, "HY000", "Invalid use of group function: WHERE chooses rows before they are grouped; use HAVING")
			}
			p.nameInHaving(n)
		case *ast.FuncExpr:
			if !renamed[n] { // HAVING may have it a second time
				renamed[n] = true
				again := ""
				if n.Over != nil {
					plainOver(n.Over)
					text := ast.String(n)
					if again = strings.Repeat(" ", windows[text]); again != "" || windowAggregates[n.Name.Lowered()] != nil {
						windows[text]++
					}
				}
				p.renameAggregate(n, again)
			}
		case *ast.GroupConcatExpr:
			plainGroupConcat(n)
		case *ast.ComparisonExpr:
			keepDecimals(n)
		case *ast.AliasedTableExpr:
			derived[n.Expr] = true
		case *ast.Subquery:
			if !derived[n] {
				values = append(values, n)
				nested[n.Select] = true
			}
		case *ast.SetOp:
			unions = append(unions, n)
		case *ast.With:
			recursive = recursive || n != nil && n.Recursive
			if err := distinctQueries(n); err != nil {
				return false, err
			}
		}
		return true, refuseFiles(n)
	}, stmt)
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		v.Select = ownOrder(v.Select) // the engine fails of IN (… UNION … ORDER BY …)
	}
	for _, u := range unions {
		nameUnion(u)
		alignConstants(u)
		if err := balanceUnion(u, recursive); err != nil {
			return nil, err
		}
	}
	return stmt, nil
}

// syntaxError gives a parser's error its number, and MySQL's words for the place.
func syntaxError(query string, err error) error {
	if errors.Is(err, ast.ErrEmpty) {
		return err
	}
	var own *mysql.SQLError
	if errors.As(err, &own) {
		return err
	}
	// The parser writes the class of the error before it, on a line of its own.
	message := err.Error()
	if class, rest, ok := strings.Cut(message, "\n"); ok && strings.HasPrefix(class, "Code: ") {
		message = rest
	}
	if noColumns.MatchString(query) {
		return Error(1113, "42000", "A table must have at least 1 column")
	}
	if near, ok := nearSyntaxError(query, message); ok && strings.HasPrefix(strings.TrimSpace(message), "syntax error") {
		return Error(1064, "42000", mysqlSyntaxError+"check the manual that corresponds to your MySQL server version for the right syntax to use %s", near)
	}
	return Error(1064, "42000", mysqlSyntaxError+"%s", strings.TrimSpace(message))
}

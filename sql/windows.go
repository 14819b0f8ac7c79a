package sql

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
	"weir/views/column"
)

func evalTumble(ctx *gms.Context, args []any) (any, error) {
	t, _, err := datetime6.Convert(ctx, args[0])
	if err != nil {
		return nil, err
	}
	size, ok1 := gmsx.Integer(args[1])
	offset, ok2 := gmsx.Integer(args[2])
	at, ok3 := t.(time.Time)
	if !ok1 || !ok2 || !ok3 || size <= 0 {
		return nil, nil
	}
	start := column.WindowStart(at.UnixMicro(), size, offset)
	if start < column.TimeMin {
		return nil, nil
	}
	return time.UnixMicro(start).UTC(), nil
}

// HOP is windows that may overlap, so an event has not one value of it but
// several, or none. No row of a query can be that: HOP is a part of a view's
// group key and nothing else. A definition refuses it elsewhere before anything
// is resolved, and compileHop is all that reads the calls that are left.

const hopName = "hop"

// hopsMax bounds the windows that an event is in, since it is counted in each:
// memory and time grow with them.
const hopsMax = 1000

// hopInDefinitions is HOP as the compiler resolves it.
func hopInDefinitions() gms.Function {
	usage := "HOP(time, INTERVAL slide unit, INTERVAL length unit [, INTERVAL offset])"
	return newFunction(hopName, usage, 4, 4, datetime6, func(*gms.Context, []any) (any, error) { return nil, errHop })
}

// hopInQueries is HOP in a query.
func hopInQueries() gms.Function {
	return gms.FunctionN{Name: hopName, Fn: func(...gms.Expression) (gms.Expression, error) { return nil, errHop }}
}

var errHop = gmsx.Error(1235, "42000", "HOP puts an event into several windows, which only a materialized view does: "+
	"CREATE MATERIALIZED VIEW … AS SELECT HOP(…) AS w, … GROUP BY w, and read that; TUMBLE gives the one window of an event")

// errHopPlace is for HOP in a definition, but not as a part of the key.
var errHopPlace = refused("HOP puts an event into several windows, so it can only be a column of a materialized view, by itself and in GROUP BY: " +
	"SELECT HOP(ts, INTERVAL 1 MINUTE, INTERVAL 5 MINUTE) AS w, … GROUP BY w; filter by it and calculate with it when reading the view")

// hopCall returns e as a call of HOP.
func hopCall(e ast.Expr) (*ast.FuncExpr, bool) {
	call, ok := e.(*ast.FuncExpr)
	return call, ok && call.Name.Lowered() == hopName
}

// refuseInItem is refuseIn for a column of the SELECT or an expression of GROUP
// BY, which may be a call of HOP, though not contain one.
func refuseInItem(e ast.Expr) error {
	const place = "a materialized view"
	call, ok := hopCall(e)
	if !ok {
		return refuseIn(e, place)
	}
	for _, arg := range call.Exprs {
		if a, ok := arg.(*ast.AliasedExpr); ok {
			if err := refuseIn(a.Expr, place); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkHops refuses HOP in a column that is not in the group key, and a second
// one in it.
func (d *definition) checkHops() error {
	for _, it := range d.items {
		if _, ok := hopCall(it.expr); ok && !slices.ContainsFunc(d.keys, func(k ast.Expr) bool { return sameExpr(k, it.expr) }) {
			return refused("column %s is HOP, but is not in GROUP BY: add GROUP BY %s, since an event is counted in each of its windows", it.name, it.name)
		}
	}
	hops := 0
	for _, k := range d.keys {
		if _, ok := hopCall(k); ok {
			hops++
		}
	}
	if hops > 1 {
		return refused("GROUP BY has HOP twice: make a materialized view for each")
	}
	return nil
}

// compileHop compiles a part of the key that is a call of HOP; nil if e is none.
func compileHop(k *kernelCompiler, e gms.Expression) (*column.Hop, error) {
	if a, ok := e.(*expression.Alias); ok {
		e = a.Child
	}
	call, ok := e.(*gmsx.Call)
	if !ok || call.Name() != hopName {
		return nil, nil
	}
	args := call.Children()
	slide, ok1 := intLiteral(args[1])
	size, ok2 := intLiteral(args[2])
	offset, ok3 := intLiteral(args[3])
	if !ok1 || !ok2 || !ok3 || slide <= 0 || size <= 0 {
		return nil, misused("%s", windowFuncs[hopName].usage)
	}
	hop := &column.Hop{Slide: slide, Size: size, Offset: offset}
	if n := hop.Count(); n > hopsMax {
		return nil, refused("HOP would count each event in %d windows, and at most %d are possible: make the slide longer or the windows shorter", n, hopsMax)
	}
	if hop.X = k.part(args[0]); hop.X != nil && hop.X.Type().Kind == column.Time {
		return hop, nil
	}
	// What is no time, the engine makes one.
	x, err := k.fallback(gmsx.NewCall("time_of", datetime6, args[:1], func(ctx *gms.Context, args []any) (any, error) {
		t, _, err := datetime6.Convert(ctx, args[0])
		return t, err
	}))
	hop.X = x
	return hop, err
}

// windowFuncs are the functions of windows: how many lengths each takes between
// the time and the offset, and how it is called.
var windowFuncs = map[string]struct {
	lengths int
	usage   string
}{
	"tumble": {1, "TUMBLE takes a time, a length and perhaps an offset: TUMBLE(ts, INTERVAL 1 MINUTE)"},
	hopName:  {2, "HOP takes a time, a slide, a length and perhaps an offset: HOP(ts, INTERVAL 1 MINUTE, INTERVAL 5 MINUTE)"},
}

// rewriteWindow turns the intervals of TUMBLE and HOP into microseconds, since
// the engine takes INTERVAL in arithmetic only, and gives each an offset.
func rewriteWindow(n *ast.FuncExpr) error {
	f, ok := windowFuncs[n.Name.Lowered()]
	if !ok {
		return nil
	}
	full := f.lengths + 2
	if len(n.Exprs) == full {
		if length, ok := n.Exprs[1].(*ast.AliasedExpr); ok {
			if _, done := length.Expr.(*ast.SQLVal); done {
				return nil // rewritten before, or written so
			}
		}
	}
	if len(n.Exprs) != full-1 && len(n.Exprs) != full {
		return misused("%s", f.usage)
	}
	exprs := ast.SelectExprs{n.Exprs[0]}
	for i, e := range n.Exprs[1:] {
		micros, err := intervalArg(e)
		if err != nil {
			return misused("%s: %s", f.usage, err)
		}
		if i < f.lengths && micros <= 0 {
			return misused("%s: the length must be more than nothing", f.usage)
		}
		exprs = append(exprs, intArg(micros))
	}
	if len(exprs) < full {
		exprs = append(exprs, intArg(0))
	}
	n.Exprs = exprs
	return nil
}

func intArg(n int64) ast.SelectExpr {
	return &ast.AliasedExpr{Expr: ast.NewIntVal([]byte(strconv.FormatInt(n, 10)))}
}

// intervalUnits are the units with a fixed length, in microseconds.
var intervalUnits = map[string]int64{
	"microsecond": 1, "second": 1e6, "minute": 60e6, "hour": 3600e6, "day": 86400e6, "week": 7 * 86400e6,
}

// intervalArg returns an INTERVAL in microseconds.
func intervalArg(e ast.SelectExpr) (int64, error) {
	a, ok := e.(*ast.AliasedExpr)
	if !ok {
		return 0, errors.New("the length is an INTERVAL")
	}
	iv, ok := a.Expr.(*ast.IntervalExpr)
	if !ok {
		return 0, fmt.Errorf("%s is not an INTERVAL", ast.String(a.Expr))
	}
	unit, ok := intervalUnits[strings.ToLower(iv.Unit)]
	if !ok {
		return 0, fmt.Errorf("windows have a fixed length, which INTERVAL … %s has not: use MICROSECOND, SECOND, MINUTE, HOUR, DAY or WEEK", iv.Unit)
	}
	sign := int64(1)
	x := iv.Expr
	if u, ok := x.(*ast.UnaryExpr); ok && u.Operator == ast.MinusStr {
		sign, x = -1, u.Expr
	}
	val, ok := x.(*ast.SQLVal)
	if !ok {
		return 0, fmt.Errorf("the number in INTERVAL %s %s must be written out", ast.String(iv.Expr), iv.Unit)
	}
	n, err := strconv.ParseInt(string(val.Val), 10, 64)
	if most := 1 << 62 / unit; err != nil || n > most || n < -most {
		return 0, fmt.Errorf("the number in INTERVAL %s %s must be a whole one", ast.String(iv.Expr), iv.Unit)
	}
	return sign * n * unit, nil
}

package gmsx

import (
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
)

// ownFunctions are functions that the engine lacks and clients send.
func ownFunctions(e *Engine) []gms.Function {
	own := []gms.Function{
		loadFile,
		scalar("makedate", types.Date, 2, makeDate), // Metabase and Superset group by year with it

		scalar("sec_to_time", types.Time, 1, secToTime),
		scalar("utc_date", types.Date, 0, func(ctx *gms.Context, _ []any) (any, error) {
			return ctx.QueryTime().UTC().Truncate(24 * time.Hour), nil
		}),
	}
	own = append(own, variableFunctions()...)
	own = append(own, clientFunctions()...)
	own = append(own, operatorFunctions()...)
	own = append(own, mendedFunctions()...)
	own = append(own, clockFunctions()...)
	if e.opts.Operators {
		own = append(own, choiceFunctions()...)
	}
	own = append(own, adaptedFunctions()...)
	for _, name := range []string{"session_user", "system_user"} {
		own = append(own, scalar(name, types.LongText, 0, func(ctx *gms.Context, _ []any) (any, error) {
			c := ctx.Client()
			return c.User + "@" + c.Address, nil
		}))
	}
	return own
}

// A Call is a call of a scalar function. It is NULL if an argument is, so eval
// gets none that is.
type Call struct {
	name string
	typ  gms.Type // nil is that of the first argument
	args []gms.Expression
	eval func(ctx *gms.Context, args []any) (any, error)
}

// NewCall returns a call. A nil type is that of the first argument.
func NewCall(name string, typ gms.Type, args []gms.Expression, eval func(ctx *gms.Context, args []any) (any, error)) *Call {
	return &Call{name: name, typ: typ, args: args, eval: eval}
}

// Name is the function's, in lower case.
func (c *Call) Name() string { return c.name }

// scalar makes a function of n arguments.
func scalar(name string, typ gms.Type, n int, eval func(ctx *gms.Context, args []any) (any, error)) gms.Function {
	return gms.FunctionN{Name: name, Fn: func(args ...gms.Expression) (gms.Expression, error) {
		if len(args) != n {
			return nil, gms.ErrInvalidArgumentNumber.New(name, n, len(args))
		}
		return NewCall(name, typ, args, eval), nil
	}}
}

func (c *Call) Resolved() bool {
	for _, a := range c.args {
		if !a.Resolved() {
			return false
		}
	}
	return true
}

func (c *Call) String() string {
	args := make([]string, len(c.args))
	for i, a := range c.args {
		args[i] = a.String()
	}
	return c.name + "(" + strings.Join(args, ", ") + ")"
}

func (c *Call) Type() gms.Type {
	if c.typ == nil {
		return c.args[0].Type()
	}
	return c.typ
}

func (c *Call) FunctionName() string       { return c.name }
func (c *Call) Description() string        { return c.name }
func (c *Call) IsNullable() bool           { return true }
func (c *Call) Children() []gms.Expression { return c.args }

func (c *Call) WithChildren(args ...gms.Expression) (gms.Expression, error) {
	if len(args) != len(c.args) {
		return nil, gms.ErrInvalidChildrenNumber.New(c, len(args), len(c.args))
	}
	cp := *c
	cp.args = args
	return &cp, nil
}

func (c *Call) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	args := make([]any, len(c.args))
	for i, a := range c.args {
		v, err := a.Eval(ctx, row)
		if err != nil || v == nil {
			return nil, err
		}
		args[i] = v
	}
	return c.eval(ctx, args)
}

func toInt(ctx *gms.Context, v any) (int64, error) {
	i, _, err := types.Int64.Convert(ctx, v)
	if err != nil {
		return 0, err
	}
	n, _ := i.(int64)
	return n, nil
}

// makeDate is the n-th day of a year; no such day is NULL.
func makeDate(ctx *gms.Context, args []any) (any, error) {
	year, err := toInt(ctx, args[0])
	if err != nil {
		return nil, err
	}
	day, err := toInt(ctx, args[1])
	if err != nil || day < 1 || day > 9999*366 || year < 0 || year > 9999 {
		return nil, err
	}
	if year < 70 {
		year += 2000
	} else if year < 100 {
		year += 1900
	}
	d := time.Date(int(year), 1, int(day), 0, 0, 0, 0, time.UTC)
	if d.Year() > 9999 {
		return nil, nil
	}
	return d, nil
}

func cut(d decimal.Decimal, places int64) decimal.Decimal {
	if places >= 0 {
		return d.Truncate(int32(places))
	}
	return d.Shift(int32(places)).Truncate(0).Shift(int32(-places))
}

// secToTime is a number of seconds as hours, minutes and seconds.
func secToTime(ctx *gms.Context, args []any) (any, error) {
	f, err := convertFloat(ctx, args[0])
	if err != nil {
		return nil, err
	}
	const most = 838*3600 + 59*60 + 59
	return types.Timespan(max(-most, min(most, f)) * 1e6), nil
}

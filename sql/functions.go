package sql

import (
	"context"
	"errors"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"weir/sql/gmsx"
	"weir/views"
	"weir/views/column"
)

// newFunction returns a function of lo to hi arguments.
func newFunction(name, usage string, lo, hi int, typ gms.Type, eval func(*gms.Context, []any) (any, error)) gms.Function {
	return gms.FunctionN{Name: name, Fn: func(args ...gms.Expression) (gms.Expression, error) {
		if len(args) < lo || len(args) > hi {
			return nil, gmsx.Error(1582, "42000", "Incorrect parameter count in the call to native function '%s': write %s", name, usage)
		}
		return gmsx.NewCall(name, typ, args, eval), nil
	}}
}

// datetime6 is DATETIME with microseconds, as all times of ours are.
var datetime6 = mustEngineType(column.Datetime)

// scalarFunctions are the functions of definitions and queries alike.
func scalarFunctions() []gms.Function {
	return []gms.Function{
		newFunction("tumble", "TUMBLE(time, INTERVAL n unit [, INTERVAL offset])", 3, 3, datetime6, evalTumble),
		newFunction("url_path", "URL_PATH(url)", 1, 1, types.LongText, evalURLPath),
		newFunction("url_param", "URL_PARAM(url, 'name')", 2, 2, types.LongText, evalURLParam),
	}
}

func evalURLPath(ctx *gms.Context, args []any) (any, error) {
	s, err := textOf(ctx, args[0])
	return column.PathOf(s), err
}

func evalURLParam(ctx *gms.Context, args []any) (any, error) {
	s, err := textOf(ctx, args[0])
	if err != nil {
		return nil, err
	}
	name, err := textOf(ctx, args[1])
	if err != nil {
		return nil, err
	}
	if p, ok := column.ParamOf(s, name); ok {
		return p, nil
	}
	return nil, nil
}

func textOf(ctx *gms.Context, x any) (string, error) {
	v, _, err := types.LongText.Convert(ctx, x)
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		u, err := gms.UnwrapAny(ctx, v)
		if err != nil {
			return "", err
		}
		s, _ = u.(string)
	}
	return s, nil
}

// waitFunction is WAIT_FOR_SEQ(stream, sequence, seconds): 1 once every view of
// the stream has applied the event, 0 when that took longer.
func waitFunction(e *views.Engine, may func(ctx *gms.Context, database, name string) error) gms.Function {
	usage := "WAIT_FOR_SEQ('stream', sequence, seconds)"
	return newFunction("wait_for_seq", usage, 2, 3, types.Int64, func(ctx *gms.Context, args []any) (any, error) {
		name, err := textOf(ctx, args[0])
		if err != nil {
			return nil, err
		}
		database, name := splitName(ctx, name)
		s, ok := e.Stream(database, name)
		if ok && may(ctx, database, name) != nil {
			ok = false
		}
		if !ok {
			return nil, gmsx.Error(1146, "42S02", "stream '%s' does not exist: the first argument of %s names one", name, usage)
		}
		seq, _, err := types.Uint64.Convert(ctx, args[1])
		if err != nil {
			return nil, err
		}
		seconds := 0.0
		if len(args) == 3 {
			f, _, err := types.Float64.Convert(ctx, args[2])
			if err != nil {
				return nil, err
			}
			seconds = f.(float64)
		}
		wait, cancel := context.WithTimeout(ctx, time.Duration(min(max(seconds, 0), 1e9)*float64(time.Second)))
		defer cancel()
		err = s.WaitApplied(wait, seq.(uint64))
		switch {
		case err == nil:
			return int64(1), nil
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			return int64(0), nil
		default:
			return nil, err
		}
	})
}

// splitName splits database.name; a name alone is in the current database.
func splitName(ctx *gms.Context, name string) (database, rest string) {
	if db, rest, ok := strings.Cut(name, "."); ok {
		return db, rest
	}
	if db := ctx.GetCurrentDatabase(); db != "" {
		return db, name
	}
	return views.DefaultDatabase, name
}

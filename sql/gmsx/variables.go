package gmsx

import (
	"encoding/json"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

func jsonIndent(v any) (string, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return string(b), err
}

// The calls that @x := value and @x become in a statement that assigns. No
// client writes them itself.
const (
	assignFunction = "weir_assign_variable"
	readFunction   = "weir_read_variable"
)

// variableFunctions assign and read user variables within a statement.
func variableFunctions() []gms.Function {
	name := func(e gms.Expression) (string, error) {
		if lit, ok := e.(*expression.Literal); ok {
			if s, ok := lit.Value().(string); ok {
				return strings.ToLower(s), nil
			}
		}
		return "", Error(1064, "42000", mysqlSyntaxError+"the name of a variable is no expression")
	}
	return []gms.Function{
		gms.FunctionN{Name: assignFunction, Fn: func(args ...gms.Expression) (gms.Expression, error) {
			if len(args) != 2 {
				return nil, gms.ErrInvalidArgumentNumber.New(assignFunction, 2, len(args))
			}
			n, err := name(args[0])
			return &userVariable{name: n, value: args[1]}, err
		}},
		gms.FunctionN{Name: readFunction, Fn: func(args ...gms.Expression) (gms.Expression, error) {
			if len(args) != 1 {
				return nil, gms.ErrInvalidArgumentNumber.New(readFunction, 1, len(args))
			}
			n, err := name(args[0])
			return &userVariable{name: n}, err
		}},
	}
}

// A userVariable assigns its value to a user variable, or reads it where there is
// no value. It has another value each time, so that nobody moves it.
type userVariable struct {
	name  string
	value gms.Expression
}

var _ gms.NonDeterministicExpression = (*userVariable)(nil)

func (v *userVariable) IsNonDeterministic() bool { return true }
func (v *userVariable) IsNullable() bool         { return true }
func (v *userVariable) Resolved() bool           { return v.value == nil || v.value.Resolved() }

// Type of what is read is not known before it is assigned: a text, from which
// numbers are made where they are needed, as in MySQL.
func (v *userVariable) Type() gms.Type {
	if v.value == nil {
		return types.LongText
	}
	return v.value.Type()
}

func (v *userVariable) String() string {
	if v.value == nil {
		return "@" + v.name
	}
	return "@" + v.name + " := " + v.value.String()
}

func (v *userVariable) Children() []gms.Expression {
	if v.value == nil {
		return nil
	}
	return []gms.Expression{v.value}
}

func (v *userVariable) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != len(v.Children()) {
		return nil, gms.ErrInvalidChildrenNumber.New(v, len(children), len(v.Children()))
	}
	cp := *v
	if len(children) == 1 {
		cp.value = children[0]
	}
	return &cp, nil
}

func (v *userVariable) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	if v.value == nil {
		_, val, err := ctx.GetUserVariable(ctx, v.name)
		if err != nil || val == nil {
			return nil, err
		}
		text, _, err := types.LongText.Convert(ctx, val)
		return text, err
	}
	val, err := v.value.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	return val, ctx.SetUserVariable(ctx, v.name, val, v.value.Type())
}

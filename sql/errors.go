package sql

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/ddl"
	"weir/sql/gmsx"
	"weir/views"
)

// A codedError says what is wrong with a definition, and has the number and
// SQLSTATE under which MySQL clients know that kind of error.
type codedError struct {
	number int
	state  string
	text   string
}

func (e *codedError) Error() string { return e.text }

func coded(number int, state, format string, args ...any) error {
	return &codedError{number, state, fmt.Sprintf(format, args...)}
}

// The kinds of errors in definitions.

// refused is for what MySQL knows and a definition cannot have.
func refused(format string, args ...any) error { return coded(1235, "42000", format, args...) }

// misnamed is for a column that is not there.
func misnamed(format string, args ...any) error { return coded(1054, "42S22", format, args...) }

// misused is for arguments that a function does not take.
func misused(format string, args ...any) error { return coded(1210, "HY000", format, args...) }

// sqlError gives errors of definitions and of the engine MySQL's numbers.
func sqlError(err error) error {
	var own *codedError
	var syntax *selectError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return gmsx.Error(own.number, own.state, "%s", err)
	case errors.As(err, &syntax):
		return gmsx.Error(1064, "42000", "%s", err)
	case errors.Is(err, views.ErrUnknown):
		return gmsx.Error(1146, "42S02", "%s", err)
	case errors.Is(err, views.ErrExists):
		return gmsx.Error(1050, "42S01", "%s", err)
	case errors.Is(err, views.ErrNoPrevious):
		return gmsx.Error(3572, "HY000", "%s", err)
	case errors.Is(err, views.ErrInUse):
		return gmsx.Error(3730, "HY000", "%s", err)
	case errors.Is(err, views.ErrCancelled):
		return gmsx.Error(1317, "70100", "Query execution was interrupted: the job was %s", views.ErrCancelled)
	case errors.Is(err, views.ErrBuilding):
		return gmsx.Error(1105, "HY000", "%s", err)
	default:
		return err
	}
}

// A selectError is a text of a definition that the engine's parser cannot read.
type selectError struct {
	text string
	pos  int // byte of text from which on it cannot; its length where more was expected
}

func (e *selectError) Error() string {
	if rest := e.text[e.pos:]; rest != "" {
		return "it cannot be read from here on: " + rest
	}
	return "it ends too early: " + e.text
}

// selectPlace matches where the parser gave up: it has read one byte behind the
// token that it could not use, and names that, or the last one with letters.
var selectPlace = regexp.MustCompile(`at position (\d+)(?: near '(.*)')?`)

// newSelectError finds out where in text the parser gave up with err.
func newSelectError(text string, err error) *selectError {
	n, near := placeOf(err)
	if n > len(text) {
		// It is the last token, or the end. With more text behind, it gives up
		// at the same place only if it is the token.
		_, more := ast.Parse(text + ",")
		if m, _ := placeOf(more); more == nil || m > n {
			return &selectError{text, len(text)}
		}
	}
	end := min(max(n-1, 0), len(text))
	if near != "" && strings.HasSuffix(text[:end], near) {
		return &selectError{text, end - len(near)}
	}
	return &selectError{text, ddl.LastToken(text[:end])}
}

// placeOf reads the parser's error.
func placeOf(err error) (n int, near string) {
	if err == nil {
		return 0, ""
	}
	m := selectPlace.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, ""
	}
	n, _ = strconv.Atoi(m[1])
	return n, m[2]
}

// missingFunction gives the engine's error for a function that it lacks MySQL's
// number, and names the nearest. Other errors it returns as they are.
func missingFunction(err error) error {
	m := functionMissing.FindStringSubmatch(err.Error())
	if !gms.ErrFunctionNotFound.Is(err) || m == nil {
		return err
	}
	if near := ddl.Nearest(m[1], functionNames()); near != "" {
		return coded(1305, "42000", "FUNCTION %s does not exist: did you mean %s?", strings.ToUpper(m[1]), strings.ToUpper(near))
	}
	return coded(1305, "42000", "FUNCTION %s does not exist", strings.ToUpper(m[1]))
}

var functionMissing = regexp.MustCompile(`^function: '(.*)' not found`)

// functionNames are those that a definition may use: aggregates and functions
// of weir before the engine's, since one of equal distance is rather meant.
func functionNames() []string {
	names := []string{hopName}
	for name := range aggregateFuncs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, f := range slices.Concat(scalarFunctions(), function.BuiltIns) {
		names = append(names, f.FunctionName())
	}
	return names
}

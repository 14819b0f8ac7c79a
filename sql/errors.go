package sql

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

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

// A selectError is what the engine's parser says of a text that it cannot read.
type selectError struct{ text string }

func (e *selectError) Error() string { return e.text }

// selectPlace matches where the parser gave up: behind the word that it names.
var selectPlace = regexp.MustCompile(`at position (\d+)(?: near '(.*)')?`)

// at is the byte of text at which the parser gave up.
func (e *selectError) at(text string) int {
	m := selectPlace.FindStringSubmatch(e.text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	n = min(n, len(text))
	if i := strings.LastIndex(text[:n], m[2]); m[2] != "" && i >= 0 {
		return i
	}
	return n
}

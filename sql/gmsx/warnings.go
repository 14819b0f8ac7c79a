package gmsx

import (
	"math"
	"regexp"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
)

// warningsMax is how many conditions of a statement are kept, as max_error_count
// has it in MySQL; all are counted.
const warningsMax = 1024

// conditions are the notes, warnings and errors of a session's last statement,
// which SHOW WARNINGS lists. The engine's own session lists the newest first,
// and keeps as many as come.
type conditions struct {
	kept      []*gms.Warning
	total     int
	errors    int
	divisions int // by zero
	// conversions are the messages of those that failed.
	conversions map[string]bool
	locked      bool
	hidden      bool // from the count: SHOW WARNINGS has none of its own
	// earlier of these, and earlierTotal of the count, are of the statement
	// before, which the engine clears only once it has planned the next.
	earlier, earlierTotal int
	// last are those that the engine took away last.
	last *conditions
	// mayReturn says that nothing came since then. The engine clears the
	// conditions of a statement after it has planned the next one, and then
	// gives back, from the last to the first, what planning had to say.
	mayReturn bool
}

// Warn implements gms.Session.
func (s *Session) Warn(w *gms.Warning) {
	c := &s.conditions
	if w.Code == 1292 && !c.first(w.Message) {
		return
	}
	c.total++
	c.hidden = false
	if w.Level == "Error" {
		c.errors++
	}
	if w.Code == 1365 {
		c.divisions++
	}
	if c.mayReturn && slices.Contains(c.last.kept, w) {
		c.kept = slices.Insert(c.kept, 0, w)
		return
	}
	c.mayReturn = false
	if len(c.kept) < warningsMax {
		c.kept = append(c.kept, asMySQL(w, s.GetCurrentDatabase()))
	}
}

// first says whether a conversion that failed is new to the statement: the
// engine converts a constant as often as it compares it.
func (c *conditions) first(message string) bool {
	if c.conversions[message] {
		return false
	}
	if c.conversions == nil {
		c.conversions = map[string]bool{}
	}
	if len(c.conversions) < warningsMax {
		c.conversions[message] = true
	}
	return true
}

// forgetDivisions takes the warnings of divisions by zero away, which have become
// an error.
func (c *conditions) forgetDivisions() {
	before := len(c.kept)
	c.kept = slices.DeleteFunc(c.kept, func(w *gms.Warning) bool { return w.Code == 1365 })
	c.total -= before - len(c.kept)
}

// Warnings implements gms.Session: the oldest is the first.
func (s *Session) Warnings() []*gms.Warning { return slices.Clone(s.conditions.kept) }

// WarningCount implements gms.Session.
func (s *Session) WarningCount() uint16 {
	if s.conditions.hidden {
		return 0
	}
	return uint16(min(s.conditions.total, math.MaxUint16))
}

// ClearWarningCount implements gms.Session. SHOW WARNINGS calls it, which has no
// warnings of its own.
func (s *Session) ClearWarningCount() { s.conditions.hidden = true }

// ClearWarnings implements gms.Session.
func (s *Session) ClearWarnings() {
	if c := &s.conditions; !c.locked {
		last := *c
		last.last, last.earlier, last.hidden = nil, 0, true
		*c = conditions{last: &last, mayReturn: true}
	}
}

// asked is for statements that ask about the conditions of the one before,
// which the engine has cleared for them: it puts them back.
func asked(ctx *gms.Context) *conditions {
	s := SessionOf(ctx)
	if s == nil {
		return &conditions{}
	}
	if c := &s.conditions; c.last != nil && len(c.kept) == 0 {
		*c = *c.last
	}
	return &s.conditions
}

// showErrors is SHOW ERRORS.
func showErrors(_ *Engine, ctx *gms.Context, _ []string) (rows []gms.Row, err error) {
	for _, w := range asked(ctx).kept {
		if w.Level == "Error" {
			rows = append(rows, gms.Row{w.Level, int32(w.Code), w.Message})
		}
	}
	return rows, nil
}

// GetSessionVariable implements gms.Session: @@warning_count and @@error_count
// are of the statement before.
func (s *Session) GetSessionVariable(ctx *gms.Context, name string) (any, error) {
	switch {
	case s.conditions.last == nil || !strings.HasSuffix(name, "_count"):
	case strings.EqualFold(name, "warning_count"):
		return int64(s.conditions.last.total), nil
	case strings.EqualFold(name, "error_count"):
		return int64(s.conditions.last.errors), nil
	}
	return s.BaseSession.GetSessionVariable(ctx, name)
}

// LockWarnings implements gms.Session.
func (s *Session) LockWarnings() { s.conditions.locked = true }

// UnlockWarnings implements gms.Session.
func (s *Session) UnlockWarnings() { s.conditions.locked = false }

// begun is called as a statement begins.
func (c *conditions) begun() { c.earlier, c.earlierTotal = len(c.kept), c.total }

// failed notes the error that ended a statement, as SHOW WARNINGS has it.
func (s *Session) failed(err error) {
	if c := &s.conditions; c.earlier > 0 { // it was not planned
		c.kept, c.total = slices.Clone(c.kept[c.earlier:]), c.total-c.earlierTotal
		c.earlier, c.earlierTotal, c.errors = 0, 0, 0
	}
	if own, ok := err.(*mysql.SQLError); ok { //nolint:errorlint // mapError has made it
		s.Warn(&gms.Warning{Level: "Error", Code: own.Num, Message: own.Message})
	}
}

// bareDropped is what the engine says of a table that DROP … IF EXISTS passes over.
var bareDropped = regexp.MustCompile(`^Unknown table '([^'.]*)'$`)

// ignored are the numbers of errors that IGNORE makes warnings, where the
// engine leaves notes.
var ignored = []int{1048, 1062, 1242, 1364, 1451, 1452, 1526, 3819}

// asMySQL gives a condition of the engine the number, the level and the words
// that MySQL has for it.
func asMySQL(w *gms.Warning, database string) *gms.Warning {
	cp := *w
	cp.Message = reword(w.Message)
	if m := bareDropped.FindStringSubmatch(cp.Message); m != nil && cp.Code == 1051 && database != "" {
		cp.Message = "Unknown table '" + database + "." + m[1] + "'"
	}
	if cp.Code == 1105 && strings.HasPrefix(cp.Message, "Check constraint") {
		cp.Code = 3819
	}
	if cp.Level == "Note" && slices.Contains(ignored, cp.Code) {
		cp.Level = "Warning"
	}
	return &cp
}

// warnedShown is how much of a value a warning shows.
const warnedShown = 128

func warnTruncated(ctx *gms.Context, kind, s string) {
	warn(ctx, 1292, "Truncated incorrect %s value: '%s'", kind, shown(s))
}

// shown is a text as messages show it.
func shown(s string) string {
	if len(s) > warnedShown {
		return strings.ToValidUTF8(s[:warnedShown], "")
	}
	return s
}

func warn(ctx *gms.Context, code int, message string, args ...any) {
	if ctx != nil && ctx.Session != nil {
		ctx.Warn(code, message, args...)
	}
}

func note(ctx *gms.Context, code int, message string, args ...any) {
	if ctx != nil && ctx.Session != nil {
		s := Error(code, "", message, args...).(*mysql.SQLError) //nolint:errorlint,forcetypeassert // it has made one
		ctx.Session.Warn(&gms.Warning{Level: "Note", Code: code, Message: s.Message})
	}
}

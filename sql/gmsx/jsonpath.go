package gmsx

import (
	"regexp"
	"strconv"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function/json"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// jsonLegs are the legs of a path without wildcards: .key, ."any key", [3],
// [last], [last-1].
var jsonLegs = regexp.MustCompile(`^\s*(?:\.\s*([A-Za-z_$\x{80}-\x{10FFFF}][0-9A-Za-z_$\x{80}-\x{10FFFF}]*)|\.\s*"((?:[^"\\]|\\.)*)"|\[\s*([0-9]+)\s*\]|\[\s*last(?:\s*-\s*([0-9]+))?\s*\])`)

// jsonExtract is JSON_EXTRACT. The engine fails where a path asks an object for
// an element, and gives [] where it asks an array for a key; MySQL gives NULL.
// Paths with wildcards are the engine's.
func jsonExtract(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
	engine := func() (any, error) {
		e, err := json.NewJSONExtract(args...)
		if err != nil {
			return nil, err
		}
		return e.Eval(ctx, nil)
	}
	if len(vals) != 2 {
		return engine()
	}
	path, ok := textOf(vals[1])
	if !ok || !strings.HasPrefix(strings.TrimSpace(path), "$") {
		return engine()
	}
	doc, _, err := types.JSON.Convert(ctx, vals[0])
	if err != nil {
		return engine() // which says what is wrong with it
	}
	wrapper, ok := doc.(gms.JSONWrapper)
	if !ok {
		return engine()
	}
	val, err := wrapper.ToInterface()
	if err != nil {
		return nil, err
	}
	rest := strings.TrimSpace(path)[1:]
	for strings.TrimSpace(rest) != "" {
		m := jsonLegs.FindStringSubmatch(rest)
		if m == nil {
			return engine()
		}
		rest = rest[len(m[0]):]
		leg := strings.TrimSpace(m[0])
		if leg[0] == '.' {
			key := m[1]
			if m[2] != "" || strings.HasSuffix(leg, `"`) {
				if key, err = strconv.Unquote(`"` + m[2] + `"`); err != nil {
					return engine()
				}
			}
			object, ok := val.(map[string]any)
			if !ok {
				return nil, nil
			}
			if val, ok = object[key]; !ok {
				return nil, nil
			}
			continue
		}
		elements, ok := val.([]any)
		if !ok {
			elements = []any{val} // what is no array counts as one of itself
		}
		at := -1
		if m[3] != "" {
			if at, err = strconv.Atoi(m[3]); err != nil {
				return nil, nil
			}
		} else {
			before := 0
			if m[4] != "" {
				if before, err = strconv.Atoi(m[4]); err != nil {
					return nil, nil
				}
			}
			at = len(elements) - 1 - before
		}
		if at < 0 || at >= len(elements) {
			return nil, nil
		}
		val = elements[at]
	}
	return types.JSONDocument{Val: val}, nil
}

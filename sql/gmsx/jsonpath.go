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
	if len(vals) == 2 {
		if val, found, ok := jsonLookup(ctx, vals[0], vals[1]); ok {
			if !found {
				return nil, nil
			}
			return types.JSONDocument{Val: val}, nil
		}
	}
	e, err := json.NewJSONExtract(args...)
	if err != nil {
		return nil, err
	}
	return e.Eval(ctx, nil)
}

// jsonContainsPath is JSON_CONTAINS_PATH, a boolean: within JSON it is true or
// false.
func jsonContainsPath(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
	mode, _ := textOf(vals[1])
	n := 0
	for _, path := range vals[2:] {
		_, found, ok := jsonLookup(ctx, vals[0], path)
		if !ok || !strings.EqualFold(mode, "one") && !strings.EqualFold(mode, "all") {
			e, err := json.NewJSONContainsPath(args...)
			if err != nil {
				return nil, err
			}
			return e.Eval(ctx, nil)
		}
		if found {
			n++
		}
	}
	return strings.EqualFold(mode, "one") && n > 0 || n == len(vals)-2, nil
}

// jsonLookup is what a document has at a path; ok is false where the engine is
// to say it, or what is wrong.
func jsonLookup(ctx *gms.Context, doc, at any) (val any, found, ok bool) {
	path, ok := textOf(at)
	if !ok || !strings.HasPrefix(strings.TrimSpace(path), "$") {
		return nil, false, false
	}
	doc, _, err := types.JSON.Convert(ctx, doc)
	if err != nil {
		return nil, false, false
	}
	wrapper, ok := doc.(gms.JSONWrapper)
	if !ok {
		return nil, false, false
	}
	if val, err = wrapper.ToInterface(); err != nil {
		return nil, false, false
	}
	found = true
	for rest := strings.TrimSpace(path)[1:]; strings.TrimSpace(rest) != ""; {
		m := jsonLegs.FindStringSubmatch(rest)
		if m == nil {
			return nil, false, false
		}
		rest = rest[len(m[0]):]
		leg := strings.TrimSpace(m[0])
		if leg[0] == '.' {
			key := m[1]
			if strings.HasSuffix(leg, `"`) {
				if key, err = strconv.Unquote(`"` + m[2] + `"`); err != nil {
					return nil, false, false
				}
			}
			object, _ := val.(map[string]any)
			member, is := object[key]
			val = member
			found = found && is
			continue
		}
		elements, is := val.([]any)
		if !is {
			elements = []any{val} // what is no array counts as one of itself
		}
		i := len(elements)
		if m[3] != "" {
			if n, err := strconv.Atoi(m[3]); err == nil {
				i = n
			}
		} else {
			i--
			if n, err := strconv.Atoi(m[4]); err == nil {
				i -= n
			}
		}
		if i < 0 || i >= len(elements) {
			found, val = false, nil
			continue
		}
		val = elements[i]
	}
	return val, found, true
}

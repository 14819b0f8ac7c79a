package views

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"weir/views/column"
)

// appendJSON appends a value of the type as JSON. Numbers have all their digits,
// also where a reader's floats do not hold them.
func appendJSON(dst []byte, v column.Value, t column.Type) []byte {
	switch v.Kind {
	case column.Invalid:
		return append(dst, "null"...)
	case column.Int:
		if t.SQL == "time(6)" {
			return appendClock(dst, v.I)
		}
		return strconv.AppendInt(dst, v.I, 10)
	case column.Uint:
		return strconv.AppendUint(dst, uint64(v.I), 10)
	case column.Float:
		return appendFloat(dst, v.F, t)
	case column.Dec, column.BigDec:
		return append(dst, v.Decimal().StringFixed(int32(t.Scale))...)
	case column.Time:
		layout := "2006-01-02T15:04:05.999999Z"
		if t.Date {
			layout = time.DateOnly
		}
		dst = append(dst, '"')
		return append(time.UnixMicro(v.I).UTC().AppendFormat(dst, layout), '"')
	case column.Bytes:
		dst = append(dst, '"')
		return append(base64.StdEncoding.AppendEncode(dst, []byte(v.S)), '"')
	case column.JSON:
		b := bytes.NewBuffer(dst)
		if json.Compact(b, []byte(v.S)) == nil {
			return b.Bytes()
		}
		return appendJSONText(dst, v.S)
	default:
		return appendJSONText(dst, v.S)
	}
}

// appendFloat appends a number as short as reads back the same.
func appendFloat(dst []byte, f float64, t column.Type) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	bits := 64
	if t.SQL == "float" {
		bits = 32
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

// appendClock appends a TIME, in microseconds.
func appendClock(dst []byte, us int64) []byte {
	sign := ""
	if us < 0 {
		sign, us = "-", -us
	}
	s := us / 1e6
	return fmt.Appendf(dst, `"%s%02d:%02d:%02d.%06d"`, sign, s/3600, s/60%60, s%60, us%1e6)
}

// appendJSONText appends a text as a JSON string. What is not UTF-8 is replaced.
func appendJSONText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if c >= utf8.RuneSelf && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, "\ufffd"...)
		}
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

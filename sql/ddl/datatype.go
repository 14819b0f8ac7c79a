package ddl

import (
	"slices"
	"strconv"
	"strings"
)

// An argForm says what a type takes in parentheses.
type argForm uint8

const (
	noArgs       argForm = iota
	displayWidth         // INT(11): taken and dropped, it never meant anything but padding
	length               // required
	lengthOr1            // 1 without parentheses
	fraction             // digits of a second, 0 to 6
	precision            // DECIMAL(p,s)
	floatBits            // FLOAT(p): a double from 25 bits on
)

// A dataType is a type of SQL that streams have.
type dataType struct {
	sql  string // the name in its one spelling
	args argForm
	max  int  // of length
	text bool // takes a character set
	int  bool // takes UNSIGNED
}

// The longest columns that MySQL makes: a row of 65,535 bytes, of which text
// takes four per character.
const (
	charMax    = 255
	varcharMax = 16383
	binaryMax  = 65535
)

var dataTypes = map[string]dataType{
	"BOOLEAN":   {sql: "boolean"},
	"BOOL":      {sql: "boolean"},
	"TINYINT":   {sql: "tinyint", args: displayWidth, int: true},
	"SMALLINT":  {sql: "smallint", args: displayWidth, int: true},
	"MEDIUMINT": {sql: "mediumint", args: displayWidth, int: true},
	"INT":       {sql: "int", args: displayWidth, int: true},
	"INTEGER":   {sql: "int", args: displayWidth, int: true},
	"BIGINT":    {sql: "bigint", args: displayWidth, int: true},

	"FLOAT":   {sql: "float", args: floatBits},
	"DOUBLE":  {sql: "double"},
	"REAL":    {sql: "double"},
	"DECIMAL": {sql: "decimal", args: precision},
	"DEC":     {sql: "decimal", args: precision},
	"NUMERIC": {sql: "decimal", args: precision},
	"FIXED":   {sql: "decimal", args: precision},

	"DATE":      {sql: "date"},
	"DATETIME":  {sql: "datetime", args: fraction},
	"TIMESTAMP": {sql: "timestamp", args: fraction},
	"YEAR":      {sql: "year", args: displayWidth},

	"CHAR":       {sql: "char", args: lengthOr1, max: charMax, text: true},
	"CHARACTER":  {sql: "char", args: lengthOr1, max: charMax, text: true},
	"VARCHAR":    {sql: "varchar", args: length, max: varcharMax, text: true},
	"TINYTEXT":   {sql: "tinytext", text: true},
	"TEXT":       {sql: "text", text: true},
	"MEDIUMTEXT": {sql: "mediumtext", text: true},
	"LONGTEXT":   {sql: "longtext", text: true},

	"BINARY":     {sql: "binary", args: lengthOr1, max: charMax},
	"VARBINARY":  {sql: "varbinary", args: length, max: binaryMax},
	"TINYBLOB":   {sql: "tinyblob"},
	"BLOB":       {sql: "blob"},
	"MEDIUMBLOB": {sql: "mediumblob"},
	"LONGBLOB":   {sql: "longblob"},
	"JSON":       {sql: "json"},
}

// otherTypes are what to use for the types of MySQL and of other systems that
// streams do not have.
var otherTypes = map[string]string{
	"ENUM":     "VARCHAR(64)",
	"SET":      "VARCHAR(255), or JSON for an array",
	"BIT":      "BIGINT UNSIGNED, or BOOLEAN for one bit",
	"TIME":     "DATETIME(6) for a time of day with its date, or BIGINT for a duration",
	"INTERVAL": "BIGINT, in microseconds say",
	"SERIAL":   "BIGINT UNSIGNED; the log numbers the events in _seq",
	"NCHAR":    "CHAR(n)",
	"NVARCHAR": "VARCHAR(n)",
	"NATIONAL": "CHAR(n) or VARCHAR(n)",

	"GEOMETRY":           "JSON for GeoJSON, or BLOB for WKB",
	"POINT":              "two columns of type DOUBLE",
	"LINESTRING":         "JSON for GeoJSON, or BLOB for WKB",
	"POLYGON":            "JSON for GeoJSON, or BLOB for WKB",
	"MULTIPOINT":         "JSON for GeoJSON, or BLOB for WKB",
	"MULTILINESTRING":    "JSON for GeoJSON, or BLOB for WKB",
	"MULTIPOLYGON":       "JSON for GeoJSON, or BLOB for WKB",
	"GEOMETRYCOLLECTION": "JSON for GeoJSON, or BLOB for WKB",
	"VECTOR":             "JSON",

	"STRING":      "VARCHAR(n) or TEXT",
	"UUID":        "CHAR(36)",
	"BYTES":       "BLOB",
	"BYTEA":       "BLOB",
	"JSONB":       "JSON",
	"ARRAY":       "JSON",
	"MAP":         "JSON",
	"STRUCT":      "JSON",
	"LONG":        "BIGINT",
	"NUMBER":      "DECIMAL(p,s), BIGINT or DOUBLE",
	"MONEY":       "DECIMAL(18,2)",
	"TIMESTAMPTZ": "TIMESTAMP(6)",
	"INT2":        "SMALLINT",
	"INT4":        "INT",
	"INT8":        "BIGINT",
	"INT16":       "SMALLINT",
	"INT32":       "INT",
	"INT64":       "BIGINT",
	"UINT8":       "TINYINT UNSIGNED",
	"UINT16":      "SMALLINT UNSIGNED",
	"UINT32":      "INT UNSIGNED",
	"UINT64":      "BIGINT UNSIGNED",
	"FLOAT4":      "FLOAT",
	"FLOAT8":      "DOUBLE",
	"FLOAT32":     "FLOAT",
	"FLOAT64":     "DOUBLE",
}

var dataTypeNames = sortedKeys(dataTypes)

func sortedKeys(m map[string]dataType) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// dataType parses a type and returns it in its one spelling, and whether it is
// of text.
func (p *parser) dataType() (sql string, isText bool) {
	at := p.tok
	name := asciiUpper(p.text())
	t, ok := dataTypes[name]
	if at.kind != word || !ok {
		p.failType(name)
		return "", false
	}
	p.advance()
	if name == "DOUBLE" {
		p.accept("PRECISION")
	}
	if name == "CHARACTER" && p.isWord("VARYING") {
		p.fail("write VARCHAR(n) for CHARACTER VARYING(n)")
	}
	args, given := p.typeArgs()
	sql, problem := t.spell(args)
	switch {
	case problem != "" && given.kind == symbol:
		p.failAt(given.pos, "%s %s", name, problem)
	case problem != "":
		p.failAt(at.pos, "%s %s", name, problem)
	}
	return sql + p.sign(t.int), t.text
}

func (p *parser) failType(name string) {
	switch hint := otherTypes[name]; {
	case p.tok.kind != word:
		p.fail("expected a type")
	case hint != "":
		p.fail("a stream has no type %s: use %s", name, hint)
	default:
		p.fail("unknown type %s%s", name, didYouMean(name, dataTypeNames))
	}
}

// sign parses what may follow the name of an integer type.
func (p *parser) sign(isInt bool) string {
	switch {
	case isInt && p.accept("UNSIGNED"):
		return " unsigned"
	case isInt:
		p.accept("SIGNED")
	}
	return ""
}

// typeArgMax bounds the numbers in a type; none that is allowed is larger.
const typeArgMax = binaryMax

// typeArgs parses the numbers in parentheses, if there are any, and returns
// the token that opens them.
func (p *parser) typeArgs() (args []int, open token) {
	if !p.isSymbol('(') {
		return nil, token{}
	}
	open = p.tok
	p.advance()
	for more := true; more; more = p.acceptSymbol(',') {
		n, err := strconv.Atoi(p.text())
		if p.tok.kind != number || err != nil {
			p.fail("expected a whole number")
		}
		if n > typeArgMax {
			p.fail("no type is as long as that: use a TEXT or a BLOB")
		}
		args = append(args, n)
		p.advance()
	}
	p.expectSymbol(')')
	return args, open
}

// spell returns the type with args, or what is wrong with them.
func (t dataType) spell(args []int) (sql, problem string) {
	most := 1
	switch t.args {
	case noArgs:
		most = 0
	case precision:
		most = 2
	}
	if len(args) > most {
		return "", t.tooMany(most)
	}
	switch t.args {
	case length, lengthOr1:
		return t.spellLength(args)
	case fraction:
		return t.spellFraction(args)
	case precision:
		return t.spellDecimal(args)
	case floatBits:
		return t.spellFloat(args)
	}
	return t.sql, ""
}

func (t dataType) tooMany(most int) string {
	switch {
	case t.sql == "double" || t.sql == "float":
		return "takes no digits: for an exact number of them use DECIMAL(p,s)"
	case t.text:
		return "takes no length here: use VARCHAR(n)"
	case strings.HasSuffix(t.sql, "blob"):
		return "takes no length here: use VARBINARY(n)"
	case most == 0:
		return "takes nothing in parentheses"
	case most == 1:
		return "takes one number in parentheses"
	}
	return "takes at most two numbers in parentheses"
}

func (t dataType) spellLength(args []int) (sql, problem string) {
	upper := asciiUpper(t.sql)
	if len(args) == 0 && t.args == length {
		return "", "needs a length, such as " + upper + "(255)"
	}
	n := 1
	if len(args) > 0 {
		n = args[0]
	}
	if n < 1 || n > t.max {
		return "", "takes a length from 1 to " + strconv.Itoa(t.max)
	}
	return t.sql + "(" + strconv.Itoa(n) + ")", ""
}

func (t dataType) spellFraction(args []int) (sql, problem string) {
	if len(args) == 0 || args[0] == 0 {
		return t.sql, ""
	}
	if args[0] > 6 {
		return "", "takes 0 to 6 digits of a second"
	}
	return t.sql + "(" + strconv.Itoa(args[0]) + ")", ""
}

// spellDecimal applies MySQL's bounds and its default of ten digits, none of
// them behind the point.
func (t dataType) spellDecimal(args []int) (sql, problem string) {
	args = append(args, []int{10, 0}[len(args):]...)
	digits, scale := args[0], args[1]
	if digits < 1 || digits > 65 || scale > 30 || scale > digits {
		return "", "takes 1 to 65 digits, of which at most 30 behind the point"
	}
	return t.sql + "(" + strconv.Itoa(digits) + "," + strconv.Itoa(scale) + ")", ""
}

func (t dataType) spellFloat(args []int) (sql, problem string) {
	switch {
	case len(args) > 0 && args[0] > 53:
		return "", "takes at most 53 bits"
	case len(args) > 0 && args[0] > 24:
		return "double", ""
	}
	return "float", ""
}

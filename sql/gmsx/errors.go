package gmsx

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer/analyzererrors"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	kinds "gopkg.in/src-d/go-errors.v1"
)

// Error makes an error that reaches the client as it is, with its MySQL
// number and SQLSTATE.
func Error(number int, state, format string, args ...any) error {
	return &mysql.SQLError{Num: number, State: state, Message: fmt.Sprintf(format, args...)}
}

// Why a statement ended early.
var (
	errTimeout     = Error(3024, "HY000", "Query execution was interrupted, maximum statement execution time exceeded")
	errInterrupted = Error(1317, "70100", "Query execution was interrupted")
	errShutdown    = Error(1053, "08S01", "Server shutdown in progress")
	errDoubleRange = Error(1690, "22003", "DOUBLE value is out of range")
	errClientGone  = Error(1152, "08S01", "Aborted connection: the client is gone")
)

// mysqlErrors gives the engine's errors the numbers that clients know. The
// engine itself numbers few, and most of those without an SQLSTATE.
var mysqlErrors = []struct {
	kind   *kinds.Kind
	number int
	state  string
}{
	{gms.ErrSyntaxError, 1064, "42000"},
	{gms.ErrTableNotFound, 1146, "42S02"},
	{gms.ErrUnknownTable, 1051, "42S02"},
	{gms.ErrViewDoesNotExist, 1146, "42S02"},
	{gms.ErrInvalidRefInView, 1356, "HY000"},
	{gms.ErrTableAlreadyExists, 1050, "42S01"},
	{gms.ErrExistingView, 1050, "42S01"},
	{gms.ErrColumnNotFound, 1054, "42S22"},
	{gms.ErrTableColumnNotFound, 1054, "42S22"},
	{gms.ErrUnknownColumn, 1054, "42S22"},
	{gms.ErrMisusedAlias, 1054, "42S22"},
	{gms.ErrAmbiguousColumnName, 1052, "23000"},
	{gms.ErrAmbiguousColumnOrAliasName, 1052, "23000"},
	{gms.ErrAmbiguousColumnInOrderBy, 1052, "23000"},
	{gms.ErrDuplicateAliasOrTable, 1066, "42000"},
	{gms.ErrDatabaseNotFound, 1049, "42000"},
	{gms.ErrDatabaseExists, 1007, "HY000"},
	{gms.ErrNoDatabaseSelected, 1046, "3D000"},
	{gms.ErrNoTablesUsed, 1096, "HY000"},
	{gms.ErrFunctionNotFound, 1305, "42000"},
	{gms.ErrTableFunctionNotFound, 1305, "42000"},
	{gms.ErrStoredProcedureDoesNotExist, 1305, "42000"},
	{gms.ErrCallIncorrectParameterCount, 1318, "42000"},
	{gms.ErrInvalidArgumentNumber, 1582, "42000"},
	{gms.ErrPrivilegeCheckFailed, 1142, "42000"},
	{gms.ErrTableAccessDeniedForUser, 1142, "42000"},
	{gms.ErrDatabaseAccessDeniedForUser, 1044, "42000"},
	{gms.ErrShowGrantsUserDoesNotExist, 1141, "42000"},
	{gms.ErrUserCreationFailure, 1396, "HY000"},
	{gms.ErrUserAlterFailure, 1396, "HY000"},
	{gms.ErrUserDeletionFailure, 1396, "HY000"},
	{gms.ErrUnknownSystemVariable, 1193, "HY000"},
	{gms.ErrSystemVariableReadOnly, 1238, "HY000"},
	{gms.ErrSystemVariableGlobalOnly, 1229, "HY000"},
	{gms.ErrSystemVariableSessionOnly, 1228, "HY000"},
	{gms.ErrInvalidSystemVariableValue, 1231, "42000"},
	{gms.ErrNonAggregatedColumnWithoutGroupBy, 1140, "42000"},
	{analyzererrors.ErrValidationGroupBy, 1055, "42000"},
	{gms.ErrExpectedSingleRow, 1242, "21000"},
	{gms.ErrInvalidOperandColumns, 1241, "21000"},
	{gms.ErrColumnNumberDoesNotMatch, 1222, "21000"},
	{planbuilder.ErrUnionSchemasDifferentLength, 1222, "21000"},
	{gms.ErrColValCountMismatch, 1136, "21S01"},
	{gms.ErrColumnCountMismatch, 1353, "HY000"},
	{gms.ErrInvalidColumnNumber, 1353, "HY000"},
	{gms.ErrIncompatibleDefaultType, 1067, "42000"},
	{gms.ErrInsertIntoNonNullableProvidedNull, 1048, "23000"},
	{gms.ErrInsertIntoNonNullableDefaultNullColumn, 1364, "HY000"},
	{gms.ErrPrimaryKeyViolation, 1062, "23000"},
	{gms.ErrColumnExists, 1060, "42S21"},
	{gms.ErrDuplicateColumn, 1060, "42S21"},
	{gms.ErrInvalidAutoIncCols, 1075, "42000"},
	{gms.ErrInvalidBlobTextKey, 1170, "42000"},
	{gms.ErrFullTextNotSupported, 1214, "HY000"},
	{gms.ErrJSONIndex, 3152, "42000"},
	{plan.ErrUpdateForTableNotSupported, 1288, "HY000"},
	{gms.ErrCheckConstraintViolated, 3819, "HY000"},
	{gms.ErrTemporaryTableNotSupported, 1235, "42000"},
	{gms.ErrNoForeignKeySupport, 1235, "42000"},
	{types.ErrConvertToDecimalLimit, 1264, "22003"},
	{types.ErrConvertingToEnum, 1265, "01000"},
	{gms.ErrUnknownIndexColumn, 1072, "42000"},
	{gms.ErrUniqueKeyViolation, 1062, "23000"},
	{gms.ErrColumnSpecifiedTwice, 1110, "42000"},
	{gms.ErrUnknownPreparedStatement, 1243, "HY000"},
	{gms.ErrReadOnly, 1290, "HY000"},
	{gms.ErrReadOnlyTransaction, 1792, "25006"},
	{gms.ErrSecureFilePriv, 1290, "HY000"},
	{gms.ErrValueOutOfRange, 1264, "22003"},
	{gms.ErrInvalidValue, 1366, "HY000"},
	{types.ErrLengthBeyondLimit, 1406, "22001"},
	{types.ErrConvertingToTime, 1292, "22007"},
	{gms.ErrInvalidJson, 3140, "22032"},
	{gms.ErrInsertIntoMismatchValueCount, 1136, "21S01"},
	{gms.ErrInvalidJSONText, 3141, "22032"},
	{gms.ErrUnsupportedFeature, 1235, "42000"},
	{gms.ErrUnsupportedSyntax, 1235, "42000"},
	{gms.ErrCreateTableNotSupported, 1235, "42000"},
	{gms.ErrDropTableNotSupported, 1235, "42000"},
	{gms.ErrRenameTableNotSupported, 1235, "42000"},
	{gms.ErrAlterTableNotSupported, 1235, "42000"},
	{gms.ErrImmutableDatabaseProvider, 1235, "42000"},
	{gms.ErrViewsNotSupported, 1235, "42000"},
	{gms.ErrTriggersNotSupported, 1235, "42000"},
	{gms.ErrStoredProceduresNotSupported, 1235, "42000"},
	{gms.ErrEventsNotSupported, 1235, "42000"},
	{gms.ErrNoMemoryAvailable, 1041, "HY000"},
}

// rewordings give the engine's most frequent errors the words that MySQL has
// for them, and a number to those that have none of their own.
var rewordings = []struct {
	engine *regexp.Regexp
	mysql  string
	number int // 0 leaves it
	state  string
}{
	{engine: regexp.MustCompile(`^table not found: ([^,]+)`), mysql: "Table '$1' doesn't exist"},
	{engine: regexp.MustCompile(`^database not found: ([^,]+)`), mysql: "Unknown database '$1'"},
	{engine: regexp.MustCompile(`^column "(.*)" could not be found in any table in scope`), mysql: "Unknown column '$1'"},
	{engine: regexp.MustCompile(`^table "Table\n └─ name: (.*)\n" does not have column "(.*)"`), mysql: "Unknown column '$2' in '$1'"},
	{engine: regexp.MustCompile(`^column name '(.*)' is non-nullable but attempted to set a value of null`), mysql: "Column '$1' cannot be null"},
	{engine: regexp.MustCompile(`^Column "(.*)" already exists`), mysql: "Duplicate column name '$1'"},
	{engine: regexp.MustCompile(`^table with name (.*) already exists`), mysql: "Table '$1' already exists"},
	{engine: regexp.MustCompile("^duplicate column name: `(.*)`"), mysql: "Duplicate column name '$1'"},
	{engine: regexp.MustCompile(`^blob/text column '(.*)' used in key specification without a key length`), mysql: "BLOB/TEXT column '$1' used in key specification without a key length"},
	{engine: regexp.MustCompile(`^Check constraint "(.*)" violated`), mysql: "Check constraint '$1' is violated."},
	{engine: regexp.MustCompile(`^value (.*) is not valid for this Enum`), mysql: "Data truncated: the ENUM has no value '$1'"},
	{engine: regexp.MustCompile(`^the view (.*) already exists`), mysql: "Table '$1' already exists"},
	{regexp.MustCompile(`^table "Table\\n └─ name: (.*)\\n" does not have column "(.*)"`), "Unknown column '$2' in '$1'", 0, ""},
	{engine: regexp.MustCompile(`^table "(.*)" does not have column "(.*)"`), mysql: "Unknown column '$2' in '$1'"},
	{engine: regexp.MustCompile(`^ambiguous column name "(.*)", it's present in all these tables: \[(.*)\]`), mysql: "Column '$1' is ambiguous: it is in each of $2"},
	{engine: regexp.MustCompile(`^function: '(.*)' not found`), mysql: "FUNCTION $1 does not exist"},
	{engine: regexp.MustCompile(`^stored procedure "(.*)" does not exist`), mysql: "PROCEDURE $1 does not exist"},
	{engine: regexp.MustCompile(`^error: '(.*)' is not a valid value for '(.*)'`), mysql: "Incorrect $2 value: '$1'"},
	{engine: regexp.MustCompile(`^string '(?s:.*)' is too large for column '(.*)'`), mysql: "Data too long for column '$1'"},
	{engine: regexp.MustCompile(`^(.*) out of range for (.*)`), mysql: "Out of range value: $1 is no $2"},
	{engine: regexp.MustCompile(`^duplicate (?:primary|unique) key given: (Duplicate entry (?s:.*))`), mysql: "$1"},
	{engine: regexp.MustCompile(`^number of values does not match number of columns provided`), mysql: "Column count doesn't match value count"},
	{regexp.MustCompile(`^error: can't drop '(.*)'; check that column/key exists`), "Can't DROP '$1'; check that column/key exists", 0, ""},
	{regexp.MustCompile(`^key column '(.*)' doesn't exist in table`), "Key column '$1' doesn't exist in table", 0, ""},
	{regexp.MustCompile(`^column '(.*)' specified twice`), "Column '$1' specified twice", 0, ""},
	{regexp.MustCompile(`^Not unique table/alias: ([^']*)$`), "Not unique table/alias: '$1'", 0, ""},
	{regexp.MustCompile(`^an index with id "(.*)" has already been registered`), "Duplicate key name '$1'", 1061, "42000"},
	{regexp.MustCompile(`^there can be only one auto_increment column`), "Incorrect table definition; there can be only one auto column", 1075, "42000"},
	{regexp.MustCompile(`^tuple should contain \d+ column\(s\), but has \d+`), "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts", 1353, "HY000"},
	{regexp.MustCompile(`^[Uu]nknown character set: ([^']*)$`), "Unknown character set: '$1'", 1115, "42000"},
	{regexp.MustCompile(`^[Uu]nknown collation: ([^']*)$`), "Unknown collation: '$1'", 1273, "HY000"},
	{regexp.MustCompile(`^(COLLATION '.*' is not valid for CHARACTER SET '.*')`), "$1", 1253, "42000"},
	{regexp.MustCompile(`^'%!'\(string=(.*)\) is not VIEW`), "'$1' is not VIEW", 1347, "HY000"},
	{regexp.MustCompile(`^the view (.*) does not exist`), "Table '$1' doesn't exist", 0, ""},
	{regexp.MustCompile(`^Unknown system variable '@@(?i:global\.|session\.|local\.)?(.*)'`), "Unknown system variable '$1'", 0, ""},
	{regexp.MustCompile(`^failed to extract from expression .*(Invalid JSON path expression\..*)`), "$1", 3143, "42000"},
	{regexp.MustCompile(`^(Invalid JSON path expression\. Expected field name.*\*.*)`), "In this situation, path expressions may not contain the * and ** tokens or an array range. $1", 3149, "42000"},
	{regexp.MustCompile(`^(Invalid JSON path expression\..*)`), "$1", 3143, "42000"},
	{regexp.MustCompile(`^expression 'convert\(.*, json\)': couldn't convert to json: Invalid JSON text: (.*)`), "Invalid JSON text in argument 1 to function cast_as_json: \"$1\".", 3141, "22032"},
	{regexp.MustCompile(`^function '(\w+)' expected (.*), (\d+) received`), "Incorrect parameter count in the call to native function '$1': it takes $2, and got $3", 0, ""},
	{regexp.MustCompile(`^Too-big precision (\d+) for '(\w+)'`), "Too-big precision $1 specified for '$2'", 1426, "42000"},
	{regexp.MustCompile(`^cannot union two queries whose schemas are different lengths; left has (\d+) column\(s\) right has (\d+) column\(s\)\.?`), "The used SELECT statements have a different number of columns: $1 and $2", 0, ""},
	{regexp.MustCompile(`^operand should have (\d+) columns?, but has \d+`), "Operand should contain $1 column(s)", 0, ""},
	{regexp.MustCompile(`^the subquery returned more than 1 row`), "Subquery returns more than 1 row", 0, ""},
	{regexp.MustCompile(`^limit expression expected to be numeric or procedure parameter, found invalid column: (.*)`), "Undeclared variable: $1", 1327, "42000"},
	{regexp.MustCompile(`^(invalid use of an interval, .*)`), "You have an error in your SQL syntax; $1", 1064, "42000"},
	{regexp.MustCompile(`^bind variable not provided.*`), "Incorrect arguments to EXECUTE", 1210, "HY000"},
	{regexp.MustCompile(`^invalid arguments\. expected: (\d+), found: (\d+)`), "Incorrect arguments to EXECUTE: the statement has $1 parameters, not $2", 1210, "HY000"},
	{regexp.MustCompile(`^incompatible type for default value.*`), "Invalid default value", 1067, "42000"},
	{regexp.MustCompile(`^Invalid argument to (regexp_\w+)`), "Incorrect arguments to $1", 1210, "HY000"},
	{regexp.MustCompile(`^invalid argument value for logarithm: .*`), "Invalid argument for logarithm", 0, ""},
	{regexp.MustCompile(`^Incorrect value: '(.*)' for function (\w+)`), "Incorrect datetime value: '$1' for function $2", 0, ""},
	{regexp.MustCompile(`^Illegal argument to regular expression\.`), "Illegal argument to a regular expression.", 3685, "HY000"},
	{badPattern("missing closing \\)|unexpected \\)"), "Mismatched parenthesis in regular expression.", 3691, "HY000"},
	{badPattern("missing closing \\]"), "The regular expression contains an unclosed bracket expression.", 3696, "HY000"},
	{badPattern("invalid character class range: `\\[:"), "Illegal argument to a regular expression.", 3685, "HY000"},
	{badPattern("invalid character class range"), "The regular expression contains an [x-y] character range where x comes after y.", 3697, "HY000"},
	{badPattern("invalid repeat count: `\\{\\d+,\\d+\\}`"), "The maximum is less than the minimum in a {min,max} interval.", 3693, "HY000"},
	{badPattern("invalid repeat count"), "Incorrect description of a {min,max} interval.", 3692, "HY000"},
	{badPattern("trailing backslash|invalid escape sequence"), "Unrecognized escape sequence in regular expression.", 3689, "HY000"},
	{badPattern("invalid or unsupported Perl syntax"), "The regular expression contains a feature that is not implemented in this library version.", 3690, "HY000"},
	{badPattern("expression (?:nests too deeply|too large)"), "The regular expression pattern exceeds limits on size or complexity.", 3700, "HY000"},
	{badPattern("(.*)"), "Syntax error in regular expression: $1", 3688, "HY000"},
}

// badPattern matches what the package of regular expressions says of one.
func badPattern(what string) *regexp.Regexp {
	return regexp.MustCompile("^invalid regular expression: (?:error parsing regexp: )?(?:" + what + ").*")
}

func reword(message string) string {
	message, _, _ = renumber(message, 0, "")
	return message
}

// renumber is reword with the number and the SQLSTATE.
func renumber(message string, number int, state string) (string, int, string) {
	for _, r := range rewordings {
		if r.engine.MatchString(message) {
			if r.number != 0 {
				number, state = r.number, r.state
			}
			return r.engine.ReplaceAllString(message, r.mysql), number, state
		}
	}
	return message, number, state
}

// mapError turns an error of the statement of ctx into the *mysql.SQLError
// that its client gets.
func mapError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var own *mysql.SQLError
	if ctx != nil && errors.As(context.Cause(ctx), &own) {
		return own // whatever it said when it was cut off, this is why
	}
	if errors.As(err, &own) {
		return own
	}
	// The engine wraps errors in ways that errors.Is does not follow.
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		strings.Contains(err.Error(), context.Canceled.Error()) {
		return errInterrupted
	}
	err = gms.UnwrapError(err)
	if gms.ErrNonAggregatedColumnWithoutGroupBy.Is(err) && strings.Contains(err.Error(), "MISSING") {
		// What the engine says of an aggregate and a window in one SELECT.
		return Error(1235, "42000", "This version of weir doesn't yet support a window function in a SELECT with GROUP BY or aggregates: group in a derived table, and have the window over that")
	}
	for _, m := range mysqlErrors {
		if m.kind.Is(err) {
			message, number, state := renumber(err.Error(), m.number, m.state)
			return Error(number, state, "%s", message)
		}
	}
	cast := gms.CastSQLError(err)
	if cast.State == mysql.SSUnknownSQLState {
		if state, ok := states[cast.Num]; ok {
			cast.State = state
		}
	}
	cast.Message, cast.Num, cast.State = renumber(cast.Message, cast.Num, cast.State)
	return cast
}

// states are the SQLSTATEs of numbers that the engine itself gives without.
var states = map[int]string{
	1062: "23000", 1048: "23000", 1216: "23000", 1217: "23000", 1451: "23000", 1452: "23000",
	1068: "42000", 1075: "42000", 1072: "42000", 1091: "42000", 1366: "HY000",
}

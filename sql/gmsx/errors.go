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
// for them.
var rewordings = []struct {
	engine *regexp.Regexp
	mysql  string
}{
	{regexp.MustCompile(`^table not found: ([^,]+)`), "Table '$1' doesn't exist"},
	{regexp.MustCompile(`^database not found: ([^,]+)`), "Unknown database '$1'"},
	{regexp.MustCompile(`^column "(.*)" could not be found in any table in scope`), "Unknown column '$1'"},
	{regexp.MustCompile(`^table "Table\n └─ name: (.*)\n" does not have column "(.*)"`), "Unknown column '$2' in '$1'"},
	{regexp.MustCompile(`^column name '(.*)' is non-nullable but attempted to set a value of null`), "Column '$1' cannot be null"},
	{regexp.MustCompile(`^Column "(.*)" already exists`), "Duplicate column name '$1'"},
	{regexp.MustCompile(`^table with name (.*) already exists`), "Table '$1' already exists"},
	{regexp.MustCompile("^duplicate column name: `(.*)`"), "Duplicate column name '$1'"},
	{regexp.MustCompile(`^blob/text column '(.*)' used in key specification without a key length`), "BLOB/TEXT column '$1' used in key specification without a key length"},
	{regexp.MustCompile(`^Check constraint "(.*)" violated`), "Check constraint '$1' is violated."},
	{regexp.MustCompile(`^value (.*) is not valid for this Enum`), "Data truncated: the ENUM has no value '$1'"},
	{regexp.MustCompile(`^the view (.*) already exists`), "Table '$1' already exists"},
	{regexp.MustCompile(`^table "(.*)" does not have column "(.*)"`), "Unknown column '$2' in '$1'"},
	{regexp.MustCompile(`^ambiguous column name "(.*)", it's present in all these tables: \[(.*)\]`), "Column '$1' is ambiguous: it is in each of $2"},
	{regexp.MustCompile(`^function: '(.*)' not found`), "FUNCTION $1 does not exist"},
	{regexp.MustCompile(`^stored procedure "(.*)" does not exist`), "PROCEDURE $1 does not exist"},
	{regexp.MustCompile(`^error: '(.*)' is not a valid value for '(.*)'`), "Incorrect $2 value: '$1'"},
	{regexp.MustCompile(`^string '(?s:.*)' is too large for column '(.*)'`), "Data too long for column '$1'"},
	{regexp.MustCompile(`^(.*) out of range for (.*)`), "Out of range value: $1 is no $2"},
	{regexp.MustCompile(`^duplicate (?:primary|unique) key given: (Duplicate entry (?s:.*))`), "$1"},
	{regexp.MustCompile(`^number of values does not match number of columns provided`), "Column count doesn't match value count"},
}

func reword(message string) string {
	for _, r := range rewordings {
		if r.engine.MatchString(message) {
			return r.engine.ReplaceAllString(message, r.mysql)
		}
	}
	return message
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
	for _, m := range mysqlErrors {
		if m.kind.Is(err) {
			return Error(m.number, m.state, "%s", reword(err.Error()))
		}
	}
	cast := gms.CastSQLError(err)
	if cast.State == mysql.SSUnknownSQLState {
		if state, ok := states[cast.Num]; ok {
			cast.State = state
		}
	}
	return cast
}

// states are the SQLSTATEs of numbers that the engine itself gives without.
var states = map[int]string{
	1062: "23000", 1048: "23000", 1216: "23000", 1217: "23000", 1451: "23000", 1452: "23000",
	1068: "42000", 1075: "42000", 1072: "42000", 1091: "42000", 1366: "HY000",
}

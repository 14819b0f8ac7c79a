package gmsx

import (
	"runtime"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// Variables that the engine lacks, or keeps clients from setting, and that
// they read or set: some are of older versions of MySQL, some of MariaDB. None
// of them changes anything here.
func clientVariables() []gms.SystemVariable {
	text := func(name, value string) gms.SystemVariable {
		return clientVariable(name, types.NewSystemStringType(name), value, true)
	}
	flag := func(name string, on int8) gms.SystemVariable {
		return clientVariable(name, types.NewSystemBoolType(name), on, true)
	}
	fixedText := func(name, value string) gms.SystemVariable {
		return clientVariable(name, types.NewSystemStringType(name), value, false)
	}
	return []gms.SystemVariable{
		text("storage_engine", "InnoDB"),
		text("optimizer_switch", "index_merge=on,engine_condition_pushdown=on,index_condition_pushdown=on,derived_merge=on"),
		text("binlog_format", "ROW"),
		flag("profiling", 0),
		flag("log_bin_trust_function_creators", 0),
		flag("innodb_file_per_table", 1),
		flag("wsrep_on", 0),
		fixedText("have_profiling", "NO"),
		fixedText("have_ssl", "DISABLED"),
		fixedText("have_openssl", "DISABLED"),
		fixedText("have_query_cache", "NO"),
		fixedText("have_innodb", "YES"),
		fixedText("have_partitioning", "NO"),
		fixedText("version_ssl_library", ""),
		clientVariable("innodb_lock_wait_timeout", types.NewSystemIntType("innodb_lock_wait_timeout", 1, 1073741824, false), int64(50), true),
		clientVariable("innodb_strict_mode", types.NewSystemBoolType("innodb_strict_mode"), int8(1), true),
		clientVariable("max_statement_time", types.NewSystemDoubleType("max_statement_time", 0, 31536000), float64(0), true),
		clientVariable("insert_id", types.NewSystemIntType("insert_id", 0, 1<<62, false), int64(0), true),
		clientVariable("identity", types.NewSystemIntType("identity", 0, 1<<62, false), int64(0), true),
		clientVariable("warning_count", types.NewSystemIntType("warning_count", 0, 1<<62, false), int64(0), false),
		clientVariable("error_count", types.NewSystemIntType("error_count", 0, 1<<62, false), int64(0), false),
		clientVariable("query_cache_limit", types.NewSystemIntType("query_cache_limit", 0, 1<<62, false), int64(0), true),
		clientVariable("progress_report_time", types.NewSystemIntType("progress_report_time", 0, 1<<31, false), int64(5), true),
	}
}

func clientVariable(name string, typ gms.Type, value any, dynamic bool) gms.SystemVariable {
	return &gms.MysqlSystemVariable{
		Name: name, Scope: gms.GetMysqlScope(gms.SystemVariableScope_Both), Dynamic: dynamic, Type: typ, Default: value,
	}
}

// platform are variables that say where the server runs.
func platform() map[string]any {
	return map[string]any{
		"version_compile_os":      runtime.GOOS,
		"version_compile_machine": runtime.GOARCH,
		"protocol_version":        int64(10),
	}
}

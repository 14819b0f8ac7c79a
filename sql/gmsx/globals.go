package gmsx

import (
	_ "time/tzdata" // named time zones, wherever the binary runs

	gms "github.com/dolthub/go-mysql-server/sql"
)

// noFiles is a directory that cannot exist. It keeps LOAD_FILE, INTO OUTFILE
// and LOAD DATA from every file of the machine, whatever else fails.
const noFiles = "/nonexistent/weir"

// setGlobals sets the system variables, which all engines of a process share.
func setGlobals(o *Options) error {
	bridgeLogs(o.Logger)
	gms.SystemVariables.AddSystemVariables(clientVariables())
	if err := gms.SystemVariables.AssignValues(platform()); err != nil {
		return err
	}
	return gms.SystemVariables.AssignValues(map[string]any{
		"secure_file_priv":   noFiles,
		"local_infile":       int8(1), // the client's own files, which it sends or not
		"time_zone":          "+00:00",
		"system_time_zone":   "UTC",
		"version":            o.ServerVersion,
		"version_comment":    "weir",
		"sql_mode":           gms.DefaultSqlMode,
		"max_connections":    int64(o.MaxConnections),
		"max_allowed_packet": uint64(o.MaxPacket),
		"max_execution_time": o.StatementTimeout.Milliseconds(),
		// Merge joins over several columns match NULL with NULL.
		gms.DisableMergeJoin: int8(1),
		"wait_timeout":       max(1, int64(o.IdleTimeout.Seconds())),
	})
}

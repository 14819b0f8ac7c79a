// Package accesslog holds the SQL of the access log example, which weir demo
// runs.
package accesslog

import _ "embed"

// Schema makes the stream and its views.
//
//go:embed schema.sql
var Schema string

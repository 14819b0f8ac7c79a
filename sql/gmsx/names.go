package gmsx

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// Columns that the engine calls otherwise than MySQL does. Tools find columns
// by name, some of them heeding case.

func init() {
	// These columns are in a variable that all nodes share.
	for _, c := range (&plan.ShowTableStatus{}).Schema() {
		if c.Name == "Comments" {
			c.Name = "Comment"
		}
	}
}

// collationNames are the columns of SHOW COLLATION.
var collationNames = []string{"Collation", "Charset", "Id", "Default", "Compiled", "Sortlen", "Pad_attribute"}

// mysqlNames gives the columns of SHOW COLLATION the names that they have in
// MySQL.
func mysqlNames(schema gms.Schema) gms.Schema {
	if len(schema) != len(collationNames) || schema[0].Name != "collation" || schema[1].Name != "charset" {
		return schema
	}
	out := make(gms.Schema, len(schema))
	for i, c := range schema {
		cp := *c
		cp.Name = collationNames[i]
		out[i] = &cp
	}
	return out
}

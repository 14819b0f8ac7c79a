package gmsx

import (
	gms "github.com/dolthub/go-mysql-server/sql"
)

// ownFunctions are scalar functions that the engine lacks or gets wrong.
func ownFunctions(*Engine) []gms.Function {
	return []gms.Function{loadFile}
}

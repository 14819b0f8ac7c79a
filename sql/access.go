package sql

import (
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/sql/gmsx"
)

// What an account needs beside what its statement says, see gmsx.Statement.

// mayRead returns nil if the account of ctx may read a stream, table or view.
func (s *Server) mayRead(ctx *gms.Context, database, name string) error {
	return s.engine.Authorize(ctx, gmsx.Access{Privilege: gmsx.PrivilegeSelect, Database: database, Table: name})
}

// mayAlter returns nil if the account of ctx may have a view computed anew.
func (s *Server) mayAlter(ctx *gms.Context, database, name string) error {
	return s.engine.Authorize(ctx, gmsx.Access{Privilege: gmsx.PrivilegeAlter, Database: database, Table: name})
}

// mayPublish returns nil if the account of ctx may have the changes of a view
// sent to a subject: what streams take of it are events of theirs.
func (s *Server) mayPublish(ctx *gms.Context, subject string) error {
	if subject == "" {
		return nil
	}
	for _, stream := range s.cfg.Engine.Streams() {
		for _, pattern := range stream.Def.Subjects {
			if !subjectMatches(strings.Split(pattern, "."), strings.Split(subject, ".")) {
				continue
			}
			a := gmsx.Access{Privilege: gmsx.PrivilegeInsert, Database: stream.Def.Database, Table: stream.Def.Name}
			if err := s.engine.Authorize(ctx, a); err != nil {
				return err
			}
		}
	}
	return nil
}

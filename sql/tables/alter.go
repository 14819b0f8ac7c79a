package tables

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"weir/sql/gmsx"
)

// change runs f within the statement's Tx, or in one of its own.
func (s *Store) change(ctx *gms.Context, f func(tx *Tx) error) error {
	tx, outer, err := s.begin(ctx)
	if err != nil {
		return err
	}
	if !outer {
		return f(tx)
	}
	defer tx.rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.commit()
}

// CreateTable makes a table. gms.ErrTableAlreadyExists where the name is taken.
func (s *Store) CreateTable(ctx *gms.Context, database, name string, schema gms.PrimaryKeySchema, collation gms.CollationID, comment string) error {
	return s.change(ctx, func(tx *Tx) error {
		key := tableKey(database, name)
		if tx.cat.tables[key] != nil || tx.cat.views[key] != nil {
			return gms.ErrTableAlreadyExists.New(name)
		}
		if len(schema.Schema) == 0 {
			return gmsx.Error(1113, "42000", "A table must have at least 1 column")
		}
		d := &Def{Database: database, Name: name, Comment: comment, Collation: collation.Name(), Key: slices.Clone(schema.PkOrdinals)}
		if err := d.setColumns(schema.Schema); err != nil {
			return err
		}
		if err := d.checkKey(d.Key, nil); err != nil {
			return err
		}
		var err error
		if d.ID, err = tx.number(); err != nil {
			return err
		}
		if err := tx.renumber(d); err != nil {
			return err
		}
		if err := tx.put(d); err != nil {
			return err
		}
		e, err := tx.table(ctx, d)
		if err != nil {
			return err
		}
		e.freshAll()
		return nil
	})
}

// setColumns replaces the columns.
func (d *Def) setColumns(schema gms.Schema) error {
	d.Columns = nil
	for _, c := range schema {
		cd, err := columnDef(c)
		if err != nil {
			return err
		}
		d.Columns = append(d.Columns, cd)
	}
	return d.prepare()
}

// CreateIndexedTable makes a table whose primary key is of the first characters
// of a column, which cannot be.
func (s *Store) CreateIndexedTable(ctx *gms.Context, database, name string, schema gms.PrimaryKeySchema, key gms.IndexDef, collation gms.CollationID) error {
	for _, c := range key.Columns {
		if c.Length > 0 {
			return gmsx.Error(1235, "42000", "a primary key of the first %d characters of %s is not possible: make it a UNIQUE key", c.Length, c.Name)
		}
	}
	return s.CreateTable(ctx, database, name, schema, collation, "")
}

// DropTable removes a table. gms.ErrTableNotFound where there is none.
func (s *Store) DropTable(ctx *gms.Context, database, name string) error {
	return s.change(ctx, func(tx *Tx) error {
		d := tx.cat.tables[tableKey(database, name)]
		if d == nil {
			return gms.ErrTableNotFound.New(name)
		}
		tx.remove(d)
		return nil
	})
}

// RenameTable gives a table another name in its database.
func (s *Store) RenameTable(ctx *gms.Context, database, from, to string) error {
	return s.change(ctx, func(tx *Tx) error {
		d := tx.cat.tables[tableKey(database, from)]
		if d == nil {
			return gms.ErrTableNotFound.New(from)
		}
		key := tableKey(database, to)
		if other := tx.cat.tables[key]; other != nil && other.ID != d.ID || tx.cat.views[key] != nil {
			return gms.ErrTableAlreadyExists.New(to)
		}
		cp := d.clone()
		cp.Name = to
		return tx.put(cp)
	})
}

// CreateView keeps a view. gms.ErrExistingView where the name is taken.
func (s *Store) CreateView(ctx *gms.Context, v *ViewDef) error {
	return s.change(ctx, func(tx *Tx) error {
		key := tableKey(v.Database, v.Name)
		if tx.cat.views[key] != nil {
			return gms.ErrExistingView.New(v.Database, v.Name)
		}
		if tx.cat.tables[key] != nil {
			return gms.ErrTableAlreadyExists.New(v.Name)
		}
		tx.change().views[key] = v
		return nil
	})
}

// DropView forgets a view. gms.ErrViewDoesNotExist where there is none.
func (s *Store) DropView(ctx *gms.Context, database, name string) error {
	return s.change(ctx, func(tx *Tx) error {
		key := tableKey(database, name)
		if tx.cat.views[key] == nil {
			return gms.ErrViewDoesNotExist.New(database, name)
		}
		delete(tx.change().views, key)
		return nil
	})
}

// CreateDatabase keeps the name of a database.
func (s *Store) CreateDatabase(ctx *gms.Context, name string) error {
	return s.change(ctx, func(tx *Tx) error {
		if _, ok := tx.cat.databases[strings.ToLower(name)]; ok {
			return gms.ErrDatabaseExists.New(name)
		}
		tx.change().databases[strings.ToLower(name)] = name
		return nil
	})
}

// DropDatabase forgets a database with its tables and views.
func (s *Store) DropDatabase(ctx *gms.Context, name string) error {
	return s.change(ctx, func(tx *Tx) error {
		cat := tx.change()
		for _, d := range cat.tables {
			if strings.EqualFold(d.Database, name) {
				tx.remove(d)
			}
		}
		for key, v := range cat.views {
			if strings.EqualFold(v.Database, name) {
				delete(cat.views, key)
			}
		}
		delete(cat.databases, strings.ToLower(name))
		return nil
	})
}

// alter changes a copy of the table's definition with f and puts that in its place.
func (t *Table) alter(ctx *gms.Context, f func(tx *Tx, d *Def) error) error {
	return t.store.change(ctx, func(tx *Tx) error {
		now := tx.cat.byID(t.def.ID)
		if now == nil {
			return errChanged()
		}
		cp := now.clone()
		if err := f(tx, cp); err != nil {
			return err
		}
		return tx.put(cp)
	})
}

// ShouldRewriteTable implements gms.RewritableTable: the rows are written anew
// unless only names, defaults or comments have changed.
func (t *Table) ShouldRewriteTable(_ *gms.Context, old, now gms.PrimaryKeySchema, from, to *gms.Column) bool {
	if from == nil || to == nil || len(old.Schema) != len(now.Schema) || len(old.PkOrdinals) != len(now.PkOrdinals) {
		return true
	}
	return typeText(from.Type) != typeText(to.Type) || from.Nullable != to.Nullable || from.AutoIncrement != to.AutoIncrement ||
		(from.Generated == nil) != (to.Generated == nil) || from.Generated != nil && from.Generated.String() != to.Generated.String() ||
		old.Schema.IndexOfColName(from.Name) != now.Schema.IndexOfColName(to.Name)
}

// RewriteInserter implements gms.RewritableTable.
func (t *Table) RewriteInserter(ctx *gms.Context, old, now gms.PrimaryKeySchema, from, to *gms.Column, _ []gms.IndexColumn) (gms.RowInserter, error) {
	tx := txOf(ctx, t.store)
	if tx == nil {
		return nil, errors.New("a table is rewritten outside of a statement")
	}
	current := tx.cat.byID(t.def.ID)
	if current == nil {
		return nil, errChanged()
	}
	if len(old.PkOrdinals) > 0 && len(now.PkOrdinals) == 0 {
		if err := gms.ValidatePrimaryKeyDrop(ctx, t, old); err != nil {
			return nil, err
		}
	}
	d := current.clone()
	d.Key = nil
	for _, c := range now.PkOrdinals {
		if c < 0 {
			return nil, gmsx.Error(1235, "42000", "a column of the primary key cannot be dropped: drop the key first")
		}
		d.Key = append(d.Key, c)
	}
	if err := d.setColumns(now.Schema); err != nil {
		return nil, err
	}
	if err := d.checkKey(d.Key, nil); err != nil {
		return nil, err
	}
	d.Indexes = nil
	for _, ix := range current.Indexes {
		moved := IndexDef{Name: ix.Name, Unique: ix.Unique, Comment: ix.Comment}
		for i, c := range ix.Columns {
			name := current.Columns[c].Name
			if from != nil && to != nil && strings.EqualFold(from.Name, name) {
				name = to.Name
			}
			if at := d.column(name); at >= 0 {
				moved.Columns = append(moved.Columns, at)
				if ix.Prefix != nil {
					moved.Prefix = append(moved.Prefix, ix.Prefix[i])
				}
			}
		}
		if len(moved.Columns) == 0 {
			continue // as in MySQL, an index goes with its last column
		}
		if err := d.checkKey(moved.Columns, moved.Prefix); err != nil {
			return nil, err
		}
		d.Indexes = append(d.Indexes, moved)
	}
	if err := tx.renumber(d); err != nil {
		return nil, err
	}
	e := &edits{def: d, rows: map[uint64]*bucketEdits{}, counts: counters{Auto: 1}}
	if before, err := tx.table(ctx, current); err != nil {
		return nil, err
	} else if current.auto() >= 0 && d.auto() >= 0 {
		e.counts.Auto = before.counts.Auto
	}
	e.freshAll()
	return &rewriter{tx: tx, e: e, auto: current.auto() < 0 && d.auto() >= 0}, nil
}

// A rewriter takes the rows of a table as they will be.
type rewriter struct {
	tx     *Tx
	e      *edits
	auto   bool // the column that counts up is new
	failed bool
}

func (r *rewriter) StatementBegin(*gms.Context)          {}
func (r *rewriter) StatementComplete(*gms.Context) error { return nil }

// DiscardChanges implements gms.RowInserter.
func (r *rewriter) DiscardChanges(*gms.Context, error) error {
	r.failed = true
	return nil
}

// Insert implements gms.RowInserter.
func (r *rewriter) Insert(ctx *gms.Context, row gms.Row) error {
	for i, c := range r.e.def.Columns {
		if row[i] == nil && !c.Null {
			return gmsx.Error(1138, "22004", "Invalid use of NULL value: column '%s' holds NULL", c.Name)
		}
	}
	if err := convert(ctx, r.e.def, row); err != nil {
		return err
	}
	return r.tx.insert(ctx, r.e, row)
}

// Close implements gms.RowInserter: the table is what was inserted.
func (r *rewriter) Close(*gms.Context) error {
	if r.failed {
		return nil
	}
	delete(r.tx.edits, r.e.def.ID)
	if err := r.tx.put(r.e.def); err != nil {
		return err
	}
	r.tx.edits[r.e.def.ID] = r.e
	return nil
}

// AddColumn implements gms.AlterableTable. Columns are added by rewriting.
func (t *Table) AddColumn(*gms.Context, *gms.Column, *gms.ColumnOrder) error {
	return gmsx.Error(1235, "42000", "the column cannot be added to a table of rows as they are")
}

// DropColumn implements gms.AlterableTable. Columns are dropped by rewriting.
func (t *Table) DropColumn(*gms.Context, string) error {
	return gmsx.Error(1235, "42000", "the column cannot be dropped of a table of rows as they are")
}

// ModifyColumn implements gms.AlterableTable, for what leaves the rows as they are.
func (t *Table) ModifyColumn(ctx *gms.Context, name string, c *gms.Column, _ *gms.ColumnOrder) error {
	return t.alter(ctx, func(_ *Tx, d *Def) error {
		at := d.column(name)
		if at < 0 {
			return gms.ErrTableColumnNotFound.New(d.Name, name)
		}
		if other := d.column(c.Name); other >= 0 && other != at {
			return gmsx.Error(1060, "42S21", "Duplicate column name '%s'", c.Name)
		}
		cd, err := columnDef(c)
		if err != nil {
			return err
		}
		if slices.Contains(d.Key, at) {
			cd.Null = false
		}
		d.Columns[at] = cd
		return nil
	})
}

// CreatePrimaryKey implements gms.PrimaryKeyAlterableTable. It is done by rewriting.
func (t *Table) CreatePrimaryKey(*gms.Context, []gms.IndexColumn) error {
	return gmsx.Error(1235, "42000", "the primary key cannot be changed of a table of rows as they are")
}

// DropPrimaryKey implements gms.PrimaryKeyAlterableTable. It is done by rewriting.
func (t *Table) DropPrimaryKey(*gms.Context) error { return t.CreatePrimaryKey(nil, nil) }

// CreateIndex implements gms.IndexAlterableTable: the index is there with all
// rows in it, or an error.
func (t *Table) CreateIndex(ctx *gms.Context, def gms.IndexDef) error {
	return t.store.change(ctx, func(tx *Tx) error {
		now := tx.cat.byID(t.def.ID)
		if now == nil {
			return errChanged()
		}
		d := now.clone()
		ix, err := d.newIndex(def)
		if err != nil {
			return err
		}
		if ix.Rows, err = tx.number(); err != nil {
			return err
		}
		if err := d.prepare(); err != nil {
			return err
		}
		e, err := tx.table(ctx, now)
		if err != nil {
			return err
		}
		e.fresh(ix.Rows)
		err = tx.each(ctx, e, now.Rows, func(key, rec []byte) error {
			row, err := d.readRow(ctx, rec, nil)
			if err != nil {
				return tx.store.damaged(d, key)
			}
			if err := tx.grow(ctx); err != nil {
				return err
			}
			part, null, err := d.indexKey(ctx, &ix, row)
			if err != nil {
				return err
			}
			if _, taken := e.bucket(ix.Rows).unique[string(part)]; ix.Unique && !null && taken {
				return tx.duplicate(ctx, e, ix.Name, ix.Columns, row, key, rec)
			}
			return e.placeEntry(ctx, &ix, row, slices.Clone(key))
		})
		if err != nil {
			return err
		}
		d.Indexes = append(d.Indexes, ix)
		return tx.put(d)
	})
}

// newIndex is an index of the definition, without a bucket.
func (d *Def) newIndex(def gms.IndexDef) (IndexDef, error) {
	ix := IndexDef{Name: def.Name, Unique: def.IsUnique(), Comment: def.Comment}
	switch {
	case def.IsFullText(), def.IsSpatial(), def.IsVector():
		return ix, gmsx.Error(1235, "42000", "index %s: FULLTEXT, SPATIAL and VECTOR indexes are not kept: make it a plain one", def.Name)
	case d.index(def.Name) >= 0 || strings.EqualFold(def.Name, "PRIMARY"):
		return ix, gmsx.Error(1061, "42000", "Duplicate key name '%s'", def.Name)
	}
	prefixes := false
	for _, c := range def.Columns {
		at := d.column(c.Name)
		if at < 0 {
			return ix, gms.ErrKeyColumnDoesNotExist.New(c.Name)
		}
		if slices.Contains(ix.Columns, at) {
			return ix, gmsx.Error(1060, "42S21", "Duplicate column name '%s'", c.Name)
		}
		if c.Length < 0 || c.Length > keyMax {
			return ix, gmsx.Error(1071, "42000", "Specified key was too long; max key length is %d bytes", keyMax)
		}
		ix.Columns = append(ix.Columns, at)
		ix.Prefix = append(ix.Prefix, uint16(c.Length))
		prefixes = prefixes || c.Length > 0
	}
	if !prefixes {
		ix.Prefix = nil
	}
	return ix, d.checkKey(ix.Columns, ix.Prefix)
}

// ShouldBuildIndex implements gms.IndexBuildingTable: CreateIndex does.
func (t *Table) ShouldBuildIndex(*gms.Context, gms.IndexDef) (bool, error) { return false, nil }

// BuildIndex implements gms.IndexBuildingTable. The engine calls it for unique
// indexes in any case, which CreateIndex has built.
func (t *Table) BuildIndex(*gms.Context, gms.IndexDef) (gms.RowInserter, error) {
	return built{}, nil
}

type built struct{}

func (built) StatementBegin(*gms.Context)              {}
func (built) DiscardChanges(*gms.Context, error) error { return nil }
func (built) StatementComplete(*gms.Context) error     { return nil }
func (built) Insert(*gms.Context, gms.Row) error       { return nil }
func (built) Close(*gms.Context) error                 { return nil }

// DropIndex implements gms.IndexAlterableTable.
func (t *Table) DropIndex(ctx *gms.Context, name string) error {
	return t.alter(ctx, func(_ *Tx, d *Def) error {
		at := d.index(name)
		if at < 0 {
			return gmsx.Error(1091, "42000", "Can't DROP '%s'; check that column/key exists", name)
		}
		d.Indexes = slices.Delete(d.Indexes, at, at+1)
		return nil
	})
}

// RenameIndex implements gms.IndexAlterableTable.
func (t *Table) RenameIndex(ctx *gms.Context, from, to string) error {
	return t.alter(ctx, func(_ *Tx, d *Def) error {
		at := d.index(from)
		if at < 0 {
			return gmsx.Error(1176, "42000", "Key '%s' doesn't exist in table '%s'", from, d.Name)
		}
		if other := d.index(to); other >= 0 && other != at {
			return gmsx.Error(1061, "42000", "Duplicate key name '%s'", to)
		}
		d.Indexes[at].Name = to
		return nil
	})
}

// CreateCheck implements gms.CheckAlterableTable.
func (t *Table) CreateCheck(ctx *gms.Context, c *gms.CheckDefinition) error {
	return t.alter(ctx, func(_ *Tx, d *Def) error {
		name := c.Name
		for n := 1; name == ""; n++ {
			name = fmt.Sprintf("%s_chk_%d", d.Name, n)
			if d.check(name) >= 0 {
				name = ""
			}
		}
		if d.check(name) >= 0 {
			return gmsx.Error(3822, "HY000", "Duplicate check constraint name '%s'.", name)
		}
		d.Checks = append(d.Checks, CheckDef{Name: name, Expression: c.CheckExpression, Enforced: c.Enforced})
		return nil
	})
}

// DropCheck implements gms.CheckAlterableTable.
func (t *Table) DropCheck(ctx *gms.Context, name string) error {
	return t.alter(ctx, func(_ *Tx, d *Def) error {
		at := d.check(name)
		if at < 0 {
			return gmsx.Error(3821, "HY000", "Check constraint '%s' is not found in the table.", name)
		}
		d.Checks = slices.Delete(d.Checks, at, at+1)
		return nil
	})
}

// check is the place of the CHECK with the name, or -1.
func (d *Def) check(name string) int {
	return slices.IndexFunc(d.Checks, func(c CheckDef) bool { return strings.EqualFold(c.Name, name) })
}

// ModifyStoredCollation implements gms.CollationAlterableTable.
func (t *Table) ModifyStoredCollation(*gms.Context, gms.CollationID) error {
	return gmsx.Error(1235, "42000", "the texts of a table are not converted as a whole: MODIFY each column with its COLLATE")
}

// ModifyDefaultCollation implements gms.CollationAlterableTable.
func (t *Table) ModifyDefaultCollation(ctx *gms.Context, c gms.CollationID) error {
	return t.alter(ctx, func(_ *Tx, d *Def) error {
		d.Collation = c.Name()
		return nil
	})
}

// Atomic runs a statement that writes, which build plans and executes: all of
// its changes are in the file when its last row is, or none. lazily says that
// its rows are read by the caller; otherwise they are read here, and committed
// when Atomic returns. Within a statement that writes already it returns nil,
// and gmsx.ErrReplan where n reads or writes tables as they no longer are.
func (s *Store) Atomic(ctx *gms.Context, n gms.Node, lazily bool, build func() (gms.RowIter, error)) (gms.RowIter, error) {
	tx, outer, err := s.begin(ctx)
	if err != nil || !outer {
		return nil, err
	}
	if tx.stale(n) {
		tx.again = true
		return nil, gmsx.ErrReplan
	}
	iter, err := build()
	if err != nil {
		tx.rollback()
		return nil, err
	}
	if lazily {
		return &atomicRows{tx: tx, iter: iter}, nil
	}
	list, err := gms.RowIterToRows(ctx, iter)
	if err == nil {
		err = tx.commit()
	}
	if err != nil {
		tx.rollback()
		return nil, err
	}
	return gms.RowsToRowIter(list...), nil
}

// Hold takes the lock that a statement which writes needs, for the Atomic that is
// to come in the same statement: what query, a part of it, reads until then is
// what is there when it writes. It returns gmsx.ErrReplan where query is of tables
// as they no longer are.
func (s *Store) Hold(ctx *gms.Context, query gms.Node) error {
	tx, outer, err := s.begin(ctx)
	if err != nil {
		return err
	}
	tx.again = tx.again || outer
	if tx.stale(query) {
		return gmsx.ErrReplan
	}
	return nil
}

// stale says whether a plan is of tables that were altered since.
func (tx *Tx) stale(n gms.Node) (stale bool) {
	transform.Inspect(n, func(n gms.Node) bool {
		if tn, ok := n.(gms.TableNode); ok {
			if t, ok := tn.UnderlyingTable().(*Table); ok {
				stale = stale || tx.cat.byID(t.def.ID) != t.def
			}
		}
		return !stale
	})
	return stale
}

// atomicRows are the rows of a statement that writes.
type atomicRows struct {
	tx   *Tx
	iter gms.RowIter
}

var _ gms.MutableRowIter = (*atomicRows)(nil)

// Next implements gms.RowIter: behind the last row it commits.
func (a *atomicRows) Next(ctx *gms.Context) (gms.Row, error) {
	row, err := a.iter.Next(ctx)
	var ignorable gms.IgnorableError
	switch {
	case errors.Is(err, io.EOF):
		if err := a.tx.commit(); err != nil {
			return nil, err
		}
		if session := gmsx.SessionOf(ctx); session != nil {
			session.Wrote()
		}
	case err != nil && !errors.As(err, &ignorable):
		a.tx.rollback()
	}
	return row, err
}

// Close implements gms.RowIter.
func (a *atomicRows) Close(ctx *gms.Context) error {
	err := a.iter.Close(ctx)
	a.tx.rollback() // of what did not come to its end
	return err
}

// GetChildIter implements gms.MutableRowIter: the engine counts rows within.
func (a *atomicRows) GetChildIter() gms.RowIter { return a.iter }

// WithChildIter implements gms.MutableRowIter.
func (a *atomicRows) WithChildIter(child gms.RowIter) gms.RowIter {
	return &atomicRows{tx: a.tx, iter: child}
}

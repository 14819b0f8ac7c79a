package sql

import (
	"fmt"
	"sync"
	"testing"
)

// TestReadFirstWrites: what a sub-query of a statement that writes has read is
// still so when it writes. Two take the first of a queue again and again, and
// each takes another one.
func TestReadFirstWrites(t *testing.T) {
	s := tablesServer(t)
	const rows, takers = 60, 3
	exec := func(text string) {
		t.Helper()
		if _, err := s.query(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE queue (id INT PRIMARY KEY)")
	exec("CREATE TABLE taken (n INT)")
	for i := range rows {
		exec(fmt.Sprintf("INSERT INTO queue VALUES (%d)", i))
	}
	var wg sync.WaitGroup
	errs := make(chan error, takers)
	gone := make(chan int, takers)
	for range takers {
		wg.Go(func() {
			n := 0
			for range rows / takers {
				out, err := s.query(t.Context(), "DELETE FROM queue WHERE id = (SELECT MIN(id) FROM queue)")
				if err != nil {
					errs <- err
					return
				}
				if len(out) == 1 && out[0] == "{1 0 <nil>}" {
					n++
				}
			}
			gone <- n
		})
	}
	wg.Wait()
	close(errs)
	close(gone)
	for err := range errs {
		t.Error(err)
	}
	total := 0
	for n := range gone {
		total += n
	}
	if left, err := s.query(t.Context(), "SELECT COUNT(*) FROM queue"); err != nil || left[0] != "0" || total != rows {
		t.Errorf("%d of %d were taken, and %v are left (%v)", total, rows, left, err)
	}
}

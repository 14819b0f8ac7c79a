package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// A row is what a view says of one group.
type row struct{ requests, visitors, conversions int64 }

func (r row) String() string {
	return fmt.Sprintf("%d requests, %d visitors, %d conversions", r.requests, r.visitors, r.conversions)
}

// A tally counts requests by group as they are made, without weir: it is the
// truth that the views are held to.
type tally map[string]*counted

type counted struct {
	requests         int64
	visitors, buyers map[uint32]struct{}
}

func (t tally) add(key string, r request) {
	g := t[key]
	if g == nil {
		g = &counted{visitors: map[uint32]struct{}{}, buyers: map[uint32]struct{}{}}
		t[key] = g
	}
	g.requests++
	g.visitors[r.visitor] = struct{}{}
	if r.buys {
		g.buyers[r.visitor] = struct{}{}
	}
}

// byVariant counts requests by variant.
func byVariant(all []request) tally {
	t := tally{}
	for _, r := range all {
		t.add(variantOf(r.visitor), r)
	}
	return t
}

// byHour counts requests by hour and variant.
func byHour(all []request) tally {
	t := tally{}
	for _, r := range all {
		t.add(r.at.Format("2006-01-02 15 ")+variantOf(r.visitor), r)
	}
	return t
}

// compare returns an error that names the first group of which got says
// something else than the tally.
func (t tally) compare(got map[string]row) error {
	keys := map[string]struct{}{}
	for key := range t {
		keys[key] = struct{}{}
	}
	for key := range got {
		keys[key] = struct{}{}
	}
	for _, key := range slices.SortedFunc(maps.Keys(keys), cmp.Compare[string]) {
		var want row
		if g := t[key]; g != nil {
			want = row{g.requests, int64(len(g.visitors)), int64(len(g.buyers))}
		}
		if got[key] != want {
			return fmt.Errorf("%s has %v, but the generator made %v", key, got[key], want)
		}
	}
	return nil
}

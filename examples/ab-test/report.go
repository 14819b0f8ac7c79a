package main

import (
	"context"
	"fmt"
	"strings"

	"weir/internal/terminal"
)

// The queries that are shown. What they give is checked against the tally.
const (
	firstLine = `SELECT _payload AS line FROM access_log WHERE _seq = 1`
	firstRow  = `SELECT ts, method, ip, visitor, variant, minprice, since FROM access_log WHERE _seq = 1`

	batchResult  = `SELECT variant, requests, visitors, conversions FROM ab_test_batch`
	speedResult  = `SELECT variant, requests, visitors, conversions FROM ab_test_speed WHERE __serving = 1`
	mergedResult = `SELECT variant, requests, visitors, conversions FROM ab_test`
	hourlyResult = `SELECT CONCAT(DATE_FORMAT(hour, '%Y-%m-%d %H '), variant), requests, visitors, conversions FROM ab_test_by_hour`

	layers = `SELECT layer, epoch, from_seq, to_seq, min_event_time, max_event_time, serving
FROM weir.layers WHERE view = 'ab_test'`
	lastRuns = `SELECT kind, from_seq, to_seq, state, attempt, events, started_at, error
FROM weir.batch_runs WHERE view = 'ab_test' ORDER BY to_seq DESC LIMIT 3`

	// intervals are Wilson's, of 95 %.
	intervals = `WITH t AS (
  SELECT variant, visitors AS n, conversions AS x, conversions / CAST(visitors AS DOUBLE) AS p, 1.96e0 AS z
  FROM ab_test
)
SELECT variant, n AS visitors, x AS conversions, ROUND(100 * p, 2) AS percent,
       ROUND(100 * (p + z*z/(2*n) - z * SQRT(p*(1-p)/n + z*z/(4*n*n))) / (1 + z*z/n), 2) AS low,
       ROUND(100 * (p + z*z/(2*n) + z * SQRT(p*(1-p)/n + z*z/(4*n*n))) / (1 + z*z/n), 2) AS high
FROM t`

	// significance is the z-test of two proportions, of 5 %.
	significance = `WITH t AS (
  SELECT variant, CAST(visitors AS DOUBLE) AS n, conversions AS x FROM ab_test
), d AS (
  SELECT b.x / b.n - a.x / a.n AS difference, (a.x + b.x) / (a.n + b.n) AS p, 1 / a.n + 1 / b.n AS m
  FROM t AS a, t AS b WHERE a.variant = 'A' AND b.variant = 'B'
)
SELECT ROUND(100 * difference, 2) AS difference, ROUND(difference / SQRT(p * (1 - p) * m), 2) AS z,
       IF(ABS(difference) > 1.96 * SQRT(p * (1 - p) * m), 'yes', 'no') AS significant
FROM d`
)

// title begins a part of the output.
func (t *trial) title(text string) {
	fmt.Fprintf(t.out, "%s\n%s\n\n", text, strings.Repeat("-", len(text)))
}

// show shows queries and their results.
func (t *trial) show(ctx context.Context, queries ...string) error {
	for _, q := range queries {
		if err := t.sql.show(ctx, t.out, q); err != nil {
			return err
		}
	}
	return nil
}

// holds returns an error unless the query, whose columns are a key and a row,
// gives what the tally has.
func (t *trial) holds(ctx context.Context, query string, want tally) error {
	got, err := t.sql.rows(ctx, query)
	if err == nil {
		err = want.compare(got)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}

// report shows what has come of the three days, and checks it.
func (t *trial) report(ctx context.Context) error {
	for _, part := range []struct {
		title   string
		queries []string
	}{
		{"ETL: a line becomes a row", []string{firstLine, firstRow}},
		{"Batch layer: 2 days and 21 hours", []string{batchResult}},
		{"Speed layer: the last 3 hours", []string{speedResult}},
		{"Serving layer: both, merged", []string{mergedResult}},
		{"The test: conversion rates with 95 % confidence intervals", []string{intervals, significance}},
		{"Retention: the speed layer keeps a day, and serves what no batch run has", []string{layers}},
	} {
		t.title(part.title)
		if err := t.show(ctx, part.queries...); err != nil {
			return err
		}
	}
	if err := t.check(ctx); err != nil {
		return err
	}
	if err := t.showInput(ctx); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "All %s requests are counted once: batch %s + speed %s, each layer, their merge\nand every hour as the generator has made them.\n",
		group(t.sent), group(t.cut), group(t.sent-t.cut))
	return nil
}

// check returns an error if a layer, or the merged views, are not what was made.
func (t *trial) check(ctx context.Context) error {
	for _, c := range []struct {
		query string
		want  tally
	}{
		{batchResult, byVariant(t.all[:t.cut])},
		{speedResult, byVariant(t.all[t.cut:])},
		{mergedResult, byVariant(t.all)},
		{hourlyResult, byHour(t.all)},
	} {
		if err := t.holds(ctx, c.query, c.want); err != nil {
			return err
		}
	}
	return nil
}

// seeFailure looks at the batch run that has just failed, and whether somebody
// who asks for the result would notice.
func (t *trial) seeFailure(ctx context.Context) error {
	if err := t.sql.show(ctx, &t.failure, lastRuns); err != nil {
		return err
	}
	return t.holds(ctx, mergedResult, byVariant(t.all[:t.sent]))
}

// showInput shows that a batch run can be fed its events again: after it has
// failed, and whenever somebody wishes.
func (t *trial) showInput(ctx context.Context) error {
	t.title("Re-input: the last batch run failed at first, on purpose, and was tried again")
	fmt.Fprint(t.out, t.failure.String())
	if err := t.show(ctx, lastRuns); err != nil {
		return err
	}
	if err := t.sql.rerun(ctx, uint64(t.cut)); err != nil {
		return err
	}
	return t.check(ctx)
}

// group formats a number.
func group(n int) string { return terminal.Group(uint64(n)) }

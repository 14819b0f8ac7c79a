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

	batchRange = `SELECT from_seq, to_seq, min_event_time, max_event_time
FROM weir.layers WHERE view = 'ab_test' AND layer = 'batch'`
	speedRange = `SELECT from_seq, to_seq, min_event_time, max_event_time
FROM weir.layers WHERE view = 'ab_test' AND layer = 'speed' AND serving = 1`
	keptRanges = `SELECT epoch, from_seq, to_seq, min_event_time, max_event_time
FROM weir.layers WHERE view = 'ab_test' AND layer = 'speed' AND serving = 0`
	keptRequests = `SELECT __serving, COUNT(DISTINCT __epoch) AS epochs, SUM(requests) AS requests
FROM ab_test_speed GROUP BY __serving ORDER BY __serving`

	lastRuns = `SELECT kind, from_seq, to_seq, state, attempt, events, started_at, error
FROM weir.batch_runs WHERE view = 'ab_test' ORDER BY id DESC LIMIT 3`

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
func (t *trial) title(text, note string) {
	fmt.Fprintf(t.out, "%s\n%s\n\n", text, strings.Repeat("-", len(text)))
	if note != "" {
		fmt.Fprintf(t.out, "%s\n\n", note)
	}
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
	if err != nil {
		return err
	}
	if err := want.compare(got); err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}

// parts are what is shown of the three days.
var parts = []struct {
	title, note string
	queries     []string
}{
	{"ETL: a line becomes a row", "", []string{firstLine, firstRow}},
	{"Batch layer: 2 days and 21 hours", "", []string{batchRange, batchResult}},
	{"Speed layer: the last 3 hours", "It begins at a sequence, not at a time: requests that came late are in it, too.", []string{speedRange, speedResult}},
	{"Serving layer: 3 days", "Requests add up. Visitors of both layers are counted once.", []string{mergedResult}},
	{
		"The test: conversion rates with 95 % confidence intervals",
		fmt.Sprintf("The generator lets %.1f %% of A buy, and %.1f %% of B.", 100*conversionRate["A"], 100*conversionRate["B"]),
		[]string{intervals, significance},
	},
	{"Retention: the speed layer keeps a day", "What the batch layer has as well is kept, but does not serve.", []string{keptRanges, keptRequests}},
}

// report shows what has come of the three days, and checks it.
func (t *trial) report(ctx context.Context) error {
	for _, part := range parts {
		t.title(part.title, part.note)
		if err := t.show(ctx, part.queries...); err != nil {
			return err
		}
	}
	if err := t.check(ctx); err != nil {
		return err
	}
	t.title("Re-input: a batch run over the events that it had", "The last run failed, on purpose:")
	fmt.Fprint(t.out, t.failure.String())
	fmt.Fprint(t.out, "It was tried again over the same events, and in the end fed them once more:\n\n")
	if err := t.sql.rerun(ctx, uint64(t.cut)); err != nil {
		return err
	}
	if err := t.show(ctx, lastRuns); err != nil {
		return err
	}
	if err := t.check(ctx); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "Checked: batch %s + speed %s = %s requests. Each layer, the result, and the\nresult of each hour are as the generator has made them.\n",
		group(t.cut), group(t.sent-t.cut), group(t.sent))
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
	return t.checkKept(ctx)
}

// checkKept returns an error if the speed layer keeps anything but the last day.
func (t *trial) checkKept(ctx context.Context) error {
	kept := 0
	for _, r := range t.all[:t.cut] {
		if !r.arrives.Before(lastBatch.Add(-speedKept)) {
			kept++
		}
	}
	var epochs, requests int
	const query = "SELECT COUNT(DISTINCT __epoch), SUM(requests) FROM ab_test_speed WHERE __serving = 0"
	if err := t.sql.db.QueryRowContext(ctx, query).Scan(&epochs, &requests); err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	if want := int(speedKept / batchEvery); epochs != want || requests != kept {
		return fmt.Errorf("the speed layer keeps %d epochs with %d requests, want %d with %d", epochs, requests, want, kept)
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

// group formats a number.
func group(n int) string { return terminal.Group(uint64(n)) }

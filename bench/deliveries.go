package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A promise is what views or the log promise.
type promise struct{ delivery, durability string }

var promises = []promise{
	{"exactly_once", "100ms"},
	{"at_least_once", "100ms"},
	{"at_most_once", "100ms"},
	{"exactly_once", "always"},
}

// slower is how many times fewer events a run takes whose every event is synced.
const slower = 20

// deliveries prints the live rate with each promise: the median of so many
// rounds, which take turns.
func deliveries(ctx context.Context, bin, dir string, events, rounds int) error {
	rates := make([][]float64, len(promises))
	for round := range rounds {
		for i, p := range promises {
			var definitions []string
			for _, d := range threeViews {
				definitions = append(definitions, strings.Replace(d, " AS SELECT", " WITH (delivery = '"+p.delivery+"') AS SELECT", 1))
			}
			n := events
			if p.durability == "always" {
				n /= slower
			}
			if err := os.Setenv("WEIR_DURABILITY", p.durability); err != nil {
				return err
			}
			data := filepath.Join(dir, fmt.Sprint("promise", round, "-", i))
			rate, err := live(ctx, bin, data, n, definitions)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], rate.rate)
			if err := os.RemoveAll(data); err != nil {
				return err
			}
		}
	}
	for i, p := range promises {
		slices.Sort(rates[i])
		slices.Sort(rates[0])
		rate, first := rates[i][rounds/2], rates[0][rounds/2]
		fmt.Printf("live, %-14s --durability %-7s %8.0f events/s (%.2f), %.0f to %.0f\n",
			p.delivery, p.durability, rate, rate/first, rates[i][0], rates[i][rounds-1])
	}
	return nil
}

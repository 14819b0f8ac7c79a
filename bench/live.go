package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// runLive prints the live speeds, as medians of so many rounds in which the
// programs take turns.
func runLive(ctx context.Context, programs string, events, rounds int) error {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var bins []string
	if programs != "" {
		bins = strings.Split(programs, ",")
	} else {
		bin, err := build(ctx, dir)
		if err != nil {
			return err
		}
		bins = append(bins, bin)
	}
	data := filepath.Join(dir, "data")
	var names []string
	speeds := map[string][]speed{}
	took := func(name string, s speed, err error) error {
		if err != nil {
			return err
		}
		if speeds[name] == nil {
			names = append(names, name)
		}
		speeds[name] = append(speeds[name], s)
		return os.RemoveAll(data)
	}
	for range rounds {
		s, err := liveBare(ctx, data, events)
		if err := took("JetStream alone", s, err); err != nil {
			return err
		}
		for _, bin := range bins {
			of := ""
			if len(bins) > 1 {
				of = " of " + filepath.Base(bin)
			}
			for _, step := range []struct {
				name        string
				definitions []string
			}{{"no view", nil}, {"three views", threeViews}} {
				s, err := live(ctx, bin, data, events, step.definitions)
				if err := took(step.name+of, s, err); err != nil {
					return err
				}
			}
		}
	}
	ceiling := medianSpeed(speeds[names[0]])
	for _, name := range names {
		s := medianSpeed(speeds[name])
		fmt.Printf("live, %-28s %v (%.0f %%)\n", name, s, 100*s.rate/ceiling.rate)
	}
	return nil
}

// medianSpeed returns the median rate and the median use of processors.
func medianSpeed(of []speed) speed {
	slices.SortFunc(of, func(a, b speed) int { return cmp.Compare(a.rate, b.rate) })
	m := speed{rate: of[len(of)/2].rate}
	slices.SortFunc(of, func(a, b speed) int { return cmp.Compare(a.cpu, b.cpu) })
	m.cpu = of[len(of)/2].cpu
	return m
}

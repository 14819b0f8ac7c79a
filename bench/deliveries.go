package main

import (
	"context"

	"weir/bench/result"
)

// deliveries measures the live rate with each promise that views or the log
// make.
func (b *bench) deliveries(ctx context.Context, f *result.File) error {
	in, path, err := b.three()
	if err != nil {
		return err
	}
	for range b.Rounds {
		for _, p := range []struct{ delivery, env, durability string }{
			{"exactly_once", "100ms", soonSynced},
			{"at_least_once", "100ms", soonSynced},
			{"at_most_once", "100ms", soonSynced},
			{"exactly_once", "always", alwaysSynced},
		} {
			var create []string
			for _, v := range in.Views {
				create = append(create, v.Create(in.Workload, "delivery = '"+p.delivery+"'"))
			}
			events := in.Events
			if p.env == "always" {
				events = synced(events)
			}
			took, err := b.weirSpeed(ctx, b.Program[0], in, path, create, events, "WEIR_DURABILITY="+p.env)
			if err != nil {
				return err
			}
			took.add(f, result.Figure{Workload: in.Name, Contender: "weir", How: p.delivery, Durability: p.durability})
		}
	}
	return nil
}

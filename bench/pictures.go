package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-analyze/charts"

	"weir/bench/result"
)

// A picture is a file that was drawn.
type picture struct{ path, title string }

// A bar chart: a row for each label, and a bar in it for each name.
type bars struct {
	file, title string
	labels      []string
	names       []string
	values      [][]float64 // by name, then label
}

// draw draws the pictures of a suite into dir.
func draw(f *result.File, dir string) (list []picture, err error) {
	for _, c := range chartsOf(f) {
		p := picture{filepath.Join(dir, c.file+".svg"), c.title}
		svg, err := c.svg()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.path, err)
		}
		if err := os.WriteFile(p.path, svg, 0o644); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// svg draws the first label at the top.
func (c bars) svg() ([]byte, error) {
	labels, values := make([]string, len(c.labels)), make([][]float64, len(c.values))
	for i, label := range c.labels {
		labels[len(labels)-1-i] = label
	}
	for j, list := range c.values {
		values[j] = make([]float64, len(list))
		for i, v := range list {
			values[j][len(list)-1-i] = v
		}
	}
	options := []charts.OptionFunc{
		charts.SVGOutputOptionFunc(),
		charts.DimensionsOptionFunc(900, 90+len(c.labels)*(14+16*len(c.values))),
		charts.TitleTextOptionFunc(c.title),
		charts.YAxisLabelsOptionFunc(labels),
		charts.PaddingOptionFunc(charts.Box{Top: 20, Right: 70, Bottom: 20, Left: 20}),
		func(o *charts.ChartOption) {
			o.ValueFormatter = number
			for i := range o.SeriesList {
				o.SeriesList[i].Label = charts.SeriesLabel{Show: charts.Ptr(true), ValueFormatter: number}
			}
		},
	}
	if len(c.names) > 1 {
		options = append(options, charts.LegendOptionFunc(charts.LegendOption{SeriesNames: c.names, Offset: charts.OffsetRight}))
	}
	p, err := charts.HorizontalBarRender(values, options...)
	if err != nil {
		return nil, err
	}
	return p.Bytes()
}

// chartsOf says what is drawn of a suite.
func chartsOf(f *result.File) (list []bars) {
	switch f.Suite {
	case "live", "batch":
		for _, name := range of(f.Figures, workloadOf) {
			c := bars{file: f.Suite + "-" + name, title: f.Suite + ", workload " + name + ": events a second", values: make([][]float64, 1)}
			for _, fig := range f.Figures {
				if fig.Workload != name || fig.Measure != "rate" || strings.HasPrefix(fig.How, "load ") {
					continue
				}
				label := fig.Contender + ": " + fig.How
				if strings.HasPrefix(fig.Durability, "synced") {
					label += " (synced)"
				}
				c.labels, c.values[0] = append(c.labels, label), append(c.values[0], fig.Median)
			}
			list = append(list, c)
		}
	case "fresh":
		c := bars{file: "fresh", title: "from an acknowledgement to a SELECT that shows the event, ms", names: []string{"p50", "p99"}, values: make([][]float64, 2)}
		for i, measure := range []string{"ack to SELECT p50", "ack to SELECT p99"} {
			for _, fig := range f.Figures {
				if fig.Measure == measure {
					if i == 0 {
						c.labels = append(c.labels, fig.How)
					}
					c.values[i] = append(c.values[i], fig.Median)
				}
			}
		}
		list = append(list, c)
	case "queries":
		for _, scale := range of(f.Figures, workloadOf) {
			c := bars{file: "queries-" + strings.NewReplacer(",", "", " ", "-").Replace(scale), title: scale + ", one client, as text: µs"}
			figures := where(f.Figures, func(fig *result.Figure) bool { return fig.Workload == scale && fig.Measure == "1 client, text" })
			for _, q := range queryList {
				if q.crowd {
					c.labels = append(c.labels, q.name)
				}
			}
			for _, who := range of(figures, func(fig *result.Figure) string { return fig.Contender }) {
				var values []float64
				for _, label := range c.labels {
					fig := one(figures, func(fig *result.Figure) bool { return fig.Contender == who && fig.How == label })
					value := charts.GetNullValue()
					if fig != nil {
						value = fig.Median
					}
					values = append(values, value)
				}
				c.names, c.values = append(c.names, who), append(c.values, values)
			}
			list = append(list, c)
		}
	}
	return list
}

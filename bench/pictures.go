package main

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
	label := charts.SeriesLabel{Show: charts.Ptr(true), ValueFormatter: number, FontStyle: charts.FontStyle{FontSize: textSize}}
	opt := charts.NewBarChartOptionWithSeries(charts.NewSeriesListBar(values, charts.BarSeriesOption{Label: label, Names: c.names}))
	opt.Horizontal = true
	opt.Padding = charts.Box{Top: 20, Right: 70, Bottom: 10, Left: 20}
	opt.Title = charts.TitleOption{Text: c.title}
	opt.CategoryAxis = charts.CategoryAxisOption{Labels: labels, LabelFontStyle: charts.FontStyle{FontSize: textSize}}
	opt.ValueAxis[0] = charts.ValueAxisOption{Show: charts.Ptr(false), Min: charts.Ptr(0.0)} // each bar has its value
	opt.Legend = charts.LegendOption{Show: charts.Ptr(len(c.names) > 1), SeriesNames: c.names, Offset: charts.OffsetRight, FontStyle: charts.FontStyle{FontSize: textSize}}
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: 900, Height: 80 + len(labels)*(10+15*len(values))})
	if err := p.BarChart(opt); err != nil {
		return nil, err
	}
	svg, err := p.Bytes()
	if err != nil {
		return nil, err
	}
	return drawnText.ReplaceAllFunc(svg, func(text []byte) []byte {
		parts := drawnText.FindSubmatch(text)
		pixels, err := strconv.ParseFloat(string(parts[2]), 64)
		if err != nil {
			return text
		}
		width := p.MeasureText(html.UnescapeString(string(parts[4])), 0, charts.FontStyle{FontSize: pixels * 3 / 4, FontColor: charts.ColorBlack}).Width()
		return fmt.Appendf(nil, `%s%spx%s textLength="%d" lengthAdjust="spacingAndGlyphs">%s</text>`, parts[1], parts[2], parts[3], width, parts[4])
	}), nil
}

// textSize is in points.
const textSize = 10

// drawnText matches a text of a picture. The library lays texts out by the
// width that they have in its own font, which a reader may not have; so their
// widths are written down.
var drawnText = regexp.MustCompile(`(<text [^>]*font-size:)([0-9.]+)px([^>]*)>([^<]*)</text>`)

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

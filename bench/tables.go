package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"weir/bench/result"
	"weir/bench/work"
)

// render returns the tables of a suite as Markdown, with the machine and the
// versions that they hold for.
func render(f *result.File) string {
	var tables string
	switch f.Suite {
	case "live":
		tables = liveTables(f)
	case "batch":
		tables = batchTables(f)
	case "queries":
		tables = queryTables(f)
	case "fresh":
		tables = freshTable(f)
	case "growth":
		tables = growthTable(f)
	default:
		tables = deliveriesTable(f)
	}
	return tables + "\n" + circumstances(f)
}

// circumstances says where and with what the figures were taken.
func circumstances(f *result.File) string {
	m := f.Machine
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(f.Versions)) {
		if version := f.Versions[name]; strings.HasPrefix(version, name) {
			versions = append(versions, version)
		} else {
			versions = append(versions, name+" "+version)
		}
	}
	text := fmt.Sprintf("Median of %s, least and most in brackets where there are several. %s events, seed %d. %s, %d cores, %.0f GB, %s, Linux %s, %s, %s; load %.1f before it began%s; %s. %s.\n",
		plural(f.Rounds, "round"), work.Thousands(f.Events), f.Seed, m.CPU, m.Cores, float64(m.Memory)/1e9, m.System, m.Kernel, m.Files, m.Go, m.Load, others(f),
		f.Started.Format("2 January 2006"), strings.Join(versions, ", "))
	for _, note := range f.Skipped {
		text += "Left out: " + note + ".\n"
	}
	return text
}

// others says what other programs took of the processors meanwhile, where that
// was watched.
func others(f *result.File) string {
	if len(f.Others) == 0 {
		return ""
	}
	return fmt.Sprintf(", and meanwhile other programs took %.1f of the processors, at the most %.1f", result.Quantile(f.Others, 0.5), slices.Max(f.Others))
}

func plural(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprint(n, " ", what, "s")
}

// A table of Markdown; all but the first columns are numbers.
type table struct {
	head  []string
	texts int // how many columns are text
	rows  [][]string
}

func (t *table) String() string {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	var out strings.Builder
	line := func(row []string) {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < t.texts {
				out.WriteString("| " + cell + pad + " ")
			} else {
				out.WriteString("| " + pad + cell + " ")
			}
		}
		out.WriteString("|\n")
	}
	line(t.head)
	for i, w := range widths {
		if i < t.texts {
			out.WriteString("|" + strings.Repeat("-", w+2))
		} else {
			out.WriteString("|" + strings.Repeat("-", w+1) + ":")
		}
	}
	out.WriteString("|\n")
	for _, row := range t.rows {
		line(row)
	}
	return out.String()
}

// cell writes a figure, with its spread.
func cell(fig *result.Figure) string {
	if fig == nil {
		return "–"
	}
	text := number(fig.Median)
	if len(fig.Rounds) > 1 && number(fig.Least) != number(fig.Most) {
		text += " (" + number(fig.Least) + " … " + number(fig.Most) + ")"
	}
	return text
}

// ratio writes how many times base a figure is.
func ratio(fig, base *result.Figure) string {
	if fig == nil || base == nil || base.Median == 0 {
		return "–"
	}
	if r := fig.Median / base.Median; r < 10 {
		return fmt.Sprintf("%.2f", r)
	}
	return number(fig.Median / base.Median)
}

// of returns the values of a field of figures, each once, as they come.
func of(figures []*result.Figure, field func(*result.Figure) string) (list []string) {
	for _, fig := range figures {
		if v := field(fig); !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// where returns the figures that a condition holds for.
func where(figures []*result.Figure, hold func(*result.Figure) bool) (list []*result.Figure) {
	for _, fig := range figures {
		if hold(fig) {
			list = append(list, fig)
		}
	}
	return list
}

func workloadOf(fig *result.Figure) string { return fig.Workload }
func measureOf(fig *result.Figure) string  { return fig.Measure }
func howOf(fig *result.Figure) string      { return fig.How }

// one returns the first of figures that a condition holds for.
func one(figures []*result.Figure, hold func(*result.Figure) bool) *result.Figure {
	for _, fig := range figures {
		if hold(fig) {
			return fig
		}
	}
	return nil
}

// notes numbers texts that are too long for a table.
type notes struct{ list []string }

func (n *notes) mark(text string) string {
	if text == "" {
		return ""
	}
	at := slices.Index(n.list, text)
	if at < 0 {
		at = len(n.list)
		n.list = append(n.list, text)
	}
	return string(rune('a' + at))
}

func (n *notes) String() string {
	var out strings.Builder
	for i, text := range n.list {
		fmt.Fprintf(&out, "%c: %s.  \n", 'a'+i, text)
	}
	return out.String()
}

func title(name string) string {
	w, err := work.Named(name)
	if err != nil {
		return name
	}
	return "**" + name + "**: " + w.Says
}

func liveTables(f *result.File) string {
	var out strings.Builder
	var promises notes
	for _, name := range of(f.Figures, workloadOf) {
		figures := where(f.Figures, func(fig *result.Figure) bool { return fig.Workload == name })
		rates := where(figures, func(fig *result.Figure) bool { return fig.Measure == "rate" })
		ceiling := one(rates, func(fig *result.Figure) bool { return fig.Contender == alone })
		t := &table{head: []string{"", "how", "ack", "events/s", "of the log alone", "µs of processor each", "commit p50, ms", "p99"}, texts: 3}
		for _, rate := range rates {
			same := func(measure string) *result.Figure {
				return one(figures, func(fig *result.Figure) bool {
					return fig.Contender == rate.Contender && fig.How == rate.How && fig.Durability == rate.Durability && fig.Measure == measure
				})
			}
			row := []string{rate.Contender, rate.How, promises.mark(rate.Durability), cell(rate), ratio(rate, ceiling), "", "", ""}
			for i, measure := range []string{"processor", "commit p50", "commit p99"} {
				if fig := same(measure); fig != nil {
					row[5+i] = number(fig.Median)
				}
			}
			t.rows = append(t.rows, row)
		}
		fmt.Fprintf(&out, "%s.\n\n%s\n", title(name), t)
	}
	return out.String() + "What an acknowledgement, or a commit, promises:\n\n" + promises.String()
}

func deliveriesTable(f *result.File) string {
	var promises notes
	t := &table{head: []string{"delivery", "ack", "events/s", "of the first", "µs of processor each"}, texts: 2}
	for _, fig := range f.Figures {
		if fig.Measure != "rate" {
			continue
		}
		cpu := one(f.Figures, func(o *result.Figure) bool {
			return o.How == fig.How && o.Durability == fig.Durability && o.Measure == "processor"
		})
		t.rows = append(t.rows, []string{fig.How, promises.mark(fig.Durability), cell(fig), ratio(fig, f.Figures[0]), cell(cpu)})
	}
	return t.String() + "\n" + promises.String()
}

func batchTables(f *result.File) string {
	var out strings.Builder
	for _, name := range of(f.Figures, workloadOf) {
		figures := where(f.Figures, func(fig *result.Figure) bool { return fig.Workload == name })
		own := one(figures, func(fig *result.Figure) bool { return strings.HasPrefix(fig.How, "REFRESH") })
		groups := ""
		t := &table{head: []string{"", "how", "events/s", "of weir's REFRESH"}, texts: 2}
		for _, fig := range figures {
			if fig == own {
				groups = ", here " + fig.Note
			}
			t.rows = append(t.rows, []string{fig.Contender, fig.How, cell(fig), ratio(fig, own)})
		}
		fmt.Fprintf(&out, "%s%s.\n\n%s\n", title(name), groups, t)
	}
	return out.String()
}

func freshTable(f *result.File) string {
	figures := where(f.Figures, func(fig *result.Figure) bool { return fig.Measure != "rate" && fig.Measure != "processor" })
	measures := of(figures, measureOf)
	t := &table{head: []string{"beside, at a share of the most"}, texts: 1}
	for _, m := range measures {
		unit := one(figures, func(fig *result.Figure) bool { return fig.Measure == m }).Unit
		t.head = append(t.head, m+", "+unit)
	}
	t.head = append(t.head, "last at")
	for _, how := range of(figures, howOf) {
		row, note := []string{how}, ""
		for _, m := range measures {
			fig := one(figures, func(fig *result.Figure) bool { return fig.How == how && fig.Measure == m })
			row = append(row, cell(fig))
			if fig != nil {
				note = fig.Note
			}
		}
		t.rows = append(t.rows, append(row, note))
	}
	text := t.String()
	if most := one(f.Figures, func(fig *result.Figure) bool { return fig.Measure == "rate" }); most != nil {
		text += "\nThe most that the same three views took just before: " + cell(most) + " events/s.\n"
	}
	return text
}

func growthTable(f *result.File) string {
	sizes := of(f.Figures, howOf)
	t := &table{head: append([]string{""}, sizes...), texts: 1}
	for _, m := range of(f.Figures, measureOf) {
		row := []string{m}
		for _, size := range sizes {
			fig := one(f.Figures, func(fig *result.Figure) bool { return fig.How == size && fig.Measure == m })
			if fig == nil {
				row = append(row, "–")
				continue
			}
			row = append(row, cell(fig)+" "+fig.Unit)
		}
		t.rows = append(t.rows, row)
	}
	return t.String()
}

func queryTables(f *result.File) string {
	var out strings.Builder
	for _, scale := range of(f.Figures, workloadOf) {
		figures := where(f.Figures, func(fig *result.Figure) bool { return fig.Workload == scale })
		who := of(figures, func(fig *result.Figure) string { return fig.Contender })
		find := func(contender, how, measure string) *result.Figure {
			return one(figures, func(fig *result.Figure) bool {
				return fig.Contender == contender && fig.How == how && fig.Measure == measure
			})
		}
		single := &table{head: append([]string{"µs, as text / prepared"}, who...), texts: 1}
		crowd := &table{head: append([]string{"queries/s (p99, ms)"}, who...), texts: 1}
		compared := slices.Contains(who, "MariaDB")
		if compared {
			single.head = append(single.head, "v / MariaDB")
		}
		for _, how := range of(figures, howOf) {
			row := []string{how}
			for _, c := range who {
				text := short(find(c, how, "1 client, text"))
				if prepared := find(c, how, "1 client, prepared"); prepared != nil {
					text += " / " + short(prepared)
				}
				row = append(row, text)
			}
			if compared {
				row = append(row, ratio(find("weir v", how, "1 client, text"), find("MariaDB", how, "1 client, text"))+" / "+
					ratio(find("weir v", how, "1 client, prepared"), find("MariaDB", how, "1 client, prepared")))
			}
			single.rows = append(single.rows, row)
		}
		for _, m := range of(figures, measureOf) {
			clients, ok := strings.CutSuffix(m, ", rate")
			if !ok {
				continue
			}
			for _, how := range of(figures, howOf) {
				row, any := []string{how + ", " + clients}, false
				for _, c := range who {
					rate, p99 := find(c, how, m), find(c, how, clients+", p99")
					text := "–"
					if rate != nil && p99 != nil {
						any, text = true, number(rate.Median)+" ("+number(p99.Median/1000)+")"
					}
					row = append(row, text)
				}
				if any {
					crowd.rows = append(crowd.rows, row)
				}
			}
		}
		fmt.Fprintf(&out, "**%s**, one client:\n\n%s\n", scale, single)
		if len(crowd.rows) > 0 {
			fmt.Fprintf(&out, "**%s**, several clients at once:\n\n%s\n", scale, crowd)
		}
	}
	return out.String()
}

// short writes the median alone.
func short(fig *result.Figure) string {
	if fig == nil {
		return "–"
	}
	return number(fig.Median)
}

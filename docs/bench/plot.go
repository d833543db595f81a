//go:build ignore

// Draws history.svg from history.jsonl: `make bench` runs it. It is not part of
// the program, and its library is one of tools.mod.
package main

import (
	"bufio"
	"encoding/json"
	"image/color"
	"log"
	"os"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// drawn are the measures in the picture, one line each.
var drawn = []string{"nothing", "smtp", "http", "http-receipts", "import"}

// record is what the picture needs of a line of the history.
type record struct {
	Date    string
	Version string
	Results []struct {
		Name      string
		Database  string
		PerSecond float64 `json:"messages_per_second"`
	}
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: plot history.jsonl history.svg")
	}
	records, err := read(os.Args[1])
	if err == nil {
		err = write(records, os.Args[2])
	}
	if err != nil {
		log.Fatal("plot: ", err)
	}
}

func read(path string) (records []record, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, lines.Err()
}

// write draws one panel per database, side by side.
func write(records []record, path string) error {
	plot.DefaultFont.Variant = "Sans"
	const width, height = 24 * vg.Centimeter, 10 * vg.Centimeter
	canvas := vgsvg.New(width, height)
	panels := [][]*plot.Plot{{nil, nil}}
	for i, database := range []string{"postgres", "sqlite"} {
		p, err := panel(records, database)
		if err != nil {
			return err
		}
		panels[0][i] = p
	}
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Centimeter, PadTop: 8, PadBottom: 4, PadLeft: 4, PadRight: 12}
	all := draw.New(canvas)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	for i, c := range plot.Align(panels, tiles, all)[0] {
		panels[0][i].Draw(c)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(f); err != nil {
		return err
	}
	return f.Close()
}

// panel has a line for each measure and a place for each run on the database.
func panel(records []record, database string) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = database + ", thousand messages per second"
	p.Y.Min, p.Legend.Top, p.Legend.Left, p.Legend.Padding = 0, true, true, 2
	p.Add(plotter.NewGrid())
	var places []string
	lines := map[string]plotter.XYs{}
	for _, r := range records {
		x := float64(len(places))
		for _, found := range r.Results {
			if found.Database == database {
				lines[found.Name] = append(lines[found.Name], plotter.XY{X: x, Y: found.PerSecond / 1000})
			}
		}
		if len(r.Results) > 0 && r.Results[0].Database == database {
			places = append(places, place(r))
		}
	}
	for i, name := range drawn {
		if len(lines[name]) == 0 {
			continue
		}
		line, points, err := plotter.NewLinePoints(lines[name])
		if err != nil {
			return nil, err
		}
		line.Color, points.Color, points.Shape = plotutil.Color(i), plotutil.Color(i), draw.CircleGlyph{}
		p.Add(line, points)
		p.Legend.Add(name, line, points)
		for _, at := range lines[name] {
			p.Y.Max = max(p.Y.Max, 1.4*at.Y) // room for the legend
		}
	}
	p.NominalX(places...)
	p.X.Min, p.X.Max = -0.5, max(float64(len(places)), 1)-0.5
	return p, nil
}

// place is the day and the commit of a run, below each other.
func place(r record) string {
	commit := r.Version[strings.LastIndexAny(r.Version, "-+")+1:]
	return r.Date[:10] + "\n" + commit
}

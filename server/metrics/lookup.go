package metrics

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Emit hands over a value with its labels.
type Emit func(value float64, labels ...string)

// Lookup adds a gauge of this name, without the namespace, whose values are looked up
// by each scrape: in memory, for a scrape waits for them. Its name must be new.
func (m *Metrics) Lookup(name, help string, labels []string, values func(Emit)) {
	m.lookup(name, help, labels, prometheus.GaugeValue, values)
}

func (m *Metrics) lookup(name, help string, labels []string, kind prometheus.ValueType, values func(Emit)) {
	m.registry.MustRegister(&lookup{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), kind, values})
}

type lookup struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	values func(Emit)
}

// Describe implements prometheus.Collector.
func (l *lookup) Describe(all chan<- *prometheus.Desc) { all <- l.desc }

// Collect implements prometheus.Collector.
func (l *lookup) Collect(all chan<- prometheus.Metric) {
	l.values(func(value float64, labels ...string) {
		if metric, err := prometheus.NewConstMetric(l.desc, l.kind, value, labels...); err == nil {
			all <- metric
		}
	})
}

// nameOf returns the name in a description, which only its text tells.
func nameOf(d *prometheus.Desc) string {
	_, rest, _ := strings.Cut(d.String(), `fqName: "`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

// Values returns what metrics of one value each have now; those that have none, or are
// not there, are left out.
func (m *Metrics) Values(names ...string) map[string]float64 {
	families, err := m.registry.Gather()
	if err != nil && families == nil {
		return nil
	}
	values := map[string]float64{}
	for _, f := range families {
		if all := f.GetMetric(); len(all) > 0 && slices.Contains(names, f.GetName()) {
			values[f.GetName()] = all[0].GetGauge().GetValue() // each is a gauge
		}
	}
	return values
}

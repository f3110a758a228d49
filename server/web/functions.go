package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"rsc.io/qr"
)

// functions are those that templates may call.
func (s *Site) functions() template.FuncMap {
	return template.FuncMap{"asset": s.asset, "when": when, "moment": moment, "price": price, "lines": lines, "linked": linked, "dict": dict, "qr": qrCode, "short": short}
}

const (
	dayLayout  = "Mon, 2 Jan 2006"
	timeLayout = "15:04"
)

// when tells when an event is, in its own zone; site.js adds the viewer's. start and
// end are RFC 3339; end may be empty.
func when(start, end, zone string) (template.HTML, error) {
	from, err := inZone(start, zone)
	if err != nil {
		return "", err
	}
	text := from.Format(dayLayout + ", " + timeLayout)
	if end != "" {
		to, err := inZone(end, zone)
		if err != nil {
			return "", err
		}
		layout := timeLayout
		if from.Format(dayLayout) != to.Format(dayLayout) {
			layout = dayLayout + ", " + timeLayout
		}
		text += " – "
		if a, b := from.Format("MST"), to.Format("MST"); a != b { // a clock change in between
			text = strings.TrimSuffix(text, " – ") + " " + a + " – "
		}
		text += to.Format(layout + " MST")
	} else {
		text += from.Format(" MST")
	}
	return timeElement("when", text, start, end, zone), nil
}

// moment tells an instant, in UTC; site.js tells it in the viewer's zone instead.
func moment(at string) (template.HTML, error) {
	if at == "" {
		return "", nil
	}
	t, err := inZone(at, "UTC")
	if err != nil {
		return "", err
	}
	return timeElement("moment", t.Format(dayLayout+", "+timeLayout+" MST"), at, "", "UTC"), nil
}

func timeElement(kind, text, start, end, zone string) template.HTML {
	e := template.HTMLEscapeString
	until := ""
	if end != "" {
		until = fmt.Sprintf(` data-end="%s"`, e(end))
	}
	return template.HTML(fmt.Sprintf(`<time class="%s" datetime="%s"%s data-zone="%s">%s</time>`, kind, e(start), until, e(zone), e(text))) // #nosec G203 -- each text is escaped
}

func inZone(at, zone string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return t, err
	}
	if z, err := time.LoadLocation(zone); err == nil {
		t = t.In(z)
	}
	return t, nil
}

// price tells a price in USD.
func price(usd string) string {
	if strings.Trim(usd, "0.") == "" {
		return "Free"
	}
	return "$" + usd
}

// lines are the paragraphs of a text, each with its lines.
func lines(text string) [][]string {
	var all [][]string
	for paragraph := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		if paragraph = strings.Trim(paragraph, "\n"); paragraph != "" {
			all = append(all, strings.Split(paragraph, "\n"))
		}
	}
	return all
}

// short cuts a long name, such as an address, in its middle.
func short(s string) string {
	if len(s) <= 16 {
		return s
	}
	return s[:8] + "…" + s[len(s)-6:]
}

// dict makes the dot of a part out of names and values.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: %d arguments", len(pairs))
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// qrCode draws a text as a QR code; label says what it is to who can't see it.
func qrCode(text, label string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("draw a QR code: %w", err)
	}
	const quiet = 4 // modules of margin, as scanners want it
	var dark strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			width := 0
			for x+width < code.Size && code.Black(x+width, y) {
				width++
			}
			if width > 0 {
				fmt.Fprintf(&dark, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, width, width)
				x += width
			}
		}
	}
	side := code.Size + 2*quiet
	return template.HTML(fmt.Sprintf(`<svg class="qr" role="img" aria-label="%s" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="%s"/></svg>`, // #nosec G203 -- numbers, and a label that is escaped
		template.HTMLEscapeString(label), side, side, side, side, dark.String())), nil
}

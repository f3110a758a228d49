package server

import (
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/tools"
)

// chart is bars of money over time, for a template to draw: all numbers are units of
// its view box.
type chart struct {
	Width, Height       int
	Left, Right, Bottom int // of the area of the bars
	Bars                []bar
	Lines               []tick // of the scale
	Labels              []tick // of the time
}

// bar is what one period came to, of one kind.
type bar struct {
	X, Y, Width, Height int
	Kind                string // settled, pending, owed or refunded: also its class
	Text                string
}

type tick struct {
	At   int
	Text string
}

const (
	chartWidth  = 720
	chartHeight = 260
	chartLeft   = 76
	chartTop    = 14
	chartBottom = 222
	maxLabels   = 8
)

// chartOf draws periods; nil where there is no money to be seen.
func chartOf(periods []tools.Period, per string) *chart {
	var most x402.Amount
	for _, p := range periods {
		most = max(most, p.Amounts.Settled+p.Amounts.Pending+p.Amounts.Owed+p.Amounts.Refunded)
	}
	if most == 0 {
		return nil
	}
	c := &chart{Width: chartWidth, Height: chartHeight, Left: chartLeft, Right: chartWidth - 8, Bottom: chartBottom}
	step := scale(most)
	top := (most + step - 1) / step * step
	for at := x402.Amount(0); at <= top; at += step {
		c.Lines = append(c.Lines, tick{c.height(at, top), "$" + at.USD()})
	}
	wide := c.Right - c.Left
	every := (len(periods) + maxLabels - 1) / maxLabels
	for i, p := range periods {
		from, to := c.Left+wide*i/len(periods), c.Left+wide*(i+1)/len(periods)
		if i%every == 0 {
			c.Labels = append(c.Labels, tick{(from + to) / 2, label(p.From, per)})
		}
		gap := min(4, (to-from)/4)
		sum := x402.Amount(0)
		for _, part := range []struct {
			kind   string
			amount x402.Amount
		}{{"settled", p.Amounts.Settled}, {"pending", p.Amounts.Pending}, {"owed", p.Amounts.Owed}, {"refunded", p.Amounts.Refunded}} {
			if part.amount == 0 {
				continue
			}
			below := c.height(sum, top)
			sum += part.amount
			at := c.height(sum, top)
			c.Bars = append(c.Bars, bar{from + gap, min(at, below-1), max(1, to-from-2*gap), max(1, below-at), part.kind,
				label(p.From, per) + ": $" + part.amount.USD() + " " + part.kind})
		}
	}
	return c
}

// height is where an amount is, of a scale that ends at top. The shares are of whole
// thousandths of the top: enough for a picture, and never too large to multiply.
func (c *chart) height(a, top x402.Amount) int {
	share := a
	whole := top
	for whole > 1<<40 {
		share, whole = share/1024, whole/1024
	}
	return c.Bottom - int(share*(chartBottom-chartTop)/whole)
}

// scale is a round step, of which there are at most five up to the amount.
func scale(most x402.Amount) x402.Amount {
	for unit := x402.Amount(1); ; unit *= 10 {
		for _, step := range []x402.Amount{unit, 2 * unit, 5 * unit} {
			if (most+4)/5 <= step || unit > most {
				return step
			}
		}
	}
}

func label(t time.Time, per string) string {
	if per == tools.PerMonth {
		return t.Format("Jan 2006")
	}
	return t.Format("2 Jan")
}

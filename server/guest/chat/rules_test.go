package chat

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]command{
		"":                 {},
		"...":              {},
		"help":             {verb: verbHelp},
		"Hi!":              {verb: verbHelp},
		"What can you do?": {verb: verbHelp},
		"connect to https://a.example/mcp/users/u.": {verb: verbConnect, url: "https://a.example/mcp/users/u"},
		"http://127.0.0.1:8402/mcp/users/u":         {verb: verbConnect, url: "http://127.0.0.1:8402/mcp/users/u"},
		"(https://a.example/x)":                     {verb: verbConnect, url: "https://a.example/x"},
		"forget https://a.example/x please":         {verb: verbLeave, url: "https://a.example/x"},
		"connect":                                   {verb: verbConnect},
		"which hosts":                               {verb: verbHosts},
		"list events":                               {verb: verbFind},
		"Show me all the events":                    {verb: verbFind},
		"what's on?":                                {verb: verbFind},
		"find jazz":                                 {verb: verbFind, words: "jazz"},
		"are there any events about cooking":        {verb: verbFind, words: "cooking"},
		"details of 2":                              {verb: verbDetails, n: 2},
		"Tell me more about the second one":         {verb: verbDetails, n: 2},
		"about jazz night":                          {verb: verbDetails, words: "jazz night"},
		"3":                                         {verb: verbDetails, n: 3},
		"evt_abc123":                                {verb: verbDetails, id: "evt_abc123"},
		"book 2":                                    {verb: verbBook, n: 2},
		"Book #2, please":                           {verb: verbBook, n: 2},
		"book the jazz night":                       {verb: verbBook, words: "jazz night"},
		"please book me the jazz night":             {verb: verbBook, words: "jazz night"},
		"I'd like to book two seats for jazz":       {verb: verbBook, seats: 2, words: "jazz"},
		"book 3 tickets for the first one":          {verb: verbBook, seats: 3, n: 1},
		"book jazz night for 2":                     {verb: verbBook, seats: 2, words: "jazz night"},
		"reserve a seat at evt_XyZ for two people":  {verb: verbBook, seats: 2, id: "evt_XyZ"},
		"rsvp to number 4":                          {verb: verbBook, n: 4},
		"buy 2 tickets evt_abc":                     {verb: verbBook, seats: 2, id: "evt_abc"},
		"get me two tickets for jazz":               {verb: verbBook, seats: 2, words: "jazz"},
		"get 2 tickets for 3":                       {verb: verbBook, seats: 2, n: 3},
		"get details of 2":                          {verb: verbDetails, n: 2},
		"my rsvps":                                  {verb: verbRSVPs},
		"show my bookings":                          {verb: verbRSVPs},
		"what have I booked?":                       {verb: verbRSVPs},
		"cancel rsvp_abc":                           {verb: verbCancel, id: "rsvp_abc"},
		"cancel my jazz booking":                    {verb: verbCancel, words: "jazz"},
		"cancel 1":                                  {verb: verbCancel, n: 1},
		"wallet":                                    {verb: verbWallet},
		"what's my balance":                         {verb: verbWallet},
		"how much have I spent?":                    {verb: verbSpending},
		"my budget":                                 {verb: verbSpending},
		"sdfkjh":                                    {},
		"je voudrais un billet":                     {},
	} {
		got := parse(text)
		if got.verb == verbSpending || got.verb == verbWallet || got.verb == verbRSVPs || got.verb == verbHelp {
			got.words = "" // nobody asks for them
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(command{})); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"book 2 seats for jazz", "cancel rsvp_abc", "https://a.example/x?y=1#z", "#1", "evt_A\u212a", "for 9999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := parse(text)
		if c.n < 0 || c.n > 9999 || c.seats < 0 || c.seats > 9999 || len(c.words) > 3*len(text)+8 {
			t.Errorf("%q is %+v", text, c)
		}
		if c != parse(text) {
			t.Error("it is not the same twice")
		}
	})
}

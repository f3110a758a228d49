package chat

import (
	"regexp"
	"strconv"
	"strings"
)

// verb is what a sentence asks for.
type verb string

const (
	verbUnknown  verb = ""
	verbHelp     verb = "help"
	verbConnect  verb = "connect"
	verbLeave    verb = "leave"
	verbHosts    verb = "hosts"
	verbFind     verb = "find"
	verbDetails  verb = "details"
	verbBook     verb = "book"
	verbCancel   verb = "cancel"
	verbRSVPs    verb = "rsvps"
	verbWallet   verb = "wallet"
	verbSpending verb = "spending"
)

// command is a sentence as the rules understand it.
type command struct {
	verb  verb
	url   string // of a Host
	n     int    // the n-th of the last list; 0: not said
	id    string // of an event or an RSVP
	words string // what else was said of it
	seats int    // 0: not said
}

var (
	urlWord    = regexp.MustCompile(`(?i)\bhttps?://[^\s<>"']+`)
	idWord     = regexp.MustCompile(`\b(evt|rsvp)_[A-Za-z0-9_-]+\b`)
	seatWords  = regexp.MustCompile(`\b(?:for )?(\d{1,4}|an?|one|two|three|four|five|six|seven|eight|nine|ten) (?:seats?|tickets?|places?|spots?|people|persons?)\b`)
	forWords   = regexp.MustCompile(`\bfor (\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten|me|us)$`)
	nthWord    = regexp.MustCompile(`(?:#|\b(?:number|no|nr|event|rsvp|booking|item) )(\d{1,4})\b|\b(\d{1,4})(?:st|nd|rd|th)?\b`)
	bareNumber = regexp.MustCompile(`^#?\d{1,4}$`)
	ordinals   = regexp.MustCompile(`\b(first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth)\b`)
	polite     = regexp.MustCompile(`^(?:(?:please|hey|hi|hello|ok|okay|can|could|would|will|you|i|we|want|wanna|like|to|need|let|me|us|the agent|just|now|id|i'd) )+`)
	filler     = regexp.MustCompile(`\b(?:please|the|a|an|me|my|to|at|on|of|for|and|with|one|event|events|rsvp|booking|ticket|tickets|seat|seats|it|that|this|about|some|any|all|up|is|are|there|what|what's|whats|which|get|upcoming|coming)\b`)
	notWords   = regexp.MustCompile(`[^\p{L}\p{N}#'_$.-]+`)
)

var numbers = map[string]int{"a": 1, "an": 1, "me": 1, "one": 1, "two": 2, "us": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
	"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10}

func number(s string) int {
	if n, ok := numbers[s]; ok {
		return n
	}
	n, _ := strconv.Atoi(s)
	return n
}

// verbs are tried in this order, at the beginning of a sentence and then in it.
var verbs = []struct {
	verb  verb
	words *regexp.Regexp
}{
	{verbHelp, regexp.MustCompile(`\b(?:help|commands|what can you do|how does this work)\b`)},
	{verbRSVPs, regexp.MustCompile(`\b(?:(?:(?:show|list) )?(?:my|show|list) (?:own )?(?:rsvps?|bookings?|tickets?|reservations?|events i booked)|what (?:have|did) i (?:booked|book)|^rsvps|^bookings)\b`)},
	{verbCancel, regexp.MustCompile(`\b(?:cancel|call off|refund|unbook)\b`)},
	{verbWallet, regexp.MustCompile(`\b(?:wallet|balance|my address|how much (?:money|usdc)|top up|funds?|deposit)\b`)},
	{verbSpending, regexp.MustCompile(`\b(?:spending|spent|budget|limits?|payments|expenses)\b`)},
	{verbLeave, regexp.MustCompile(`\b(?:leave|disconnect|forget|remove)\b`)},
	{verbHosts, regexp.MustCompile(`\b(?:hosts|(?:my|which) host)\b`)},
	{verbBook, regexp.MustCompile(`\b(?:book|reserve|rsvp to|rsvp for|rsvp|buy|sign (?:me )?up|get me|attend|go to)\b`)},
	{verbDetails, regexp.MustCompile(`\b(?:details?|tell me (?:more )?about|more about|more on|about|info|information|describe|when is|where is|how much is)\b`)},
	{verbFind, regexp.MustCompile(`\b(?:list|find|search|look for|looking for|show|events?|what's on|whats on|anything|happening)\b`)},
	{verbConnect, regexp.MustCompile(`\b(?:connect|add|use|open|host)\b`)},
}

// getSome is how some say that they want to book.
var getSome = regexp.MustCompile(`\bget ((?:\d{1,4}|an?|one|two|three|four|five|six) (?:seats?|tickets?))\b`)

// parse reads a sentence.
func parse(text string) command {
	if u := urlWord.FindString(text); u != "" {
		c := command{verb: verbConnect, url: strings.TrimRight(u, ".,;:!?)]}")}
		if said, _ := verbOf(strings.ToLower(strings.Replace(text, u, "", 1))); said == verbLeave {
			c.verb = verbLeave
		}
		return c
	}
	id := idWord.FindString(text)
	s := strings.ToLower(strings.ReplaceAll(text, "’", "'"))
	s = strings.Trim(strings.Join(strings.Fields(notWords.ReplaceAllString(s, " ")), " "), " .-")
	if s == "" {
		return command{verb: verbUnknown}
	}
	if s == "hi" || s == "hello" || s == "hey" {
		return command{verb: verbHelp}
	}
	s = getSome.ReplaceAllString(polite.ReplaceAllString(s, ""), "book $1")
	c := command{id: id}
	if id != "" {
		s = strings.ReplaceAll(s, strings.ToLower(id), " ")
	}
	c.verb, s = verbOf(s)
	if c.verb == verbUnknown {
		switch {
		case strings.HasPrefix(id, "evt_"):
			c.verb = verbDetails
		case bareNumber.MatchString(s):
			c.verb = verbDetails
		default:
			return command{}
		}
	}
	if c.verb == verbBook {
		c.seats, s = take(seatWords, s)
		if c.seats == 0 {
			c.seats, s = take(forWords, s)
		}
	}
	if c.verb == verbBook || c.verb == verbDetails || c.verb == verbCancel {
		if c.id == "" {
			if c.n, s = take(ordinals, s); c.n == 0 {
				c.n, s = take(nthWord, s)
			}
		}
	}
	c.words = strings.Trim(strings.Join(strings.Fields(filler.ReplaceAllString(s, " ")), " "), " .-'#$")
	return c
}

// verbOf finds the verb that comes first, and takes it out.
func verbOf(s string) (verb, string) {
	best, at := -1, []int(nil)
	for i, v := range verbs {
		if found := v.words.FindStringIndex(s); found != nil && (at == nil || found[0] < at[0]) {
			best, at = i, found
		}
	}
	if at == nil {
		return verbUnknown, s
	}
	return verbs[best].verb, strings.TrimSpace(s[:at[0]] + " " + s[at[1]:])
}

// take takes what a pattern matches last out of a sentence, and returns its
// number.
func take(pattern *regexp.Regexp, s string) (int, string) {
	all := pattern.FindAllStringSubmatchIndex(s, -1)
	if all == nil {
		return 0, s
	}
	m := all[len(all)-1]
	for i := 2; i < len(m); i += 2 {
		if m[i] >= 0 {
			return number(s[m[i]:m[i+1]]), s[:m[0]] + " " + s[m[1]:]
		}
	}
	return 0, s
}

const help = `I understand plain requests:
• https://… connects to a host; "hosts" lists them, "leave https://…" forgets one
• "list events", "find jazz"
• "details of 2"
• "book 2", "book 2 seats for jazz": you are asked before anything is paid
• "my rsvps", "cancel 1"
• "wallet", "spending"`

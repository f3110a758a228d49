package main

import "testing"

// Whoever may register differs by what money is at stake.
func TestRegistrationByNetwork(t *testing.T) {
	for _, test := range []struct {
		network, flag   string
		invited, closed bool
	}{
		{onDevnet, "", false, false}, {onBaseSepolia, "", false, false}, {onBase, "", true, false},
		{onBase, "open", false, false}, {onDevnet, "invite", true, false}, {onBaseSepolia, "closed", false, true},
	} {
		r, err := (&accountFlags{registration: test.flag, smtp: "smtp.example.org:587", from: "events@example.org"}).open(test.network)
		if err != nil || r.Invited != test.invited || r.Closed != test.closed || r.Mail == nil {
			t.Errorf("%+v: %+v, %v", test, r, err)
		}
	}
}

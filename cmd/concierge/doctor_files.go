package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/events-concierge/concierge/server/host"
)

// schemasJSON is what doctor --json says of the versions of files.
type schemasJSON struct {
	Server int          `json:"server"`
	Hosts  map[int]int  `json:"hosts"` // how many files have a version
	Failed []failedJSON `json:"failed"`
}

type failedJSON struct {
	User   string `json:"user,omitempty"` // none: the server's file
	Reason string `json:"reason"`
}

func schemas(v host.Versions) schemasJSON {
	s := schemasJSON{Server: v.Server, Hosts: v.Hosts, Failed: []failedJSON{}}
	for _, f := range v.Failed {
		s.Failed = append(s.Failed, failedJSON{f.User, f.Err.Error()})
	}
	return s
}

func showVersions(out io.Writer, v host.Versions) {
	fmt.Fprintf(out, "server.db has schema %d%s.\n", v.Server, older(v.Server, v.CurrentServer))
	for _, version := range slices.Sorted(maps.Keys(v.Hosts)) {
		fmt.Fprintf(out, "Hosts with schema %d: %d%s.\n", version, v.Hosts[version], older(version, v.CurrentHost))
	}
	for _, f := range v.Failed {
		of := "The file of Host " + f.User
		if f.User == "" {
			of = "server.db"
		}
		fmt.Fprintf(out, "failed: %s can't be used: %v\n", of, f.Err)
	}
}

func older(version, current int) string {
	if version < current {
		return fmt.Sprintf("; opening one makes it %d", current)
	}
	return ""
}

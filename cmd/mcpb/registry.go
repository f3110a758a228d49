package main

import (
	"fmt"
	"net/url"
	"path/filepath"
)

// releases is where bundles can be had, by their tags.
const releases = "https://github.com/events-concierge/concierge/releases/download/"

// registryEntry is the server.json of a bundle. The MCP registry takes one whose
// bundle is there already, with this hash.
func registryEntry(source, name, version, tag, sum string) ([]byte, error) {
	address, err := url.JoinPath(releases, tag, fileName(name))
	if err != nil {
		return nil, fmt.Errorf("address of the bundle: %w", err)
	}
	return filled(filepath.Join(source, name+".server.json"), map[string]string{
		"@VERSION@": version,
		"@BUNDLE@":  address,
		"@SHA256@":  sum,
	})
}

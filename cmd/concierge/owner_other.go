//go:build !unix

package main

// sameOwner knows of owners on Unix alone.
func sameOwner(string) error { return nil }

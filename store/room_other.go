//go:build !unix

package store

// DescriptorLimit is how many descriptors the process may have; 0: nobody knows.
func DescriptorLimit() int { return 0 }

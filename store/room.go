package store

// descriptors are how many file descriptors an open file takes: the database
// and its log, for a connection that reads and one that writes, and what they
// share.
const descriptors = 5

// room is how many files may be open at a time, and how many readers beyond the
// first of each. They take at most half of what the process may open: the rest
// is for connections of clients.
func (o Options) room() (files, extra int) {
	files = o.MaxOpen
	extra = max(files/8, maxReaders)
	if limit := DescriptorLimit(); limit > 0 {
		half := limit / 2
		files = min(files, half*3/4/descriptors)
		extra = min(extra, half/4/2)
	}
	return max(files, 1), extra
}

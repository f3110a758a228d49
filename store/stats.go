package store

// pageInLog is how many bytes a page takes in a log, with its header.
const pageInLog = 4096 + 24

// FilesStats are numbers about the files of Hosts at a moment.
type FilesStats struct {
	Open int // files
	// LogBytes is what their logs hold that is not in the files yet, or was not when
	// they were last looked at, which is after every eighth commit; LongestLog is that
	// of the one that holds most.
	LogBytes, LongestLog int64
}

// Stats looks at the files that are open; the disk is not asked.
func (p *Files) Stats() (s FilesStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		if e.file == nil {
			continue
		}
		s.Open++
		n := e.file.log.bytes()
		s.LogBytes += n
		s.LongestLog = max(s.LongestLog, n)
	}
	return s
}

func (s *logState) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(max(0, s.frames-s.moved)) * pageInLog
}

package facilitator

// recent is a map of bounded size: when a generation is full, the one before it
// is forgotten. What was put or got lately outlasts at least size others.
type recent[K comparable, V any] struct {
	size        int
	young, aged map[K]V
}

func (r *recent[K, V]) get(k K) (V, bool) {
	if v, ok := r.young[k]; ok {
		return v, true
	}
	v, ok := r.aged[k]
	if ok {
		r.put(k, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if _, known := r.young[k]; !known && len(r.young) >= r.size {
		r.aged, r.young = r.young, nil
	}
	if r.young == nil {
		r.young = map[K]V{}
	}
	r.young[k] = v
}

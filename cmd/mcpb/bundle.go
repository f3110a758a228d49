package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// bundle is an .mcpb file, and its SHA-256 in hex.
type bundle struct {
	content []byte
	sum     string
}

// pack makes the bundle of a manifest, of which the version is filled in.
func pack(source, name, version string, binaries map[string][]byte) (bundle, error) {
	manifest, err := filled(filepath.Join(source, name+".json"), map[string]string{"@VERSION@": version})
	if err != nil {
		return bundle{}, err
	}
	content := maps.Clone(binaries)
	content["manifest.json"] = manifest
	for in, from := range map[string]string{
		"icon.png": filepath.Join(source, "icon.png"),
		"LICENSE":  "LICENSE",
		"NOTICE":   "NOTICE", // whose licences are to go with what they are for
	} {
		if content[in], err = os.ReadFile(from); err != nil {
			return bundle{}, err
		}
	}
	b, err := archive(content)
	if err != nil {
		return bundle{}, err
	}
	if len(b) > maxBundle {
		return bundle{}, fmt.Errorf("it has %d bytes, and may have %d", len(b), maxBundle)
	}
	sum := sha256.Sum256(b)
	return bundle{b, hex.EncodeToString(sum[:])}, nil
}

// filled is a file of JSON with words replaced.
func filled(path string, words map[string]string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for word, by := range words {
		if !bytes.Contains(text, []byte(word)) {
			return nil, fmt.Errorf("%s: there is no %s to fill in", path, word)
		}
		text = bytes.ReplaceAll(text, []byte(word), []byte(by))
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("%s is not JSON", path)
	}
	return text, nil
}

// archive is a ZIP file of these files. Order, times and modes are always the same.
func archive(content map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, name := range slices.Sorted(maps.Keys(content)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		h.SetMode(mode(name))
		w, err := z.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(content[name]); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// mode lets people run what is to be run.
func mode(name string) fs.FileMode {
	if _, ok := files[name]; ok {
		return 0o755
	}
	return 0o644
}

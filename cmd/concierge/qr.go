package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"rsc.io/qr"
)

// quiet is the margin that a QR code needs to be found, in modules.
const quiet = 4

// drawQR draws a text as a QR code, two modules a character: what is light is drawn,
// so that it is right on a dark terminal; on any, if it may have its own colors.
func drawQR(w io.Writer, text string, colors bool) error {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return fmt.Errorf("QR code: %w", err)
	}
	before, after := "", ""
	if colors {
		before, after = "\x1b[97;40m", "\x1b[0m" // white on black
	}
	var drawn strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		drawn.WriteString(before)
		for x := -quiet; x < code.Size+quiet; x++ {
			// Outside of the code Black is false, but a row below the margin is no module.
			drawn.WriteRune(half(!code.Black(x, y), y+1 < code.Size+quiet && !code.Black(x, y+1)))
		}
		drawn.WriteString(after + "\n")
	}
	_, err = io.WriteString(w, drawn.String())
	return err
}

// half is the character with its upper half drawn, or its lower, or both.
func half(upper, lower bool) rune {
	switch {
	case upper && lower:
		return '█'
	case upper:
		return '▀'
	case lower:
		return '▄'
	}
	return ' '
}

// isTerminal reports whether what is written is shown on a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

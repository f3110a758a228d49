package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/x402"
)

const (
	faucetDefault = 10 * x402.USD
	faucetMost    = 10_000 * x402.USD
	maxFaucetBody = 4 << 10 // bytes
)

// faucetHandler serves "POST /faucet".
type faucetHandler struct {
	faucet *faucet
	log    *slog.Logger
}

type faucetRequest struct {
	Address *string `json:"address"`
	USDC    *string `json:"usdc"` // dollars; absent: "10"
}

type faucetAnswer struct {
	Address     x402.Address `json:"address"`
	USDC        string       `json:"usdc"` // dollars
	Transaction common.Hash  `json:"transaction"`
}

// problem is an error as RFC 9457 has it, with a code for programs.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

func (h faucetHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, fail := h.serve(r.Context(), http.MaxBytesReader(w, r.Body, maxFaucetBody))
	if fail != nil {
		fail.Title = http.StatusText(fail.Status)
		h.reply(w, fail.Status, "application/problem+json", fail)
		return
	}
	h.reply(w, http.StatusOK, "application/json", answer)
}

func (h faucetHandler) serve(ctx context.Context, body io.Reader) (faucetAnswer, *problem) {
	to, usdc, fail := decodeFaucet(body)
	if fail != nil {
		return faucetAnswer{}, fail
	}
	tx, err := h.faucet.give(ctx, common.Address(to), usdc)
	switch {
	case ctx.Err() != nil:
		return faucetAnswer{}, &problem{Status: http.StatusServiceUnavailable, Code: "interrupted",
			Detail: "The money may be on its way; look at the balance before you ask again."}
	case err != nil:
		h.log.Error("the faucet failed", "payer", to, "err", err)
		return faucetAnswer{}, &problem{Status: http.StatusInternalServerError, Code: "faucet_failed",
			Detail: "The faucet could not give anything; its log says why."}
	}
	h.log.Info("faucet", "payer", to, "usdc", usdc.USD(), "tx", tx)
	return faucetAnswer{Address: to, USDC: usdc.USD(), Transaction: tx}, nil
}

// decodeFaucet reads what is asked of the faucet, strictly.
func decodeFaucet(body io.Reader) (x402.Address, x402.Amount, *problem) {
	bad := func(code, detail string) (x402.Address, x402.Amount, *problem) {
		return x402.Address{}, 0, &problem{Status: http.StatusBadRequest, Code: code, Detail: detail}
	}
	var req faucetRequest
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(&req)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = errors.New("more than one value")
		}
	}
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return x402.Address{}, 0, &problem{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large",
			Detail: "The request is larger than the faucet reads."}
	}
	if err != nil {
		return bad("invalid_request", `Send JSON: {"address": "0x…", "usdc": "10.00"}, usdc may be left out.`)
	}
	if req.Address == nil {
		return bad("invalid_address", "The address is missing.")
	}
	to, err := x402.ParseAddress(*req.Address)
	if err != nil || to.IsZero() {
		return bad("invalid_address", "The address is not 0x and 40 hex digits, has a wrong checksum, or is zero.")
	}
	usdc := faucetDefault
	if req.USDC != nil {
		if usdc, err = x402.ParseUSD(*req.USDC); err != nil || usdc == 0 || usdc > faucetMost {
			return bad("invalid_amount", `usdc is dollars as a string, such as "2.50": more than 0, at most 10000, at most 6 decimals.`)
		}
	}
	return to, usdc, nil
}

func (h faucetHandler) reply(w http.ResponseWriter, status int, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		h.log.Debug("the faucet's answer was not taken", "err", err)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// receiptLimit bounds what is read, in bytes; the decoders take less.
const receiptLimit = 64 << 10

func newReceipt() *cobra.Command {
	return group("receipt", "Signed receipts of payments", newReceiptVerify())
}

func newReceiptVerify() *cobra.Command {
	var by string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [FILE|-]",
		Short: "Find out, offline, who signed a receipt and for what",
		Long: "Reads a signed receipt (x402 offer-receipt, EIP-712) from a file or from standard input: its JSON,\n" +
			"the JSON of the settlement response that it is in (_meta[\"x402/payment-response\"]), or the value of\n" +
			"the PAYMENT-RESPONSE header. Anybody can sign anything: --signer names the account that you trust,\n" +
			"for a Host of this program the one that was paid to.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var trusted x402.Address
			if by != "" {
				var err error
				if trusted, err = x402.ParseAddress(by); err != nil {
					return misuse("--signer: %v", err)
				}
			}
			raw, err := readInput(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			receipt, settled, err := findReceipt(raw)
			if err != nil {
				return err
			}
			signer, err := evm.Recover(evm.ReceiptDigest(receipt.Payload), receipt.Signature)
			if err != nil {
				return err
			}
			if by != "" && signer != trusted {
				return fmt.Errorf("the receipt is signed by %s, not by %s, or it was changed afterwards", signer, trusted)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"signer": signer, "receipt": receipt.Payload})
			}
			if by == "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "Compare the signer with the account that you paid to, or name it with --signer: anybody can sign anything.")
			}
			return showReceipt(cmd.OutOrStdout(), signer, receipt.Payload, settled)
		},
	}
	cmd.Flags().StringVar(&by, "signer", "", "fail unless this account has signed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// readInput reads the file of a command's only argument; none, or -, is standard
// input.
func readInput(in io.Reader, args []string) ([]byte, error) {
	if len(args) == 1 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, receiptLimit))
}

// findReceipt finds a signed receipt in any of the forms in which a payer gets
// it. settled is what it was in, if it was in anything, and says the same.
func findReceipt(raw []byte) (receipt x402.SignedReceipt, settled *x402.SettleResponse, err error) {
	raw = bytes.TrimSpace(raw)
	var r x402.SettleResponse
	var kind struct{ Success json.RawMessage }
	switch isJSON := bytes.HasPrefix(raw, []byte("{")); {
	case !isJSON:
		r, err = x402.DecodeReceiptHeader(string(raw))
	case json.Unmarshal(raw, &kind) == nil && kind.Success == nil:
		receipt, err = x402.DecodeSignedReceipt(raw)
		return receipt, nil, err
	default:
		r, err = x402.DecodeReceipt(raw)
	}
	if err != nil {
		return receipt, nil, err
	}
	signed, err := r.SignedReceipt()
	if err != nil {
		return receipt, nil, err
	}
	if signed == nil {
		return receipt, nil, errors.New("there is no signed receipt in this settlement response: its seller does not sign, or the payment is not settled")
	}
	p := signed.Payload
	samePayer := r.Payer == "" || strings.EqualFold(r.Payer, p.Payer)
	sameTransaction := p.Transaction == "" || strings.EqualFold(r.Transaction, p.Transaction)
	if !r.Success || !samePayer || !sameTransaction {
		return receipt, nil, errors.New("the signed receipt is of another payment than the settlement response that it is in")
	}
	return *signed, &r, nil
}

func showReceipt(out io.Writer, signer x402.Address, p x402.ReceiptPayload, settled *x402.SettleResponse) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "signed by\t%s\n", signer)
	fmt.Fprintf(w, "paid by\t%s\n", plain(p.Payer))
	fmt.Fprintf(w, "for\t%s\n", plain(p.ResourceURL))
	if settled != nil && settled.Amount != "" {
		fmt.Fprintf(w, "amount\t%s atomic units (not signed: see the transaction)\n", plain(settled.Amount))
	}
	fmt.Fprintf(w, "network\t%s\n", p.Network)
	if p.Transaction != "" {
		fmt.Fprintf(w, "transaction\t%s\n", plain(p.Transaction))
	}
	fmt.Fprintf(w, "at\t%s\n", time.Unix(int64(p.IssuedAt), 0).UTC().Format(time.RFC3339)) // #nosec G115 -- it is shown, and nothing else
	return w.Flush()
}

package payments

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// Notary signs what a Host says to its payers (x402's extension offer-receipt).
// It should be the account that they pay to: then whoever knows that knows whose
// word it is. It must sign the same twice for the same digest.
type Notary interface {
	SignHash(ctx context.Context, digest common.Hash) (x402.Signature, error)
}

// SignOffer adds to a quote of [Cashier.Quote] that by means it, until the
// quote's time is over.
func SignOffer(ctx context.Context, by Notary, quote x402.PaymentRequired, now time.Time) (x402.PaymentRequired, error) {
	r := quote.Accepts[0]
	offer := x402.OfferPayload{
		Version: x402.OfferReceiptVersion, ResourceURL: quote.Resource.URL, Scheme: r.Scheme, Network: r.Network,
		Asset: r.Asset.String(), PayTo: r.PayTo.String(), Amount: r.Amount.String(),
		ValidUntil: uint64(now.Unix()) + uint64(r.MaxTimeoutSeconds), // #nosec G115 -- a clock after 1970, and seconds that we chose
	}
	signature, err := by.SignHash(ctx, evm.OfferDigest(offer))
	if err != nil {
		return quote, fmt.Errorf("sign an offer: %w", err)
	}
	extension, err := x402.OfferExtension(offer, signature)
	quote.Extensions = extensions(extension)
	return quote, err
}

// SignedReceipt is [Receipt], in which by adds, once the payment is settled, that
// its payer has paid for what is at url. It says the same whenever it is asked
// for; so its time is the one of a payment that never changes: when the seats
// were held.
func SignedReceipt(ctx context.Context, by Notary, url string, p Payment) (x402.SettleResponse, error) {
	r := Receipt(p)
	if p.State != Settled {
		return r, nil
	}
	receipt := x402.ReceiptPayload{
		Version: x402.OfferReceiptVersion, Network: p.Network, ResourceURL: url, Payer: p.Payer.String(),
		IssuedAt: uint64(p.CreatedAt.Unix()), Transaction: p.Transaction.String(), // #nosec G115 -- a clock after 1970
	}
	signature, err := by.SignHash(ctx, evm.ReceiptDigest(receipt))
	if err != nil {
		return r, fmt.Errorf("sign a receipt: %w", err)
	}
	extension, err := x402.ReceiptExtension(receipt, signature)
	if err != nil {
		return r, err
	}
	r.Extensions, err = json.Marshal(map[string]json.RawMessage{x402.ExtensionOfferReceipt: extension})
	return r, err
}
